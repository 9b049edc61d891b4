// What distinguishes one behaviour of a lab from another: where both ends of the device, its vhost-user session, its driver and
// the store's clients stood as a fault began and as it was over, what each process held, and which steps each had taken last.
// Folded from the records of all processes by their points, never by their text. Pure. Leaves which lists of faults lead there to
// corpus.ts.
import type { Point } from '../../lib/core/probe.js';
import { VIRTIO_MMIO_STATUS } from '../../lib/layout/virtio-mmio.js';
import { edgeTo, POINT, POINTS } from '../../lib/trace/points.js';
import type { TraceRecord } from '../../lib/trace/record.js';
import { GUEST_PROCESS } from '../case.js';
import type { Moment } from '../inflict.js';

/** The device's registers are one page; of an address only the place in it counts. */
const PAGE_MASK = 0xfff;
/** Steps of each process that tell one behaviour from another; more would tell one run of the same case from the next. */
const HOPS = 1;
/** More of a kind than that differ by how long the guest has drawn. */
const HELD_MAX = 3;

/** Whose connection to the store counts, by the name of the process. */
const STORE_CLIENTS = [GUEST_PROCESS, 'vhost-frontend'];

/** Not the transports, notifications and traps on the way of every step: which was last there depends on the time. */
const isHop = ({ name, kind }: Point): boolean =>
  !['notify', 'exit', 'entry', 'upcall', 'life'].includes(kind) &&
  !/^(bus|store|bell|kick|call|ioreq|load)\./.test(name);
const HOP_POINTS: ReadonlySet<Point> = new Set(POINTS.filter(isHop));

const HELD = new Map<Point, { readonly kind: string; readonly by: 1 | -1 }>(
  POINTS.flatMap((point) => {
    const [, kind, way] = /^(.+)\.(take|give)$/.exec(point.name) ?? [];
    return kind === undefined ? [] : [[point, { kind, by: way === 'take' ? 1 : -1 }] as const];
  }),
);

/** One process as its records tell. */
class Life {
  readonly hops: Point[] = [];
  readonly held = new Map<string, number>();
  store: string;

  /** One that ran before the case was connected. */
  constructor(isNew: boolean) {
    this.store = isNew ? 'none' : 'up';
  }

  take({ point, label }: TraceRecord): void {
    const held = HELD.get(point);
    if (held !== undefined) this.held.set(held.kind, (this.held.get(held.kind) ?? 0) + held.by);
    if (HOP_POINTS.has(point)) {
      this.hops.push(point);
      if (this.hops.length > HOPS) this.hops.shift();
    }
    if (label !== 'xenstored') return; // the label of these is the server's name
    if (point === POINT['bus.hello']) this.store = 'asking';
    if (point === POINT['bus.welcomed']) this.store = 'up';
    if (point === POINT['bus.lost']) this.store = 'lost';
  }
}

/** The lab between two records. */
class Situation {
  readonly #lives = new Map<string, Life>();
  #front = 0;
  #back = 0;
  #session = 'none';
  #driver = 0;

  take(record: TraceRecord): void {
    const { process, point, b, label } = record;
    // A replacement has nothing and has done nothing; what it left to others is in theirs.
    const isNew = point === POINT['life.start'];
    const life = (isNew ? undefined : this.#lives.get(process)) ?? new Life(isNew);
    this.#lives.set(process, life);
    life.take(record);
    switch (point) {
      case POINT['front.state-written']:
        this.#front = edgeTo(b);
        break;
      case POINT['back.state-written']:
        this.#back = edgeTo(b);
        break;
      case POINT['vhost-user.request']:
        this.#session = label;
        break;
      case POINT['session.give']:
        this.#session = 'none';
        break;
      case POINT['ioreq.write']:
        if ((record.a & PAGE_MASK) === VIRTIO_MMIO_STATUS) this.#driver = b;
        break;
      case POINT['domain.give']:
        [this.#front, this.#back, this.#driver] = [0, 0, 0];
        break;
    }
  }

  /** The same for two situations that are of one kind. */
  get key(): string {
    const lives = [...this.#lives].sort(([one], [other]) => (one < other ? -1 : 1));
    const held = lives.map(([name, life]) => {
      const kinds = [...life.held].filter(([, count]) => count !== 0).sort(([one], [other]) => (one < other ? -1 : 1));
      return `${name} ${kinds.map(([kind, count]) => `${kind} ${Math.max(-1, Math.min(count, HELD_MAX))}`).join(' ')}`;
    });
    const hops = lives.map(([name, life]) => `${name} ${life.hops.map((point) => point.name).join(' ')}`);
    const store = STORE_CLIENTS.map((name) => this.#lives.get(name)?.store ?? 'up');
    const phases = [this.#front, this.#back, this.#session, this.#driver.toString(16), ...store];
    return [...phases, hash(held.join('\n')), hash(hops.join('\n'))].join(' ');
  }
}

/** FNV-1a, for what is too long to be kept. */
function hash(text: string): string {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  return (value >>> 0).toString(36);
}

/** The behaviours of one run: a key for each of its faults. `records` of the whole case, oldest first. */
export function behavioursOf(records: readonly TraceRecord[], moments: readonly Moment[]): string[] {
  const looks = moments
    .flatMap(({ faultNs, healedNs }, fault) => [
      { fault, ns: faultNs },
      ...(healedNs === undefined ? [] : [{ fault, ns: healedNs }]),
    ])
    .sort((one, other) => (one.ns < other.ns ? -1 : one.ns > other.ns ? 1 : 0));
  const keys: string[][] = moments.map(() => []);
  const situation = new Situation();
  let at = 0;
  for (const { fault, ns } of looks) {
    for (; at < records.length && records[at]!.ns <= ns; at++) situation.take(records[at]!);
    keys[fault]!.push(situation.key);
  }
  return keys.map((parts) => parts.join(' > '));
}
