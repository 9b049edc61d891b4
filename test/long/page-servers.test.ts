// The page of a lab with two device servers: each device names its own, and a handshake that the second one holds up is put down to it,
// while the devices of the first go on.
import { join } from 'node:path';
import t from 'tap';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { startXenwire, temporaryLabDir } from '../fixtures/lab.js';
import { linkOf, PageViewer } from '../fixtures/page.js';

const CONFIG = join(PACKAGE_ROOT, 'examples', 'restarting-guest.cfg');
const POINT = 'vhost-gpu-b:vhost-user.serve(ADD_MEM_REG)';

t.test('a handshake that stands in the second device server is put down to it', { timeout: 90_000 }, async (t) => {
  const runDir = temporaryLabDir(t);
  const several = ['--guests', '2', '--servers', '2', '--config', CONFIG];
  const lab = startXenwire(t, ['up', '--dashboard', ...several, '--run-dir', runDir]);
  const page = await PageViewer.open(t, await linkOf(lab));
  await lab.line(/until Ctrl-C/, 40_000);
  // biome-ignore lint/suspicious/noExplicitAny: a test reads what JSON gave
  const named = (section: string, name: string): any =>
    page.section(section)?.find((each: { name: string }) => each.name === name);
  const device = (name: string) => named('devices', name);
  await page.until(() => device('1/0')?.connected && device('2/0')?.connected, 'both devices connected');
  t.same([device('1/0').server, device('2/0').server], ['vhost-gpu', 'vhost-gpu-b']);

  t.equal((await page.act('vhost-gpu-b', 'pause', POINT)).status, 200);
  t.equal((await page.act('guest-gpu-guest-2', 'kill')).status, 200);
  await page.until(() => named('processes', 'vhost-gpu-b')?.condition === 'stands', 'vhost-gpu-b at the gate', 40_000);
  const stands = 'vhost-gpu-b stands just after vhost-user.serve(ADD_MEM_REG)';
  await page.until(() => device('3/0')?.reason.causes[0] === stands, 'why the next domain does not come up');
  const { server, connected } = device('3/0');
  t.same([server, connected], ['vhost-gpu-b', false]);
  const asked = ({ to }: { to: string }): boolean => to === 'vhost-gpu-b';
  await page.until(() => device('3/0')?.steps.some(asked), 'the steps, which are read now and then, with that server');
  t.match(device('1/0'), { connected: true, server: 'vhost-gpu', reason: { causes: [] } });

  t.equal((await page.act('vhost-gpu-b', 'go')).status, 200);
  await page.until(() => device('3/0')?.connected, 'the device connected once its server goes on', 40_000);
  lab.child.kill('SIGINT');
  t.equal(await lab.ended(), 0, lab.stderr);
});
