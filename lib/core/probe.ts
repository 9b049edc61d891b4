// What every process writes down as it passes its boundaries, and where a controller can stop it: one call, Probe.at.
// Pure code gets this interface. The catalogue of boundaries is lib/trace/points.ts; the mapped ring and the gates are
// lib/node/files/probe.ts. Why records, counts and gates are one call: docs/tracing.md.

/** Kinds of points: what `xenwire trace --kind` chooses by. */
export const POINT_KINDS = [
  'send', // a message handed to a transport
  'receive', // a message taken from a transport
  'state', // a xenbus state written
  'key', // a key of a device directory written
  'commit', // the store changed a node
  'effect', // what a state machine asked for
  'acquire', // a port, range, page, watch, descriptor taken
  'release', // and given back
  'exit', // a vCPU left the guest
  'entry', // and went back in
  'notify', // a doorbell, event channel or eventfd rung
  'upcall', // a notification delivered to a guest
  'command', // a GPU command
  'frame', // a scanout flushed
  'step', // a step of a longer sequence: a probe, a restore, a shutdown
  'error', // something refused or failed
  'life', // process start, ready, stop
] as const;
export type PointKind = (typeof POINT_KINDS)[number];

/** How a number of a record is shown: as it is, as an address, as a xenbus state, as a step between two, as an error's name. */
export type NumberShown = 'number' | 'hex' | 'state' | 'edge' | 'errno';
/** One of the two numbers of a point's records: its name, and how it is shown. */
export interface NumberField {
  readonly name: string;
  readonly shown: NumberShown;
}

/** An entry of the catalogue. */
export interface Point {
  /** In the ring; from 1, without gaps. */
  readonly number: number;
  /** "bus.call": what a person types, without spaces, brackets, `#` and `:`. */
  readonly name: string;
  readonly kind: PointKind;
  /** A process that stands at this point has not done it yet (sends, writes), or has (receipts). Never after a send. */
  readonly gate: 'before' | 'after';
  /** undefined where the number says nothing. */
  readonly a: NumberField | undefined;
  readonly b: NumberField | undefined;
  /** What the text of a record says and what tells instances of the point apart; undefined where there is no text. */
  readonly label: string | undefined;
}

/** Where a record concerns no domain. */
export const NO_DOMAIN = 0xffff;

export interface Probe {
  /**
   * Records that the process is at `point`, counts the instance (point and label), and stops the process here while a gate
   * is armed for it. Called before a send or a write, after a receipt, as the point's `gate` says.
   * Allocates nothing once the instance is known; `label` must be '' where the point has none. `flow` is the number of the
   * message (nextFlow) and `sender` the incarnation of the process that gave it: left out, this one; flow 0: no message.
   */
  at(point: Point, label?: string, a?: number, b?: number, domid?: number, flow?: number, sender?: number): void;
  /** The number of the next message of this process, from 1: with its incarnation it names the message to every reader. */
  nextFlow(): number;
}

/** Records nothing and numbers nothing: for tests and tools. */
export const NO_PROBE: Probe = { at: () => {}, nextFlow: () => 0 };

/** A probe whose records concern `domid` where nothing else is said. */
export function probeOfDomain(probe: Probe, domid: number): Probe {
  return {
    at: (point, label, a, b, of = domid, flow, sender) => probe.at(point, label, a, b, of, flow, sender),
    nextFlow: () => probe.nextFlow(),
  };
}
