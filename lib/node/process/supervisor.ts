// What a supervised process knows of its supervisor, and how its end reaches us. Three ways, for three conditions of ours:
// running, our standard input ends and we end in order (service.ts); paused by a signal, the parent-death signal is SIGCONT,
// so that we run and see that; standing at a gate, it is SIGKILL, since a process that stands must do nothing more.
import { parentDeathSignal } from '../files/libc.js';

const text = process.env['XENWIRE_SUPERVISED'] ?? '';
/** Pid of the process that started us and ends us; undefined when a person did. */
const SUPERVISOR = /^[1-9][0-9]*$/.test(text) ? Number(text) : undefined;

/** Whether a supervisor started us: Ctrl-C is its business then, and its end is ours. */
export const SUPERVISED = SUPERVISOR !== undefined;

const SIGKILL = 9;
const SIGCONT = 18;

/** Called once at the start. */
export function followSupervisor(): void {
  if (SUPERVISED) parentDeathSignal(SIGCONT);
}

/**
 * Runs `stand`, which stops this process, so that the supervisor's end kills it there. Not run at all once the supervisor is
 * gone: the signal of its death came before, and there is no one to let us go.
 */
export function standUnderSupervisor(stand: () => void): void {
  if (!SUPERVISED) {
    stand();
    return;
  }
  parentDeathSignal(SIGKILL);
  // Asked after the signal was set: a supervisor that ends from here on kills us.
  if (process.ppid === SUPERVISOR) stand();
  parentDeathSignal(SIGCONT);
}
