// The live page's server, without a browser: whom it answers, that what it tells is what the lab says, what its buttons do, and how
// it ends. With a browser: test/peers/page.test.ts.
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { mismatchedPixels, overBlack } from '../../lib/core/picture.js';
import { readPng } from '../../lib/node/files/png.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { longTest } from '../../testkit/tier.js';
import { leftovers, startXenwire, temporaryLabDir, xenwire } from '../fixtures/lab.js';
import { ask, linkOf, PageViewer } from '../fixtures/page.js';

const CARD = join(PACKAGE_ROOT, 'examples', 'test-card.png');
/** Its domain is made anew after a crash. */
const CONFIG = join(PACKAGE_ROOT, 'examples', 'restarting-guest.cfg');
type Row = { name: string; pid: number; condition: string; state: string; at?: string };

t.test('the page tells what the lab says, acts on its processes, and ends with it', longTest(), async (t) => {
  const runDir = temporaryLabDir(t);
  const lab = startXenwire(t, ['up', '--dashboard', '--config', CONFIG, '--run-dir', runDir]);
  const link = await linkOf(lab);
  await lab.line(/until Ctrl-C/);
  const { origin } = new URL(link);

  for (const [what, url, headers, status] of [
    ['no token', `${origin}/`, {}, 401],
    ['a wrong token', `${origin}/?token=${'x'.repeat(32)}`, {}, 401],
    ['a token that is too short', `${origin}/?token=`, {}, 401],
    ['another host', link, { host: 'evil.example' }, 421],
    ['another origin', link, { origin: 'http://evil.example' }, 403],
  ] as const) {
    t.equal((await ask(url, { headers })).status, status, `${what} is refused`);
  }
  const page = await PageViewer.open(t, link);
  const other = await PageViewer.open(t, link);
  const { headers } = await page.get('');
  t.match(headers['content-security-policy'], /default-src 'none'; script-src 'self'/);
  t.equal(headers['access-control-allow-origin'], undefined);
  const crossed = { method: 'POST', headers: { cookie: page.cookie, 'content-type': 'application/json' }, body: '{}' };
  t.equal((await ask(`${origin}/api/act`, crossed)).status, 403, 'an action without an origin is refused');
  t.equal((await page.get('../package.json')).status, 404);
  for (const path of ['app.js', 'vendor/uplot.js', 'style.css']) t.equal((await page.get(path)).status, 200, path);

  const connected = (): boolean => page.section('devices')?.[0]?.connected === true;
  await page.until(connected, 'a connected device');
  const [device] = page.section('devices');
  t.same([device.name, device.guest], ['1/0', 'gpu-guest']);
  t.same(
    device.front.map(({ state }: { state: number }) => state),
    [1, 3, 4],
  );
  t.same(
    device.back.map(({ state }: { state: number }) => state),
    [1, 2, 4],
  );
  const ps = JSON.parse((await xenwire(t, ['ps', '--json', '--run-dir', runDir])).stdout) as Row[];
  const rows = (viewer = page): Row[] => viewer.section('processes') ?? [];
  const named = (name: string, viewer = page): Row | undefined => rows(viewer).find((row) => row.name === name);
  t.same(
    rows()
      .map(({ name, pid, state }) => [name, pid, state])
      .sort(),
    ps.map(({ name, pid, state }) => [name, pid, state]).sort(),
  );
  const key = '/local/domain/0/backend/virtio-mmio/1/0/state';
  await page.until(() => page.store.get(key)?.value === '4', 'the store');
  t.same(page.store.get(key)?.perms, ['n0', 'r1']);
  const shot = join(runDir, 'frames', 'page.png');
  writeFileSync(shot, Buffer.from((await page.get('api/frame/1/0')).body, 'latin1'));
  t.equal(mismatchedPixels(overBlack(readPng(CARD)), readPng(shot)), 0, 'the screen is what the guest was given');
  const rings = JSON.parse((await page.get('api/rings/1')).body);
  t.match(rings[0].meaning[0], /available \d+, used \d+: the device has 0 of 256 to do/);
  const ram = readFileSync(join(runDir, 'shm', 'dom1.ram'));
  const [, address] = /at 0x([0-9a-f]+)/.exec(rings[0].hex[2].name)!;
  const at = Number.parseInt(address!, 16);
  t.equal(
    rings[0].hex[2].rows[0].slice(10, 21),
    ram
      .subarray(at, at + 4)
      .toString('hex')
      .replace(/(..)(?!$)/g, '$1 '),
  );
  const window = JSON.parse((await page.get('api/window?span=60000')).body);
  t.ok(window.flows.some(({ kind }: { kind: string }) => kind === 'kick'));

  // However busy the lab: at most twenty messages a second.
  const [from, count] = [performance.now(), page.messages];
  await page
    .until(() => page.messages >= count + 10 || performance.now() - from > 5000, 'ten messages')
    .catch(() => {});
  t.ok((page.messages - count) / ((performance.now() - from) / 1000) <= 20);

  // Killed and back, seen by both viewers.
  const before = named('vhost-gpu')!.pid;
  t.equal((await page.act('vhost-gpu', 'kill')).status, 200);
  const back = (viewer: PageViewer) => (): boolean => {
    const row = named('vhost-gpu', viewer);
    return row !== undefined && row.pid !== before && row.condition === 'runs';
  };
  await page.until(back(page), 'another vhost-gpu');
  await other.until(back(other), 'another vhost-gpu for the other viewer');
  await page.until(connected, 'a device that is connected again');

  // Stopped at a point of the handshake: the page says where and why.
  const points = JSON.parse((await page.get('api/points/vhost-frontend')).body) as string[];
  const passed = points.find((name) => name.startsWith('vhost-frontend:back.state-written('))!;
  t.equal(passed, 'vhost-frontend:back.state-written(backend/virtio-mmio/1/0/state)', 'what was passed is offered');
  // With its number, as xenwire trace prints it: that time and no other. Domain 1 had its first before.
  const point = `${passed.replace('/1/', '/2/')}#1`;
  t.equal((await page.act('vhost-frontend', 'pause', point)).status, 200);
  t.equal((await page.act('guest-gpu-guest', 'kill')).status, 200);
  await page.until(() => named('vhost-frontend')?.condition === 'stands', 'vhost-frontend at the gate');
  t.match(named('vhost-frontend')?.at, /^vhost-frontend:back\.state-written\(backend\/virtio-mmio\/2\/0\/state\)#1$/);
  const next = () => page.section('devices').find(({ name }: { name: string }) => name === '2/0');
  const standing = 'vhost-frontend stands just after back.state-written(backend/virtio-mmio/2/0/state)#1';
  await page.until(
    () => next()?.front.at(-1)?.state === 3 && next().reason.causes[0] === standing,
    'the reason why the next domain does not come up',
  );
  t.equal(next().back.at(-1).state, 2);
  t.match(next().reason.awaited, { side: 'back', state: 4, by: 'vhost-frontend' });
  t.match(page.section('gates')[0], { action: 'pause', state: 'stands' });
  t.equal((await page.act('vhost-frontend', 'go')).status, 200);
  await page.until(() => named('vhost-frontend')?.condition === 'runs', 'vhost-frontend on its way');
  await page.until(connected, 'the next domain connected');
  const refused = await page.act('nobody', 'kill');
  t.same([refused.status, refused.body], [409, 'nobody does not run\n']);

  lab.child.kill('SIGINT');
  t.equal(await lab.ended(), 0, lab.stderr);
  await page.until(() => page.ended, 'the end');
  t.same(leftovers(runDir), []);
});

t.test('a lab that has ended is shown as its rings have it', longTest(), async (t) => {
  const runDir = temporaryLabDir(t);
  t.equal((await xenwire(t, ['up', '--once', '--keep', '--run-dir', runDir])).status, 0);
  const server = startXenwire(t, ['dashboard', '--run-dir', runDir]);
  const page = await PageViewer.open(t, await linkOf(server));
  await page.until(
    () => page.section('lab')?.state === 'ended' && page.section('devices')?.length > 0,
    'the ended lab',
  );
  t.equal(page.section('devices')[0].front.at(-1).state, 6);
  const whole = JSON.parse((await page.get('api/window?span=60000')).body);
  t.ok(whole.records.length > 100);
  const middle = (whole.firstMs + whole.lastMs) / 2;
  const early = JSON.parse((await page.get(`api/window?span=60000&until=${middle}`)).body);
  t.ok(early.records.length > 0 && early.records.length < whole.records.length, 'scrolled back');
  server.child.kill('SIGTERM');
  t.equal(await server.ended(), 0);
});

t.test('what a user gets wrong is one sentence and status 2', async (t) => {
  const runDir = temporaryLabDir(t);
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.teardown(() => other.close());
  const port = String((other.address() as AddressInfo).port);
  const taken = new RegExp(`^xenwire: cannot serve the page on port ${port}: .*address already in use`);
  for (const [args, message] of [
    [['dashboard', '--run-dir', runDir], /^xenwire: no lab runs in /],
    [['dashboard', '--port', '99999'], /^xenwire: .*'99999' is invalid: It must be a whole number from 0 to 65535$/],
    [['up', '--dashboard', 'x'], /^xenwire: .*'x' is invalid: It must be a whole number/],
    [['up', '--dashboard', port, '--run-dir', runDir], taken],
  ] as const) {
    const result = await xenwire(t, args);
    t.equal(result.status, 2, args.join(' '));
    t.match(result.stderr.trimEnd(), message);
    t.equal(result.stdout, '');
  }
});
