// Which processes a bench started, directly or not, as the kernel tells: those of its process group, and those that it handed the name
// of its folder down to. Services of a lab lead sessions of their own, and the environment of a foreign daemon is its own: so both.
import { readdirSync, readFileSync } from 'node:fs';

/** Pids of what lives of a bench: its group's, and of those with `mark` in their environment. Not this process. */
export function livingOf(group: number, mark: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => lives(pid, group, mark))
    .map(Number);
}

function lives(pid: string, group: number, mark: string): boolean {
  try {
    // proc(5), stat: behind the name in parentheses come state, parent, group. One that only waits to be reaped has ended.
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const [state, , its] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (state === 'Z' || state === 'X') return false;
    return Number(its) === group || readFileSync(`/proc/${pid}/environ`, 'latin1').includes(mark);
  } catch {
    return false; // it ended meanwhile, or is another user's
  }
}
