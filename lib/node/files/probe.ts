// The probe of a process: each point is a record in a mapped ring that outlives the process, a count, and, while a gate is
// armed for it, the place where the process stops itself. Leaves reading rings to history-reader.ts, arming to lab/gates.ts.
// docs/tracing.md has the reasons and what a record costs.
import { HISTORY_RECORDS, POINT_LABELS_MAX } from '../../core/limits.js';
import { NO_DOMAIN, type Point, type Probe } from '../../core/probe.js';
import {
  HISTORY_HEADER,
  HISTORY_HEADER_SIZE,
  HISTORY_MAGIC,
  HISTORY_MORE,
  HISTORY_MORE_BYTES,
  HISTORY_MORE_RECORD,
  HISTORY_RECORD,
  HISTORY_TEXT_BYTES,
  HISTORY_TEXT_BYTES_MAX,
  HISTORY_VERSION,
} from '../../layout/ours/history-ring.js';
import { CATALOGUE_HASH, POINTS } from '../../trace/points.js';
import { createGatePage, type GatePage } from './gate-page.js';
import { createPath } from './shm.js';

/** A point with a label: what is counted, and what a gate is armed for. */
export interface Instance {
  count: number;
  /** The label in UTF-8. */
  text: Uint8Array;
}

export interface ProbeSetup {
  readonly process: string;
  readonly incarnation: number;
  /** Path of the ring; left out, nothing is recorded, but points count and gates hold all the same. */
  readonly history?: string;
  /** Path of the gate page; left out, nothing can be armed. */
  readonly gates?: string;
  /** Begins with a gate at `life.start`: a controller that is to hold the first points can arm them meanwhile. */
  readonly hold?: boolean;
}

export interface OwnProbe extends Probe {
  /** Gives the files back; the ring's stays, for readers. Points after that do nothing. */
  close(): void;
}

const encoder = new TextEncoder();
const NO_TEXT = new Uint8Array(0);

/** The instances of one process, by point and label. */
export class Instances {
  readonly #plain: Instance[] = [undefined as never, ...POINTS.map(() => ({ count: 0, text: NO_TEXT }))];
  readonly #labelled = POINTS.map(() => new Map<string, Instance>());
  /** What labels past the bound share, text and all: a process must not grow with what its clients name. */
  readonly #rest = POINTS.map((): Instance => ({ count: 0, text: NO_TEXT }));
  #size = 0;

  plain(number: number): Instance {
    return this.#plain[number]!;
  }

  /** Past the bound the instance is the next label's, too. `keep`: for a gate, past the bound too. */
  labelled(number: number, label: string, keep = false): Instance {
    const map = this.#labelled[number - 1]!;
    const known = map.get(label);
    if (known !== undefined) return known;
    if (this.#size >= POINT_LABELS_MAX && !keep) {
      const rest = this.#rest[number - 1]!;
      rest.text = textOf(label);
      return rest;
    }
    this.#size++;
    const instance = { count: 0, text: textOf(label).slice() };
    map.set(label, instance);
    return instance;
  }
}

const scratch = new Uint8Array(HISTORY_TEXT_BYTES_MAX);

/** Cut at the bound, between two characters. Valid until the next one: clients name new things all the time. */
function textOf(label: string): Uint8Array {
  return scratch.subarray(0, encoder.encodeInto(label, scratch).written);
}

/** Takes files: throws EEXIST or ENOSPC. */
export function createProbe(setup: ProbeSetup): OwnProbe {
  const { incarnation } = setup;
  const instances = new Instances();
  const ring = setup.history === undefined ? undefined : createRing(setup.history, setup);
  let page: GatePage | undefined;
  try {
    page = setup.gates === undefined ? undefined : createGatePage(setup.gates, setup, instances);
  } catch (error) {
    ring?.close();
    throw error;
  }
  const generation = page?.generation ?? new Uint32Array(1);
  let flows = 0;
  let open = true;
  return {
    at(point, label = '', a = 0, b = 0, domid = NO_DOMAIN, flow = 0, sender = incarnation) {
      if (!open) return;
      const instance = label === '' ? instances.plain(point.number) : instances.labelled(point.number, label);
      instance.count++;
      ring?.write(point, instance, a, b, domid, flow, sender);
      if (generation[0] !== 0) page?.at(instance);
    },
    nextFlow: () => (flows = (flows + 1) >>> 0 || 1),
    close() {
      if (!open) return;
      open = false;
      ring?.close();
      page?.close();
    },
  };
}

interface Ring {
  write(point: Point, instance: Instance, a: number, b: number, domid: number, flow: number, sender: number): void;
  close(): void;
}

function createRing(path: string, { process: name, incarnation }: ProbeSetup): Ring {
  const mapping = createPath(path, HISTORY_HEADER_SIZE + HISTORY_RECORDS * HISTORY_RECORD.size);
  const { bytes } = mapping;
  HISTORY_HEADER.encode(
    {
      magic: HISTORY_MAGIC,
      version: HISTORY_VERSION,
      record_size: HISTORY_RECORD.size,
      record_count: HISTORY_RECORDS,
      pid: process.pid,
      head: 0,
      catalogue: CATALOGUE_HASH,
      incarnation: BigInt(incarnation),
      monotonic_ns: process.hrtime.bigint(),
      realtime_ns: BigInt(Date.now()) * 1_000_000n,
      process: encoder.encode(name).subarray(0, 64),
    },
    bytes,
  );
  // The offsets of a record as indexes of typed arrays: a DataView costs some 15 ns a record more.
  const { buffer, byteOffset } = bytes;
  const longs = new BigUint64Array(buffer, byteOffset, bytes.length >>> 3);
  const doubles = new Float64Array(buffer, byteOffset, bytes.length >>> 3);
  const words = new Uint32Array(buffer, byteOffset, bytes.length >>> 2);
  const halves = new Uint16Array(buffer, byteOffset, bytes.length >>> 1);
  const field = HISTORY_RECORD.offset;
  const headWord = HISTORY_HEADER.offset.head >>> 2;
  const { hrtime } = process;
  let head = 0;

  const publish = (): void => {
    head = (head + 1) >>> 0;
    Atomics.store(words, headWord, head);
  };
  const slot = (): number => HISTORY_HEADER_SIZE + (head % HISTORY_RECORDS) * HISTORY_RECORD.size;
  /** What does not fit into the record, in records of its own. */
  const writeMore = (text: Uint8Array): void => {
    for (let from = HISTORY_TEXT_BYTES; from < text.length; from += HISTORY_MORE_BYTES) {
      const at = slot();
      longs[at >>> 3] = 0n;
      halves[(at + HISTORY_MORE_RECORD.offset.point) >>> 1] = HISTORY_MORE;
      bytes.set(text.subarray(from, from + HISTORY_MORE_BYTES), at + HISTORY_MORE_RECORD.offset.text);
      publish();
    }
  };
  return {
    write(point, { text, count }, a, b, domid, flow, sender) {
      const at = slot();
      longs[at >>> 3] = hrtime.bigint();
      const half = at >>> 1;
      halves[half + (field.point >>> 1)] = point.number;
      halves[half + (field.domid >>> 1)] = domid;
      halves[half + (field.text_length >>> 1)] = text.length;
      const word = at >>> 2;
      words[word + (field.occurrence >>> 2)] = count;
      words[word + (field.flow >>> 2)] = flow;
      const double = at >>> 3;
      doubles[double + (field.sender >>> 3)] = sender;
      doubles[double + (field.a >>> 3)] = a;
      doubles[double + (field.b >>> 3)] = b;
      if (text.length === 0) {
        publish();
        return;
      }
      const rest = text.length > HISTORY_TEXT_BYTES;
      bytes.set(rest ? text.subarray(0, HISTORY_TEXT_BYTES) : text, at + field.text);
      publish();
      if (rest) writeMore(text);
    },
    close: () => mapping.close(),
  };
}
