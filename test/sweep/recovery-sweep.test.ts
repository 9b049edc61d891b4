// Kills each process but the hypervisor at each point that it passes from its start to a guest's first frame, starts it again
// (a guest in another domain), and wants the equal picture back within its deadline, a device that closes in order, and every server holding what it held
// before. A sample of the points by default; SWEEP=all takes every one, SWEEP=N so many, SWEEP_SEED another sample, SWEEP_MATCH
// those whose name it matches, SWEEP_SHARD=I/N a part of them; SWEEP_LOG names a file for a line a case.
import { appendFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { without } from '../../lab/audit.js';
import { PROMISE_MS } from '../../lib/core/deadlines.js';
import { errorMessage } from '../../lib/core/errors.js';
import { formatInstance } from '../../lib/trace/instances.js';
import { POINT } from '../../lib/trace/points.js';
import type { TraceRecord } from '../../lib/trace/record.js';
import { type GuestSetup, guestProcess, RecoveryLab, type Service, STEP_MS } from '../fixtures/recovery-lab.js';

const GUEST: GuestSetup = { domid: 7, name: 'swept' };
const GUEST_PROCESS = guestProcess(GUEST.name);
type Restarted = Exclude<Service, 'hypervisor'>;
type Swept = Restarted | typeof GUEST_PROCESS;
const SWEPT: readonly { name: Swept; promiseMs: number }[] = [
  { name: 'vhost-frontend', promiseMs: PROMISE_MS.vhostFrontend },
  { name: 'vhost-gpu', promiseMs: PROMISE_MS.vhostGpu },
  { name: 'xenstored', promiseMs: PROMISE_MS.xenstored },
  { name: GUEST_PROCESS, promiseMs: PROMISE_MS.guest },
];
/** Of each process, where the environment does not say. */
const SAMPLE = 15;
/** A busy machine takes this much longer than is promised. */
const BUSY_FACTOR = 2.5;

interface Case {
  readonly instance: TraceRecord;
  readonly outcome: 'recovered' | 'not passed' | 'failed';
  readonly why: string;
  /** From the ready process to the equal picture. */
  readonly ms: number;
}

/** Everything that a process passes from its start to the first frame of a guest, in order. */
async function freeRun(lab: RecoveryLab, name: Swept): Promise<TraceRecord[]> {
  if (isService(name)) {
    await lab.kill(name);
    await lab.restart(name);
  }
  const begin = process.hrtime.bigint();
  await lab.createGuest(GUEST);
  await lab.pictureEqual(GUEST.domid, STEP_MS);
  const [frame] = lab.records(`guest-${GUEST.name}`).filter(({ point }) => point === POINT['guest.frame']);
  if (frame === undefined || frame.ns < begin) throw new Error('the guest shows no frame');
  const newest = Math.max(...lab.records(name).map(({ incarnation }) => incarnation));
  const records = lab.records(name).filter(({ incarnation, ns }) => incarnation === newest && ns <= frame.ns);
  await lab.destroyGuest(GUEST);
  return records.filter(({ point }) => point !== POINT['life.start']);
}

const isService = (name: Swept): name is Restarted => name !== GUEST_PROCESS;

/** Lets a guest be made meanwhile. What it gives sees to it that it was: with xenstored killed, it may have to be begun again. */
function makeGuest(lab: RecoveryLab, make: () => Promise<void>): () => Promise<void> {
  const made = make().then(
    () => undefined,
    (error: unknown) => error,
  );
  return async () => {
    if ((await made) === undefined) return;
    await lab.kill(GUEST_PROCESS);
    await lab.createGuest(GUEST);
  };
}

/** What follows on the death: another process, or for a guest another domain. */
async function heal(lab: RecoveryLab, name: Swept, made: () => Promise<void>): Promise<void> {
  if (isService(name)) {
    await lab.restart(name);
    await made();
    return;
  }
  await made();
  await lab.destroyGuest(GUEST); // not in order: it is dead
  await lab.createGuest(GUEST);
}

async function runCase(lab: RecoveryLab, name: Swept, promiseMs: number, instance: TraceRecord): Promise<Case> {
  const { domid } = GUEST;
  const { point, label, occurrence } = instance;
  const before = await lab.audit();
  const wrong: string[] = [];
  let outcome: Case['outcome'] = 'recovered';
  let ms = 0;
  let drawing: Promise<unknown> | undefined;
  const at = { point, occurrence, ...(label === '' ? {} : { label }) };
  const gates = await (isService(name) ? lab.replaceGated(name, at) : lab.launchGuestGated(GUEST, at));
  const made = makeGuest(lab, () => (isService(name) ? lab.createGuest(GUEST) : lab.createDomain(GUEST)));
  try {
    const shown = new AbortController();
    const drawn = lab.pictureEqual(domid, STEP_MS, shown.signal).then(
      () => 'drawn' as const,
      () => 'drawn' as const,
    );
    const hit = gates.standing(STEP_MS, shown.signal).then(
      () => 'hit' as const,
      () => 'drawn' as const,
    );
    const came = await Promise.race([hit, drawn]);
    shown.abort();
    if (came !== 'hit') outcome = 'not passed';
    await lab.kill(name);
    drawing = drawn; // it may be waiting for the process that is to come
  } finally {
    gates.close();
  }
  try {
    await heal(lab, name, made);
    const ready = performance.now();
    await drawing;
    await lab.pictureEqual(domid, promiseMs * BUSY_FACTOR);
    ms = performance.now() - ready;
    wrong.push(...(await lab.errors(domid)));
  } catch (error) {
    wrong.push(errorMessage(error));
  }
  wrong.push(...(await lab.destroyGuest(GUEST)));
  const after = await lab.audit();
  wrong.push(...without(after, before).map((held) => `left: ${held}`));
  wrong.push(...without(before, after).map((held) => `gone: ${held}`));
  return { instance, outcome: wrong.length > 0 ? 'failed' : outcome, why: wrong.join(', '), ms };
}

/** A linear congruential generator: the same sample for the same seed. */
function sample<T>(from: readonly T[], count: number, seed: number): T[] {
  let state = seed >>> 0;
  const left = [...from];
  const taken: T[] = [];
  while (taken.length < count && left.length > 0) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    taken.push(...left.splice(state % left.length, 1));
  }
  return taken;
}

function chosen(records: readonly TraceRecord[]): TraceRecord[] {
  const { SWEEP, SWEEP_SEED, SWEEP_MATCH, SWEEP_SHARD } = process.env;
  const match = new RegExp(SWEEP_MATCH ?? '');
  const [index = 0, count = 1] = (SWEEP_SHARD ?? '0/1').split('/').map(Number);
  const some = records.filter((record) => match.test(formatInstance(record))).filter((_, at) => at % count === index);
  return SWEEP === 'all' ? some : sample(some, Number(SWEEP ?? SAMPLE), Number(SWEEP_SEED ?? 1));
}

async function sweep(t: Test, name: Swept, promiseMs: number): Promise<void> {
  let lab = await RecoveryLab.start(t);
  const records = await freeRun(lab, name);
  const cases: Case[] = [];
  const todo = chosen(records);
  if (todo.length === 0) {
    t.comment('none of its points is chosen');
    return;
  }
  for (const instance of todo) {
    let done: Case;
    try {
      done = await runCase(lab, name, promiseMs, instance);
    } catch (error) {
      done = { instance, outcome: 'failed', why: errorMessage(error), ms: 0 };
    }
    cases.push(done);
    const { SWEEP_LOG } = process.env;
    if (SWEEP_LOG !== undefined)
      appendFileSync(SWEEP_LOG, `${done.outcome} ${Math.round(done.ms)} ${formatInstance(instance)} ${done.why}\n`);
    if (done.outcome === 'failed') {
      t.fail(`killed at ${formatInstance(instance)}: ${done.why}`);
      await lab.end();
      lab = await RecoveryLab.start(t);
    }
    lab.forgetDead();
  }
  const of = (outcome: Case['outcome']): Case[] => cases.filter((each) => each.outcome === outcome);
  const times = of('recovered')
    .map(({ ms }) => ms)
    .sort((a, b) => a - b);
  const at = (share: number): number =>
    Math.round(times[Math.min(times.length - 1, Math.floor(times.length * share))]!);
  t.comment(
    `${name}: ${todo.length} of ${records.length} points; recovered ${of('recovered').length}, not passed again ` +
      `${of('not passed').length}, failed ${of('failed').length}; picture after p50 ${at(0.5)}, p90 ${at(0.9)}, max ${at(1)} ms`,
  );
  for (const { instance } of of('not passed')) t.comment(`not passed again: ${formatInstance(instance)}`);
  t.ok(of('recovered').length > 0, 'some points were hit');
}

for (const { name, promiseMs } of SWEPT) {
  t.test(`${name}, killed at each of its points and started again, gives the guest its picture back`, async (t) => {
    t.setTimeout(3_600_000);
    await sweep(t, name, promiseMs);
  });
}
