// The catalogue at work: a free run of a handshake records the point instances that its processes, the toolstack's included,
// pass between their start and the first frame; a second run, held at its start, has a gate at the first of every point and
// label, sees each hit, lets it go, and ends with the equal picture. And a toolstack that is killed at a step leaves a guest that
// is half made exactly so far.
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { claimRunDir } from '../../lab/claim.js';
import { endProcesses, removeGuests } from '../../lab/end.js';
import { checkFrame, firstFrame } from '../../lab/frames.js';
import { type Gate, ProcessGates } from '../../lab/gates.js';
import { openSession } from '../../lab/session.js';
import { Lab } from '../../lab/supervisor.js';
import { GATE_COUNT } from '../../lib/layout/ours/gate.js';
import { HistoryReader, historyFiles } from '../../lib/node/files/history-reader.js';
import { readPng } from '../../lib/node/files/png.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { formatInstance } from '../../lib/trace/instances.js';
import { POINT } from '../../lib/trace/points.js';
import { flowOf, type TraceRecord } from '../../lib/trace/record.js';
import { findGuest, listGuests } from '../../toolstack/domain.js';
import { startXenwire, temporaryLabDir, xenwire } from '../fixtures/lab.js';

const DEADLINE_MS = 20_000;
const FRAME_DEADLINE_MS = 100_000;
const IMAGE = join(PACKAGE_ROOT, 'examples', 'test-card.png');
const CONFIG = join(PACKAGE_ROOT, 'examples', 'gpu-guest.cfg');
const TOOLSTACK = 'toolstack';
const PROCESSES = ['hypervisor', 'xenstored', 'vhost-gpu', 'vhost-frontend', 'guest-gpu-guest', TOOLSTACK];
/** One stays free: a gate is armed before the one that was hit is let go. */
const WINDOW = GATE_COUNT - 1;
/** Of a guest, in labels: another one in each run. */
const UUID = /[0-9a-f]{8}-([0-9a-f]{4}-){3}/;
/**
 * Whether a doorbell needs a wake-up depends on how long its receiver looks; whether a server has heard of the toolstack's end
 * before the rings are read, on which of the two is sooner.
 */
const BY_CHANCE = /:(bell\.(wake|woken)|bus\.peer-gone)$/;
/** Which doorbells ring and which watches merge is not the same in two runs. */
const MISSED_MAX = 0.05;

interface Run {
  /** Of `xenwire create`; none where it was walked. */
  readonly made: readonly TraceRecord[];
  /** Of all other processes: this one, another toolstack, among them. */
  readonly records: readonly TraceRecord[];
  readonly mismatchedPixels: number;
  readonly leaks: readonly string[];
}

/** What goes with every process from its start on; the toolstack's is the one with that pid. */
type Walk = (runDir: string, toolstackPid: number, abort: AbortSignal) => Promise<void>;

/** One lab from nothing to the first frame and back; its guest is made by `xenwire create`, held at its start. */
async function run(t: Test, walk?: Walk): Promise<Run> {
  const claim = await claimRunDir(temporaryLabDir(t));
  const { runDir } = claim;
  const extraArguments = (): string[] => (walk === undefined ? [] : ['--hold']);
  const lab = new Lab({ runDir, notify: 'doorbell', logLevel: 'warn', extraArguments });
  const abort = new AbortController();
  const walked = new AbortController();
  const end = async (): Promise<void> => {
    abort.abort();
    walked.abort();
    await lab.abandon();
    claim.release({ keep: false });
  };
  t.teardown(end);
  lab.startGuest('gpu-guest', IMAGE);
  const failed = lab.failed.then((sentence): never => {
    throw new Error(sentence);
  });
  failed.catch(() => {});
  const args = ['create', CONFIG, '--no-process', '--wait-for-lab', '--hold', '--run-dir', runDir];
  const toolstack = startXenwire(t, args);
  const walking = walk?.(runDir, toolstack.pid, walked.signal);
  const draw = async (): Promise<Run> => {
    const session = await openSession({ runDir, signal: abort.signal });
    const made = walk === undefined ? await toolstackRecords(t, runDir, toolstack.pid) : [];
    t.equal(await toolstack.ended(FRAME_DEADLINE_MS), 0, toolstack.stderr);
    const guest = await findGuest(session, 'gpu-guest');
    await firstFrame(session, guest, FRAME_DEADLINE_MS);
    const records = readRecords(t, runDir);
    walked.abort();
    await walking;
    const display = await session.connect('vhost-gpu');
    const image = join(runDir, 'frames', 'seen.png');
    const { mismatchedPixels } = await checkFrame(display, `${guest.domid}/0`, image, readPng(IMAGE));
    lab.expectGuestsToEnd();
    const leaks = [
      ...(await removeGuests(session, () => true)),
      ...(await endProcesses(lab, session, new Map([['vhost-gpu', display]]))),
    ];
    return { made, records, mismatchedPixels, leaks };
  };
  return await Promise.race([draw(), failed, walking?.then(() => new Promise<never>(() => {})) ?? failed]);
}

/** All that a held toolstack passes: its ring goes when it ends, so it is read where it stands last. */
async function toolstackRecords(t: Test, runDir: string, pid: number): Promise<TraceRecord[]> {
  const gates = await ProcessGates.open(runDir, TOOLSTACK, DEADLINE_MS, pid);
  const start = await gates.standing(DEADLINE_MS);
  const last = gates.arm({ point: POINT['life.stop'], occurrence: 1 });
  await gates.letGo(start, DEADLINE_MS);
  t.same(await gates.standing(FRAME_DEADLINE_MS), last);
  const records = readRecords(t, runDir, pid);
  await gates.letGo(last, DEADLINE_MS);
  gates.close();
  return records;
}

/** Of all processes, or of one, each in its own order. */
function readRecords(t: Test, runDir: string, only?: number): TraceRecord[] {
  return historyFiles(runDir).flatMap((path) => {
    const reader = new HistoryReader(path);
    const records = only === undefined || reader.pid === only ? reader.read() : [];
    t.equal(reader.lostCount, 0, `${reader.process} recorded no more than its ring holds`);
    reader.close();
    return records;
  });
}

/** Goes with one process from gate to gate: those of `plan`, in its order, as many armed at once as a page holds. */
async function walkProcess(
  t: Test,
  runDir: string,
  name: string,
  plan: readonly TraceRecord[],
  {
    hits,
    late,
    armedNs,
  }: { readonly hits: Set<string>; readonly late: Set<string>; readonly armedNs: Map<string, bigint> },
  abort: AbortSignal,
  pid?: number,
): Promise<void> {
  const gates = await ProcessGates.open(runDir, name, DEADLINE_MS, pid);
  try {
    let next = 0;
    let armed = 0;
    const instance = (at: Gate): string => formatInstance({ process: name, ...at, label: at.label ?? '' });
    const arm = (): void => {
      for (; armed < WINDOW && next < plan.length; next++, armed++) {
        armedNs.set(instance(gates.arm(plan[next]!)), process.hrtime.bigint());
      }
    };
    let gate: Gate = await gates.standing(DEADLINE_MS);
    t.equal(gate.point, POINT['life.start'], `${name} is held at its start`);
    for (;;) {
      arm();
      await gates.letGo(gate, DEADLINE_MS);
      if (gate.point === POINT['life.stop']) return; // the toolstack's work is done
      // This run passed it sooner than the free one, before there was room for its gate.
      gate = await gates.standing(FRAME_DEADLINE_MS, abort, (at) => {
        armed--;
        late.add(instance(at));
      });
      armed--;
      hits.add(instance(gate));
    }
  } catch (error) {
    if (!abort.aborted) throw error;
  } finally {
    gates.close();
  }
}

t.test(
  'every message of a handshake has its number at both of its ends, and each point can be armed and hit',
  async (t) => {
    const free = await run(t);
    t.equal(free.mismatchedPixels, 0);
    t.same(free.leaks, []);
    await t.test('a send and its receipt have one number, and no other record has it', (t) => {
      const ends = new Map<string, string[]>();
      for (const record of [...free.made, ...free.records]) {
        const flow = flowOf(record);
        if (flow !== undefined) ends.set(flow, [...(ends.get(flow) ?? []), record.point.kind]);
      }
      t.ok(ends.size > 200, `${ends.size} messages`);
      // A message that was under way as the rings were read has one end so far.
      const whole = [...ends.values()].filter((kinds) => kinds.length > 1);
      t.ok(whole.length > ends.size - 10);
      t.ok(whole.every((kinds) => kinds.length === 2 && [...kinds].sort().join() === 'receive,send'));
      t.end();
    });
    const passedFree = [...free.made, ...free.records.filter((record) => record.process !== TOOLSTACK)];
    const chosen = passedFree.filter(
      ({ process: name, point, label, occurrence }) =>
        PROCESSES.includes(name) && point !== POINT['life.start'] && occurrence === 1 && !UUID.test(label),
    );
    const hits = new Set<string>();
    const late = new Set<string>();
    /** When each gate stood armed. */
    const armedNs = new Map<string, bigint>();
    const gated = await run(t, async (runDir, toolstackPid, abort) => {
      const walks = PROCESSES.map((name) => {
        const own = chosen.filter((record) => record.process === name);
        return walkProcess(
          t,
          runDir,
          name,
          own,
          { hits, late, armedNs },
          abort,
          name === TOOLSTACK ? toolstackPid : undefined,
        );
      });
      await Promise.all(walks);
    });
    t.equal(gated.mismatchedPixels, 0, 'the picture is equal after all that standing');
    t.same(gated.leaks, []);
    // What this run passed before its turn came to be armed is none of these.
    // Where a process stands as the rings are read, its walker has not seen it yet.
    const last = new Map(gated.records.map((record) => [record.process, record]));
    const passed = gated.records.filter(
      (record) => record.ns > (armedNs.get(formatInstance(record)) ?? record.ns) && record !== last.get(record.process),
    );
    t.same(
      passed.map(formatInstance).filter((instance) => !hits.has(instance) && !late.has(instance)),
      [],
      'nothing that was armed was passed without standing there',
    );
    const armed = new Set(chosen.map(formatInstance));
    const missed = [...armed].filter((instance) => !hits.has(instance));
    const points = (some: Iterable<string>): Set<string> =>
      new Set([...some].map((text) => text.replace(/[(#].*/s, '')));
    t.comment(`${hits.size} of ${armed.size} instances hit, of ${points(hits).size} points`);
    t.same(
      [...points(armed)].filter((point) => !points(hits).has(point) && !BY_CHANCE.test(point)),
      [],
      'each point was hit',
    );
    for (const instance of missed) t.comment(`not passed in the second run: ${instance}`);
    t.ok(missed.length <= armed.size * MISSED_MAX, `${missed.length} instances were not passed in the second run`);
  },
);

t.test(
  'a toolstack killed at a step leaves a guest that is made exactly so far; the next one removes it',
  async (t) => {
    const runDir = temporaryLabDir(t);
    for (const name of ['hypervisor', 'xenstored']) startXenwire(t, [name, '--run-dir', runDir]);
    const args = ['create', CONFIG, '--no-process', '--run-dir', runDir];
    const toolstack = startXenwire(t, [...args, '--wait-for-lab', '--hold']);
    const gates = await ProcessGates.open(runDir, TOOLSTACK, DEADLINE_MS, toolstack.pid);
    const start = await gates.standing(DEADLINE_MS);
    const step = gates.arm({ point: POINT['toolstack.step'], label: 'introduce', occurrence: 1 });
    await gates.letGo(start, DEADLINE_MS);
    t.same(await gates.standing(DEADLINE_MS), step);
    process.kill(toolstack.pid, 'SIGKILL');
    t.equal(await toolstack.ended(), 'SIGKILL');
    gates.close();
    const session = await openSession({ runDir });
    t.match(await listGuests(session), [{ domid: 1, name: 'gpu-guest' }]);
    t.equal(await session.store.read('/local/domain/1/name'), 'gpu-guest', 'its directories are there');
    t.equal(await session.store.read('/local/domain/1/domid'), '1', 'to the last key before it is introduced');
    t.same(await session.store.directory('/local/domain/1/device'), ['suspend'], 'no device of its configuration is');
    await session.close();
    const next = await xenwire(t, args);
    t.equal(next.status, 0, next.stderr);
    t.match(next.stdout, /guest gpu-guest is domain 2/);
  },
);
