// Where the rows of the table of bars come from: each source runs one bench or command in a process of its own, takes the figures out
// of its JSON, and sets them beside the bar. Leaves printing to ../bars.ts, and the bars of notification to measure/latency/bars.ts.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { verdicts } from '../../measure/latency/bars.js';
import type { LatencyResult } from '../../measure/latency/result.js';
import type { Bar } from './row.js';

const run = promisify(execFile);

/** Runs a built program and takes its standard output for JSON; a status of 1 with JSON is a missed bar, and no failure here. */
async function jsonOf(path: string, args: readonly string[], signal: AbortSignal): Promise<unknown> {
  const program = join(PACKAGE_ROOT, 'dist', path);
  const options = { maxBuffer: 256 << 20, signal, cwd: PACKAGE_ROOT };
  let text: string;
  try {
    text = (await run(process.execPath, [program, ...args], options)).stdout;
  } catch (error) {
    const { code, stdout } = error as { code?: unknown; stdout?: string };
    if (code !== 1 || stdout === undefined || !stdout.trimStart().startsWith('{')) throw error;
    text = stdout;
  }
  return JSON.parse(text);
}

/** What a test file prints, whatever comes of it. */
async function tapOf(test: string, env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<string> {
  const file = join(PACKAGE_ROOT, 'build', 'test', `${test}.test.js`);
  const options = { env: { ...env, TAP_TIMEOUT: '36000' }, maxBuffer: 64 << 20, signal };
  try {
    return (await run(process.execPath, [file], options)).stdout;
  } catch (error) {
    const { code, stdout } = error as { code?: unknown; stdout?: string };
    if (typeof code !== 'number' || stdout === undefined) throw error;
    return stdout;
  }
}

/** The tests of testkit/fuzz-test.ts: "ok 1 - messages of a front-end: 1000000 inputs". */
function fuzzed(tap: string): { ok: boolean; name: string; inputs: number }[] {
  return [...tap.matchAll(/^(not )?ok \d+ - (.+): (\d+) inputs\b/gm)].map(([, not, name, inputs]) => ({
    ...{ ok: not === undefined, name: name!, inputs: Number(inputs) },
  }));
}

export interface Source {
  readonly name: string;
  readonly describe: string;
  /** `scratch`: a folder for its files. */
  rows(scratch: string, signal: AbortSignal): Promise<Bar[]>;
}

interface Boot {
  readonly firstFrameMs: { readonly p50: number; readonly p50NodeStarts: number };
  readonly handshakeMs: { readonly p50NodeStarts: number };
  readonly bar: {
    readonly firstFrameNodeStarts: number;
    readonly handshakeNodeStarts: number;
    readonly guestMib: number;
  };
  readonly processes: { readonly eachGuest: { readonly memoryMib: number } };
}

const STORM = { few: 8, many: 128, seconds: 60, growth: 1.25 } as const;
/** A storm in which processes die: as many as make every kind of process die twice. */
const KILLED_STORM = { guests: 32, kills: 8 } as const;
/** Of a campaign's cases: as many as make its start small beside them. */
const CHAOS = { cases: 60, seed: 11, perSecond: 2 } as const;
const EXPLORE = { statesPerSecond: 20_000, minutes: 10 } as const;
const TESTS_SECONDS = 120;
/** Inputs of each parser; and runs of the hypervisor's methods, which tell how many messages that were. */
const HOSTILE = { inputs: 1_000_000, busRuns: 25_000 } as const;
const HOSTILE_TESTS = ['gpu', 'inflight', 'xenstored', 'bus-message'].map((name) => `unit/hostile/${name}-fuzz`);
const BUS_TEST = 'unit/services/hypervisor/bus-fuzz';

export const SOURCES: readonly Source[] = [
  {
    name: 'boot',
    describe: 'handshake and first frame, in bare Node starts',
    async rows(_scratch, signal) {
      const boot = (await jsonOf('bench/boot.js', ['--runs', '10'], signal)) as Boot;
      const unit = 'Node starts';
      return [
        {
          what: 'first frame, p50',
          measured: boot.firstFrameMs.p50NodeStarts,
          unit,
          max: boot.bar.firstFrameNodeStarts,
        },
        { what: 'handshake, p50', measured: boot.handshakeMs.p50NodeStarts, unit, max: boot.bar.handshakeNodeStarts },
      ];
    },
  },
  {
    name: 'xenstored',
    describe: 'our xenstored beside the C daemon',
    async rows(_scratch, signal) {
      const found = (await jsonOf('bench/xenstored.js', [], signal)) as {
        skipped?: string;
        rows?: { what: string; ratio: number; max?: number; min?: number }[];
      };
      if (found.rows === undefined) throw new Error(found.skipped);
      return found.rows
        .filter(({ max, min }) => max !== undefined || min !== undefined)
        .map(({ what, ratio, max, min }) => ({
          ...{ what: `${what}, ours to C`, measured: ratio, unit: '' },
          ...(max === undefined ? { min: min! } : { max }),
        }));
    },
  },
  {
    name: 'latency',
    describe: 'every notification path, blocked and hot, by doorbell and zmq; tracing; the idle lab',
    async rows(_scratch, signal) {
      const latency = async (...args: string[]): Promise<Bar[]> => {
        const result = (await jsonOf('bin/xenwire.js', ['latency', '--json', ...args], signal)) as LatencyResult;
        return verdicts(result).map(({ what, measured, bar, unit }) => ({ what, measured, unit, max: bar }));
      };
      const quick = await latency('--quick');
      // The quick table has nothing beside its paths: tracing and the idle lab are measured by a longer one, on the path with the most hops.
      const beside = await latency('--path', 'dmop', '--mode', 'hot', '--load', 'closed', '--samples', '2000');
      return [...quick, ...beside.filter(({ unit }) => unit === '%')];
    },
  },
  {
    name: 'flush',
    describe: 'a 1080p frame from guest memory to the scanout',
    async rows(_scratch, signal) {
      const flush = (await jsonOf('measure/flush.js', [], signal)) as {
        bars: { memcpy: number; server: number; core4k60: number };
        device: { backing: string; ratio: number }[];
        servers: { backing: string; ratio?: number }[];
        paced4k: { core: number };
      };
      return [
        ...flush.device.map(({ backing, ratio }) => ({
          ...{ what: `1080p flush, ${backing}: rate to memcpy's`, measured: ratio, unit: '', min: flush.bars.memcpy },
        })),
        { what: '4K at 60 Hz: of a core', measured: flush.paced4k.core, unit: '', max: flush.bars.core4k60 },
        ...flush.servers.flatMap(({ backing, ratio }) =>
          ratio === undefined
            ? []
            : [
                {
                  what: `1080p flush, ${backing}: QEMU's time to ours`,
                  measured: ratio,
                  unit: '',
                  min: flush.bars.server,
                },
              ],
        ),
      ];
    },
  },
  {
    name: 'chaos',
    describe: 'cases of a campaign a second',
    async rows(scratch, signal) {
      const out = join(scratch, 'chaos.json');
      const { cases, seed, perSecond } = CHAOS;
      const campaign = ['chaos', '--sample', String(cases), '--seed', String(seed), '--twice-every', '0', '--out', out];
      const start = performance.now();
      await run(process.execPath, [join(PACKAGE_ROOT, 'dist/bin/xenwire.js'), ...campaign], {
        signal,
        maxBuffer: 64 << 20,
      });
      const seconds = (performance.now() - start) / 1000;
      const { judged } = JSON.parse(readFileSync(out, 'utf8')) as { judged: { outcome: string }[] };
      const passed = judged.filter(({ outcome }) => outcome === 'pass').length;
      return [
        { what: 'chaos, with its free runs', measured: judged.length / seconds, unit: 'cases/s', min: perSecond },
        { what: `chaos, of ${judged.length} cases: pass`, measured: passed, unit: '', min: judged.length },
      ];
    },
  },
  {
    name: 'explore',
    describe: 'the protocol with two faults, whole',
    async rows(_scratch, signal) {
      const found = (await jsonOf('bin/xenwire.js', ['explore', '--faults', '2', '--json'], signal)) as {
        statesPerSecond: number;
        ms: number;
        states: number;
        proved: boolean;
      };
      return [
        { what: 'explore', measured: found.statesPerSecond, unit: 'states/s', min: EXPLORE.statesPerSecond },
        { what: 'explore, two faults, whole and proved', measured: found.proved ? 1 : 0, unit: '', min: 1 },
        { what: `explore, ${found.states} states`, measured: found.ms / 60_000, unit: 'minutes', max: EXPLORE.minutes },
      ];
    },
  },
  {
    name: 'storm',
    describe: `${STORM.few} and ${STORM.many} guests at once, and ${KILLED_STORM.guests} while processes are killed`,
    async rows(_scratch, signal) {
      const storm = async (guests: number): Promise<Boot> =>
        (await jsonOf('bench/boot.js', ['--runs', '1', '--guests', String(guests)], signal)) as Boot;
      const few = await storm(STORM.few);
      const many = await storm(STORM.many);
      const { guests, kills } = KILLED_STORM;
      const withKills = ['--runs', '1', '--guests', String(guests), '--kills', String(kills)];
      const killed = (await jsonOf('bench/boot.js', withKills, signal)) as { killed: unknown[]; failures: string[] };
      const each = (boot: Boot, guests: number): number => boot.firstFrameMs.p50 / guests;
      return [
        {
          what: `${STORM.many} guests, all pictures`,
          measured: many.firstFrameMs.p50 / 1000,
          unit: 's',
          max: STORM.seconds,
        },
        {
          what: `time a guest, ${STORM.many} to ${STORM.few}`,
          measured: each(many, STORM.many) / each(few, STORM.few),
          ...{ unit: '', max: STORM.growth },
        },
        {
          what: `memory of a guest process, ${STORM.many} guests`,
          measured: many.processes.eachGuest.memoryMib,
          ...{ unit: 'MiB', max: many.bar.guestMib },
        },
        {
          what: `${guests} guests and ${kills} kills meanwhile: all pictures, nothing left`,
          measured: killed.failures.length === 0 ? killed.killed.length : 0,
          ...{ unit: 'kills', min: kills },
        },
      ];
    },
  },
  {
    name: 'hostile',
    describe: `${HOSTILE.inputs} fuzzed inputs for each parser`,
    async rows(_scratch, signal) {
      await run(process.execPath, ['scripts/build.mjs', '--no-lab', '--tests'], { cwd: PACKAGE_ROOT, signal });
      const env = {
        ...process.env,
        XENWIRE_FUZZ_INPUTS: String(HOSTILE.inputs),
        XENWIRE_FUZZ_RUNS: String(HOSTILE.busRuns),
      };
      const rows: Bar[] = [];
      const row = (what: string, inputs: number): void => {
        rows.push({ what: `${what}: inputs without a finding`, measured: inputs, unit: '', min: HOSTILE.inputs });
      };
      const fuzzAll = async (tests: readonly string[]): Promise<void> => {
        for (const test of tests)
          for (const { ok, name, inputs } of fuzzed(await tapOf(test, env, signal))) row(name, ok ? inputs : 0);
      };
      const bus = async (): Promise<void> => {
        const tap = await tapOf(BUS_TEST, env, signal);
        const messages = Number(/# (\d+) messages, \d+ refused/.exec(tap)?.[1] ?? 0);
        row("methods of the hypervisor's bus", /^not ok/m.test(tap) ? 0 : messages);
      };
      // The first file takes as long as all others.
      const [longest, ...others] = HOSTILE_TESTS;
      await Promise.all([fuzzAll([longest!]), fuzzAll(others).then(bus)]);
      return rows;
    },
  },
  {
    name: 'tests',
    describe: 'npm test',
    async rows(_scratch, signal) {
      const start = performance.now();
      await run('npm', ['test'], { cwd: PACKAGE_ROOT, signal, maxBuffer: 256 << 20 });
      return [{ what: 'npm test', measured: (performance.now() - start) / 1000, unit: 's', max: TESTS_SECONDS }];
    },
  },
];
