// Looks at the processes of a lab from outside, without asking them anything: whether each runs, is paused, or stands at a gate
// and at which, and what it takes of the machine. Leaves arming and letting go to gates.ts.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  GATE_COUNT,
  GATE_HEADER,
  GATE_HEADER_SIZE,
  GATE_MAGIC,
  GATE_SLOT,
  GATE_STATE,
  GATE_VERSION,
} from '../lib/layout/ours/gate.js';
import { PAGE_SIZE } from '../lib/layout/page.js';
import { listProcesses, type ProcessEntry, runPaths } from '../lib/node/process/run-dir.js';
import { formatInstance } from '../lib/trace/instances.js';
import { CATALOGUE_HASH, POINT, pointOf } from '../lib/trace/points.js';
import { everyTaskStopped } from './gates.js';

/** `runs` until something stops all of its threads: a signal (`paused`), or a gate (`stands`). */
export type Condition = 'runs' | 'paused' | 'stands' | 'dead';

export interface ProcessLook extends ProcessEntry {
  readonly condition: Condition;
  /** Where it stands, as lib/trace/instances.ts writes it. */
  readonly at?: string;
  /** Processor time since its start, user and system, in milliseconds. */
  readonly cpuMs: number;
  /** Resident memory, shared pages included. */
  readonly residentBytes: number;
}

/** Linux tells times in /proc in hundredths of a second on every architecture (USER_HZ). */
const MS_PER_TICK = 10;

export function lookAtProcesses(runDir: string): ProcessLook[] {
  return listProcesses(runDir).map((entry) => {
    if (entry.state === 'dead') return { ...entry, condition: 'dead', cpuMs: 0, residentBytes: 0 };
    const stopped = everyTaskStopped(entry.pid);
    const at = stopped ? standsAt(runDir, entry) : undefined;
    const condition = at !== undefined ? 'stands' : stopped ? 'paused' : 'runs';
    return { ...entry, condition, ...(at === undefined ? {} : { at }), ...usageOf(entry.pid) };
  });
}

/** Zeros for a process that ends meanwhile. */
function usageOf(pid: number): { cpuMs: number; residentBytes: number } {
  try {
    const stat = readFileSync(join('/proc', String(pid), 'stat'), 'latin1');
    // proc(5): utime and stime are fields 14 and 15; the name, field 2, may hold anything, brackets included.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [, resident] = readFileSync(join('/proc', String(pid), 'statm'), 'latin1').split(' ');
    const cpuMs = (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
    return { cpuMs, residentBytes: Number(resident) * PAGE_SIZE };
  } catch {
    return { cpuMs: 0, residentBytes: 0 };
  }
}

/** The gate that the process's page says it has hit; undefined when there is none, or the page is not of this version. */
function standsAt(runDir: string, { name, incarnation }: ProcessEntry): string | undefined {
  let bytes: Uint8Array;
  try {
    bytes = new Uint8Array(readFileSync(runPaths.gates(runDir, name, incarnation)));
  } catch {
    return undefined;
  }
  const slots = Math.floor((bytes.length - GATE_HEADER_SIZE) / GATE_SLOT.size);
  if (slots < GATE_COUNT) return undefined;
  const header = GATE_HEADER.decode(bytes);
  const known = header.magic === GATE_MAGIC && header.version === GATE_VERSION && header.catalogue === CATALOGUE_HASH;
  if (!known || header.hit === 0 || header.hit > GATE_COUNT) return undefined;
  const slot = GATE_SLOT.decode(bytes, GATE_HEADER_SIZE + (header.hit - 1) * GATE_SLOT.size);
  if (slot.state !== GATE_STATE.HIT) return undefined;
  const point = pointOf(slot.point) ?? POINT['life.start'];
  const label = new TextDecoder().decode(slot.label.subarray(0, slot.label_length));
  // An occurrence of 0 is "the next time", whichever that was.
  return formatInstance({ process: name, point, label, occurrence: slot.occurrence }).replace(/#0$/, '');
}
