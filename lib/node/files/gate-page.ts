// The gates of this process: its page, read whenever a controller has changed it, and the stop itself (lib/layout/ours/gate.ts).
// Leaves who arms and lets go to lab/gates.ts.
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { passOver } from '../../core/errors.js';
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
} from '../../layout/ours/gate.js';
import { CATALOGUE_HASH, POINT, pointOf } from '../../trace/points.js';
import { standUnderSupervisor } from '../process/supervisor.js';
import type { Instance, Instances } from './probe.js';
import { createPath } from './shm.js';

interface Gate {
  readonly slot: number;
  /** 0: the next time. */
  readonly occurrence: number;
}

export interface GatePage {
  /** One word: 0 while no gate was ever set. */
  readonly generation: Uint32Array;
  /** Called at every point once there was a gate: stops the process here where one is armed. */
  at(instance: Instance): void;
  close(): void;
}

const decoder = new TextDecoder('utf-8', { fatal: true });
const slotAt = (slot: number): number => GATE_HEADER_SIZE + slot * GATE_SLOT.size;

/** Makes the page of this process; throws EEXIST or ENOSPC. */
export function createGatePage(
  path: string,
  { process: name, incarnation, hold = false }: { process: string; incarnation: number; hold?: boolean },
  instances: Instances,
): GatePage {
  const mapping = createPath(path, GATE_FILE_SIZE);
  const { bytes } = mapping;
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
  const generationWord = GATE_HEADER.offset.generation >>> 2;
  const stateWord = (slot: number): number => (slotAt(slot) + GATE_SLOT.offset.state) >>> 2;
  const first = { occurrence: 1, point: POINT['life.start'].number, label_length: 0, label: new Uint8Array(0) };
  if (hold) GATE_SLOT.encode({ ...first, state: GATE_STATE.ARMED }, bytes, slotAt(0));
  GATE_HEADER.encode(
    {
      magic: GATE_MAGIC,
      version: GATE_VERSION,
      slot_size: GATE_SLOT.size,
      slot_count: GATE_COUNT,
      pid: process.pid,
      generation: hold ? 1 : 0,
      hit: 0,
      catalogue: CATALOGUE_HASH,
      incarnation: BigInt(incarnation),
      process: new TextEncoder().encode(name).subarray(0, 64),
    },
    bytes,
  );
  const armed = new Map<Instance, Gate[]>();
  let seen = 0;

  /** What a slot names; undefined when it names nothing that there is. */
  const instanceIn = (slot: number): { instance: Instance; occurrence: number } | undefined => {
    const { occurrence, point: number, label_length, label } = GATE_SLOT.decode(bytes, slotAt(slot));
    const point = pointOf(number);
    if (point === undefined || label_length > GATE_LABEL_BYTES_MAX) return undefined;
    if (label_length === 0) return { instance: instances.plain(number), occurrence };
    if (point.label === undefined) return undefined;
    try {
      // Copied first: the page may change under the decoder.
      const text = decoder.decode(label.slice(0, label_length));
      return { instance: instances.labelled(number, text, true), occurrence };
    } catch {
      return undefined; // no UTF-8
    }
  };

  const readPage = (): void => {
    armed.clear();
    for (let slot = 0; slot < GATE_COUNT; slot++) {
      if (Atomics.load(words, stateWord(slot)) !== GATE_STATE.ARMED) continue;
      const named = instanceIn(slot);
      if (named === undefined) {
        Atomics.store(words, stateWord(slot), GATE_STATE.REFUSED);
        continue;
      }
      const { instance, occurrence } = named;
      armed.set(instance, [...(armed.get(instance) ?? []), { slot, occurrence }]);
    }
  };

  /** Changes a word that the controller waits for: by write(2) besides, which inotify reports and a store does not. */
  const tell = (fd: number, word: number, value: number): void => {
    Atomics.store(words, word, value);
    try {
      writeSync(fd, Uint8Array.of(value, 0, 0, 0), 0, 4, word * 4);
    } catch (error) {
      // A process that may write no file (RLIMIT_FSIZE) has stored it all the same: the controller looks again by itself.
      passOver(error);
    }
  };

  const stand = ({ slot }: Gate): void => {
    const fd = openSync(path, 'r+');
    try {
      tell(fd, stateWord(slot), GATE_STATE.HIT);
      tell(fd, GATE_HEADER.offset.hit >>> 2, slot + 1);
      // Delivered before kill() returns, to this very thread: the kernel prefers a process's main thread.
      standUnderSupervisor(() => process.kill(process.pid, 'SIGSTOP'));
      tell(fd, GATE_HEADER.offset.hit >>> 2, 0);
      tell(fd, stateWord(slot), GATE_STATE.PASSED);
    } finally {
      closeSync(fd);
    }
  };

  return {
    generation: words.subarray(generationWord, generationWord + 1),
    at(instance) {
      const generation = Atomics.load(words, generationWord);
      if (generation !== seen) {
        seen = generation;
        readPage();
        for (const [known, gates] of armed) {
          const past = known === instance ? known.count - 1 : known.count;
          for (const { slot, occurrence } of gates) {
            if (occurrence !== 0 && occurrence <= past) Atomics.store(words, stateWord(slot), GATE_STATE.LATE);
          }
        }
      }
      const gates = armed.get(instance);
      if (gates === undefined) return;
      for (const gate of gates) {
        if (gate.occurrence !== 0 && gate.occurrence !== instance.count) continue;
        // Only one of us and the controller, who may be disarming it, has it; nor does it hold a second time.
        const before = Atomics.compareExchange(words, stateWord(gate.slot), GATE_STATE.ARMED, GATE_STATE.HIT);
        if (before === GATE_STATE.ARMED) stand(gate);
      }
    },
    close() {
      mapping.close();
      rmSync(path, { force: true });
    },
  };
}
