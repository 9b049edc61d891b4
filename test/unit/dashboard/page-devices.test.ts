// What the page says of devices, from records and from the store: which process keeps each where it is, the states of both ends, the move
// that comes next.
import t from 'tap';
import { Devices } from '../../../dashboard/devices.js';
import { nextMove } from '../../../dashboard/why.js';
import type { ProcessRates } from '../../../lab/rates.js';
import { edge, POINT } from '../../../lib/trace/points.js';
import { type Protocol, REVIEW } from '../../../lib/xenbus/protocol.js';
import { RFC1 } from '../../../lib/xenbus/rfc1.js';
import { TraceScript } from '../../../testkit/trace-records.js';

const process_ = (name: string, more: Partial<ProcessRates> = {}): ProcessRates => ({
  ...{ name, pid: 1, incarnation: 1, state: 'ready', condition: 'runs', cpuMs: 0, residentBytes: 0 },
  ...{ cpuPercent: 0, recordsPerSecond: 0, sentPerSecond: 0, wakeUpsPerSecond: 0, historyFill: 0 },
  ...more,
});
const ALL = ['guest-a', 'xenstored', 'hypervisor', 'vhost-frontend', 'vhost-gpu'];

t.test('the page says which process keeps a device where it is', async (t) => {
  const devices = new Devices();
  const script = new TraceScript();
  const back = { label: 'backend/virtio-mmio/1/0/state', domid: 1 };
  script.at('toolstack', POINT['front.state'], { label: 'device/virtio-mmio/0/state', b: edge(0, 1), domid: 1 });
  script.at('toolstack', POINT['back.state'], { ...back, b: edge(0, 1) });
  script.at('vhost-frontend', POINT['back.state-written'], { ...back, b: edge(1, 2) });
  devices.take(script.records);
  const shown = (processes: readonly ProcessRates[]) => devices.shown(processes, new Map([[1, 'a']]), 0n)[0];
  const causes = (processes: readonly ProcessRates[]) => shown(processes)?.reason.causes;
  const all = ALL.map((name) => process_(name));
  t.same(causes(all), []);
  t.same(shown(all)?.last, { by: 'vhost-frontend', text: 'state=2 InitWait', ms: 0.003 });
  t.match(shown(all)?.reason.awaited, { side: 'front', state: 3, name: 'Initialised', by: 'guest-a' });
  const but = (name: string, more: Partial<ProcessRates>) =>
    ALL.map((each) => process_(each, each === name ? more : {}));
  t.same(causes(but('guest-a', { condition: 'paused' })), ['guest-a is paused']);
  const stands = (at: string) => causes(but('vhost-frontend', { condition: 'stands', at }));
  t.same(stands('vhost-frontend:back.key(x)'), ['vhost-frontend stands just before back.key(x)']);
  t.same(stands('vhost-frontend:front.state-written(y)#2'), [
    'vhost-frontend stands just after front.state-written(y)#2',
  ]);
  t.same(causes(ALL.slice(1).map((name) => process_(name))), ['guest-a does not run']);
  t.same(
    causes([...all, process_('toolstack', { condition: 'dead' })]),
    [],
    'a command that has ended hinders nothing',
  );
  const wrong = new TraceScript();
  wrong.at('vhost-frontend', POINT['error.xenbus'], { label: back.label, a: 9, domid: 1 });
  devices.take(wrong.records);
  t.match(shown(all)?.error, { by: 'vhost-frontend', text: /^backend\/virtio-mmio\/1\/0\/state errno=EBADF/ });
  const gone = new TraceScript();
  gone.at('hypervisor', POINT['domain.give'], { a: 1 });
  devices.take(gone.records);
  const [device] = devices.shown([], new Map(), 0n);
  t.same([device?.gone, device?.back.length], [true, 2], 'a device whose domain is gone is kept as it ended');
});

t.test(
  'a device of a named server stands because of that server, which the store or its own records name',
  async (t) => {
    const script = new TraceScript();
    for (const domid of [1, 2]) {
      const state = { label: `backend/virtio-mmio/${domid}/0/state`, b: edge(0, 1), domid };
      script.at('toolstack', POINT['back.state'], state);
      script.at('vhost-frontend', POINT['vhost-user.request'], { label: 'SET_MEM_TABLE', a: 1, domid });
    }
    const servers = ['vhost-gpu', 'vhost-gpu-b'];
    const processes = [...ALL, 'guest-b', 'vhost-gpu-b'].map((name) =>
      process_(
        name,
        servers.includes(name) ? { condition: 'stands', at: `${name}:vhost-user.serve(SET_MEM_TABLE)` } : {},
      ),
    );
    const told = (devices: Devices) =>
      devices
        .shown(
          processes,
          new Map([
            [1, 'a'],
            [2, 'b'],
          ]),
          0n,
        )
        .map(({ reason, server, last }) => [server, reason.causes, last?.text]);
    const stands = (name: string) => [`${name} stands just after vhost-user.serve(SET_MEM_TABLE)`];
    const wanted = servers.map((name) => [name, stands(name), 'SET_MEM_TABLE']);
    const stored = new Devices();
    stored.take(script.records);
    stored.stored([{ path: '/libxl/2/device/virtio-mmio/0/server', node: { value: 'b', perms: [] } }], 5000n);
    t.same(told(stored), wanted, 'before that server has recorded anything of it');
    script.at('vhost-gpu-b', POINT['session.take'], { label: '2/0', a: 1 });
    const recorded = new Devices();
    recorded.take(script.records);
    t.same(told(recorded), wanted);
    stored.stored([{ path: '/libxl/1/device/virtio-mmio/0/server', node: { value: '../x', perms: [] } }], 6000n);
    t.same(told(stored), wanted, 'what is no name is none');
  },
);

t.test('a page that comes late takes from the store what is recorded no more, until a record says it', async (t) => {
  const devices = new Devices();
  const script = new TraceScript();
  script.at('toolstack', POINT['front.state'], { label: 'device/virtio-mmio/0/state', b: edge(0, 1), domid: 1 });
  script.at('vhost-gpu', POINT['gpu.flush'], { label: '1/0', domid: 1 });
  devices.take(script.records);
  const node = (path: string, value: string) => ({ path: `/local/domain/${path}`, node: { value, perms: [] } });
  const all = ALL.map((name) => process_(name));
  const shown = () => devices.shown(all, new Map([[1, 'a']]), 0n)[0];
  const states = (side: 'front' | 'back') =>
    shown()?.[side].map(({ state, ms, found }) => [state, ms, ...(found ? ['found'] : [])]);
  t.equal(shown()?.earlier, false);
  const read = [
    node('1/device/virtio-mmio/0/state', '4'),
    node('0/backend/virtio-mmio/1/0/state', '4'),
    node('1/device/vif/0/state', '3'),
  ];
  devices.stored(read, 9000n);
  devices.stored(read, 10_000n);
  t.same(states('front'), [
    [1, 0.001],
    [4, 0.009, 'found'],
  ]);
  t.same(states('back'), [[4, 0.009, 'found']]);
  t.match(shown(), { connected: true, earlier: true, status: undefined, frames: 1 });
  const next = new TraceScript();
  const written = (process: string, side: 'front' | 'back', from: number, to: number, ns: bigint) => ({
    ...next.at(process, POINT[`${side}.state-written`], { b: edge(from, to), domid: 1 }),
    ns,
  });
  devices.take([written('guest-a', 'front', 3, 4, 8000n), written('vhost-frontend', 'back', 4, 5, 11_000n)]);
  t.same(
    states('front'),
    [
      [1, 0.001],
      [4, 0.008],
    ],
    'a record of what the store had says when it came',
  );
  t.same(states('back'), [
    [4, 0.009, 'found'],
    [5, 0.011],
  ]);
  devices.stored([node('0/backend/virtio-mmio/1/0/state', '6')], 12_000n);
  devices.take([written('vhost-frontend', 'back', 5, 6, 12_500n)]);
  t.same(
    states('back')?.slice(-2),
    [
      [5, 0.011],
      [6, 0.0125],
    ],
    'a writer records what the page has found already',
  );
  devices.stored([node('2/device/virtio/0/state', '1')], 12_000n);
  t.equal(devices.shown(all, new Map(), 0n).length, 2);
  devices.stored([{ path: '/local/domain/2/device/virtio/0/state' }], 13_000n);
  t.equal(devices.shown(all, new Map(), 0n).length, 1, 'a device without records goes with its node');
});

t.test('states whose records come after the page has read the store stand once each, in their order', async (t) => {
  const devices = new Devices();
  const script = new TraceScript();
  const written = (from: number, to: number, ns: bigint) => ({
    ...script.at('vhost-frontend', POINT['back.state-written'], { b: edge(from, to), domid: 1 }),
    ns,
  });
  const path = '/local/domain/0/backend/virtio-mmio/1/0/state';
  const found = (value: string, ns: bigint) => devices.stored([{ path, node: { value, perms: [] } }], ns);
  const states = () => devices.shown([], new Map(), 0n)[0]?.back.map(({ state, ms }) => [state, ms]);
  devices.take([written(0, 1, 1000n)]);
  found('4', 5000n);
  devices.take([written(1, 2, 2000n)]);
  t.same(
    states()?.map(([state]) => state),
    [1, 2, 4],
    'what was found is the last still',
  );
  devices.take([written(2, 4, 5500n)]);
  t.same(states(), [
    [1, 0.001],
    [2, 0.002],
    [4, 0.0055],
  ]);
  found('1', 9000n);
  devices.take([written(4, 5, 6000n), written(5, 6, 7000n), written(6, 1, 8000n)]);
  t.same(
    states()?.map(([state]) => state),
    [1, 2, 4, 5, 6, 1],
  );
});

t.test(
  'of every pair of states that a handshake, a close and a reconnect pass, the move is named that comes next',
  async (t) => {
    const next = (protocol: Protocol, front: number, back: number): string | undefined => {
      const move = nextMove(protocol, front, back);
      return move === undefined ? undefined : `${move.side} ${move.to}`;
    };
    for (const [front, back, move] of [
      [1, 1, 'back 2'],
      [1, 2, 'front 3'],
      [3, 2, 'back 4'],
      [3, 4, 'front 4'],
      [4, 4, undefined],
      [4, 5, 'front 6'],
      [5, 4, 'front 6'],
      [6, 5, 'back 6'],
      [6, 4, 'back 6'],
      [1, 5, 'back 6'],
      [6, 6, 'front 1'],
      [1, 6, 'back 2'],
      [6, 2, 'front 1'],
      [3, 6, 'front 6'],
      [0, 0, undefined],
    ] as const)
      t.equal(next(REVIEW, front, back), move, `frontend ${front}, backend ${back}`);
    t.equal(next(RFC1, 3, 1), 'back 2', 'the frontend as posted does not wait');
    t.equal(next(RFC1, 3, 2), 'back 4');
    t.equal(next(RFC1, 6, 6), undefined, 'and does not connect again');
    t.equal(next(RFC1, 6, 2), undefined);
  },
);
