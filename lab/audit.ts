// What a lab has left behind: asked of the processes while they live, looked for in the run directory when they are gone.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { isDeviceServer } from '../lib/core/device-server.js';
import type { BusClient, ServerName } from '../lib/core/service.js';
import { listProcesses } from '../lib/node/process/run-dir.js';
import type { Session } from './session.js';

/** The elements of `list` without those of `taken`, each as often as one of its kind is there; left out: each is its own kind. */
export function without(
  list: readonly string[],
  taken: readonly string[],
  kindOf: (text: string) => string = (text) => text,
): string[] {
  const left = taken.map(kindOf);
  return list.filter((text) => {
    const at = left.indexOf(kindOf(text));
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

/** What a server still holds for others, one text each. */
export async function auditLeaks(server: string, client: BusClient): Promise<string[]> {
  const { held } = await client.remote('Control').audit({});
  return held.map(({ kind, name }) => `${server}: ${kind} ${name}`);
}

/** Folders of a run directory that are empty once every process has ended in order. */
const EMPTY_AT_END = ['bell', 'bus', 'guests', 'live', 'proc', 'shm'];

/** Files that should have gone with their owners. */
export function fileLeaks(runDir: string): string[] {
  return EMPTY_AT_END.flatMap((folder) => {
    try {
      return readdirSync(join(runDir, folder)).map((name) => `file ${folder}/${name}`);
    } catch {
      return [];
    }
  });
}

/** Descriptors, incarnations and dom0's ports are others in each life of a process. */
const NUMBERED_ANEW = /^(evtchn) \d+$|^(?:(0\/)\d+)$|\.[0-9a-z]{8,}/;

/** The name of something held, without what changes when its holder is replaced. */
export function lastingName(name: string): string {
  return name.replace(NUMBERED_ANEW, '$1');
}

/** What one process answers of itself. */
export interface Holdings {
  readonly process: string;
  /** Sorted, one text each. */
  readonly held: readonly string[];
  readonly descriptors: number;
  readonly residentBytes: number;
}

/**
 * Asks every process of a lab that has an endpoint; rejects with PeerDiedError when one ends meanwhile, also before it is connected to:
 * one that is not replaced would be waited for without end.
 */
export async function askHoldings({ runDir, connect }: Pick<Session, 'runDir' | 'connect'>): Promise<Holdings[]> {
  const living = listProcesses(runDir).filter(({ name, state }) => state !== 'dead' && answers(name));
  return Promise.all(
    living.map(async ({ name }) => {
      const client = await connect(name as ServerName, AbortSignal.timeout(DEADLINE_MS.holdingsAnswer));
      try {
        const [{ held }, usage] = await Promise.all([
          client.remote('Control').audit({}),
          client.remote('Process').usage({}),
        ]);
        const texts = held.map(({ kind, name }) => `${kind} ${lastingName(name)}`).sort();
        return { process: name, held: texts, descriptors: usage.descriptors, residentBytes: usage.resident_bytes };
      } finally {
        await client.close();
      }
    }),
  );
}

const answers = (name: string): boolean => isDeviceServer(name) || ANSWERS.test(name);
const ANSWERS = /^(hypervisor|xenstored|vhost-frontend|guest-.*)$/;
