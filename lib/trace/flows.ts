// What belongs together across processes: a message and its receipt, by the flow id that both records carry; a notification
// from the guest's kick through the device server to the pixel, and from the call back to the guest's upcall; and a GPU command
// from its driver to the device server and back. Doorbells and rings carry no id: those are tied by order (docs/tracing.md). Pure: gets records in order of time. Leaves latency figures, which must
// account for every notification, to measure/latency/follow.ts.
import { EXIT_REASON } from '../layout/ours/vcpu-exit.js';
import { VIRTIO_MMIO_QUEUE_NOTIFY } from '../layout/virtio-mmio.js';
import { DeviceNames } from './devices.js';
import { POINT } from './points.js';
import { flowOf, type TraceRecord } from './record.js';

export type FlowKind = 'message' | 'kick' | 'call' | 'command';

/** Two records at least, in order of time. */
export interface Flow {
  /** From 1. */
  readonly id: number;
  readonly kind: FlowKind;
  readonly steps: readonly TraceRecord[];
}

interface Open {
  readonly kind: FlowKind;
  readonly steps: TraceRecord[];
  /** How far it has come; a record of an earlier stage belongs to a later flow. */
  stage: number;
}

const REGISTER_MASK = 0xfff;
/** Stages of a kick on whatever path, in order, and of a call. */
const KICK = { made: 0, left: 1, exit: 2, slot: 3, sent: 4, taken: 5, executed: 6 } as const;
const CALL = { rung: 0, passed: 1, raised: 2, taken: 3 } as const;

/** Notifications of one guest that have not arrived. */
class Guest {
  kicks: Open[] = [];
  calls: Open[] = [];
  /** The kicks that the device server is at work for: its commands and frames are theirs. */
  served: Open[] = [];
  /** Commands by their names, in the order in which the driver made them: those not executed, and those not answered. */
  readonly made = new Map<string, Open[]>();
  readonly done = new Map<string, Open[]>();
  /** The command that the device server executes. */
  executing: Open | undefined;
}

function push(map: Map<string, Open[]>, name: string, open: Open): void {
  map.set(name, [...(map.get(name) ?? []), open]);
}

class Notifications {
  readonly found: Open[] = [];
  readonly #guests = new Map<number, Guest>();
  readonly #names = new DeviceNames();
  /** Commands name no device: they are of the guest whose kick their device server has taken last. */
  readonly #serving = new Map<string, number>();
  /** The incarnation of each process, as it recorded last. */
  readonly #lives = new Map<string, number>();

  take(record: TraceRecord): void {
    const life = `${record.process} ${record.incarnation}`;
    if ((this.#lives.get(record.process) ?? record.incarnation) !== record.incarnation) this.#forget();
    this.#lives.set(record.process, record.incarnation);
    const domid = this.#names.of(record)?.domid ?? this.#serving.get(life) ?? this.#onlyGuest();
    if (domid === undefined) return;
    if (record.point === POINT['kick.taken']) this.#serving.set(life, domid);
    if (record.point === POINT['kick.guest']) this.#guest(domid).kicks.push(this.#open('kick', record));
    if (record.point === POINT['gpu.submit'])
      push(this.#guest(domid).made, record.label, this.#open('command', record));
    const guest = this.#guests.get(domid);
    if (guest === undefined) return;
    this.#kick(guest, record);
    this.#call(guest, record);
    this.#command(guest, record);
  }

  /** What was under way when a process began anew may have gone with the one before. */
  #forget(): void {
    for (const guest of this.#guests.values()) {
      Object.assign(guest, { kicks: [], calls: [], served: [], executing: undefined });
      guest.made.clear();
      guest.done.clear();
    }
  }

  /** A session whose beginning was overwritten is the only guest's, if there is one only. */
  #onlyGuest(): number | undefined {
    return this.#guests.size === 1 ? [...this.#guests.keys()][0] : undefined;
  }

  #guest(domid: number): Guest {
    const guest = this.#guests.get(domid) ?? new Guest();
    this.#guests.set(domid, guest);
    return guest;
  }

  #open(kind: FlowKind, record: TraceRecord): Open {
    const open: Open = { kind, steps: [record], stage: 0 };
    this.found.push(open);
    return open;
  }

  #kick(guest: Guest, record: TraceRecord): void {
    const stage = kickStage(record);
    if (stage === undefined) return;
    if (stage === KICK.taken) {
      // A session begins with a kick of each queue, which no guest has made.
      const ofQueue = guest.kicks.filter(({ steps }) => steps[0]?.a === record.a);
      const taken = advance(ofQueue, stage, record);
      if (taken.length > 0) guest.served = taken;
      guest.kicks = guest.kicks.filter((open) => !taken.includes(open));
    } else if (stage === KICK.executed) advance(guest.served, stage, record);
    else advance(guest.kicks, stage, record);
  }

  /** Each queue is worked in order, and a command of one name is always on the same queue. */
  #command(guest: Guest, record: TraceRecord): void {
    switch (record.point) {
      case POINT['gpu.execute']:
        guest.executing = next(guest.made, record);
        return;
      case POINT['gpu.flush']:
      case POINT['gpu.shown']:
        guest.executing?.steps.push(record);
        return;
      case POINT['gpu.executed']:
        guest.executing?.steps.push(record);
        if (guest.executing !== undefined) push(guest.done, record.label, guest.executing);
        guest.executing = undefined;
        return;
      case POINT['gpu.reply']:
        next(guest.done, record);
        return;
      default:
    }
  }

  #call(guest: Guest, record: TraceRecord): void {
    switch (record.point) {
      case POINT['call.ring']:
        // Where the way there ends the way back begins. What the device server goes on with until it takes another kick is still of
        // the kick that has woken it: the driver kicks a device that is at work no second time.
        advance(guest.served, KICK.executed, record);
        guest.calls.push(this.#open('call', record));
        return;
      case POINT['call.frontend']:
      case POINT['call.hypervisor']:
        advance(guest.calls, CALL.passed, record);
        return;
      case POINT['event.raise']:
        advance(guest.calls, CALL.raised, record, CALL.passed);
        return;
      case POINT['event.taken']:
        // On the path direct no other process raises it.
        advance(
          guest.calls.filter(({ steps, stage }) => stage === CALL.rung || steps.at(-1)?.a === record.a),
          CALL.taken,
          record,
        );
        guest.calls = guest.calls.filter(({ stage }) => stage !== CALL.taken);
        return;
      default:
    }
  }
}

function next(map: Map<string, Open[]>, record: TraceRecord): Open | undefined {
  const open = map.get(record.label)?.shift();
  open?.steps.push(record);
  return open;
}

/** Of a record on the way from guest to device, undefined for others. */
function kickStage({ point, a }: TraceRecord): number | undefined {
  const notify = (a & REGISTER_MASK) === VIRTIO_MMIO_QUEUE_NOTIFY;
  switch (point) {
    case POINT['exit.leave']:
      return notify ? KICK.left : undefined;
    case POINT['exit.mmio']:
      return notify ? KICK.exit : undefined;
    case POINT['exit.hypercall']:
      return a === EXIT_REASON.EVTCHN_SEND ? KICK.exit : undefined;
    case POINT['ioreq.write']:
      return notify ? KICK.slot : undefined;
    case POINT['kick.hypervisor']:
    case POINT['kick.frontend']:
      return KICK.sent;
    case POINT['kick.taken']:
      return KICK.taken;
    case POINT['gpu.execute']:
    case POINT['gpu.flush']:
    case POINT['gpu.shown']:
      return KICK.executed;
    default:
      return undefined;
  }
}

/**
 * Signals coalesce: a record is the next step of every open flow that has not come so far, and has come to `least`. A stage that
 * repeats, as commands do, is a step again. Returns those flows.
 */
function advance(flows: readonly Open[], stage: number, record: TraceRecord, least = 0): Open[] {
  const moved = flows.filter(
    (open) => open.stage >= least && (open.stage < stage || (stage === KICK.executed && open.stage === stage)),
  );
  for (const open of moved) {
    open.stage = stage;
    open.steps.push(record);
  }
  return moved;
}

/** `records` of all processes, in order of time. In the order of the flows' first records. */
export function flowsOf(records: readonly TraceRecord[]): Flow[] {
  const messages = new Map<string, Open>();
  const notifications = new Notifications();
  for (const record of records) {
    notifications.take(record);
    const name = flowOf(record);
    if (name === undefined) continue;
    const message = messages.get(name);
    if (message === undefined) messages.set(name, { kind: 'message', steps: [record], stage: 0 });
    else message.steps.push(record);
  }
  return [...messages.values(), ...notifications.found]
    .filter(({ steps }) => steps.length > 1)
    .sort((one, other) => Number(one.steps[0]!.ns - other.steps[0]!.ns))
    .map(({ kind, steps }, index) => ({ id: index + 1, kind, steps }));
}
