// The controller of gates: arms points of a running process, waits until the process stands there with every one of its
// threads, and lets it go. One ProcessGates is one life of one process; a process that starts again begins unarmed. What is
// done to the standing process, and to others meanwhile, is its caller's business.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { DeadlineError, UserError } from '../lib/core/errors.js';
import type { Point } from '../lib/core/probe.js';
import type { Mapping } from '../lib/core/shared.js';
import {
  GATE_COUNT,
  GATE_FILE_SIZE,
  GATE_HEADER,
  GATE_HEADER_SIZE,
  GATE_LABEL_BYTES_MAX,
  GATE_MAGIC,
  GATE_SLOT,
  GATE_STATE,
  GATE_VERSION,
} from '../lib/layout/ours/gate.js';
import { mapPath } from '../lib/node/files/shm.js';
import { runPaths } from '../lib/node/process/run-dir.js';
import { retryOnChange } from '../lib/node/process/wait.js';
import { CATALOGUE_HASH, POINT } from '../lib/trace/points.js';

/** What is armed: `occurrence` as in lib/trace/instances.ts, counted since the process started; 0: the next time. */
export interface GateAt {
  readonly point: Point;
  readonly label?: string;
  readonly occurrence: number;
}

export interface Gate extends GateAt {
  readonly slot: number;
}

/** The gate cannot be hit: its point was passed before it was armed, or its process ended. */
export class GateError extends Error {
  override readonly name = 'GateError';
}

/** How often the kernel is asked whether all threads have stopped; they do within the signal's delivery. */
export const TASKS_LOOK_MS = 1;
const slotAt = (slot: number): number => GATE_HEADER_SIZE + slot * GATE_SLOT.size;

export class ProcessGates {
  readonly process: string;
  readonly pid: number;
  readonly incarnation: number;
  readonly #path: string;
  readonly #mapping: Mapping;
  readonly #words: Uint32Array;
  readonly #armed = new Map<number, Gate>();

  private constructor(path: string, mapping: Mapping, of: { name: string; pid: number; incarnation: number }) {
    this.#path = path;
    this.#mapping = mapping;
    this.process = of.name;
    this.pid = of.pid;
    this.incarnation = of.incarnation;
    const { bytes } = mapping;
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, GATE_FILE_SIZE >>> 2);
  }

  /**
   * Waits for a living process of that name, the newest of several, or the one with that pid (toolstacks may be many at a
   * time). Throws DeadlineError; GateError for a page that is not of this version.
   */
  static async open(runDir: string, name: string, deadlineMs: number, pid?: number): Promise<ProcessGates> {
    // Any change of the folder: the name of the page holds the incarnation.
    const signal = AbortSignal.timeout(deadlineMs);
    const gates = await retryOnChange(
      join(gatesDir(runDir), '*'),
      () => ProcessGates.#openNow(runDir, name, pid),
      signal,
    );
    if (gates === undefined) throw new DeadlineError(`no process ${name} in ${runDir} within ${deadlineMs} ms`);
    return gates;
  }

  /** Of the newest life; undefined while there is none, or its page is just being made. */
  static #openNow(runDir: string, name: string, only: number | undefined): ProcessGates | undefined {
    const dir = gatesDir(runDir);
    const lives = (existsSync(dir) ? readdirSync(dir) : [])
      .filter((file) => file.startsWith(`${name}.`))
      .map((file) => ({ file, incarnation: Number.parseInt(file.slice(name.length + 1), 36) }))
      .sort((one, other) => other.incarnation - one.incarnation);
    for (const { file, incarnation } of lives) {
      const path = join(dir, file);
      let mapping: Mapping;
      try {
        mapping = mapPath(path, GATE_FILE_SIZE, true);
      } catch {
        continue; // it has just ended, or not yet begun
      }
      const { pid, magic, ...header } = GATE_HEADER.decode(mapping.bytes);
      const fits =
        magic === GATE_MAGIC &&
        header.version === GATE_VERSION &&
        header.catalogue === CATALOGUE_HASH &&
        header.slot_size === GATE_SLOT.size &&
        header.slot_count === GATE_COUNT &&
        header.incarnation === BigInt(incarnation);
      // Our own, or another's than the one that is asked for.
      if (fits && (pid === process.pid || (only !== undefined && pid !== only))) {
        mapping.close();
        continue;
      }
      if (fits && holdsPage(pid, path)) return new ProcessGates(path, mapping, { name, pid, incarnation });
      mapping.close();
      // A page that names a process which does not have it must not lead signals there.
      if (magic !== 0 && (!fits || isThere(pid)))
        throw new GateError(`${path} is no page of gates of ${name} in this version`);
    }
    return undefined;
  }

  #stateWord(slot: number): number {
    return (slotAt(slot) + GATE_SLOT.offset.state) >>> 2;
  }
  #state(slot: number): number {
    return Atomics.load(this.#words, this.#stateWord(slot));
  }

  /** Arms a gate from now on. Throws UserError when all GATE_COUNT are armed or the label is too long. */
  arm(at: GateAt): Gate {
    const label = new TextEncoder().encode(at.label ?? '');
    if (label.length > GATE_LABEL_BYTES_MAX)
      throw new UserError(`a gate's label has at most ${GATE_LABEL_BYTES_MAX} bytes`);
    let slot = 0;
    while (slot < GATE_COUNT && !this.#isFree(slot)) slot++;
    if (slot === GATE_COUNT) throw new UserError(`${this.process} has ${GATE_COUNT} gates armed: disarm some`);
    const { occurrence, point } = at;
    const fields = { occurrence, point: point.number, label_length: label.length, label, state: GATE_STATE.FREE };
    GATE_SLOT.encode(fields, this.#mapping.bytes, slotAt(slot));
    Atomics.store(this.#words, this.#stateWord(slot), GATE_STATE.ARMED);
    this.#changed();
    const gate = { ...at, slot };
    this.#armed.set(slot, gate);
    return gate;
  }

  /** Not where the process stands, be it at the gate that it has set itself. */
  #isFree(slot: number): boolean {
    return !this.#armed.has(slot) && this.#state(slot) !== GATE_STATE.HIT;
  }

  /** The process reads its page anew at its next point. */
  #changed(): void {
    const word = GATE_HEADER.offset.generation >>> 2;
    // Never 0 again: that is "no gate was ever set".
    if (Atomics.add(this.#words, word, 1) + 1 === 2 ** 32) Atomics.store(this.#words, word, 1);
  }

  /** Takes a gate back, hit or not. False when the process stands there, or has: then it must be let go. */
  disarm(gate: Gate): boolean {
    const before = Atomics.compareExchange(this.#words, this.#stateWord(gate.slot), GATE_STATE.ARMED, GATE_STATE.FREE);
    this.#armed.delete(gate.slot);
    this.#changed();
    return before === GATE_STATE.ARMED;
  }

  /** The gate at which the process says it stands; its threads may still be about to stop. */
  #hit(): Gate | undefined {
    const hit = Atomics.load(this.#words, GATE_HEADER.offset.hit >>> 2);
    return hit === 0 ? undefined : (this.#armed.get(hit - 1) ?? HELD_AT_START);
  }

  /**
   * Waits until the process stands at one of its gates with all threads stopped. Throws GateError when an armed gate was
   * too late or the process has ended, DeadlineError otherwise. With `onLate`, gates that were too late are disarmed and told
   * to it instead.
   */
  async standing(deadlineMs: number, abort?: AbortSignal, onLate?: (gate: Gate) => void): Promise<Gate> {
    const timeout = AbortSignal.timeout(deadlineMs);
    const signal = abort === undefined ? timeout : AbortSignal.any([timeout, abort]);
    const look = (): Gate | GateError | undefined => this.#ended() ?? this.#hit() ?? this.#hopeless(onLate);
    const found = await retryOnChange(this.#path, look, signal);
    if (found === undefined) {
      throw new DeadlineError(
        `${this.process} came to no gate ${abort?.aborted ? 'in time' : `within ${deadlineMs} ms`}`,
      );
    }
    if (found instanceof GateError) throw found;
    await this.#allStopped(deadlineMs);
    return found;
  }

  #hopeless(onLate?: (gate: Gate) => void): GateError | undefined {
    for (const gate of [...this.#armed.values()]) {
      const { slot, point, label } = gate;
      const where = `${this.process}:${point.name}(${label ?? ''})`;
      if (this.#state(slot) === GATE_STATE.LATE && onLate !== undefined) {
        this.disarm(gate);
        onLate(gate);
      } else if (this.#state(slot) === GATE_STATE.LATE)
        return new GateError(`${where} was passed before its gate was armed`);
      if (this.#state(slot) === GATE_STATE.REFUSED) return new GateError(`${where} was refused by the process`);
    }
    return undefined;
  }

  #ended(): GateError | undefined {
    return holdsPage(this.pid, this.#path) ? undefined : new GateError(`${this.process} has ended`);
  }

  async #allStopped(deadlineMs: number): Promise<void> {
    const end = performance.now() + deadlineMs;
    while (!everyTaskStopped(this.pid)) {
      const ended = this.#ended();
      if (ended !== undefined) throw ended;
      if (performance.now() > end)
        throw new DeadlineError(`threads of ${this.process} still run after ${deadlineMs} ms`);
      await new Promise((resolve) => setTimeout(resolve, TASKS_LOOK_MS));
    }
  }

  /**
   * Lets the process go on from the gate where it stands (standing() has said so); resolves once it has passed. Throws GateError
   * when it has ended there.
   */
  async letGo(gate: Gate, deadlineMs: number): Promise<void> {
    const ended = this.#ended();
    if (ended !== undefined) throw ended;
    process.kill(this.pid, 'SIGCONT');
    const passed = (): boolean => this.#state(gate.slot) !== GATE_STATE.HIT;
    const signal = AbortSignal.timeout(deadlineMs);
    if ((await retryOnChange(this.#path, () => passed() || undefined, signal)) === undefined) {
      throw new DeadlineError(`${this.process} did not go on within ${deadlineMs} ms`);
    }
    this.#armed.delete(gate.slot);
  }

  /** Disarms everything; a process that stands goes on. */
  close(): void {
    for (const gate of [...this.#armed.values()]) this.disarm(gate);
    if (this.#hit() !== undefined && this.#ended() === undefined) process.kill(this.pid, 'SIGCONT');
    this.#mapping.close();
  }
}

/** The gate of `--hold`, which the process itself has set. */
const HELD_AT_START: Gate = { slot: 0, occurrence: 1, point: POINT['life.start'] };

const gatesDir = (runDir: string): string => dirname(runPaths.gates(runDir, '', 0));

/** Whether a living process has the page mapped: its own life, not another that has its pid or its name by now. */
function holdsPage(pid: number, path: string): boolean {
  // Our own mapping proves nothing, and this process must not stop itself.
  if (!Number.isInteger(pid) || pid <= 1 || pid === process.pid) return false;
  try {
    const inode = String(statSync(path).ino);
    // address perms offset dev inode path; empty for a process that has ended and was not waited for
    return readFileSync(`/proc/${pid}/maps`, 'latin1')
      .split('\n')
      .some((line) => line.split(/ +/, 5)[4] === inode && line.includes(basename(path)));
  } catch {
    return false;
  }
}

const isThere = (pid: number): boolean => existsSync(`/proc/${pid}`);

/** Whether all threads of a process are stopped (proc(5): state T or t) or are gone. False for a process that is not there. */
export function everyTaskStopped(pid: number): boolean {
  try {
    const tasks = readdirSync(join('/proc', String(pid), 'task'));
    return tasks.length > 0 && tasks.every((task) => stopped(pid, task));
  } catch {
    return false;
  }
}

function stopped(pid: number, task: string): boolean {
  try {
    const stat = readFileSync(join('/proc', String(pid), 'task', task, 'stat'), 'latin1');
    // The name before the state may hold anything, brackets included.
    return /^[TtXZ]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return true; // that thread has just ended
  }
}
