// What searches say, asked of real processes: deaths that break no rule in any order of steps break none there, wherever they come;
// and what a refusal leads the patch as posted to, and the reviewed frontend. Violations by deaths are in rfc1.test.ts.
import t from 'tap';
import { GUEST_PROCESS, parseCase } from '../../chaos/case.js';
import { runCase } from '../../chaos/engine.js';
import { openRig } from '../../chaos/open-rig.js';
import { verdictOf } from '../../chaos/replay-text.js';
import { Rig } from '../../chaos/rig.js';
import type { FaultKind } from '../../explore/faults.js';
import { Search } from '../../explore/search.js';
import { type FrontendName, modelOf } from '../../explore/settings.js';
import { chaosCase } from '../../explore/telling.js';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { ERRNO } from '../../lib/core/errno.js';
import { DOM0 } from '../../lib/core/ids.js';
import { backendPath, frontendPath, VIRTIO_MMIO_KEY, XENBUS_KEY } from '../../lib/layout/xenbus.js';
import { POINT } from '../../lib/trace/points.js';
import { virtioDeviceId } from '../../toolstack/device.js';
import { createGuest, type Guest } from '../../toolstack/domain.js';
import type { GuestConfig } from '../../toolstack/guest-config.js';
import { readNode, whenStore } from '../../toolstack/toolstack.js';
import { temporaryLabDir } from '../fixtures/lab.js';

async function searched(frontend: FrontendName, kind: FaultKind): Promise<{ search: Search; said: string[] }> {
  const fixed = { backend: 'review', core: '7.2', faults: 1, copies: 1, transactions: 'whole' } as const;
  const search = new Search(await modelOf({ ...fixed, frontend, kinds: [kind] }));
  const { found } = search.run({ statesMax: 1_000_000, violationsMax: 20 }, () => 0);
  return { search, said: found.map(({ violation }) => `${violation.property}: ${violation.text}`) };
}

for (const kind of ['kill-backend', 'kill-guest'] as const) {
  t.test(`${kind}, at every place where a search has it: the picture comes, and nothing is left`, async (t) => {
    const { search, said } = await searched('review', kind);
    t.same(said, []);
    const places = new Set([...search.pathsTo(kind)].map((path) => chaosCase(search, path)));
    // Before a process has written anything no gate tells one moment from another.
    const cases = [...places].filter((place) => place.includes(':'));
    t.ok(cases.length >= 5, `${cases.length} cases`);
    // Every second one: a campaign (xenwire chaos) has them all.
    const rig = await openRig(temporaryLabDir(t), undefined, { core: '7.2' });
    t.teardown(() => rig.close());
    for (const text of cases.filter((_, index) => index % 2 === 0)) {
      const result = await runCase(rig, parseCase(text));
      t.equal(result.outcome, 'pass', [text, ...verdictOf(result)].join('\n'));
    }
  });
}

/** Makes a guest whose device ends closed: resolves once both ends stand so. */
async function closed(
  rig: Rig,
  frontend: FrontendName,
  { config, wanted, before }: { config: GuestConfig; wanted: RegExp; before?: (guest: Guest) => Promise<void> },
) {
  rig.begin();
  const guest = await createGuest(rig.toolstack, config);
  await before?.(guest);
  rig.start(GUEST_PROCESS);
  await rig.ready(GUEST_PROCESS);
  const id = virtioDeviceId(guest.domid, 0, DOM0, frontend);
  const paths = [frontendPath(id), backendPath(id)].map((path) => `${path}/${XENBUS_KEY.state}`);
  const { store } = rig.session;
  await whenStore(rig.session, paths, DEADLINE_MS.chaosPicture, async () => {
    const now = (await Promise.all(paths.map((path) => readNode(store, path)))).join('/');
    return wanted.test(now) ? true : undefined;
  });
  await rig.histories.rest();
  return { id, guest };
}

/** A guest that may write what is there, and make nothing new, in its device's directory. */
async function readOnly(rig: Rig, frontend: FrontendName, { domid }: Guest): Promise<void> {
  const path = frontendPath(virtioDeviceId(domid, 0, DOM0, frontend));
  await rig.session.store.setPerms(path, [`n${DOM0}`, `r${domid}`]);
}

for (const [frontend, closes] of [
  ['rfc1', 'closes its event channel twice'],
  ['review', 'closes its event channel once'],
] as const) {
  t.test(`a guest is refused its first key: ${frontend} ${closes}, as the search says`, async (t) => {
    const { said } = await searched(frontend, 'refuse-frontend');
    t.equal(said.includes('conservation: event channel 3 is closed twice'), frontend === 'rfc1');
    const rig = await Rig.start(temporaryLabDir(t), { frontend, core: '7.2' });
    t.teardown(() => rig.close());
    await closed(rig, frontend, {
      config: rig.config,
      wanted: /^[56]\/[56]$/,
      before: (guest) => readOnly(rig, frontend, guest),
    });
    const answers = rig.histories
      .records()
      .filter(({ point, label }) => point === POINT['bus.answer'] && /^Hypervisor.evtchn_close guest/.test(label))
      .map(({ b }) => b);
    t.ok(answers.includes(0));
    t.equal(answers.includes(-ERRNO.EINVAL), frontend === 'rfc1', answers.join(', '));
    t.same(rig.unexpected, []);
  });
}

t.test(
  'the device server refuses a device: rfc1 keeps its event channel, review has none, as the searches say',
  async (t) => {
    const keeps = async (frontend: FrontendName): Promise<boolean> => {
      const { said } = await searched(frontend, 'refuse-backend');
      t.equal(
        said.some((text) => /still holds .*port/.test(text)),
        frontend === 'rfc1',
        frontend,
      );
      const rig = await Rig.start(temporaryLabDir(t), { frontend, core: '7.2' });
      t.teardown(() => rig.close());
      // A type that no device server of the lab has.
      const virtio = rig.config.virtio.map((device) => ({ ...device, type: 'virtio,device1a' }));
      // The reviewed frontend begins nothing with a backend that is closed.
      const wanted = frontend === 'rfc1' ? /^6\/6$/ : /^1\/6$/;
      const { id, guest } = await closed(rig, frontend, { config: { ...rig.config, virtio }, wanted });
      const port = await readNode(rig.session.store, `${frontendPath(id)}/${VIRTIO_MMIO_KEY.eventChannel}`);
      if (port === undefined) return false;
      const { status } = await rig.session.hypervisorClient
        .remote('Hypervisor')
        .evtchn_status({ dom: guest.domid, port: Number(port) });
      return status !== 0;
    };
    t.same([await keeps('rfc1'), await keeps('review')], [true, false]);
  },
);
