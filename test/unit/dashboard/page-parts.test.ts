// The parts of the page's server without a lab: what is remembered is bounded, rings of a hostile driver are shown and not believed.
// Leaves what is said of devices to page-devices.test.ts.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Changes, listed } from '../../../dashboard/changes.js';
import { Devices } from '../../../dashboard/devices.js';
import { PageHistory } from '../../../dashboard/history.js';
import { Latencies, Ports } from '../../../dashboard/percentiles.js';
import type { Queue } from '../../../dashboard/registers.js';
import { ringsOf } from '../../../dashboard/rings.js';
import { StoreView } from '../../../dashboard/store-view.js';
import { Wires } from '../../../dashboard/wires.js';
import { ErrnoError } from '../../../lib/core/errors.js';
import { VIRTQ_AVAIL, VIRTQ_DESC, VIRTQ_DESC_F_NEXT, VIRTQ_USED } from '../../../lib/layout/virtio-ring.js';
import { flowsOf } from '../../../lib/trace/flows.js';
import { POINT } from '../../../lib/trace/points.js';
import type { StoreOps } from '../../../lib/xenstore/api.js';
import { temporaryRunDir } from '../../../testkit/processes.js';
import { TraceScript } from '../../../testkit/trace-records.js';

t.test(
  'a page that is open for long remembers the last records, and no more of a process than it can offer',
  async (t) => {
    const history = new PageHistory();
    const script = new TraceScript();
    const one = script.at('xenstored', POINT['store.commit']);
    const records = Array.from({ length: 130_000 }, (_, each) => ({
      ...one,
      ns: BigInt(each) * 1000n,
      label: `/a/${each % 5000}`,
      occurrence: each,
    }));
    for (let at = 0; at < records.length; at += 5000) history.take(records.slice(at, at + 5000));
    t.ok(history.since(0n).length <= 120_000);
    t.equal(history.since(0n).at(-1), records.at(-1));
    t.equal(history.instancesOf('xenstored').length, 200);
    t.equal(history.instancesOf('xenstored')[0], 'xenstored:store.commit(/a/4999)', 'the latest first');
    const window = history.window(60_000);
    t.equal(window.records.length, 4000);
    t.ok(window.left > 0, 'what does not fit is counted');
    t.equal(window.records.at(-1)?.ms, window.lastMs);
    const earlier = history.window(1, window.firstMs + 10);
    t.ok(earlier.records.every(({ ms }) => ms >= window.firstMs + 9 && ms <= window.firstMs + 10));
  },
);

t.test('slices and arrows of a window name records of the window', async (t) => {
  const history = new PageHistory();
  const script = new TraceScript();
  script.at('guest-a', POINT['bus.call'], { label: 'm', a: 1, flow: 3, sender: 4 });
  script.at('hypervisor', POINT['bus.serve'], { label: 'm guest-a', a: 1, flow: 3, sender: 4 });
  script.at('hypervisor', POINT['bus.answer'], { label: 'm guest-a', a: 1, flow: 1, sender: 5 });
  history.take(script.records);
  const { slices, flows, records } = history.window(1000);
  t.same(flows, [{ kind: 'message', steps: [0, 1] }]);
  t.same(slices, [
    [0, -1, 'calls'],
    [1, 2, 'calls served'],
  ]);
  t.equal(records[0]?.instance, 'guest-a:bus.call(m)#1');
});

t.test('rings are read where the driver says, if that is in the memory; a chain that loops ends', async (t) => {
  const runDir = temporaryRunDir(t);
  mkdirSync(join(runDir, 'shm'), { recursive: true });
  const ram = new Uint8Array(0x4000);
  for (const [index, next] of [1, 0].entries())
    VIRTQ_DESC.encode(
      { addr: 0x3000n, len: 64, flags: VIRTQ_DESC_F_NEXT, next },
      ram,
      0x1000 + index * VIRTQ_DESC.size,
    );
  VIRTQ_AVAIL.encode({ flags: 0, idx: 3 }, ram, 0x2000);
  VIRTQ_USED.encode({ flags: 0, idx: 1 }, ram, 0x2100);
  writeFileSync(join(runDir, 'shm', 'dom7.ram'), ram);
  const queue: Queue = { size: 4, desc: 0x1000, avail: 0x2000, used: 0x2100, ready: true };
  const [ring] = ringsOf(runDir, 7, new Map([[0, queue]]));
  t.equal(ring?.meaning[0], 'available 3, used 1: the device has 2 of 4 to do');
  t.match(ring?.meaning[2], /^waits entry 2: 0 out 0x3000\+64 > 1 out 0x3000\+64 > 0 out/);
  t.match(ring?.hex[0]?.rows[0], /^00001000 {2}00 30 00 00/);
  for (const wrong of [
    { ...queue, desc: 0x3fff },
    { ...queue, avail: 2 ** 63 },
    { ...queue, size: 0 },
    { ...queue, size: 65_536 },
    { ...queue, used: -1 },
  ]) {
    const [shown] = ringsOf(runDir, 7, new Map([[0, wrong]]));
    t.same(shown?.hex, []);
  }
  t.same(ringsOf(runDir, 8, new Map([[0, queue]])), [], 'a guest that is gone has none');
});

t.test('what is told of a list is what is new or other, and the order of all', async (t) => {
  const changes = new Changes();
  const items = (...all: [string, number][]) => ({
    list: listed(
      all.map(([name, value]) => ({ name, value })),
      ({ name }) => name,
    ),
  });
  const [a, b] = [
    { name: 'a', value: 1 },
    { name: 'b', value: 1 },
  ];
  t.same(changes.of(items(['a', 1], ['b', 1])), { list: { order: ['a', 'b'], changed: { a, b } } });
  t.same(changes.of(items(['a', 1], ['b', 1])), {}, 'nothing is told twice');
  t.same(changes.of(items(['a', 1], ['b', 2])), {
    list: { order: ['a', 'b'], changed: { b: { name: 'b', value: 2 } } },
  });
  t.same(changes.of(items(['b', 2], ['a', 1])), { list: { order: ['b', 'a'], changed: {} } });
  t.same(changes.of(items(['b', 2])), { list: { order: ['b'], changed: {} } });
  t.same(changes.of({ plain: { state: 1 } }), { plain: { state: 1 } });
  t.same(changes.of({ plain: { state: 1 } }), {});
  t.same(changes.whole(), { list: { order: ['b'], changed: { b: { name: 'b', value: 2 } } }, plain: { state: 1 } });
});

t.test('a wire is drawn between two processes that spoke, with what it carried in the last interval', async (t) => {
  const script = new TraceScript();
  script.at('guest-a', POINT['store.request'], { label: 'write x', a: 1, flow: 3, sender: 4 });
  script.at('xenstored', POINT['store.serve'], { label: 'write x guest-a', a: 1, flow: 3, sender: 4 });
  script.at('vhost-frontend', POINT['bus.call'], { label: 'm', a: 1, flow: 5, sender: 6 });
  script.at('hypervisor', POINT['bus.serve'], { label: 'm vhost-frontend', a: 1, flow: 5, sender: 6 });
  const wires = new Wires();
  const names = new Set(['guest-a', 'xenstored', 'vhost-frontend', 'hypervisor']);
  wires.take(flowsOf(script.records), 0.5);
  t.same(wires.shown(names), [
    { ends: ['guest-a', 'xenstored'], carries: { store: 2 } },
    { ends: ['hypervisor', 'vhost-frontend'], carries: { calls: 2 } },
  ]);
  wires.take([], 1);
  t.same(wires.shown(names)[0], { ends: ['guest-a', 'xenstored'], carries: { store: 0 } }, 'it stays when it is idle');
  names.delete('guest-a');
  t.equal(wires.shown(names).length, 1, 'and goes with an end of it');
});

t.test('registers are those that the driver wrote; writing 0 to the status forgets the queues', async (t) => {
  const devices = new Devices();
  const script = new TraceScript();
  const write = (register: number, value: number) =>
    script.at('vhost-frontend', POINT['ioreq.write'], { a: 0xf0000000 + register, b: value, domid: 1 });
  for (const [register, value] of [
    [0x30, 1],
    [0x38, 16],
    [0x80, 0x2000],
    [0x84, 1],
    [0x44, 1],
  ] as const)
    write(register, value);
  devices.take(script.records);
  t.same(devices.queuesOf(1).get(1), { size: 16, desc: 2 ** 32 + 0x2000, avail: 0, used: 0, ready: true });
  const reset = new TraceScript();
  reset.at('vhost-frontend', POINT['ioreq.write'], { a: 0xf0000070, b: 0, domid: 1 });
  devices.take(reset.records);
  t.equal(devices.queuesOf(1).size, 0);
});

t.test(
  'the store is read once, then where a commit names it; what is removed goes with what is below it',
  async (t) => {
    const nodes = new Map([
      ['/', ''],
      ['/a', '1'],
      ['/a/b', '2'],
    ]);
    let reads = 0;
    const store: Pick<StoreOps, 'read' | 'getPerms' | 'directory'> = {
      read: async (path) => {
        reads++;
        const value = nodes.get(path);
        if (value === undefined) throw new ErrnoError('ENOENT');
        return value;
      },
      getPerms: async () => ['n0'],
      directory: async (path) =>
        [...nodes.keys()]
          .filter((each) => each !== '/' && each.slice(0, Math.max(1, each.lastIndexOf('/'))) === path)
          .map((each) => each.slice(each.lastIndexOf('/') + 1)),
    };
    const view = new StoreView();
    view.all();
    t.equal((await view.look(store as StoreOps)).length, 3);
    t.same(await view.look(store as StoreOps), []);
    t.equal(reads, 3, 'an idle store is not asked');
    const script = new TraceScript();
    nodes.set('/a/b', '3');
    script.at('xenstored', POINT['store.commit'], { label: '/a/b' });
    view.take(script.records);
    t.same(await view.look(store as StoreOps), [{ path: '/a/b', node: { value: '3', perms: ['n0'] } }]);
    nodes.delete('/a');
    nodes.delete('/a/b');
    script.at('xenstored', POINT['store.commit'], { label: '/a' });
    view.take(script.records.slice(-1));
    t.same((await view.look(store as StoreOps)).map(({ path }) => path).sort(), ['/a', '/a/b']);
    t.same([...view.nodes.keys()], ['/']);
  },
);

t.test('ports and grants are those that the hypervisor holds now', async (t) => {
  const ports = new Ports();
  const script = new TraceScript();
  script.at('hypervisor', POINT['port.take'], { a: 3, b: 2, domid: 1 });
  for (let each = 0; each < 2; each++) script.at('hypervisor', POINT['event.raise'], { a: 3, domid: 1 });
  script.at('hypervisor', POINT['port.take'], { a: 4, domid: 1 });
  script.at('hypervisor', POINT['port.give'], { a: 4, domid: 1 });
  for (const a of [9, 8, 8]) script.at('hypervisor', POINT['grant.take'], { a, domid: 1 });
  script.at('hypervisor', POINT['grant.give'], { a: 8, domid: 1 });
  ports.take(script.records);
  script.at('hypervisor', POINT['event.raise'], { a: 7, domid: 2 });
  ports.take(script.records.slice(-1));
  t.same(
    ports.shown(),
    [
      { domid: 1, port: 3, remote: 2, raised: 2 },
      { domid: 2, port: 7, remote: undefined, raised: 1 },
    ],
    'a port whose taking is recorded no more is there once it is raised',
  );
  t.same(
    ports.grants(),
    [{ domid: 1, refs: [8, 9] }],
    'a reference that is mapped twice stays until both are given back',
  );
  const next = new TraceScript();
  next.at('hypervisor', POINT['life.start'], { incarnation: 2 });
  ports.take(next.records);
  t.same([ports.shown(), ports.grants()], [[], []], 'another host holds nothing of the one before');
});

t.test('percentiles are of whole notifications, the last ones of each domain', async (t) => {
  const latencies = new Latencies();
  const script = new TraceScript();
  script.at('vhost-gpu', POINT['session.take'], { label: '1/0', a: 1 });
  for (let each = 0; each < 3000; each++) {
    script.at('guest-a', POINT['kick.guest'], { domid: 1 });
    script.at('vhost-gpu', POINT['kick.taken'], { b: 1 });
  }
  script.at('guest-a', POINT['kick.guest'], { domid: 1 });
  latencies.take(flowsOf(script.records));
  const [shown] = latencies.shown();
  t.equal(shown?.name, 'domain 1 to device');
  t.ok(shown !== undefined && shown.count >= 2000 && shown.count <= 2400);
  t.ok(shown?.us.every((us) => us === 1));
});
