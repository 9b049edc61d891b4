// Deaths of vhost-frontend and vhost-gpu at exact points of a guest's probe, each to the equal picture: one that is away for long
// meanwhile, those that once wedged a device, drivers that ignore that the device needs a reset, both xenbus cores, and guests
// beside each other. test/sweep/recovery-sweep.test.ts kills at every other point.
import { setTimeout as passing } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { VIRTIO_MMIO_SHM_BASE_HIGH, VIRTIO_MMIO_SHM_LEN_LOW } from '../../lib/layout/virtio-mmio.js';
import { POINT } from '../../lib/trace/points.js';
import { longTest } from '../../testkit/tier.js';
import { type GuestSetup, guestProcess, RecoveryLab, type Service, STEP_MS } from '../fixtures/recovery-lab.js';

/** What two seconds from the restart are on a busy machine, where processes start meanwhile. */
const RECOVERY_MS = 5000;
const GUEST: GuestSetup = { domid: 7, name: 'guest' };
const ALL_ONES = 0xffffffff;

interface Kill {
  readonly of: Service;
  readonly point: (typeof POINT)[keyof typeof POINT];
  readonly label?: string;
  /** Which time. */
  readonly at: number;
  /** How long the process is away, ms. */
  readonly awayMs?: number;
  readonly guest?: Partial<GuestSetup>;
}

const frontend = 'vhost-frontend';
const gpu = 'vhost-gpu';

/** Kills a process as a guest brings it to a point, starts it again, and wants the picture; then everything given back. */
async function killed(t: Test, lab: RecoveryLab, { of, point, label, at, awayMs, guest: how }: Kill): Promise<void> {
  const guest = { ...GUEST, ...how };
  const before = await lab.audit();
  const gates = await lab.replaceGated(of, { point, occurrence: at, ...(label === undefined ? {} : { label }) });
  await lab.createGuest(guest);
  await gates.standing(STEP_MS);
  await lab.kill(of);
  gates.close();
  if (awayMs !== undefined) await passing(awayMs);
  await lab.restart(of);
  const ms = await lab.pictureEqual(guest.domid, RECOVERY_MS);
  t.comment(`equal after ${Math.round(ms)} ms`);
  t.same(await lab.errors(guest.domid), [], 'nothing is said to be wrong any more');
  t.same(await lab.destroyGuest(guest), []);
  t.same(await lab.audit(), before);
}

t.test('a device comes to its picture whichever side of it dies in its probe', longTest(), async (t) => {
  const lab = await RecoveryLab.start(t);
  const kills: readonly Kill[] = [
    // In the middle of probe: features were read, and a bit was written, of a device that forgot them.
    { of: frontend, point: POINT['ioreq.read'], at: 7 },
    { of: frontend, point: POINT['ioreq.write'], at: 3 },
    { of: frontend, point: POINT['ioreq.read'], at: 20 },
    // In the activation of the device.
    { of: frontend, point: POINT['mmio.effect'], label: 'activate', at: 1 },
    { of: frontend, point: POINT['vhost-user.request'], label: 'SET_VRING_KICK', at: 1 },
    // While the device is opened.
    { of: gpu, point: POINT['vhost-user.serve'], label: 'GET_CONFIG', at: 1, awayMs: 400 },
    // A gate is a stop: the guest waits in DRIVER_OK for a server that is paused, killed and replaced.
    { of: gpu, point: POINT['vhost-user.serve'], label: 'SET_VRING_ADDR', at: 1 },
    { of: gpu, point: POINT['vhost-user.serve'], label: 'SET_VRING_ENABLE', at: 1, awayMs: 1100 },
  ];
  for (const kill of kills) {
    const away = kill.awayMs === undefined ? '' : ` and away for ${kill.awayMs} ms`;
    await t.test(`${kill.of} killed at ${kill.point.name} ${kill.label ?? ''} ${kill.at}${away}`, (t) =>
      killed(t, lab, kill),
    );
  }
});

t.test(
  'a request in flight waits for the next vhost-frontend, which waits for the next vhost-gpu',
  longTest(),
  async (t) => {
    const lab = await RecoveryLab.start(t);
    const gates = await lab.replaceGated(frontend, { point: POINT['ioreq.read'], occurrence: 9 });
    await lab.createGuest(GUEST);
    await gates.standing(STEP_MS);
    await lab.kill(frontend);
    gates.close();
    await lab.kill(gpu);
    const next = await lab.restart(frontend);
    await passing(2500);
    const last = lab.records(guestProcess(GUEST.name)).filter(({ point }) => point.name.startsWith('exit.'));
    t.equal(last.at(-1)?.point, POINT['exit.leave'], 'nothing has run on the vCPU');
    await lab.restart(gpu);
    await lab.pictureEqual(GUEST.domid, RECOVERY_MS);
    t.same(await lab.errors(GUEST.domid), []);
    t.notMatch(next.stderr, /EEXIST/);
    const pageOffset = (address: number): number => address & 0xfff;
    const nonsense = lab
      .records(frontend)
      .filter(({ point, b }) => point === POINT['ioreq.answer'] && b === ALL_ONES)
      .map(({ a }) => pageOffset(a))
      // The device has no shared memory: these read all ones.
      .filter((offset) => offset < VIRTIO_MMIO_SHM_LEN_LOW || offset > VIRTIO_MMIO_SHM_BASE_HIGH);
    t.same(nonsense, [], 'no read was answered with all ones');
    t.same(await lab.destroyGuest(GUEST), []);
  },
);

t.test(
  'a first frame that both sides of its device die under is shown, and no failure is told',
  longTest(),
  async (t) => {
    const lab = await RecoveryLab.start(t);
    const before = await lab.audit();
    const drawing = { point: POINT['gpu.submit'], label: 'RESOURCE_CREATE_2D', occurrence: 1 };
    // In what the driver negotiates anew: it finds registers that forgot all of it.
    for (const [point, times] of [
      [POINT['ioreq.write'], 6],
      [POINT['ioreq.read'], 8],
    ] as const) {
      const guest = await lab.launchGuestGated(GUEST, drawing);
      await lab.createDomain(GUEST);
      const submit = await guest.standing(STEP_MS);
      const gates = await lab.armedNext(frontend, { point }, times);
      await lab.kill(gpu);
      await guest.letGo(submit, STEP_MS);
      guest.close();
      await lab.restart(gpu);
      await gates.standing(STEP_MS);
      await lab.kill(frontend);
      gates.close();
      await lab.restart(frontend);
      await lab.pictureEqual(GUEST.domid, RECOVERY_MS);
      t.same(await lab.errors(GUEST.domid), [], `vhost-frontend killed at ${point.name} ${times} of the restoring`);
      t.same(await lab.destroyGuest(GUEST), []);
    }
    t.same(await lab.audit(), before);
  },
);

for (const core of ['6.12', '7.2']) {
  t.test(
    `a driver that ignores NEEDS_RESET, on the xenbus core of ${core}, is connected anew`,
    longTest(),
    async (t) => {
      const lab = await RecoveryLab.start(t);
      const guest = { ...GUEST, args: ['--driver', 'linux', '--core', core] };
      const before = await lab.audit();
      await lab.createGuest(guest);
      await lab.pictureEqual(guest.domid, STEP_MS);
      for (const of of [gpu, frontend, gpu] as const) {
        await lab.kill(of);
        await lab.restart(of);
        t.comment(`${of}: equal after ${Math.round(await lab.pictureEqual(guest.domid, RECOVERY_MS))} ms`);
      }
      t.same(await lab.errors(guest.domid), []);
      t.same(await lab.destroyGuest(guest), []);
      t.same(await lab.audit(), before);
    },
  );
}

t.test(
  'a driver that resets its device waits for a server that is away, and keeps its connection',
  longTest(),
  async (t) => {
    const lab = await RecoveryLab.start(t);
    await lab.createGuest(GUEST);
    await lab.pictureEqual(GUEST.domid, STEP_MS);
    const written = (): number =>
      lab.records(guestProcess(GUEST.name)).filter(({ point }) => point === POINT['front.state-written']).length;
    const before = written();
    for (const awayMs of [0, 1100, 2500]) {
      await lab.kill(gpu);
      await passing(awayMs);
      await lab.restart(gpu);
      t.comment(
        `away for ${awayMs} ms: equal after ${Math.round(await lab.pictureEqual(GUEST.domid, RECOVERY_MS))} ms`,
      );
    }
    t.equal(written(), before, 'no other connection was begun');
    t.same(await lab.errors(GUEST.domid), []);
    t.same(await lab.destroyGuest(GUEST), []);
  },
);

t.test(
  'of three guests each comes back from the death of what all use, and none notices the death of another',
  async (t) => {
    const lab = await RecoveryLab.start(t);
    const guests = [7, 8, 9].map((domid) => ({ domid, name: `guest-${domid}` }));
    const before = await lab.audit();
    for (const guest of guests) await lab.createGuest(guest);
    const allEqual = async (some: readonly GuestSetup[], ms: number): Promise<void> => {
      for (const { domid } of some) await lab.pictureEqual(domid, ms);
    };
    await allEqual(guests, STEP_MS);
    for (const of of [gpu, frontend] as const) {
      await lab.kill(of);
      await lab.restart(of);
      await allEqual(guests, RECOVERY_MS);
    }
    const others = guests.slice(1);
    const passed = (name: string): number =>
      lab.records(name).filter(({ point }) => point === POINT['front.state-written'] || point === POINT['gpu.restore'])
        .length;
    const of = others.map(({ name }) => passed(guestProcess(name)));
    await lab.kill(guestProcess(guests[0]!.name));
    await lab.destroyGuest(guests[0]!);
    await allEqual(others, RECOVERY_MS);
    t.same(
      others.map(({ name }) => passed(guestProcess(name))),
      of,
    );
    for (const guest of others) t.same(await lab.destroyGuest(guest), []);
    t.same(await lab.audit(), before);
  },
);
