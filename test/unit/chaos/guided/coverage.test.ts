import t from 'tap';
import { parseCase } from '../../../../chaos/case.js';
import { behavioursOf } from '../../../../chaos/guided/coverage.js';
import { pointsAfter } from '../../../../chaos/guided/points-after.js';
import { TableEdges } from '../../../../chaos/guided/table-edges.js';
import { XenbusState } from '../../../../lib/layout/xenbus.js';
import { formatInstance } from '../../../../lib/trace/instances.js';
import { edge, POINT, type PointName } from '../../../../lib/trace/points.js';
import type { TraceRecord } from '../../../../lib/trace/record.js';

let clock = 0n;
const record = (process: string, name: PointName, more: Partial<TraceRecord> = {}): TraceRecord => ({
  ...{ process, incarnation: process.length, index: 0, ns: ++clock, point: POINT[name], label: '', occurrence: 1 },
  ...{ a: 0, b: 0, domid: undefined, flow: 0, sender: 0, ...more },
});
const GUEST = 'guest-gpu-guest';
const connected = (): TraceRecord =>
  record(GUEST, 'front.state-written', { b: edge(XenbusState.Initialised, XenbusState.Connected) });

/** The one behaviour of a run whose only fault falls behind all records. */
const behaviour = (...records: TraceRecord[]): string => {
  const faultNs = ++clock;
  return behavioursOf(records, [{ faultNs, healedNs: ++clock }])[0]!;
};

t.test('a behaviour is told by phases, connections, what is held and the last steps', (t) => {
  const base = behaviour(connected());
  t.equal(behaviour(connected()), base, 'the time does not count');
  const OTHERS: [string, TraceRecord[]][] = [
    ['the backend', [connected(), record('vhost-frontend', 'back.state-written', { b: edge(2, 4) })]],
    ['the session', [connected(), record('vhost-frontend', 'vhost-user.request', { label: 'SET_OWNER' })]],
    ['the driver', [connected(), record('vhost-frontend', 'ioreq.write', { a: 0xfeff0070, b: 7 })]],
    ['the store', [connected(), record(GUEST, 'bus.lost', { label: 'xenstored' })]],
    ['what is held', [connected(), record('hypervisor', 'port.take')]],
    ['the last step', [connected(), record('vhost-gpu', 'gpu.flush')]],
  ];
  t.equal(new Set([base, ...OTHERS.map(([, records]) => behaviour(...records))]).size, OTHERS.length + 1);
  t.equal(
    behaviour(connected(), record('hypervisor', 'event.raise'), record(GUEST, 'exit.leave')),
    behaviour(connected(), record('hypervisor', 'event.upcall')),
    'notifications on their way do not count',
  );
  t.not(
    behaviour(connected(), record('hypervisor', 'port.take')),
    behaviour(connected(), record('hypervisor', 'port.take'), record('hypervisor', 'port.take')),
  );
  t.end();
});

t.test('records behind a moment are no part of it; each fault has a behaviour of its own', (t) => {
  const [one, two] = [connected(), record('hypervisor', 'port.take')];
  const moments = [
    { faultNs: one.ns, healedNs: one.ns },
    { faultNs: two.ns, healedNs: two.ns },
  ];
  const [first, second] = behavioursOf([one, two], moments);
  t.equal(first, behavioursOf([one], moments.slice(0, 1))[0]);
  t.not(first, second);
  t.end();
});

t.test(
  'the next fault can happen where a gate would be: in lives that go on, and in the replacement of the one that ends',
  (t) => {
    const { then: _, ...fault } = parseCase('guest:guest.frame#1/KILL xenstored/restart');
    const faultNs = ++clock;
    const early = [
      record('xenstored', 'store.commit', { label: 'x', ns: faultNs - 1n }),
      record('vhost-gpu', 'gpu.flush', { label: 'x', ns: faultNs - 1n }),
    ];
    const late = [
      record('xenstored', 'store.commit', { label: 'dying' }),
      record('vhost-gpu', 'gpu.flush', { label: 'survivor' }),
      record('xenstored', 'life.start', { incarnation: 99 }),
      record('xenstored', 'store.commit', { label: 'replacement', incarnation: 99 }),
      record('toolstack', 'store.request', { label: 'no process of the lab' }),
    ];
    const points = (faults: typeof fault): string[] =>
      pointsAfter([faults], [{ faultNs }], [...early, ...late], clock + 1n)[0]!.map(formatInstance);
    t.same(points(fault), ['vhost-gpu:gpu.flush(survivor)#1', 'xenstored:store.commit(replacement)#1']);
    t.same(points({ ...fault, fault: 'STOP' }), ['xenstored:store.commit(dying)#1', 'vhost-gpu:gpu.flush(survivor)#1']);
    t.end();
  },
);

t.test("moves of the protocol's table that were never taken are listed", (t) => {
  const edges = new TableEdges();
  const all = TableEdges.all.length;
  t.equal(edges.never.length, all);
  edges.take([record(GUEST, 'front.state', { b: edge(XenbusState.Initialised, XenbusState.Connected) })]);
  t.equal(edges.never.length, all - 1);
  t.notOk(edges.never.includes("frontend state Initialised > Connected, by the guest's driver"));
  edges.take([record('toolstack', 'front.state', { b: edge(XenbusState.Initialising, XenbusState.Initialised) })]);
  t.equal(edges.never.length, all - 1, 'a move of the wrong writer is none of the table');
  t.end();
});
