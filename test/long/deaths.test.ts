// docs/recovery.md's table, line by line, on real processes: for one guest, and for three guests on two device servers. Each victim
// is killed and kept away until every guest that does not need it has drawn on; then its next process comes, and those that
// need it draw again within what is promised. Leaves deaths at exact points to test/e2e/recovery.test.ts and to chaos.
import t, { type Test } from 'tap';
import { DEADLINE_MS, PROMISE_MS } from '../../lib/core/deadlines.js';
import { POINT } from '../../lib/trace/points.js';
import { longTest } from '../../testkit/tier.js';
import { listGuests } from '../../toolstack/domain.js';
import { type DrawingGuest, DrawingLab, ownStall } from '../fixtures/drawing-lab.js';
import { type GuestSetup, guestProcess, type Service } from '../fixtures/recovery-lab.js';

/** A busy machine takes this much longer than is promised. */
const BUSY_FACTOR = 2.5;
/** The screen of a guest that does not need the victim stands no longer than that, beside what the machine itself stood, ms. */
const UNTOUCHED_GAP_MS = 1000;
/** Guest, hypervisor, device server, this process: each may stand as long as this one did. */
const PROCESSES_A_FRAME = 4;
/** Frames that such a guest draws while the victim is away. */
const FRAMES_MEANWHILE = 10;
const SHUTDOWN_CRASH = 3;

const setup = (domid: number, more: Partial<GuestSetup> = {}): GuestSetup => ({
  ...{ domid, name: `guest-${domid}`, config: 'on_crash = "restart"' },
  ...more,
});
const LABS: readonly { title: string; guests: readonly GuestSetup[]; serverNames: readonly string[] }[] = [
  { title: 'one guest', guests: [setup(1)], serverNames: [] },
  {
    title: 'three guests on two device servers',
    guests: [setup(1), setup(2, { device: ',server=b' }), setup(3, { args: ['--store-transport', 'ring'] })],
    serverNames: ['b'],
  },
];

interface Death {
  readonly process: string;
  readonly promiseMs: number;
  /** Guests that need the victim. */
  readonly touches: (guest: DrawingGuest) => boolean;
  /** Before the death; what it gives is done once all guests draw again. */
  readonly prepare?: (t: Test, drawing: DrawingLab) => Promise<() => Promise<void>>;
  /** In place of starting the process again: resolves once the next one is ready. */
  readonly heal?: (t: Test, drawing: DrawingLab) => Promise<void>;
}

async function dies(t: Test, drawing: DrawingLab, death: Death): Promise<void> {
  const { lab, guests } = drawing;
  const held = await drawing.held();
  const of = guests.map((guest) => ({ guest, before: { domid: guest.domid, pid: lab.process(guest.process).pid } }));
  const afterwards = await death.prepare?.(t, drawing);
  const stall = ownStall();
  const untouched = guests.filter((guest) => !death.touches(guest));
  const screens = await Promise.all(untouched.map((guest) => drawing.screen(guest)));
  await Promise.all(screens.map((screen) => screen.draws(1, process.hrtime.bigint())));
  await lab.kill(death.process);
  const deadNs = process.hrtime.bigint();
  await Promise.all(screens.map((screen) => screen.draws(FRAMES_MEANWHILE, deadNs)));
  await (death.heal?.(t, drawing) ?? lab.restart(death.process as Service));
  const readyNs = process.hrtime.bigint();
  for (const guest of guests.filter(death.touches)) {
    const screen = await drawing.screen(guest);
    const rightNs = await screen.draws(1, readyNs, death.promiseMs * BUSY_FACTOR);
    t.comment(`${guest.setup.name} draws again after ${Math.round(Number(rightNs - readyNs) / 1e6)} ms`);
    await screen.draws(3, rightNs);
    t.equal(screen.wrongCount, 0, 'no frame is torn or late');
    await screen.close();
    t.same(await lab.errors(guest.domid), [], 'nothing is said to be wrong any more');
  }
  await Promise.all(screens.map((screen) => screen.draws(3, readyNs)));
  const ownMs = stall.stop();
  for (const screen of screens) {
    const { guest, gapMsMax } = screen;
    t.same(drawing.noticed(guest, deadNs), [], `${guest.setup.name} was neither reset nor connected anew`);
    t.equal(screen.wrongCount, 0, 'no frame of it is torn or late');
    t.ok(gapMsMax <= UNTOUCHED_GAP_MS + PROCESSES_A_FRAME * ownMs, `its screen stood ${Math.round(gapMsMax)} ms`);
    await screen.close();
  }
  for (const { guest, before } of of.filter(({ guest }) => !death.touches(guest)))
    t.same({ domid: guest.domid, pid: lab.process(guest.process).pid }, before, 'the same domain and process');
  await afterwards?.();
  await drawing.heldAgain(held);
}

const NOTE = '/tool/xenwire/deaths';

/** Acknowledged writes stand, a transaction that was open is made again, and watches that were set fire. */
async function storeKept(t: Test, { lab }: DrawingLab): Promise<() => Promise<void>> {
  const { store } = lab.session;
  await store.write(NOTE, 'acknowledged');
  let fired = 0;
  await store.watch(NOTE, 'deaths', () => {
    fired++;
  });
  let back: () => void = () => {};
  const killed = new Promise<void>((resolve) => {
    back = resolve;
  });
  let attempts = 0;
  const made = store.transaction(async (tx) => {
    attempts++;
    await tx.write(`${NOTE}/open`, String(attempts));
    if (attempts === 1) await killed;
  });
  return async () => {
    t.equal(await store.read(NOTE), 'acknowledged');
    back();
    await made;
    t.equal(attempts, 2, 'what was open was answered EAGAIN, and made again');
    t.equal(await store.read(`${NOTE}/open`), '2');
    const before = fired;
    await store.write(NOTE, 'changed');
    await store.read(NOTE); // events come in order with answers
    t.ok(fired > before, 'the watch fires');
    await store.unwatch(NOTE, 'deaths');
    await store.rm(NOTE);
  };
}

/** The killed guest's domain crashes and goes, and another one comes in its place, which has to be given a process. */
function crashes(victim: (drawing: DrawingLab) => DrawingGuest): NonNullable<Death['heal']> {
  return async (t, drawing) => {
    const guest = victim(drawing);
    const { lab } = drawing;
    const next = await drawing.next;
    t.not(next.domid, guest.domid);
    const reasons = lab
      .records('hypervisor')
      .filter(({ point, domid }) => point === POINT['domain.shutdown'] && domid === guest.domid)
      .map(({ a }) => a);
    t.same(reasons, [SHUTDOWN_CRASH]);
    const domids = (await listGuests(lab.session)).map(({ domid }) => domid);
    t.notOk(domids.includes(guest.domid), 'xenwire list has the new domain alone');
    guest.domid = next.domid;
    lab.launchGuest(guest.setup);
    await drawing.draw(guest);
  };
}

/** All others end, each by itself; the next host has the same guests. */
async function hostAnew(t: Test, drawing: DrawingLab): Promise<void> {
  const { lab, guests } = drawing;
  const others = [...lab.services.filter((name) => name !== 'hypervisor'), ...guests.map((guest) => guest.process)];
  for (const name of others) {
    t.not(await lab.process(name).ended(DEADLINE_MS.hostEnd * BUSY_FACTOR), 'SIGKILL', `${name} ended by itself`);
    t.match(lab.process(name).stderr, /hypervisor ended/);
  }
  await lab.boot();
  await drawing.makeGuests();
}

const all = (): boolean => true;
const none = (): boolean => false;
const onServer = (name: string) => (guest: DrawingGuest) => (guest.setup.device ?? '') === name;

function deathsOf(first: GuestSetup, several: boolean): Death[] {
  const isFirst = ({ setup }: DrawingGuest): boolean => setup === first;
  const { xenstored, vhostFrontend, vhostGpu, guest, hypervisor } = PROMISE_MS;
  const other: Death = { process: 'vhost-gpu-b', promiseMs: vhostGpu, touches: onServer(',server=b') };
  const crash = crashes(({ guests }) => guests.find(isFirst)!);
  return [
    { process: 'xenstored', promiseMs: xenstored, touches: none, prepare: storeKept },
    { process: 'vhost-frontend', promiseMs: vhostFrontend, touches: all },
    { process: 'vhost-gpu', promiseMs: vhostGpu, touches: onServer('') },
    ...(several ? [other] : []),
    { process: guestProcess(first.name), promiseMs: guest, touches: isFirst, heal: crash },
    { process: 'hypervisor', promiseMs: hypervisor, touches: all, heal: hostAnew },
  ];
}

for (const { title, guests, serverNames } of LABS) {
  t.test(`what is promised after each death holds for ${title}`, longTest(), async (t) => {
    const drawing = await DrawingLab.start(t, guests, serverNames);
    for (const death of deathsOf(guests[0]!, serverNames.length > 0))
      await t.test(`the death of ${death.process}`, (t) => dies(t, drawing, death));
    for (const guest of drawing.guests)
      t.same(await drawing.lab.destroyGuest({ ...guest.setup, domid: guest.domid }), []);
  });
}
