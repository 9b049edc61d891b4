// QEMU's own vhost-user-gpu, unmodified, behind our vhost-frontend: a guest of ours draws on it, and what it shows is what
// was drawn.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { readPng } from '../../lib/node/files/png.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { retryOnChange } from '../../lib/node/process/wait.js';
import { TestProcess, temporaryRunDir } from '../../testkit/processes.js';
import { missing } from '../../testkit/xenstored-peers.js';
import { registered, startXenwire, temporaryLabDir, xenwire } from '../fixtures/lab.js';

/** Debian's qemu-system-gui has it; other distributions put it under libexec. */
const SERVER =
  ['/usr/lib/qemu/vhost-user-gpu', '/usr/libexec/vhost-user-gpu'].find(existsSync) ?? '/usr/lib/qemu/vhost-user-gpu';
const CONFIG = join(PACKAGE_ROOT, 'examples', 'gpu-guest.cfg');
const IMAGE = join(PACKAGE_ROOT, 'examples', 'test-card.png');
const DEADLINE_MS = 20_000;

/** Pixels of the picture that the file does not have; undefined while it is not whole yet. */
function mismatches(path: string): number | undefined {
  if (!existsSync(path)) return undefined;
  const shown = readPng(path);
  const drawn = readPng(IMAGE);
  if (shown.width !== drawn.width || shown.height !== drawn.height) return undefined;
  let wrong = 0;
  for (let at = 0; at < drawn.rgba.length; at += 4)
    if ([0, 1, 2].some((colour) => shown.rgba[at + colour] !== drawn.rgba[at + colour])) wrong++;
  return wrong;
}

t.test("a guest draws on QEMU's GPU server, and lets it go in order", { skip: missing(SERVER) }, (t) =>
  drawsOnQemu(t, 64),
);
t.test('so does one whose rings and picture lie above 4 GiB', { skip: missing(SERVER) }, (t) => drawsOnQemu(t, 6144));

async function drawsOnQemu(t: Test, memoryMib: number): Promise<void> {
  const runDir = temporaryLabDir(t);
  const dir = temporaryRunDir(t);
  const config = join(dir, 'guest.cfg');
  writeFileSync(config, readFileSync(CONFIG, 'utf8').replace('memory = 64', `memory = ${memoryMib}`));
  const frames = join(dir, 'frames');
  mkdirSync(frames);
  const server = new TestProcess(
    spawn(SERVER, ['-s', join(dir, 'gpu-1-0.sock')], { stdio: ['ignore', 'pipe', 'pipe'] }),
  );
  t.teardown(async () => {
    if (server.child.exitCode === null && server.child.kill('SIGKILL')) await once(server.child, 'exit');
  });
  const socket = join(dir, 'gpu-{device}.sock');
  const args = ['--device-socket', socket, '--frames', frames, '--run-dir', runDir];
  const frontend = startXenwire(t, ['vhost-frontend', ...args]);
  for (const name of ['hypervisor', 'xenstored']) startXenwire(t, [name, '--run-dir', runDir]);
  for (const name of ['hypervisor', 'xenstored', 'vhost-frontend']) await registered(runDir, name, /ready/);
  startXenwire(t, ['guest', '--name', 'gpu-guest', '--run-dir', runDir]);
  const created = await xenwire(t, ['create', config, '--no-process', '--run-dir', runDir]);
  t.equal(created.status, 0, created.stderr);

  const picture = join(frames, '1-0-0.png');
  const equal = () => (mismatches(picture) === 0 ? true : undefined);
  t.ok(await retryOnChange(picture, equal, AbortSignal.timeout(DEADLINE_MS)), `${mismatches(picture)} pixels differ`);

  const destroyed = await xenwire(t, ['destroy', 'gpu-guest', '--run-dir', runDir]);
  t.equal(destroyed.status, 0, destroyed.stderr);
  t.equal(await server.ended(), 0, 'it ends when its only connection closes');
  frontend.child.kill('SIGTERM');
  t.equal(await frontend.ended(), 0);
  t.match(frontend.stderr, /everything is given back/);
}
