// xenstored as a process for tests against other people's programs: ours, and Debian's C daemon without Xen.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeFifo } from '../lib/node/files/libc.js';
import { PACKAGE_ROOT } from '../lib/node/process/package-root.js';
import { type Owner, startNode, TestProcess } from './processes.js';
import { EVENTS_FIFO, makeRing } from './store-ring-client.js';

const C_DAEMON = '/usr/lib/xen-4.17/bin/xenstored';
const OXENSTORED = '/usr/lib/xen-4.17/bin/oxenstored';
export const TEST_XENSTORE = '/usr/lib/xen-4.17/bin/test-xenstore';
const RING_DAEMON = new URL('../test/peers/diff/ring-daemon.js', import.meta.url);
const MAIN = new URL('../services/xenstored/main.js', import.meta.url);
const READY_MS = 10_000;

/** Why a test cannot run here; false when it can. Where peers are required, missing ones fail instead. */
export function missing(...programs: readonly string[]): string | false {
  const found = (program: string): boolean =>
    program.includes('/')
      ? existsSync(program)
      : (process.env['PATH'] ?? '').split(':').some((dir) => existsSync(join(dir, program)));
  const absent = programs.filter((program) => !found(program));
  if (absent.length === 0) return false;
  const text = `not installed: ${absent.join(', ')}`;
  if (process.env['XENWIRE_REQUIRE_PEERS'] === '1') throw new Error(text);
  return text;
}

export const C_DAEMON_NEEDS = [C_DAEMON, 'gcc'] as const;
export const OXENSTORED_NEEDS = [OXENSTORED, 'gcc'] as const;

export interface Daemon {
  readonly socket: string;
  readonly dir: string;
  readonly process: TestProcess;
}

function folder(t: Owner): string {
  const dir = mkdtempSync(join(tmpdir(), 'xs-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Resolves once the daemon accepts on the socket; rejects when it ended instead or did not in time. */
async function accepting(daemon: Daemon): Promise<Daemon> {
  const deadline = Date.now() + READY_MS;
  for (;;) {
    const accepted = await new Promise<boolean>((resolve) => {
      const probe = connect(daemon.socket);
      probe.once('connect', () => {
        probe.destroy();
        resolve(true);
      });
      probe.once('error', () => resolve(false));
    });
    if (accepted) return daemon;
    const { child, stderr } = daemon.process;
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`no daemon at ${daemon.socket}: ${stderr}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Our daemon, alone; `domids` exist in its host. */
export async function startOurs(
  t: Owner,
  args: readonly string[] = [],
  domids: readonly number[] = [],
  main: URL = MAIN,
): Promise<Daemon> {
  const dir = folder(t);
  const socket = join(dir, 'socket');
  const all = ['--alone', '--run-dir', join(dir, 'run'), '--socket', socket, '--domids', domids.join(','), ...args];
  return accepting({ dir, socket, process: startNode(t, main, all) });
}

/** Our store with guests on ring pages, without a hypervisor, behaving as 4.17; `domids` exist in its host. `main`: as built elsewhere. */
export async function startOurRings(t: Owner, domids: readonly number[], main: URL = RING_DAEMON): Promise<Daemon> {
  const dir = folder(t);
  makeFifo(join(dir, EVENTS_FIFO), 0o600);
  for (const domid of domids) makeRing(dir, domid);
  const process = startNode(t, main, [dir, domids.join(','), '4.17']);
  return accepting({ dir, socket: join(dir, 'socket'), process });
}

async function startReal(
  t: Owner,
  program: string,
  args: readonly string[],
  domids: readonly number[],
): Promise<Daemon> {
  const dir = folder(t);
  const shim = join(dir, 'shim.so');
  execFileSync('gcc', ['-shared', '-fPIC', '-O1', '-w', '-o', shim, join(PACKAGE_ROOT, 'testkit/xenstored-shim.c')]);
  makeFifo(join(dir, EVENTS_FIFO), 0o600);
  for (const domid of domids) makeRing(dir, domid);
  mkdirSync(join(dir, 'run'));
  const socket = join(dir, 'socket');
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: dir,
    env: {
      LD_PRELOAD: shim,
      XENSTORED_SHIM_DIR: dir,
      XENSTORED_SHIM_DOMIDS: domids.join(','),
      XENSTORED_RUNDIR: join(dir, 'run'),
      XENSTORED_PATH: socket,
    },
  });
  const process = new TestProcess(child);
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await process.ended();
    }
  });
  return accepting({ dir, socket, process });
}

/** The C daemon of Debian's xen-utils-4.17; `domids` exist in its host. */
export function startC(t: Owner, domids: readonly number[] = []): Promise<Daemon> {
  return startReal(t, C_DAEMON, ['-N', '--pid-file', 'pid'], domids);
}

/** The OCaml daemon of the same package. It cannot map the ring of a domain: none can be introduced. */
export function startOxenstored(t: Owner): Promise<Daemon> {
  return startReal(t, OXENSTORED, ['--no-fork', '--no-domain-init'], []);
}
