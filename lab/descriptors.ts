// Descriptors of a lab's processes, counted from outside, by what they refer to: a leak of them is in no list that a process keeps
// of itself. The baseline is a look at the same processes in the same situation, once everything has happened there before: no
// guest, after a guest has come and gone (what is opened at first use is open by then). What lists say is audit.ts's.
import { readdirSync, readlinkSync } from 'node:fs';
import { listProcesses } from '../lib/node/process/run-dir.js';

/** How many descriptors of each kind; by process name and pid, so that a process that was replaced is another one. */
export type DescriptorCounts = ReadonlyMap<string, ReadonlyMap<string, number>>;

/** Of every living process that is registered in the run directory. */
export function countDescriptors(runDir: string): DescriptorCounts {
  const living = listProcesses(runDir).filter(({ state }) => state !== 'dead');
  return new Map(living.map(({ name, pid }) => [`${name} (${pid})`, descriptorsOf(pid)]));
}

/** Of one process, in a lab or not. */
export function descriptorsOf(pid: number): Map<string, number> {
  const kinds = new Map<string, number>();
  for (const target of targetsOf(pid)) {
    const kind = kindOf(target);
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  return kinds;
}

/** [] for a process that has ended. */
function targetsOf(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).flatMap((fd) => {
      try {
        return [readlinkSync(`${folder}/${fd}`)];
      } catch {
        return []; // closed since it was listed
      }
    });
  } catch {
    return [];
  }
}

/** "socket" of "socket:[123]", "eventfd" of "anon_inode:[eventfd]"; files by their folder in the run directory. */
function kindOf(target: string): string {
  const anonymous = /^anon_inode:\[?([^\]]*)\]?/.exec(target)?.[1];
  if (anonymous !== undefined) return anonymous;
  const plain = /^([a-z]+):\[/.exec(target)?.[1];
  if (plain !== undefined) return plain;
  const path = target.replace(/ \(deleted\)$/, '').split('/');
  return `${target.endsWith(' (deleted)') ? 'deleted ' : ''}file ${path.at(-2) ?? ''}`;
}

/** One text for each process and kind that has more than in `before`; processes that were not there then are left out. */
export function descriptorLeaks(before: DescriptorCounts, after: DescriptorCounts): string[] {
  return [...after].flatMap(([process, kinds]) => {
    const then = before.get(process);
    if (then === undefined) return [];
    return [...kinds]
      .filter(([kind, count]) => count > (then.get(kind) ?? 0))
      .map(([kind, count]) => `${process}: ${count} descriptors of kind ${kind}, ${then.get(kind) ?? 0} before`);
  });
}
