// What a run is shown as: figures, bars, plots, one page without anything from outside.
import t from 'tap';
import { NOTIFICATION_PATHS } from '../../../../lib/core/notification-path.js';
import { NOTIFY_MODES } from '../../../../lib/core/notify.js';
import { figuresOf, nsHistogram } from '../../../../measure/floor/figures.js';
import { floorNs, verdicts } from '../../../../measure/latency/bars.js';
import { follow } from '../../../../measure/latency/follow.js';
import { escapeHtml, percentilePlot } from '../../../../measure/latency/plot.js';
import { reportHtml } from '../../../../measure/latency/report-html.js';
import { reportText, showNs, table, timeline } from '../../../../measure/latency/report-text.js';
import { type LatencyResult, type PathResult, resultKey } from '../../../../measure/latency/result.js';
import { combinations } from '../../../../measure/latency/run.js';
import { curveOf, Tally } from '../../../../measure/latency/tally.js';

const flat = (ns: number) => ({ p50: ns, p99: ns * 2, p999: ns * 3, max: ns * 4 });
const floor = {
  eventfdC: { oneWayNs: flat(20_000), sameCoreNs: flat(2000), afterIdleNs: flat(50_000) },
  zeromqJs: { oneWayNs: flat(60_000) },
  zeromqJsCalls: { oneWayNs: flat(90_000) },
  sharedMemorySpin: { oneWayNs: flat(100) },
};
const measured = (more: Partial<PathResult>): PathResult => ({
  path: 'evtchnfd',
  notify: 'doorbell',
  mode: 'hot',
  load: 'closed',
  samples: 100,
  guestToDeviceNs: flat(10_000),
  deviceToGuestNs: flat(25_000),
  roundTripNs: flat(90_000),
  hops: [{ from: 'guest kick', to: 'hypervisor mmio', ns: flat(4000) }],
  ...more,
});
const result = (paths: PathResult[], beside: Partial<LatencyResult['beside']> = {}): LatencyResult => ({
  cores: 2,
  node: 'v20.0.0',
  floor,
  paths,
  beside: {
    ...{ floorBefore: floor, floorAfter: floor, reported: [], idlePercent: [], tracing: [], recordNs: 80 },
    ...{
      curves: {},
      warnings: [],
      machine: { governor: 'performance', idleStates: 'C1 2 us', mitigations: 'none', clock: 'tsc' },
    },
    ...beside,
  },
});

t.test('eleven combinations: no path is shared memory and messages at once', (t) => {
  const all = combinations({ paths: NOTIFICATION_PATHS, notifies: NOTIFY_MODES });
  t.equal(all.length, 11);
  t.notOk(all.some(([path, notify]) => path === 'direct' && notify === 'zmq'));
  t.end();
});

t.test('each combination is held to its own bar, and only the closed loop is', (t) => {
  const of = (more: Partial<PathResult>): [number, boolean][] =>
    verdicts(result([measured(more)])).map(({ bar, met }) => [Math.round(bar), met]);
  t.same(of({ deviceToGuestNs: flat(40_001) }), [
    [40_000, true],
    [40_000, false],
  ]);
  t.same(
    verdicts({ ...result([measured({ guestToDeviceNs: flat(2400) })]), cores: 4 }).map(({ bar, met }) => [bar, met]),
    [
      [2500, true],
      [2500, false],
    ],
    'with a core for each poller, in spun words',
  );
  t.same(of({ mode: 'blocked' }), [
    [25_000, true],
    [25_000, true],
  ]);
  t.same(of({ path: 'direct', guestToDeviceNs: flat(790), deviceToGuestNs: flat(810) }), [
    [800, true],
    [800, false],
  ]);
  t.same(of({ notify: 'zmq' }), [
    [150_000, true],
    [150_000, true],
  ]);
  t.same(of({ notify: 'zmq', path: 'dmop', guestToDeviceNs: flat(226_000) })[0], [225_000, false]);
  t.same(of({ path: 'dmop' }), [], 'three hops, hot: no bar');
  t.same(of({ load: 'open' }), []);
  const extra = verdicts(
    result([], {
      idlePercent: [{ notify: 'doorbell', percent: 2.5 }],
      tracing: [{ path: 'evtchnfd', notify: 'doorbell', onP50Ns: 104, offP50Ns: 100 }],
    }),
  );
  t.match(extra, [
    { met: false, unit: '%' },
    { met: true, measured: 4 },
  ]);
  t.end();
});

t.test('a floor is as many one-way floors as there are hops', (t) => {
  t.equal(floorNs(measured({}), floor, 'toDevice'), 200);
  t.equal(floorNs(measured({ mode: 'blocked' }), floor, 'toGuest'), 40_000);
  t.equal(floorNs(measured({ notify: 'zmq', path: 'dmop' }), floor, 'toDevice'), 180_000);
  const { eventfdC: _none, ...withoutCompiler } = floor;
  t.equal(floorNs(measured({ mode: 'blocked' }), withoutCompiler, 'toGuest'), undefined);
  t.same(
    verdicts({ ...result([measured({})]), floor: withoutCompiler }).map(({ bar }) => bar),
    [6000, 6000],
    'without C what stands beside it',
  );
  t.same(verdicts({ ...result([measured({ mode: 'blocked' })]), floor: withoutCompiler }), []);
  t.end();
});

t.test('a table on a terminal says everything once, in columns', (t) => {
  const lines = reportText(
    result([measured({ deviceToGuestNs: flat(50_000) }), measured({ load: 'open', ratePerSecond: 2000 })], {
      warnings: ['2 cores for 4 processes'],
      reported: [{ ...measured({}), condition: '1 busy neighbour' }],
    }),
  );
  const text = lines.join('\n');
  for (const word of ['warning: 2 cores', 'open 2000/s', '(1 busy neighbour)', 'missed: 1.25 of it', 'met', '80 ns'])
    t.match(text, word);
  t.notMatch(text, /undefined|NaN/);
  t.same(
    table([
      ['a', '1'],
      ['bcd', '22'],
    ]),
    ['a     1', 'bcd  22'],
  );
  t.same([640, 6400, 64_000, 640_000, 6_400_000].map(showNs), ['640 ns', '6.40 us', '64.0 us', '640 us', '6.40 ms']);
  t.end();
});

t.test('a page holds its plots and asks the network for nothing', (t) => {
  const histogram = nsHistogram();
  for (let value = 1; value <= 2000; value++) histogram.recordValue(value * 10);
  const curve = curveOf(histogram);
  const one = measured({});
  const curves = { [resultKey(one)]: { guestToDevice: curve, deviceToGuest: curve, roundTrip: curve } };
  const page = reportHtml(result([one], { curves, warnings: ['<b> & "quotes"'] }));
  t.equal(page.match(/<svg viewBox="0 0 420/g)?.length, 3);
  t.equal(page.match(/<polyline/g)?.length, 3);
  t.notMatch(page, /https?:|<script|<link|url\(|<b>|NaN|undefined/);
  t.match(page, '&#60;b&#62; &#38; &#34;quotes&#34;');
  t.equal(escapeHtml(`<'">&`).match(/&#\d+;/g)?.length, 5);
  t.equal(percentilePlot('nothing', [], []), '');
  t.end();
});

t.test('curves rise to the maximum and stop where there are no samples', (t) => {
  const histogram = nsHistogram();
  t.same(curveOf(histogram), []);
  for (let value = 1; value <= 100; value++) histogram.recordValue(value * 1000);
  const curve = curveOf(histogram);
  t.equal(curve.at(-1)?.[0], 100);
  t.equal(curve.at(-1)?.[1], figuresOf(histogram).max);
  t.ok(curve.at(-2)![0] <= 99.01, 'a hundred samples have no 99.9 %');
  for (const [index, [, ns]] of curve.entries()) t.ok(index === 0 || ns >= curve[index - 1]![1]);
  t.end();
});

t.test('an open loop counts the delay of its requests, a closed one does not', (t) => {
  const request = {
    sequence: 1,
    intendedNs: 1000n,
    requestNs: 1500n,
    toDevice: [
      { at: 'guest kick', ns: 1510n },
      { at: 'vhost-gpu kick', ns: 1710n },
    ],
    writtenBackNs: undefined,
    commandNs: 1720n,
    toGuest: [
      { at: 'vhost-gpu call', ns: 1730n },
      { at: 'guest port', ns: 1830n },
    ],
    usedNs: 2000n,
  };
  const figures = (load: 'open' | 'closed') => {
    const tally = new Tally(load);
    tally.add(request);
    return tally.figures();
  };
  t.match(figures('closed'), {
    guestToDeviceNs: { p50: 200 },
    deviceToGuestNs: { p50: 100 },
    roundTripNs: { p50: 490 },
  });
  t.match(figures('open'), {
    guestToDeviceNs: { p50: 700 },
    deviceToGuestNs: { p50: 100 },
    roundTripNs: { p50: 1000 },
  });
  t.same(
    figures('closed').hops.map(({ from, to }) => `${from} > ${to}`),
    [
      'guest kick > vhost-gpu kick',
      'vhost-gpu kick > vhost-gpu call',
      'vhost-gpu call > guest port',
      'guest port > guest used',
    ],
  );
  const lines = timeline({ request, direction: 'guest to device', ns: 700, records: [] });
  t.match(lines[0], 'request 1, guest to device: 700 ns');
  t.end();
});

t.test('nothing recorded is no measurement', (t) => {
  const trail = {
    path: 'direct',
    domid: 1,
    guest: 'g',
    server: 'vhost-gpu',
    port: 1,
    queue: 1,
    first: 1,
    count: 3,
  } as const;
  t.equal(follow([], trail).faults.length, 3);
  t.end();
});
