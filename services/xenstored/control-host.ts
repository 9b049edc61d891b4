// What CONTROL's commands reach outside the store, and the trace that they turn on. Interfaces; node/control-host.ts has the
// files.
import type { XsMessage } from '../../lib/layout/xs-wire.js';

/** Parts of a running daemon that can be logged one by one. */
export const LOG_SWITCHES = ['obj', 'io', 'wrl', 'acc', 'tdb'] as const;
export type LogSwitch = (typeof LOG_SWITCHES)[number];

/** What CONTROL reaches outside the store. Failures are thrown as failure.ts has them. */
export interface ControlHost {
  /** Starts or stops the trace. */
  log(on: boolean): void;
  logSwitch(name: LogSwitch, on: boolean): void;
  /** Which switches are on. */
  logSwitches(): ReadonlySet<LogSwitch>;
  logFile(path: string): void;
  print(text: string): void;
  /** Appends a report to a file, or to the trace when no file is named. */
  memoryReport(path: string | undefined, report: string): void;
}

/** Where the store tells what it does while an administrator looks. Ask traces() first: a line costs a write. */
export interface StoreTrace {
  traces(what: LogSwitch): boolean;
  /** Of `io`: a request that came whole, or a message that begins to leave. */
  message(way: 'IN' | 'OUT', from: { readonly name: string; readonly domid: number }, message: XsMessage): void;
  line(what: LogSwitch, text: string): void;
}

export const NO_TRACE: StoreTrace = { traces: () => false, message: () => {}, line: () => {} };
