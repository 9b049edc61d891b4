import t from 'tap';
import { UserError } from '../../../lib/core/errors.js';
import { backendPath, frontendPath } from '../../../lib/layout/xenbus.js';
import { serverOf } from '../../../toolstack/device.js';
import { createGuest, destroyGuest, findGuest, finishUnfinished, listGuests } from '../../../toolstack/domain.js';
import { type GuestConfig, onPath, onServer } from '../../../toolstack/guest-config.js';
import { FakeHost, Killed } from '../../fixtures/toolstack.js';

const CONFIG: GuestConfig = {
  name: 'gpu',
  memoryMib: 64,
  vcpus: 1,
  onPoweroff: 'destroy',
  onReboot: 'restart',
  onCrash: 'destroy',
  virtio: [{ type: 'virtio,device10', transport: 'mmio', backend: '0' }],
};
const ID = { kind: 'virtio-mmio', domid: 1, devid: 0, backDomid: 0 };
const FRONT = frontendPath(ID);
const BACK = backendPath(ID);

/** Folders that libxl makes once and leaves, as on a real host. */
const ROOTS = ['/libxl', '/vm', '/local', '/local/domain', '/local/domain/0', '/tool'].map((path) => `${path} = `);
const left = (host: FakeHost): string[] => host.nodes().filter((node) => !ROOTS.includes(node));

/** A backend that closes when it is told to. */
async function closingBackend(host: FakeHost): Promise<string[]> {
  const store = host.client('backend');
  const seen: string[] = [];
  await store.watch(`${BACK}/state`, 'b', async () => {
    const state = await store.read(`${BACK}/state`).catch(() => 'gone');
    seen.push(state);
    if (state === '5') await store.write(`${BACK}/state`, '6');
  });
  return seen;
}

t.test('a guest is made as libxl makes it: domain, directories, introduction, devices, token', async (t) => {
  const host = new FakeHost();
  const guest = await createGuest(host.toolstack(), CONFIG);
  t.same(guest, { domid: 1, name: 'gpu' });
  t.equal(host.tokens.get('gpu'), 'token-1');
  t.ok(host.store.domains.get(1)?.introduced);
  const steps = host.asked.filter((request) => !/^(READ|DIRECTORY) |\/tool\//.test(request));
  t.match(steps[0], 'domctl_create gpu');
  const order = [
    'TRANSACTION_START',
    'evtchn_alloc_unbound 1',
    'hvm_set_param 1 1 16383',
    'hvm_set_param 1 2 1',
    'INTRODUCE 1 16383 1',
    `MKDIR ${FRONT}`,
    'token gpu',
    'domctl_unpause 1',
  ];
  const positions = order.map((step) => steps.indexOf(step));
  t.ok(!positions.includes(-1), positions.join());
  t.same(
    [...positions].sort((a, b) => a - b),
    positions,
    'in this order',
  );

  t.same(host.nodes('/local/domain/1/device/virtio-mmio/0/'), [
    `${FRONT}/backend = ${BACK}`,
    `${FRONT}/backend-id = 0`,
    `${FRONT}/state = 1`,
  ]);
  t.same(host.nodes(`${BACK}/`), [
    `${BACK}/frontend = ${FRONT}`,
    `${BACK}/frontend-id = 1`,
    `${BACK}/grant_usage = 0`,
    `${BACK}/online = 1`,
    `${BACK}/state = 1`,
    `${BACK}/transport = mmio`,
    `${BACK}/type = virtio,device10`,
  ]);
  t.ok(host.nodes().includes('/local/domain/1/store/ring-ref = 16383'));
  t.ok(host.nodes().includes('/local/domain/1/control/platform-feature-xs_reset_watches = 1'));
  t.same(host.nodes('/tool/xenwire'), [], 'nothing is noted as unfinished');
});

t.test('permissions let the guest write its own directories and read the rest', async (t) => {
  const host = new FakeHost();
  await createGuest(host.toolstack(), CONFIG);
  const store = host.client('looker');
  const perms = async (path: string): Promise<string> => (await store.getPerms(path)).join();
  t.equal(await perms('/local/domain/1'), 'n0,r1');
  t.equal(await perms('/local/domain/1/name'), 'n0,r1', 'inherited');
  t.equal(await perms('/local/domain/1/device'), 'n0,r1');
  for (const own of ['data', 'error', 'control/shutdown']) t.equal(await perms(`/local/domain/1/${own}`), 'n1');
  t.equal(await perms('/libxl/1'), 'n0');
  t.equal(await perms(FRONT), 'n1,r0');
  t.equal(await perms(`${FRONT}/state`), 'n1,r0');
  t.equal(await perms(`${BACK}/state`), 'n0,r1', 'inherited from the directory');
});

t.test('names are unique, and backends must exist', async (t) => {
  const host = new FakeHost();
  const toolstack = host.toolstack();
  await createGuest(toolstack, CONFIG);
  await t.rejects(createGuest(toolstack, CONFIG), new UserError('there is a guest gpu already: domain 1'));
  const other = { ...CONFIG, name: 'b', virtio: [{ ...CONFIG.virtio[0]!, backend: 'driverdom' }] };
  await t.rejects(createGuest(toolstack, other), new UserError('there is no domain "driverdom" for a backend'));
  t.equal((await listGuests(toolstack)).length, 1);
  await createGuest(toolstack, { ...CONFIG, name: 'b', virtio: [{ ...CONFIG.virtio[0]!, backend: 'gpu' }] });
  t.ok(host.nodes('/local/domain/1/backend/virtio-mmio/2/0').length > 0, 'a name means its domain');
  t.ok(host.nodes().includes('/local/domain/1/backend/virtio-mmio/2/0/grant_usage = 1'), 'grants outside dom0');
});

t.test('a server is written for the backend, and found by its device', async (t) => {
  const host = new FakeHost();
  const { domid } = await createGuest(host.toolstack(), onServer(CONFIG, 'b'));
  t.ok(host.nodes().includes(`${BACK}/server = b`));
  t.equal(await serverOf(host.toolstack(), domid), 'vhost-gpu-b');
  t.equal(await serverOf(host.toolstack(), domid, 1), 'vhost-gpu');
});

t.test(
  'a path is written for the backend; one that the hypervisor cannot do is refused, with nothing left',
  async (t) => {
    const host = new FakeHost();
    await createGuest(host.toolstack(), onPath(CONFIG, 'relay'));
    t.ok(host.nodes().includes(`${BACK}/path = relay`));
    for (const path of ['dmop', 'irqfd'] as const) {
      const without = new FakeHost();
      const before = left(without);
      await t.rejects(createGuest(without.toolstack(), onPath(CONFIG, path)), {
        name: 'UserError',
        message: `path ${path} needs a hypervisor that was started with --dm-evtchn-raise`,
      });
      t.same(left(without), before);
      t.equal(without.domains.size, 0);
      without.evtchnRaise = true;
      const { domid } = await createGuest(without.toolstack(), onPath(CONFIG, path));
      t.ok(without.nodes().includes(`/local/domain/0/backend/virtio-mmio/${domid}/0/path = ${path}`));
    }
  },
);

t.test('guests are found by name and by number', async (t) => {
  const toolstack = new FakeHost().toolstack();
  await createGuest(toolstack, CONFIG);
  t.equal((await findGuest(toolstack, 'gpu')).domid, 1);
  t.equal((await findGuest(toolstack, '1')).name, 'gpu');
  await t.rejects(findGuest(toolstack, '7'), new UserError('there is no guest "7"; there is gpu'));
});

t.test('a running guest goes through online = 0, Closing and Closed, and leaves nothing', async (t) => {
  const host = new FakeHost();
  const before = left(host);
  const toolstack = host.toolstack();
  await createGuest(toolstack, CONFIG);
  const seen = await closingBackend(host);
  const [info] = await listGuests(toolstack);
  t.equal(await destroyGuest(toolstack, info!), true);
  t.ok(seen.includes('5'));
  const online = host.asked.indexOf(`WRITE ${BACK}/online 0`);
  t.ok(online >= 0 && online < host.asked.indexOf(`WRITE ${BACK}/state 5`));
  t.ok(host.asked.indexOf(`WRITE ${BACK}/state 5`) < host.asked.indexOf('domctl_destroy 1'));
  t.same(left(host), before, 'the store is as it was');
  t.same([...host.domains], []);
  t.same([...host.tokens], []);
});

t.test('a guest that cannot answer loses its frontend first', async (t) => {
  const host = new FakeHost();
  const toolstack = host.toolstack();
  await createGuest(toolstack, CONFIG);
  host.domains.set(1, { ...host.domains.get(1)!, state: 'shutdown' });
  await closingBackend(host);
  host.asked.length = 0;
  const [info] = await listGuests(toolstack);
  t.equal(await destroyGuest(toolstack, info!), true, 'crashed: by force, but in order');
  t.ok(host.asked.indexOf(`RM ${FRONT}`) < host.asked.indexOf(`WRITE ${BACK}/state 5`));
});

t.test('a backend that never closes is told twice, and its directories go all the same', async (t) => {
  const host = new FakeHost();
  const before = left(host);
  const toolstack = host.toolstack();
  await createGuest(toolstack, CONFIG);
  const [info] = await listGuests(toolstack);
  t.equal(await destroyGuest(toolstack, info!, { deadlineMs: 30 }), false);
  t.equal(host.asked.filter((request) => request === `WRITE ${BACK}/state 5`).length, 2);
  t.same(left(host), before);
});

t.test('a guest that dies while its device closes is not waited for: the rest goes by force, in order', async (t) => {
  for (const how of ['shutdown', 'gone'] as const) {
    const host = new FakeHost();
    const before = left(host);
    const toolstack = host.toolstack((request) => {
      // Its frontend never answers the Closing: the guest dies at it.
      if (request === `WRITE ${BACK}/state 5`) setImmediate(() => host.domains.has(1) && host.lose(1, how));
    });
    await createGuest(toolstack, CONFIG);
    // A backend that waits for its frontend, as vhost-frontend does.
    const backend = host.client('backend');
    await backend.watch(`${FRONT}/state`, 'f', async () => {
      const front = await backend.read(`${FRONT}/state`).catch(() => 'gone');
      if (front === 'gone' && (await backend.read(`${BACK}/state`).catch(() => '')) === '5') {
        await backend.write(`${BACK}/state`, '6');
      }
    });
    await backend.watch(`${BACK}/state`, 'b', async () => {
      const front = await backend.read(`${FRONT}/state`).catch(() => 'gone');
      const state = await backend.read(`${BACK}/state`).catch(() => '');
      if (front === 'gone' && state === '5') await backend.write(`${BACK}/state`, '6');
    });
    const [info] = await listGuests(toolstack);
    t.equal(await destroyGuest(toolstack, info!, { deadlineMs: 10_000 }), true, how);
    t.same(left(host), before);
  }
});

t.test('what is left of a domain that went without a toolstack, the next call removes', async (t) => {
  const host = new FakeHost();
  const before = left(host);
  const toolstack = host.toolstack();
  await createGuest(toolstack, CONFIG);
  await closingBackend(host);
  host.lose(1, 'gone');
  t.ok(host.nodes(`${BACK}/`).length > 0, 'the store cannot know what belongs to the domain in other directories');
  await finishUnfinished(toolstack);
  t.same(left(host), before);
  t.same([...host.tokens], []);
});

t.test('a toolstack killed before any of its requests leaves what the next call removes', async (t) => {
  const whole = new FakeHost();
  await createGuest(whole.toolstack(), CONFIG);
  // The last of them only tidies up: the guest is whole once it is not noted any more.
  const requests = whole.asked.indexOf('RM /tool/xenwire/unfinished/gpu') + 1;
  t.ok(requests > 50);
  for (let at = 0; at < requests; at++) {
    const host = new FakeHost();
    const before = left(host);
    let count = 0;
    const killed = host.toolstack(() => {
      if (count++ === at) throw new Killed();
    });
    await t.rejects(createGuest(killed, CONFIG));
    const next = host.toolstack();
    await closingBackend(host);
    const guest = await createGuest(next, { ...CONFIG, name: 'other' });
    const names = (await listGuests(next)).map(({ name }) => name);
    if (!t.same(names, ['other'], `killed before request ${at}: ${whole.asked[at]}`)) return;
    await closingOther(host, guest.domid);
    const [info] = await listGuests(next);
    await destroyGuest(next, info!);
    if (!t.same(left(host), before, `killed before request ${at}: ${whole.asked[at]}`)) return;
  }
});

async function closingOther(host: FakeHost, domid: number): Promise<void> {
  const store = host.client('backend');
  const path = `${backendPath({ ...ID, domid })}/state`;
  await store.watch(path, 'o', async () => {
    if ((await store.read(path).catch(() => '')) === '5') await store.write(path, '6');
  });
}

t.test('a toolstack killed while it removes a guest leaves what the next call removes', async (t) => {
  const removed = async (onAsk?: (request: string) => void): Promise<{ host: FakeHost; empty: string[] }> => {
    const host = new FakeHost();
    const empty = left(host);
    await createGuest(host.toolstack(), CONFIG);
    await closingBackend(host);
    host.asked.length = 0;
    const [info] = await listGuests(host.toolstack());
    await destroyGuest(host.toolstack(onAsk), info!).catch((error) => {
      if (!(error instanceof Killed)) throw error;
    });
    return { host, empty };
  };
  const { host: whole } = await removed();
  const requests = whole.asked.indexOf('RM /tool/xenwire/unfinished/gpu') + 1;
  t.ok(requests > 20);
  // Before its first request nothing is noted yet, and the guest lives on.
  for (let at = 1; at < requests; at++) {
    let count = 0;
    const { host, empty } = await removed(() => {
      if (count++ === at) throw new Killed();
    });
    await finishUnfinished(host.toolstack());
    const rest = { nodes: left(host), domains: [...host.domains.keys()], tokens: [...host.tokens.keys()] };
    if (!t.same(rest, { nodes: empty, domains: [], tokens: [] }, `before ${whole.asked[at]}`)) return;
  }
});
