// What every process writes down as it goes, and the named steps at which a run can be stopped (design 7).
// Pure code gets this interface; the memory-mapped ring and SIGSTOP are in lib/node/files/history.ts.

/** Kinds of records; a number in the ring, the name in `xenwire trace`. */
export const RECORD_KINDS = [
  'step', // a named boundary; a gate may stop here
  'send', // a message handed to a transport
  'receive', // a message taken from a transport
  'state', // a state machine moved: a = from, b = to
  'acquire', // a port, range, page, watch, descriptor taken: a = its number
  'release', // and given back
  'exit', // a vCPU left the guest: a = address, b = data
  'entry', // and went back in
  'notify', // a doorbell, event channel or eventfd rung: a = bit or port
  'upcall', // a notification delivered: a = bit or port
  'command', // a GPU command executed: a = type, b = resource
  'frame', // a scanout flushed: a = scanout, b = resource
  'error', // something refused or failed: a = errno
  'life', // process start, ready, stop
] as const;
export type RecordKind = (typeof RECORD_KINDS)[number];

export interface History {
  /** Writes one record; costs under a microsecond; `name` is cut to 64 bytes. `domid` 0xffff where there is none. */
  record(kind: RecordKind, name: string, a?: number, b?: number, domid?: number): void;
  /**
   * A step: records, counts occurrences (`name#n`), and stops the process here if a gate is set on it.
   * Call it before a send or after a receive, never after a send (design 7).
   */
  step(name: string, a?: number, b?: number, domid?: number): void;
}

export const NO_HISTORY: History = { record: () => {}, step: () => {} };
