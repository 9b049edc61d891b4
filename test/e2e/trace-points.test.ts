// The catalogue at work: a free run of a handshake records the point instances that its processes pass between their start and
// the first frame; a second run, held at its start, has a gate at the first of every point and label, sees each hit, lets it
// go, and ends with the equal picture.
import { readFileSync } from 'node:fs';
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
import { createGuest } from '../../toolstack/domain.js';
import { parseGuestConfig } from '../../toolstack/guest-config.js';
import { temporaryLabDir } from '../fixtures/lab.js';

const DEADLINE_MS = 20_000;
const FRAME_DEADLINE_MS = 100_000;
const IMAGE = join(PACKAGE_ROOT, 'examples', 'test-card.png');
const PROCESSES = ['hypervisor', 'xenstored', 'vhost-gpu', 'vhost-frontend', 'guest-gpu-guest'];
/** One stays free: a gate is armed before the one that was hit is let go. */
const WINDOW = GATE_COUNT - 1;
/** Labels hold the guest's uuid, and which doorbells ring and which watches merge is not the same in two runs. */
const MISSED_MAX = 0.05;

interface Run {
  readonly records: readonly TraceRecord[];
  readonly mismatchedPixels: number;
  readonly leaks: readonly string[];
}

/** One lab from nothing to the first frame and back. `walk` goes with every process from its start on. */
async function run(t: Test, walk?: (runDir: string, abort: AbortSignal) => Promise<void>): Promise<Run> {
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
  const path = join(PACKAGE_ROOT, 'examples', 'gpu-guest.cfg');
  const config = parseGuestConfig(readFileSync(path, 'utf8'), path, () => {});
  const walking = walk?.(runDir, walked.signal);
  const draw = async (): Promise<Run> => {
    const session = await openSession({ runDir, signal: abort.signal });
    const guest = await session.exclusively(() => createGuest(session, config));
    await firstFrame(session, guest, FRAME_DEADLINE_MS);
    const records = readRecords(t, runDir);
    walked.abort();
    await walking;
    const display = await session.connect('vhost-gpu');
    const image = join(runDir, 'frames', 'seen.png');
    const { mismatchedPixels } = await checkFrame(display, `${guest.domid}/0`, image, readPng(IMAGE));
    lab.expectGuestsToEnd();
    const leaks = [...(await removeGuests(session, () => true)), ...(await endProcesses(lab, session, display))];
    return { records, mismatchedPixels, leaks };
  };
  return await Promise.race([draw(), failed, walking?.then(() => new Promise<never>(() => {})) ?? failed]);
}

/** Of all processes, each in its own order. */
function readRecords(t: Test, runDir: string): TraceRecord[] {
  return historyFiles(runDir).flatMap((path) => {
    const reader = new HistoryReader(path);
    const records = reader.read();
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
  hits: Set<string>,
  abort: AbortSignal,
): Promise<void> {
  const gates = await ProcessGates.open(runDir, name, DEADLINE_MS);
  try {
    let next = 0;
    let armed = 0;
    const arm = (): void => {
      for (; armed < WINDOW && next < plan.length; next++, armed++) gates.arm(plan[next]!);
    };
    let gate: Gate = await gates.standing(DEADLINE_MS);
    t.equal(gate.point, POINT['life.start'], `${name} is held at its start`);
    for (;;) {
      arm();
      await gates.letGo(gate, DEADLINE_MS);
      gate = await gates.standing(FRAME_DEADLINE_MS, abort);
      armed--;
      hits.add(formatInstance({ process: name, ...gate, label: gate.label ?? '' }));
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
      for (const record of free.records) {
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
    const chosen = free.records.filter(
      ({ process: name, point, occurrence }) =>
        PROCESSES.includes(name) && point !== POINT['life.start'] && occurrence === 1,
    );
    const hits = new Set<string>();
    const gated = await run(t, async (runDir, abort) => {
      const walks = PROCESSES.map((name) => {
        const own = chosen.filter((record) => record.process === name);
        return walkProcess(t, runDir, name, own, hits, abort);
      });
      await Promise.all(walks);
    });
    t.equal(gated.mismatchedPixels, 0, 'the picture is equal after all that standing');
    t.same(gated.leaks, []);
    const armed = new Set(chosen.map(formatInstance));
    const passed = gated.records.map(formatInstance).filter((instance) => armed.has(instance));
    t.same(
      passed.filter((instance) => !hits.has(instance)),
      [],
      'nothing that was armed was passed without standing there',
    );
    const missed = [...armed].filter((instance) => !hits.has(instance));
    const points = (some: Iterable<string>): Set<string> =>
      new Set([...some].map((text) => text.replace(/[(#].*/s, '')));
    t.comment(`${hits.size} of ${armed.size} instances hit, of ${points(hits).size} points`);
    t.same(
      [...points(armed)].filter((point) => !points(hits).has(point)),
      [],
      'each point was hit',
    );
    for (const instance of missed) t.comment(`not passed in the second run: ${instance}`);
    t.ok(missed.length <= armed.size * MISSED_MAX, `${missed.length} instances were not passed in the second run`);
  },
);
