// Event channels of the guest over shared_info: what is delivered, when, and in which order.

import t from 'tap';
import { DOM0, EvtchnPort } from '../../../../lib/core/ids.js';
import { NO_PROBE } from '../../../../lib/core/probe.js';
import { SHARED_INFO, VCPU_INFO } from '../../../../lib/layout/evtchn.js';
import { VCPU_EXIT, VCPU_STATE } from '../../../../lib/layout/ours/vcpu-exit.js';
import { Events } from '../../../../services/guest/events.js';
import { Vcpu } from '../../../../services/guest/vcpu.js';

const turns = async (): Promise<void> => {
  for (let count = 0; count < 20; count++) await new Promise((resolve) => setImmediate(resolve));
};

/** Xen's half, answering exits at once, with the next ports that allocUnbound gives. */
function rig(ports: number[], sharedInfo = new Uint8Array(4096)) {
  const page = new Uint8Array(4096);
  const closed: number[] = [];
  const unmasked: number[] = [];
  const bit = (words: 'evtchn_pending' | 'evtchn_mask', port: number): boolean =>
    (sharedInfo[SHARED_INFO.offset[words] + (port >>> 3)]! & (1 << (port & 7))) !== 0;
  const select = (port: number): void => {
    sharedInfo[VCPU_INFO.offset.evtchn_pending_sel + (port >>> 9)]! |= 1 << ((port >>> 6) & 7);
    // Only its change interrupts.
    if (sharedInfo[VCPU_INFO.offset.evtchn_upcall_pending] === 1) return;
    sharedInfo[VCPU_INFO.offset.evtchn_upcall_pending] = 1;
    setImmediate(() => vcpu.wantUpcall()); // the doorbell is heard from the event loop
  };
  const vcpu: Vcpu = new Vcpu({
    page,
    defer: (action) => setImmediate(action),
    probe: NO_PROBE,
    signalExit: () =>
      setImmediate(() => {
        const port = Number(VCPU_EXIT.decode(page).data);
        unmasked.push(port);
        sharedInfo[SHARED_INFO.offset.evtchn_mask + (port >>> 3)]! &= ~(1 << (port & 7));
        if (bit('evtchn_pending', port)) select(port);
        VCPU_EXIT.encode({ ...VCPU_EXIT.decode(page), rc: 0, state: VCPU_STATE.ENTRY }, page);
        vcpu.entered();
      }),
  });
  const events = new Events({
    sharedInfo,
    vcpu,
    probe: NO_PROBE,
    calls: {
      allocUnbound: async () => EvtchnPort(ports.shift() ?? 0),
      close: async (port) => void closed.push(port),
    },
  });
  const raise = (port: number): void => {
    if (bit('evtchn_pending', port)) return;
    sharedInfo[SHARED_INFO.offset.evtchn_pending + (port >>> 3)]! |= 1 << (port & 7);
    if (!bit('evtchn_mask', port)) select(port);
  };
  return { events, raise, bit, closed, unmasked, vcpu };
}

t.test('a port is masked until its interrupt is asked for; what came before is delivered then', async (t) => {
  const { events, raise, bit, unmasked } = rig([5]);
  const { port, irq } = await events.allocate(DOM0);
  t.equal(bit('evtchn_mask', 5), true);
  raise(port);
  await turns();
  let count = 0;
  await events.request(irq, async () => void count++);
  await turns();
  t.equal(count, 1);
  t.same(unmasked, [5], 'pending while it was masked: Xen had to raise it');
  t.equal(bit('evtchn_pending', 5), false);
  raise(port);
  raise(port);
  await turns();
  t.equal(count, 2, 'two sends before the upcall are one event');
  t.end();
});

t.test('an event that came before the kernel took upcalls does not keep later ones from it', async (t) => {
  // A sender was quicker than the boot: pending, selected and raised, and the doorbell rang where nothing heard it.
  const sharedInfo = new Uint8Array(4096);
  sharedInfo[SHARED_INFO.offset.evtchn_pending] = 1 << 1;
  sharedInfo[VCPU_INFO.offset.evtchn_pending_sel] = 1;
  sharedInfo[VCPU_INFO.offset.evtchn_upcall_pending] = 1;
  const { events, raise } = rig([5], sharedInfo);
  const { port, irq } = await events.allocate(DOM0);
  let count = 0;
  await events.request(irq, async () => void count++);
  await turns();
  raise(port);
  await turns();
  t.equal(count, 1);
  const early = events.bind(EvtchnPort(1));
  let earlyCount = 0;
  await events.request(early, async () => void earlyCount++);
  await turns();
  t.equal(earlyCount, 1, 'and is itself delivered once there is a handler');
});

t.test('an event during its handler runs the handler again', async (t) => {
  const { events, raise } = rig([5]);
  const { irq } = await events.allocate(DOM0);
  let count = 0;
  await events.request(irq, async () => {
    if (count++ === 0) raise(5);
  });
  raise(5);
  await turns();
  t.equal(count, 2);
  t.end();
});

t.test('ports of all words are found; a scan goes on where the last one stopped', async (t) => {
  const numbers = [1, 63, 64, 200, 4095];
  const { events, raise, vcpu } = rig([...numbers]);
  const order: number[] = [];
  for (const _ of numbers) {
    const { irq, port } = await events.allocate(DOM0);
    await events.request(irq, async () => void order.push(port));
  }
  for (const port of [...numbers].reverse()) raise(port);
  await turns();
  t.same(
    [...order].sort((a, b) => a - b),
    numbers,
  );
  order.length = 0;
  raise(64);
  await turns();
  // All four while the vCPU is outside: one upcall finds them.
  vcpu.run(() => void vcpu.hypercall(turns));
  order.length = 0;
  for (const port of [1, 63, 64, 200]) raise(port);
  await turns();
  await turns();
  t.same(order, [200, 1, 63, 64], 'behind 64 first, 64 itself last');
  t.end();
});

t.test('unbinding masks, closes once, and is a no-op the second time', async (t) => {
  const { events, raise, bit, closed } = rig([5]);
  const { irq } = await events.allocate(DOM0);
  let count = 0;
  await events.request(irq, async () => void count++);
  await events.unbind(irq);
  await events.unbind(irq);
  t.same(closed, [5]);
  t.equal(events.boundCount, 0);
  t.equal(bit('evtchn_mask', 5), true);
  raise(5);
  await turns();
  t.equal(count, 0);
  t.end();
});

t.test('an interrupt has one handler, and numbers begin where Linux begins', async (t) => {
  const { events } = rig([5, 6]);
  const first = await events.allocate(DOM0);
  const second = await events.allocate(DOM0);
  t.same([first.irq, second.irq], [16, 17]);
  await events.request(first.irq, async () => {});
  await t.rejects(
    events.request(first.irq, async () => {}),
    { code: 'EBUSY' },
  );
  await t.rejects(
    events.request(99, async () => {}),
    { code: 'EBUSY' },
  );
  t.end();
});

t.test('a port that cannot be one is refused', async (t) => {
  const { events } = rig([0, 4096]);
  await t.rejects(events.allocate(DOM0), { code: 'EINVAL' });
  await t.rejects(events.allocate(DOM0), { code: 'EINVAL' });
  t.end();
});
