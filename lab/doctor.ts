// What `xenwire doctor` finds: the machine as far as a lab needs it, what runs in a run directory and what it holds, and what is
// left behind that no process owns. Looks only; leaves words for people to bin/verbs/doctor.ts.
import { existsSync, readdirSync, readFileSync, statfsSync } from 'node:fs';
import { arch, availableParallelism, freemem, release, totalmem, type } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { isDeviceServer } from '../lib/core/device-server.js';
import { errorMessage } from '../lib/core/errors.js';
import type { ServerName } from '../lib/core/service.js';
import { listProcesses } from '../lib/node/process/run-dir.js';
import { isRunDir } from '../lib/node/process/run-dir-life.js';
import { fileLeaks } from './audit.js';
import { countDescriptors } from './descriptors.js';
import { lookAtProcesses, type ProcessLook } from './standing.js';

const MIB = 1 << 20;

/** What only some commands need, and which. */
const PROGRAMS: Readonly<Record<string, string>> = {
  gcc: 'C floors of xenwire latency and bench:floors',
  'xenstore-ls': "to look at the store with Xen's own tools",
  chromium: "the live page's test",
  'qemu-system-x86_64': 'a real Linux guest',
};

export interface MachineFacts {
  readonly system: string;
  readonly node: string;
  readonly cores: number;
  readonly memoryMib: number;
  readonly memoryFreeMib: number;
  /** Of the file system that the run directory is or would be in. */
  readonly runDirFreeMib: number;
  readonly openFilesMax: string;
  /** Of each native package: undefined, or why it does not load. */
  readonly native: Readonly<Record<string, string | undefined>>;
  /** Programs that are not installed, with what needs them. */
  readonly missing: Readonly<Record<string, string>>;
}

export async function machineFacts(runDir: string): Promise<MachineFacts> {
  const { bavail, bsize } = statfsSync(existingAbove(runDir));
  return {
    system: `${type()} ${release()} ${arch()}`,
    node: process.version,
    cores: availableParallelism(),
    memoryMib: Math.floor(totalmem() / MIB),
    memoryFreeMib: Math.floor(freemem() / MIB),
    runDirFreeMib: Math.floor((bavail * bsize) / MIB),
    openFilesMax: /^Max open files +(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 'unknown',
    native: {
      koffi: await problemOf(import('../lib/node/files/libc.js')),
      zeromq: await problemOf(import('../lib/node/bus/client.js')),
    },
    missing: Object.fromEntries(Object.entries(PROGRAMS).filter(([name]) => !isOnPath(name))),
  };
}

async function problemOf(loading: Promise<unknown>): Promise<string | undefined> {
  try {
    await loading;
    return undefined;
  } catch (error) {
    return errorMessage(error);
  }
}

const isOnPath = (name: string): boolean =>
  (process.env['PATH'] ?? '').split(delimiter).some((folder) => folder !== '' && existsSync(join(folder, name)));

function existingAbove(path: string): string {
  return existsSync(path) ? path : existingAbove(dirname(path));
}

export interface LabFacts {
  readonly processes: readonly ProcessLook[];
  /** Open descriptors by process. */
  readonly descriptors: ReadonlyMap<string, number>;
  /** What each server holds for others, by kind; a server that does not answer has its reason. */
  readonly held: ReadonlyMap<string, ReadonlyMap<string, number> | string>;
}

/** Those that a lab cannot do without. vhost-frontend serves nothing: it is the others' client. */
const SERVERS = ['hypervisor', 'xenstored', 'vhost-gpu'] as const;

/** undefined where no process of a lab lives. Asks each server what it holds, but none that stands still. */
export async function labFacts(runDir: string): Promise<LabFacts | undefined> {
  const processes = lookAtProcesses(runDir);
  const living = processes.filter(({ condition }) => condition !== 'dead');
  if (living.length === 0) return undefined;
  const descriptors = new Map(
    [...countDescriptors(runDir)].map(([name, kinds]) => [
      name,
      [...kinds.values()].reduce((sum, each) => sum + each, 0),
    ]),
  );
  return { processes, descriptors, held: await heldBy(runDir, living) };
}

async function heldBy(runDir: string, living: readonly ProcessLook[]): Promise<LabFacts['held']> {
  const held = new Map<string, ReadonlyMap<string, number> | string>();
  const canAsk = (name: string): boolean => living.some((each) => each.name === name && each.condition === 'runs');
  const named = living.map(({ name }) => name).filter(isDeviceServer);
  const servers = new Set<ServerName>([...SERVERS, ...named]);
  for (const server of servers) if (!canAsk(server)) held.set(server, 'it does not run');
  // A session speaks to these two first.
  if (!canAsk('hypervisor') || !canAsk('xenstored')) return held;
  const { openSession } = await import('./session.js');
  const session = await openSession({ runDir, say: () => {} });
  try {
    for (const server of [...servers].filter(canAsk)) {
      try {
        const { held: list } = await (await session.connect(server)).remote('Control').audit({});
        const kinds = new Map<string, number>();
        for (const { kind } of list) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
        held.set(server, kinds);
      } catch (error) {
        held.set(server, errorMessage(error));
      }
    }
  } finally {
    await session.close();
  }
  return held;
}

/** What no process owns any more, one text each: of the run directory, and of others beside it. */
export function leftBehind(runDir: string): string[] {
  const entries = listProcesses(runDir);
  const dead = entries.filter(({ state }) => state === 'dead');
  const found = dead.map(({ name, pid }) => `${name} (pid ${pid}) ended without a word`);
  if (isRunDir(runDir) && entries.length === dead.length) found.push(...fileLeaks(runDir));
  return [...found, ...abandonedBeside(runDir)];
}

/** Run directories of labs that were killed: a folder of ours in which no process lives. */
function abandonedBeside(runDir: string): string[] {
  const above = dirname(dirname(runDir));
  try {
    return readdirSync(above)
      .filter((name) => name.startsWith('xenwire-'))
      .flatMap((name) => [join(above, name), join(above, name, 'lab')])
      .filter((dir) => dir !== runDir && isRunDir(dir))
      .filter((dir) => listProcesses(dir).every(({ state }) => state === 'dead'))
      .map((dir) => `folder ${dir}, in which no process lives`);
  } catch {
    return [];
  }
}
