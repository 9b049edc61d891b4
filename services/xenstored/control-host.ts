// What CONTROL's commands reach outside the store: the trace and its switches, reports. An interface; node/control-host.ts
// has the files.

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
