import t from 'tap';
import { type Flow, flowsOf } from '../../../lib/trace/flows.js';
import { POINT } from '../../../lib/trace/points.js';
import { TraceScript } from '../../../testkit/trace-records.js';

const GUEST = 'guest-a';
const NOTIFY = 0xf0000050;
const names = ({ steps }: Flow): string => steps.map(({ point }) => point.name).join(' ');

/** One command on path evtchnfd, from the kick to the upcall. */
function command(script: TraceScript, domid: number, session: number): void {
  const guest = `guest-${domid}`;
  script.at(guest, POINT['gpu.submit'], { label: 'RESOURCE_FLUSH', domid });
  script.at(guest, POINT['kick.guest'], { domid });
  script.at(guest, POINT['exit.leave'], { a: NOTIFY, domid });
  script.at('hypervisor', POINT['exit.mmio'], { a: NOTIFY, domid });
  script.at('hypervisor', POINT['kick.hypervisor'], { domid });
  script.at('vhost-gpu', POINT['kick.taken'], { b: session });
  script.at('vhost-gpu', POINT['gpu.execute'], { label: 'RESOURCE_FLUSH' });
  script.at('vhost-gpu', POINT['gpu.flush'], { label: `${domid}/0` });
  script.at('vhost-gpu', POINT['gpu.executed'], { label: 'RESOURCE_FLUSH' });
  script.at('vhost-gpu', POINT['call.ring'], { a: 5, b: session });
  script.at('hypervisor', POINT['call.hypervisor'], { a: 4, domid });
  script.at('hypervisor', POINT['event.raise'], { a: 3, domid });
  script.at(guest, POINT['event.taken'], { a: 3, domid });
  script.at(guest, POINT['gpu.reply'], { label: 'RESOURCE_FLUSH', domid });
}

t.test('a message is one flow from its sender to its receiver; one without the other end is none', async (t) => {
  const script = new TraceScript();
  script.at(GUEST, POINT['bus.call'], { label: 'Hypervisor.guest_attach', flow: 7, sender: 99 });
  script.at(GUEST, POINT['bus.call'], { label: 'Hypervisor.evtchn_send', flow: 8, sender: 99 });
  script.at('hypervisor', POINT['bus.serve'], { label: 'Hypervisor.guest_attach guest-a', flow: 7, sender: 99 });
  script.at('hypervisor', POINT['bus.call'], { label: 'x', flow: 7, sender: 98 });
  t.same(flowsOf(script.records).map(names), ['bus.call bus.serve']);
});

t.test('a kick leads to the pixel and its call back to the upcall; the command from its driver and back', async (t) => {
  const script = new TraceScript();
  script.at('vhost-gpu', POINT['session.take'], { label: '1/0', a: 1 });
  command(script, 1, 1);
  t.same(
    flowsOf(script.records).map((flow) => `${flow.kind}: ${names(flow)}`),
    [
      'command: gpu.submit gpu.execute gpu.flush gpu.executed gpu.reply',
      'kick: kick.guest exit.leave exit.mmio kick.hypervisor kick.taken gpu.execute gpu.flush call.ring',
      'call: call.ring call.hypervisor event.raise event.taken',
    ],
  );
});

t.test("two guests of one device server do not take each other's records", async (t) => {
  const [one, other, both] = [new TraceScript(), new TraceScript(), new TraceScript()];
  command(one, 1, 1);
  command(other, 2, 2);
  both.at('vhost-gpu', POINT['session.take'], { label: '1/0', a: 1 });
  both.at('vhost-gpu', POINT['session.take'], { label: '2/0', a: 2 });
  // In turns, but what the device server does between its kick and its call, which is one turn of its event loop.
  const turn = (script: TraceScript): void => {
    for (const { process, point, ns: _ns, ...given } of script.records.splice(
      0,
      script.records[0]?.process === 'vhost-gpu' ? 5 : 1,
    ))
      both.at(process, point, given);
  };
  while (one.records.length + other.records.length > 0) {
    turn(one);
    turn(other);
  }
  const flows = flowsOf(both.records);
  t.equal(flows.length, 6);
  const KICK = 'kick.guest exit.leave exit.mmio kick.hypervisor kick.taken gpu.execute gpu.flush call.ring';
  t.same(flows.filter(({ kind }) => kind === 'kick').map(names), [KICK, KICK]);
  for (const { steps } of flows) {
    const domids = new Set(steps.flatMap(({ domid }) => (domid === undefined ? [] : [domid])));
    t.equal(domids.size, 1, 'records of one guest only');
  }
});

t.test('a kick is followed to its device server though the beginning of its session is overwritten', async (t) => {
  const script = new TraceScript();
  for (const domid of [1, 2]) command(script, domid, 1);
  // As the device server records it: with the domain that the name of the device begins with.
  const records = script.records.map((record, at) => ({ ...record, domid: at < script.records.length / 2 ? 1 : 2 }));
  const kicks = flowsOf(records).filter(({ kind }) => kind === 'kick');
  t.same(
    kicks.map(({ steps }) => [steps.length, ...new Set(steps.map(({ domid }) => domid))]),
    [
      [8, 1],
      [8, 2],
    ],
  );
});

t.test('a command that needed no kick, the device server being at work, is of the kick before', async (t) => {
  const script = new TraceScript();
  command(script, 1, 1);
  script.at('guest-1', POINT['gpu.submit'], { label: 'RESOURCE_FLUSH', domid: 1 });
  const flush = script.records.find(({ point }) => point === POINT['gpu.flush'])!;
  for (const point of [POINT['gpu.execute'], flush.point, POINT['gpu.executed'], POINT['call.ring']])
    script.at('vhost-gpu', point, { label: 'RESOURCE_FLUSH', domid: 1 });
  const [kick] = flowsOf(script.records).filter(({ kind }) => kind === 'kick');
  t.match(names(kick!), /kick\.taken gpu\.execute gpu\.flush call\.ring gpu\.execute gpu\.flush call\.ring$/);
});

t.test('kicks that coalesce share the steps after; nothing is tied across a process that began anew', async (t) => {
  const script = new TraceScript();
  for (let each = 0; each < 2; each++) script.at(GUEST, POINT['kick.guest'], { domid: 1 });
  script.at('vhost-gpu', POINT['kick.taken'], { b: 1 });
  script.at(GUEST, POINT['kick.guest'], { domid: 1 });
  script.at('vhost-gpu', POINT['life.start'], { incarnation: 2 });
  script.at('vhost-gpu', POINT['kick.taken'], { b: 1, incarnation: 2 });
  // A process that begins beside them, and a kick that vhost-frontend has made.
  script.at(GUEST, POINT['kick.guest'], { domid: 1 });
  script.at('toolstack', POINT['life.start'], { incarnation: 3 });
  script.at('vhost-gpu', POINT['kick.taken'], { a: 1, b: 1, incarnation: 2 });
  script.at('vhost-gpu', POINT['kick.taken'], { b: 1, incarnation: 2 });
  script.at('vhost-gpu', POINT['gpu.execute'], { incarnation: 2 });
  script.at('vhost-gpu', POINT['kick.taken'], { a: 1, b: 1, incarnation: 2 });
  script.at('vhost-gpu', POINT['gpu.execute'], { incarnation: 2 });
  t.same(flowsOf(script.records).map(names), [
    'kick.guest kick.taken',
    'kick.guest kick.taken',
    'kick.guest kick.taken gpu.execute gpu.execute',
  ]);
});
