// Both frontends beside a backend that behaves as xen-vhost-frontend, on real processes: what each pairing comes to when nothing goes
// wrong, under both xenbus cores, and the order of starts which that program does not bear. What a search says of the same is in
// test/unit/explore/xvf.test.ts; both frontends beside our backend are in test/e2e/up.test.ts and rfc1.test.ts.
import { join } from 'node:path';
import t from 'tap';
import { GUEST_PROCESS } from '../../chaos/case.js';
import { Rig } from '../../chaos/rig.js';
import { shownFirst } from '../../chaos/screen.js';
import { animate } from '../../lab/frame-watch.js';
import { checkFrame } from '../../lab/frames.js';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { DOM0 } from '../../lib/core/ids.js';
import { backendPath, frontendPath, XENBUS_KEY } from '../../lib/layout/xenbus.js';
import { lookAgain } from '../../lib/node/process/wait.js';
import { POINT } from '../../lib/trace/points.js';
import type { TraceRecord } from '../../lib/trace/record.js';
import type { FrontendName } from '../../lib/xenbus/protocols.js';
import { CORE_VERSIONS } from '../../services/guest/core-rules.js';
import { virtioDeviceId } from '../../toolstack/device.js';
import { createGuest, type Guest } from '../../toolstack/domain.js';
import { readNode, whenStore } from '../../toolstack/toolstack.js';
import { temporaryLabDir } from '../fixtures/lab.js';

const FPS = 30;
const LOOK_MS = 20;

/** Where the states of the guest's device stand, the frontend's first. */
function statePaths({ domid }: Guest, frontend: FrontendName): readonly [front: string, back: string] {
  const id = virtioDeviceId(domid, 0, DOM0, frontend);
  return [`${frontendPath(id)}/${XENBUS_KEY.state}`, `${backendPath(id)}/${XENBUS_KEY.state}`];
}

/** "3/2". */
async function states(rig: Rig, guest: Guest, frontend: FrontendName): Promise<string> {
  const read = (path: string) => readNode(rig.session.store, path);
  return (await Promise.all(statePaths(guest, frontend).map(read))).join('/');
}

/** Resolves once the two ends stand so; rejects with DeadlineError. */
async function stand(rig: Rig, guest: Guest, frontend: FrontendName, wanted: RegExp): Promise<void> {
  await whenStore(rig.session, statePaths(guest, frontend), DEADLINE_MS.chaosPicture, async () =>
    wanted.test(await states(rig, guest, frontend)) ? true : undefined,
  );
}

/** What a lab with this frontend comes to; one that the backend serves boots once the backend has looked. */
async function outcome(rig: Rig, frontend: FrontendName): Promise<string> {
  rig.begin();
  const guest = await createGuest(rig.toolstack, rig.config);
  if (frontend === 'rfc1') await stand(rig, guest, frontend, /\/2$/);
  rig.start(GUEST_PROCESS);
  if (frontend === 'review') {
    await rig.ready(GUEST_PROCESS);
    await rig.histories.rest();
    return states(rig, guest, frontend);
  }
  await shownFirst(rig.session.store, guest.domid, rig.process(GUEST_PROCESS)!.exited);
  await stand(rig, guest, frontend, /^4\/4$/);
  const path = join(rig.runDir, 'frames', 'shown.png');
  const shown = await checkFrame(await rig.client('vhost-gpu'), `${guest.domid}/0`, path, rig.picture);
  return shown.mismatchedPixels === 0 ? 'the picture' : `${shown.mismatchedPixels} wrong pixels`;
}

const PAIRINGS = [
  { frontend: 'rfc1', comes: 'the picture' },
  // The kind that the review gave the protocol is not that program's: neither end takes the other for one of its own.
  { frontend: 'review', comes: '1/1' },
] as const;

for (const { frontend, comes } of PAIRINGS) {
  t.test(`frontend ${frontend} beside xen-vhost-frontend, under both cores: ${comes}`, async (t) => {
    const under = async (core: string): Promise<string> => {
      const rig = await Rig.start(temporaryLabDir(t), { frontend, backend: 'xvf', core });
      t.teardown(() => rig.close());
      const came = await outcome(rig, frontend);
      return [came, ...rig.unexpected].join('; ');
    };
    t.same(
      await Promise.all(CORE_VERSIONS.map(under)),
      CORE_VERSIONS.map(() => comes),
    );
  });
}

for (const [dom0, comes] of [
  ['fixed', /^4\/4$/],
  // The new backend closes, and the guest stands in its access: no process can answer that any more.
  ['linux', /^4\/5$/],
] as const) {
  t.test(
    `a backend dies, its guest draws, and the next backend comes: ${comes.source} with dom0 ${dom0}`,
    async (t) => {
      const rig = await Rig.start(temporaryLabDir(t), { dom0 });
      t.teardown(() => rig.close());
      rig.begin();
      const guest = await createGuest(rig.toolstack, rig.config);
      rig.start(GUEST_PROCESS);
      await shownFirst(rig.session.store, guest.domid, rig.process(GUEST_PROCESS)!.exited);
      await stand(rig, guest, 'review', /^4\/4$/);
      await rig.histories.rest();
      const backend = rig.process('vhost-frontend')!;
      backend.kill();
      await backend.exited;
      const recorded = async (wanted: (record: TraceRecord) => boolean): Promise<boolean> => {
        const found = async () =>
          rig.histories.records().some((record) => record.process === 'hypervisor' && wanted(record)) || undefined;
        return (await lookAgain(found, LOOK_MS, AbortSignal.timeout(DEADLINE_MS.chaosPicture))) === true;
      };
      // Until then dom0's kernel would serve its kick.
      const told = await recorded(({ point, a }) => point === POINT['bus.peer-gone'] && a === backend.pid);
      t.ok(told, 'the hypervisor knows of the death');
      const sinceNs = process.hrtime.bigint();
      await animate(rig.session, guest.domid, FPS);
      t.ok(
        await recorded(({ point, ns }) => point === POINT['ioreq.fill'] && ns > sinceNs),
        'the guest uses its registers',
      );
      // What is written after this is the next backend's: a 4 that stands then is not the one that stood before.
      const { store } = rig.session;
      const paths = statePaths(guest, 'review');
      let events = 0;
      await store.watch(paths[1], 'next', () => events++);
      await store.read(paths[1]);
      const before = events;
      rig.start('vhost-frontend');
      await whenStore(rig.session, paths, DEADLINE_MS.chaosPicture, async () =>
        events > before && comes.test(await states(rig, guest, 'review')) ? true : undefined,
      );
      // Nothing follows a 5 that the guest does not see.
      if (dom0 === 'linux') await rig.histories.rest();
      t.match(await states(rig, guest, 'review'), comes);
    },
  );
}

t.test('xen-vhost-frontend gives a device up whose frontend, as posted, has gone to 3 before it looked', async (t) => {
  const rig = await Rig.start(temporaryLabDir(t), { frontend: 'rfc1', backend: 'xvf' });
  t.teardown(() => rig.close());
  rig.begin();
  const backend = rig.process('vhost-frontend')!;
  backend.kill();
  await backend.exited;
  const guest = await createGuest(rig.toolstack, rig.config);
  rig.start(GUEST_PROCESS);
  await stand(rig, guest, 'rfc1', /^3\/1$/);
  rig.start('vhost-frontend');
  await stand(rig, guest, 'rfc1', /^3\/2$/);
  await rig.histories.rest();
  t.equal(await states(rig, guest, 'rfc1'), '3/2');
});
