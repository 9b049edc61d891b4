// Rings into notifications: who answers whom, and what is noticed when something is lost, doubled or out of order.
import fc from 'fast-check';
import t from 'tap';
import { EXIT_REASON } from '../../../../lib/layout/ours/vcpu-exit.js';
import { VIRTIO_MMIO_QUEUE_NOTIFY } from '../../../../lib/layout/virtio-mmio.js';
import { HOP, type HopPoint, PATH_HOPS, processOf } from '../../../../lib/trace/hops.js';
import { LOAD_RECORD } from '../../../../lib/trace/latency-run.js';
import { COMMAND_RECORD, follow, link, type Trail, type TrailRecord } from '../../../../measure/latency/follow.js';

const TRAIL: Trail = {
  ...{ path: 'evtchnfd', domid: 1, guest: 'guest-g', server: 'vhost-gpu' },
  ...{ port: 3, queue: 1, first: 10, count: 20 },
};
const NOTIFY = 0xf0000000 + VIRTIO_MMIO_QUEUE_NOTIFY;

/** What a point's record carries, for the device and queue that are followed. */
function fields(point: HopPoint): { a: number; b: number } {
  switch (point) {
    case HOP.exitMmio:
    case HOP.frontendSlot:
      return { a: NOTIFY, b: TRAIL.queue };
    case HOP.exitHypercall:
      return { a: EXIT_REASON.EVTCHN_SEND, b: 7 };
    case HOP.hypervisorEvent:
    case HOP.guestUpcall:
      return { a: TRAIL.port, b: 0 };
    default:
      return { a: TRAIL.queue, b: 0 };
  }
}

function recordAt(ns: number, point: HopPoint, more: Partial<TrailRecord> = {}): TrailRecord {
  const process = processOf(point.process, TRAIL);
  const domid = point.process === 'vhost-gpu' ? undefined : TRAIL.domid;
  return {
    ns: BigInt(ns),
    process,
    domid,
    point: point.point,
    label: point === COMMAND_RECORD ? point.name : '',
    ...fields(point),
    ...more,
  };
}

const STEP = 100;
/** Everything that one request writes, from `start` on, a step apart. */
function request(sequence: number, start: number, trail: Trail = TRAIL): TrailRecord[] {
  const { toDevice, toGuest } = PATH_HOPS[trail.path];
  const points = [...toDevice, COMMAND_RECORD, ...toGuest];
  return [
    recordAt(start, LOAD_RECORD.request, { a: sequence, b: 0 }),
    ...points.map((point, index) =>
      recordAt(start + (index + 1) * STEP, point, point === COMMAND_RECORD ? { a: 0x301, b: sequence } : {}),
    ),
    recordAt(start + (points.length + 1) * STEP, LOAD_RECORD.used, { a: sequence, b: 0 }),
  ];
}

const APART = 10_000;
function run(trail: Trail = TRAIL): TrailRecord[] {
  return Array.from({ length: trail.count }, (_, index) =>
    request(trail.first + index, (index + 1) * APART, trail),
  ).flat();
}
const inOrder = (records: TrailRecord[]): TrailRecord[] => records.sort((x, y) => Number(x.ns - y.ns));
const without = (records: TrailRecord[], point: HopPoint, nth = 3): TrailRecord[] => {
  const like = recordAt(0, point);
  let seen = 0;
  return records.filter(({ process, point }) => process !== like.process || point !== like.point || ++seen !== nth);
};

t.test('every request of a sound run is followed, on every path, with the time between all points', (t) => {
  for (const path of Object.keys(PATH_HOPS) as (keyof typeof PATH_HOPS)[]) {
    const trail = { ...TRAIL, path };
    const { requests, faults, coalesced } = follow(run(trail), trail);
    t.same(faults, [], path);
    t.equal(coalesced, 0);
    t.equal(requests.length, trail.count);
    for (const { toDevice, toGuest, intendedNs, requestNs } of requests) {
      t.equal(toDevice?.length, PATH_HOPS[path].toDevice.length);
      t.equal(toGuest?.length, PATH_HOPS[path].toGuest.length);
      t.equal(toDevice!.at(-1)!.ns - toDevice![0]!.ns, BigInt(STEP * (PATH_HOPS[path].toDevice.length - 1)));
      t.equal(intendedNs, requestNs);
    }
  }
  t.end();
});

t.test('what other guests, queues, registers and ports write is left out', (t) => {
  const strangers = inOrder([
    ...run(),
    recordAt(15_050, HOP.exitMmio, { a: NOTIFY + 0x10 }),
    recordAt(15_051, HOP.exitMmio, { domid: 2 }),
    recordAt(15_052, HOP.exitMmio, { b: 0 }),
    recordAt(15_053, HOP.guestKick, { process: 'guest-h' }),
    recordAt(15_054, HOP.guestKick, { a: 0 }),
    recordAt(15_055, HOP.hypervisorEvent, { domid: 0 }),
    recordAt(15_056, HOP.hypervisorEvent, { a: 4 }),
    recordAt(15_057, HOP.guestUpcall, { a: 4 }),
  ]);
  t.same(follow(strangers, TRAIL).faults, []);
  t.end();
});

t.test('a notification that is lost at the end, or arrives twice, is noticed with the hop where it happened', (t) => {
  const last = TRAIL.count;
  const lost = follow(without(run(), HOP.serverKick, last), TRAIL);
  t.match(lost.faults, [/1 of 20 notifications were lost from hypervisor kick to vhost-gpu kick/]);
  const twice = inOrder([...run(), recordAt(2 * APART + 950, HOP.guestUpcall)]);
  t.match(follow(twice, TRAIL).faults, [/1 notifications more arrived than were sent .* to guest port/]);
  t.end();
});

t.test('requests that are never executed, executed twice, never used, or never made are noticed', (t) => {
  t.match(follow(without(run(), COMMAND_RECORD), TRAIL).faults, [/1 of 20 requests were never executed/]);
  t.match(follow(without(run(), LOAD_RECORD.used), TRAIL).faults, [/1 of 20 requests were never seen as used/]);
  const again = inOrder([...run(), recordAt(3 * APART + 5000, COMMAND_RECORD, { b: 12 })]);
  t.match(follow(again, TRAIL).faults, [/1 requests were executed twice/]);
  const strange = inOrder([...run(), recordAt(3 * APART + 5000, LOAD_RECORD.used, { a: 4711 })]);
  t.match(follow(strange, TRAIL).faults, [/seen as used that the guest did not make/]);
  t.end();
});

t.test('a kick that vhost-frontend took first is followed through it', (t) => {
  const records = run().map((record, index) =>
    record.point === HOP.hypervisorKick.point && index < 40
      ? { ...record, process: HOP.frontendKick.process, point: HOP.frontendKick.point }
      : record,
  );
  const { requests, faults } = follow(records, TRAIL);
  t.same(faults, []);
  t.equal(requests[0]?.toDevice?.[2]?.at, 'vhost-frontend kick');
  t.equal(requests.at(-1)?.toDevice?.[2]?.at, 'hypervisor kick');
  t.end();
});

t.test('a request that needed no kick, or no call, has no time for it', (t) => {
  let records = run();
  for (const point of PATH_HOPS.evtchnfd.toDevice) records = without(records, point, 5);
  for (const point of PATH_HOPS.evtchnfd.toGuest) records = without(records, point, 7);
  const { requests, faults } = follow(records, TRAIL);
  t.same(faults, []);
  t.equal(requests.filter(({ toDevice }) => toDevice === undefined).length, 1);
  t.equal(requests[4]?.toDevice, undefined);
  t.equal(requests[6]?.toGuest, undefined);
  t.end();
});

t.test(
  'where an IOEVENTFD shares the port, the time until it is written back is known, for kicks of the hypervisor',
  (t) => {
    const back = Array.from({ length: TRAIL.count }, (_, index) =>
      recordAt((index + 1) * APART + 777, HOP.hypervisorWriteBack, { a: 2 }),
    );
    for (const path of ['evtchnfd', 'dmop'] as const) {
      const trail = { ...TRAIL, path };
      const { requests, faults } = follow(inOrder([...run(trail), ...back]), trail);
      t.same(faults, []);
      for (const [index, { writtenBackNs }] of requests.entries())
        t.equal(writtenBackNs, path === 'dmop' ? undefined : BigInt((index + 1) * APART + 777));
    }
    t.end();
  },
);

t.test('the delay of a request moves its intended time, not its record', (t) => {
  const late = run().map((record) => (record.point === LOAD_RECORD.request.point ? { ...record, b: 300 } : record));
  const { requests } = follow(late, TRAIL);
  for (const { intendedNs, requestNs } of requests) t.equal(requestNs - intendedNs, 300n);
  t.end();
});

t.test('receivers answer all that was sent before them; no ring is answered twice or from the past', (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(3)), { maxLength: 60 }), (steps) => {
      const sent: bigint[] = [];
      const received: bigint[] = [];
      let now = 0n;
      let waiting = 0;
      let answered = 0;
      for (const [look, gap] of steps) {
        now += BigInt(gap + 1);
        if (!look) {
          sent.push(now);
          waiting++;
        } else if (waiting > 0) {
          received.push(now);
          answered += waiting;
          waiting = 0;
        }
      }
      const { answers, lost, surplus, coalesced } = link(sent, received);
      const used = [...answers].filter((index) => index >= 0);
      return (
        surplus === 0 &&
        lost === waiting &&
        used.length === answered &&
        coalesced === answered - received.length &&
        new Set(used).size === received.length &&
        used.every((index, at) => received[index]! >= sent[at]! && (at === 0 || index >= used[at - 1]!))
      );
    }),
  );
  t.end();
});

t.test(
  'a sender that had recorded but not yet signalled when the receiver looked is answered by the next look',
  (t) => {
    const { answers, surplus, lost } = link([10n, 20n], [21n, 30n]);
    t.same([...answers], [0, 1]);
    t.equal(surplus, 0);
    t.equal(lost, 0);
    t.equal(link([10n], [21n, 30n]).surplus, 1);
    t.equal(link([10n], [5n]).surplus, 1);
    t.equal(link([10n], [5n]).lost, 1);
    t.end();
  },
);
