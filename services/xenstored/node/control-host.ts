// Where CONTROL's commands reach files: the trace, a log file, a report. Privileged clients name the files, as they do
// with the daemon; what cannot be opened answers an error.
import { appendFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Log } from '../../../lib/core/log.js';
import { type ControlHost, LOG_SWITCHES, type LogSwitch } from '../control-host.js';
import { fail } from '../failure.js';

export interface Trace {
  /** Writes one line when tracing is on. */
  line(text: string): void;
  readonly on: boolean;
}

export function controlHost(log: Log): { host: ControlHost; trace: Trace } {
  const switches = new Set<LogSwitch>(LOG_SWITCHES);
  let path: string | undefined;
  let on = false;
  const append = (to: string, text: string): void => {
    try {
      appendFileSync(to, text, { mode: 0o600 });
    } catch {
      // The daemon's EBADF has no name on the wire: EINVAL is what clients see of it.
      fail('EINVAL');
    }
  };
  const trace: Trace = {
    get on() {
      return on && switches.has('io');
    },
    line(text) {
      if (path !== undefined) append(path, `${text}\n`);
      else log.debug(text);
    },
  };
  const host: ControlHost = {
    log(wanted) {
      on = wanted;
    },
    logSwitch(name, wanted) {
      if (wanted) switches.add(name);
      else switches.delete(name);
    },
    logSwitches: () => switches,
    logFile(named) {
      const file = resolve('/', named);
      append(file, '');
      path = file;
      on = true;
    },
    print: (text) => log.info({ control: text }, 'control print'),
    memoryReport(named, report) {
      const to = named === undefined ? path : resolve('/', named);
      append(to ?? fail('EINVAL'), report);
    },
  };
  return { host, trace };
}
