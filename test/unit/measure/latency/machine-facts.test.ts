import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { figuresOf, nsHistogram } from '../../../../measure/floor/figures.js';
import { histfile, UsCounts } from '../../../../measure/latency/histfile.js';
import { machineConditions } from '../../../../measure/latency/machine-facts.js';
import { temporaryRunDir } from '../../../../testkit/processes.js';

t.test('what decides over wake-ups is read from sysfs, and what is not there is said', async (t) => {
  const root = temporaryRunDir(t);
  const give = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  const absent = machineConditions(root);
  t.ok(Object.values(absent).every((text) => text === 'not told by this kernel'));
  for (const cpu of [0, 1]) give(`cpu/cpu${cpu}/cpufreq/scaling_governor`, 'powersave\n');
  for (const [state, name, latency, disable] of [
    [0, 'POLL', 0, 0],
    [1, 'C1E', 10, 0],
    [2, 'C6', 170, 1],
  ]) {
    give(`cpu/cpu0/cpuidle/state${state}/name`, `${name}\n`);
    give(`cpu/cpu0/cpuidle/state${state}/latency`, `${latency}\n`);
    give(`cpu/cpu0/cpuidle/state${state}/disable`, `${disable}\n`);
  }
  give('cpu/vulnerabilities/spectre_v2', 'Mitigation: Retpolines\n');
  give('cpu/vulnerabilities/meltdown', 'Not affected\n');
  give('clocksource/clocksource0/current_clocksource', 'tsc\n');
  t.same(machineConditions(root), {
    governor: 'powersave',
    idleStates: 'POLL 0 us, C1E 10 us',
    mitigations: 'spectre_v2',
    clock: 'tsc',
  });
});

t.test('a histogram as cyclictest writes it: a row a microsecond, what is above counted as overflow', async (t) => {
  const [one, other] = [new UsCounts(), new UsCounts()];
  const ns = nsHistogram();
  for (const value of [900, 2000, 2999, 20_000_000]) {
    one.add(value);
    ns.recordValue(value);
  }
  other.add(1500);
  const text = histfile([
    { name: 'a', us: one, ns },
    { name: 'b', us: other, ns },
  ]);
  t.same(text.split('\n'), [
    ...['# Column 0: a', '# Column 1: b', '# Histogram'],
    ...['000000 000001\t000000', '000001 000000\t000001', '000002 000002\t000000'],
    ...['# Total: 000000004 000000001', '# Min Latencies: 00000 00001', '# Avg Latencies: 05001 00001'],
    ...['# Max Latencies: 20000 00001', '# Histogram Overflows: 00001 00000', ''],
  ]);
  const { count, min } = figuresOf(ns);
  t.equal(count, 4);
  t.ok(min !== undefined && Math.abs(min - 900) < 2);
});
