// What of this machine decides over wake-ups, so that figures of two machines can be compared: the frequency governor, idle states,
// mitigations, the clock. Read from sysfs; what is not there is said so.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface MachineConditions {
  readonly governor: string;
  /** Of CPU 0, those that are not disabled, with what leaving them takes. */
  readonly idleStates: string;
  /** Those that are on; "none" where nothing is mitigated. */
  readonly mitigations: string;
  readonly clock: string;
}

const ABSENT = 'not told by this kernel';

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch {
    return [];
  }
}

/** `root`: where sysfs is. */
export function machineConditions(root = '/sys/devices/system'): MachineConditions {
  const cpu = join(root, 'cpu');
  const governors = list(cpu)
    .filter((name) => /^cpu\d+$/.test(name))
    .flatMap((name) => read(join(cpu, name, 'cpufreq', 'scaling_governor')) ?? []);
  const idle = join(cpu, 'cpu0', 'cpuidle');
  const states = list(idle)
    .filter((name) => read(join(idle, name, 'disable')) !== '1')
    .map((name) => `${read(join(idle, name, 'name')) ?? name} ${read(join(idle, name, 'latency')) ?? '?'} us`);
  const holes = list(join(cpu, 'vulnerabilities'));
  const on = holes.filter((name) => read(join(cpu, 'vulnerabilities', name))?.startsWith('Mitigation'));
  const mitigations = holes.length === 0 ? ABSENT : on.length === 0 ? 'none' : on.join(', ');
  return {
    governor: [...new Set(governors)].join(', ') || ABSENT,
    idleStates: states.join(', ') || ABSENT,
    mitigations,
    clock: read(join(root, 'clocksource', 'clocksource0', 'current_clocksource')) ?? ABSENT,
  };
}

/** One line for a report. */
export const conditionsText = ({ governor, idleStates, mitigations, clock }: MachineConditions): string =>
  `governor ${governor}; idle states ${idleStates}; mitigations ${mitigations}; clock ${clock}`;
