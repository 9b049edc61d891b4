import t from 'tap';
import type { Point } from '../../../lib/core/probe.js';
import { Handshakes, handshakeMs, type StepRecord, showLine } from '../../../lib/trace/handshakes.js';
import { edge, POINT } from '../../../lib/trace/points.js';

const record = (
  process: string,
  point: Point,
  label: string,
  ns: number,
  more: Partial<StepRecord> = {},
): StepRecord => ({
  ...{ process, point, label, ns: BigInt(ns), domid: 1, a: 0, b: 0 },
  ...more,
});
const front = (process: string, from: number, to: number, ns: number, domid = 1): StepRecord =>
  record(process, POINT['front.state-written'], FRONT, ns, { b: edge(from, to), domid });
const back = (from: number, to: number, ns: number, domid = 1): StepRecord =>
  record('vhost-frontend', POINT['back.state-written'], BACK, ns, { b: edge(from, to), domid });
const FRONT = 'device/virtio-mmio/0/state';
const BACK = 'backend/virtio-mmio/1/0/state';

t.test('records of both ends become the states that a device went through', async (t) => {
  const handshakes = new Handshakes();
  const steps = [
    back(1, 2, 10_000_000),
    record('guest-a', POINT['front.probe'], 'device/virtio-mmio/0', 11_000_000),
    record('guest-a', POINT['front.key'], 'device/virtio-mmio/0/base=0xf0000000', 11_500_000),
    front('guest-a', 1, 3, 12_000_000),
    back(2, 4, 14_000_000),
    front('guest-a', 3, 4, 20_500_000),
    front('guest-a', 4, 6, 31_000_000),
    back(5, 6, 32_000_000),
  ];
  const lines = steps.map((record) => handshakes.take(record));
  t.ok(lines.every((line) => line !== undefined));
  const [device] = handshakes.devices;
  t.same(device?.frontend, [1, 3, 4, 6]);
  t.same(device?.backend, [1, 2, 4, 5, 6], 'a state that another process wrote shows in what follows it');
  t.equal(handshakeMs(device!), 9.5);
  t.equal(showLine(lines[3]!, 10_000_000n), `     2.0 ms  guest-a           Initialised   ${FRONT}`);
  t.equal(
    showLine(lines[2]!, 10_000_000n),
    '     1.5 ms  guest-a                         device/virtio-mmio/0/base=0xf0000000',
  );
});

t.test('a state whose writer says so after the other end has answered it is no second state', async (t) => {
  const handshakes = new Handshakes();
  const toolstack = record('xl', POINT['back.state-written'], BACK, 3, { b: edge(0, 1) });
  for (const step of [back(1, 2, 1), toolstack, back(2, 4, 5)]) handshakes.take(step);
  t.same(handshakes.devices[0]?.backend, [1, 2, 4]);
  handshakes.take(record('xl', POINT['back.state-written'], BACK, 6, { b: edge(0, 1) }));
  t.same(handshakes.devices[0]?.backend, [1, 2, 4, 1], 'made anew is another one');
});

t.test("the toolstack's state counts from before its write, which the ends answer before it is told", async (t) => {
  const handshakes = new Handshakes();
  const toolstack = (point: Point, ns: number) => record('toolstack', point, BACK, ns, { b: edge(4, 5) });
  const lines = [
    back(2, 4, 1),
    toolstack(POINT['back.state'], 2),
    front('guest-a', 4, 6, 3),
    back(5, 6, 4),
    toolstack(POINT['back.state-written'], 5),
  ].map((step) => handshakes.take(step)?.ns);
  t.same(lines, [1n, 2n, 3n, 4n, undefined]);
  t.same(handshakes.devices[0]?.backend, [2, 4, 5, 6]);
});

t.test('devices of several guests stay apart, in the order of their domains', async (t) => {
  const handshakes = new Handshakes();
  handshakes.take(front('guest-b', 1, 3, 1, 2));
  handshakes.take(back(1, 2, 2));
  handshakes.take(back(1, 2, 3, 2));
  t.same(
    handshakes.devices.map(({ domid, frontend, backend }) => ({ domid, frontend, backend })),
    [
      { domid: 1, frontend: [], backend: [1, 2] },
      { domid: 2, frontend: [1, 3], backend: [1, 2] },
    ],
  );
  t.equal(handshakeMs(handshakes.devices[1]!), undefined, 'not connected yet');
});

t.test('a last state whose writer was ended before it could say so is known from xenstored', (t) => {
  const commit = (path: string, value: number) =>
    record('xenstored', POINT['store.commit'], path, 9, { b: value, domid: undefined });
  const home = '/local/domain/1';
  const [frontPath, backPath] = [`${home}/${FRONT}`, `/local/domain/0/${BACK}`];
  const steps = [
    ...[commit(frontPath, 1), commit(backPath, 1), front('toolstack', 0, 1, 2)],
    ...[commit(frontPath, 3), front('guest-a', 1, 3, 4), commit(backPath, 2), commit(backPath, 2), back(1, 2, 3)],
    ...[commit(frontPath, 6), commit(frontPath, 0), commit('/local/domain/2/device/virtio-mmio/0/state', 3)],
  ];
  const handshakes = new Handshakes();
  for (const step of steps) handshakes.take(step);
  t.match(handshakes.devices, [{ domid: 1, frontend: [1, 3, 6], backend: [1, 2] }]);
  t.equal(handshakes.devices.length, 1, 'a device whose ends have told nothing is not of this run');
  t.same(handshakes.untold(), [{ who: 'guest-a', ns: 9n, state: 6, key: FRONT }]);
  handshakes.take(front('guest-a', 4, 6, 11));
  t.same(handshakes.untold(), []);
  t.same(handshakes.devices[0]?.frontend, [1, 3, 4, 6], 'an end tells what is lost of xenstored');
  t.end();
});

t.test('other records are no steps of a handshake', async (t) => {
  const handshakes = new Handshakes();
  t.equal(handshakes.take(record('guest', POINT['store.request'], `write ${FRONT}=3`, 1)), undefined);
  t.equal(handshakes.take(record('guest', POINT['front.state'], FRONT, 1, { b: edge(0, 1) })), undefined);
  t.same(handshakes.devices, []);
});
