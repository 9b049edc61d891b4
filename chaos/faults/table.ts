// The faults by their names. A new fault is a file beside this one and a row here.
import { CUT } from './cut.js';
import { DELAY } from './delay.js';
import { DOUBLE } from './double.js';
import { DROP } from './drop.js';
import type { Fault } from './fault.js';
import { FILES } from './files.js';
import { HANG } from './hang.js';
import { KILL } from './kill.js';
import { PAUSE } from './pause.js';
import { SPACE } from './space.js';
import { STOP } from './stop.js';
import { TEAR } from './tear.js';
import { TERM } from './term.js';

export const FAULTS: readonly Fault[] = [KILL, STOP, TERM, HANG, PAUSE, CUT, DROP, DOUBLE, DELAY, SPACE, FILES, TEAR];
export const FAULT_NAMES: readonly string[] = FAULTS.map(({ name, takesMs }) => (takesMs ? `${name} MS` : name));

/** The longest pause or delay: above what any deadline of a device allows is a hang. */
const PAUSE_MS_MAX = 2000;

/** The fault that a case's text means, with its milliseconds; undefined when there is none. */
export function faultNamed(text: string): { readonly fault: Fault; readonly ms: number } | undefined {
  const [name, number] = text.split(' ');
  const fault = FAULTS.find((known) => known.name === name);
  if (fault === undefined || fault.takesMs !== (number !== undefined)) return undefined;
  const ms = Number(number ?? 0);
  if (fault.takesMs && !(Number.isInteger(ms) && ms >= 1 && ms <= PAUSE_MS_MAX)) return undefined;
  return { fault, ms };
}
