// Both machines walked through every phase with every event and every outcome: nothing that they ask for is outside the tables;
// and what is outside, a wrong row or a wrong caller, is an assertion.
import t from 'tap';
import { XenbusState } from '../../../lib/layout/xenbus.js';
import { BACK_REVIEW, BACK_START, type BackEvent, type BackState, backStep } from '../../../lib/xenbus/backend.js';
import {
  FRONT_REVIEW,
  FRONT_START,
  type FrontEvent,
  type FrontState,
  frontStep,
} from '../../../lib/xenbus/frontend.js';
import { type Protocol, REVIEW } from '../../../lib/xenbus/protocol.js';
import { assertMove, assertReads, assertWrites, isPublished, keyRule } from '../../../lib/xenbus/rules.js';

const S = XenbusState;
const STATES = [...Object.values(S), 9];
const FAILED = { type: 'failed', errno: 5, text: 'no' } as const;

/** Every state that can be reached, by every event that its phase can get. Throws what a step throws, with the way there. */
function walk<State, Event>(
  start: State,
  eventsOf: (state: State) => readonly Event[],
  step: (state: State, event: Event) => State,
): { states: State[]; steps: number } {
  // Texts of failures are for people: no step looks at them.
  const keyOf = (state: State): string => JSON.stringify(state, (name, value) => (name === 'failure' ? true : value));
  const seen = new Map([[keyOf(start), start]]);
  const queue = [start];
  let steps = 0;
  for (let state = queue.shift(); state !== undefined; state = queue.shift()) {
    for (const event of eventsOf(state)) {
      steps++;
      let next: State;
      try {
        next = step(state, event);
      } catch (error) {
        throw new Error(`${JSON.stringify(event)} in ${JSON.stringify(state)}: ${(error as Error).message}`);
      }
      const key = keyOf(next);
      if (seen.has(key)) continue;
      seen.set(key, next);
      queue.push(next);
    }
  }
  return { states: [...seen.values()], steps };
}

function frontEvents({ phase }: FrontState): FrontEvent[] {
  if (phase in FRONT_REVIEW.rest)
    return [{ type: 'remove' }, ...STATES.map((state) => ({ type: 'backend' as const, state }))];
  const done = (...values: (string | number | undefined)[]): FrontEvent[] =>
    values.map((value) => (value === undefined ? { type: 'done' } : { type: 'done', value }));
  switch (phase) {
    case 'sizing':
      return [...done('0x200', 'rubbish'), FAILED];
    case 'askingQueues':
      return [...done('0', '2'), FAILED];
    case 'claiming':
      return [...done(0xf0000000), FAILED];
    case 'allocating':
    case 'allocatingQueue':
      return [...done(7), FAILED];
    case 'askingWanted':
    case 'askingAgain':
      return [...done('0', '1'), FAILED];
    case 'announcing':
    case 'confirming':
    case 'closing':
    case 'reopening':
      return done(undefined, S.Closing);
    default:
      return [...done(undefined), FAILED];
  }
}

t.test('the frontend asks for nothing outside the tables, whatever it sees and whatever fails', async (t) => {
  const { states, steps } = walk(FRONT_START, frontEvents, (state, event) => frontStep(state, event).state);
  const phases = new Set(states.map(({ phase }) => phase));
  t.same([...phases].sort(), [...Object.keys(FRONT_REVIEW.rest), ...Object.keys(FRONT_REVIEW.work)].sort());
  t.ok(steps > 1000, `${steps} steps`);
});

/** 7 and 8 are as 3 to the own end: states that neither toolstack nor backend writes there. */
const OWN_STATES = STATES.filter((state) => state !== S.Reconfiguring && state !== S.Reconfigured && state !== 9);
const LOOKS = STATES.flatMap((front) =>
  OWN_STATES.flatMap((back) => [true, false].map((online): BackEvent => ({ type: 'look', front, back, online }))),
);

function backEvents({ phase, back }: BackState): readonly BackEvent[] {
  if (phase in BACK_REVIEW.rest) return phase === 'gone' ? [] : LOOKS;
  const keys = { base: '0xf0000000', eventChannel: '5' };
  switch (phase) {
    case 'readingSetup':
      return [{ type: 'done' }, { type: 'done', value: 2 }, FAILED];
    case 'readingFrontend':
      return [
        { type: 'done', value: { ...keys, queues: ['6', ''] } },
        { type: 'done', value: { ...keys, base: '' } },
        FAILED,
      ];
    // The state that stands: the wanted one, or what the toolstack wrote meanwhile.
    case 'announcing':
      return [S.InitWait, S.Closing, S.Unknown].map((value) => ({ type: 'done' as const, value }));
    case 'confirming':
      return [S.Connected, S.Closing, S.Unknown].map((value) => ({ type: 'done' as const, value }));
    case 'saying':
      return [S.Closing, back, S.Unknown].map((value) => ({ type: 'done' as const, value }));
    case 'finishing':
      return [S.Closed, back, S.Unknown].map((value) => ({ type: 'done' as const, value }));
    default:
      return [{ type: 'done' }, FAILED];
  }
}

t.test('the backend asks for nothing outside the tables, whatever it sees and whatever fails', async (t) => {
  for (const start of [BACK_START, { ...BACK_START, stopping: true as const }]) {
    const { states, steps } = walk(start, backEvents, (state, event) => backStep(state, event).state);
    const phases = new Set(states.map(({ phase }) => phase));
    const never =
      start === BACK_START ? [] : ['announcing', 'confirming', 'offering', 'publishing', 'waiting', 'connected'];
    const all = [...Object.keys(BACK_REVIEW.rest), ...Object.keys(BACK_REVIEW.work)];
    t.same(
      all.filter((phase) => !phases.has(phase as BackState['phase']) && !never.includes(phase)),
      [],
    );
    t.ok(steps > 1000, `${steps} steps`);
  }
});

t.test('a wrong row is caught where it would act', async (t) => {
  const { rest } = FRONT_REVIEW;
  const early = {
    ...FRONT_REVIEW,
    rest: { ...rest, waiting: { ...rest.waiting, [S.Initialising]: 'sizing' as const } },
  };
  t.throws(
    () => frontStep(FRONT_START, { type: 'backend', state: S.Initialising }, early),
    /invariant broken: size of the back end is acted on in Initialising/,
  );
  const skipping = {
    ...FRONT_REVIEW,
    rest: { ...rest, waiting: { ...rest.waiting, [S.Closing]: 'confirming' as const } },
  };
  t.throws(
    () => frontStep(FRONT_START, { type: 'backend', state: S.Closing }, skipping),
    /no move of the front end from Initialising to Connected by the frontend with the other end at Closing/,
  );
  const waiting: BackState = { ...BACK_START, phase: 'waiting', back: S.InitWait, held: { session: true } };
  const hasty = {
    ...BACK_REVIEW,
    rest: { ...BACK_REVIEW.rest, waiting: { ...BACK_REVIEW.rest.waiting, [S.InitWait]: 'connect' as const } },
  };
  t.throws(
    () => backStep(waiting, { type: 'look', front: S.InitWait, back: S.InitWait, online: true }, hasty),
    /base of the front end is acted on in InitWait/,
  );
  const letGo = {
    ...BACK_REVIEW,
    rest: { ...BACK_REVIEW.rest, waiting: { ...BACK_REVIEW.rest.waiting, [S.Connected]: 'finish' as const } },
  };
  const look: BackEvent = { type: 'look', front: S.Connected, back: S.InitWait, online: true };
  const { state } = backStep(waiting, look, letGo);
  t.throws(() => backStep(state, { type: 'done' }, letGo), /no move of the back end from InitWait to Closed/);
});

t.test('a protocol that lacks a move or a key does not let the machine make it', async (t) => {
  const without = (protocol: Partial<Protocol>) => ({ ...FRONT_REVIEW, protocol: { ...REVIEW, ...protocol } });
  const see = (tables: typeof FRONT_REVIEW, state: FrontState, backend: number) =>
    frontStep(state, { type: 'backend', state: backend }, tables);
  t.throws(
    () => see(without({ keys: REVIEW.keys.filter(({ key }) => key !== 'size') }), FRONT_START, S.InitWait),
    /review has no key size of the back end/,
  );
  const edges = REVIEW.edges.filter(({ side, to }) => side !== 'front' || to !== S.Closed);
  t.throws(
    () => see(without({ edges }), FRONT_START, S.Closing),
    /no move of the front end from Initialising to Closed/,
  );
});

t.test('keys are written by their writers, before they are published, and acted on after', async (t) => {
  assertWrites(REVIEW, 'front', 'base', 'frontend', S.Initialising);
  assertWrites(REVIEW, 'front', 'queue-15/event-channel', 'frontend', S.Initialising);
  assertWrites(REVIEW, 'back', 'size', 'backend', S.Closed);
  assertWrites(REVIEW, 'back', 'online', 'toolstack', S.Connected);
  assertReads(REVIEW, 'front', 'base', S.Closing);
  t.throws(
    () => assertWrites(REVIEW, 'front', 'base', 'backend', S.Initialising),
    /base of the front end is not the backend's/,
  );
  t.throws(() => assertWrites(REVIEW, 'front', 'base', 'frontend', S.Initialised), /written in Initialised/);
  t.throws(() => assertWrites(REVIEW, 'back', 'base', 'toolstack', S.Unknown), /no key base of the back end/);
  t.throws(() => assertWrites(REVIEW, 'back', 'state', 'backend', S.Unknown), /no key state/, 'states are moves');
  t.throws(() => assertReads(REVIEW, 'front', 'base', S.Closed), /acted on in Closed/);
  t.throws(() => assertReads(REVIEW, 'front', 'queue-/event-channel', S.Initialised), /no key/);
  t.equal(keyRule(REVIEW, 'front', 'queue-3/event-channel'), keyRule(REVIEW, 'front', 'queue-N/event-channel'));
  for (const rule of REVIEW.keys) {
    t.equal(isPublished(rule, rule.publishedAt), true);
    if (rule.publishedAt > S.Initialising) t.equal(isPublished(rule, rule.publishedAt - 1), false);
  }
});

t.test('each writer has its own moves; the same state once more is none', async (t) => {
  assertMove(REVIEW, { side: 'front', from: S.Connected, to: S.Connected, by: 'backend' });
  assertMove(REVIEW, { side: 'front', from: S.Connected, to: S.Closing, by: 'core', otherEnd: S.Connected });
  assertMove(REVIEW, { side: 'front', from: S.Connected, to: S.Initialising, by: 'core', otherEnd: S.Closed });
  t.throws(() => assertMove(REVIEW, { side: 'front', from: S.Connected, to: S.Initialising, by: 'frontend' }));
  t.throws(() => assertMove(REVIEW, { side: 'front', from: S.Connected, to: S.Initialising, by: 'core', otherEnd: 4 }));
  t.throws(() => assertMove(REVIEW, { side: 'front', from: S.Initialising, to: S.Initialised, by: 'core' }));
  t.throws(() => assertMove(REVIEW, { side: 'back', from: S.Connected, to: S.Initialising, by: 'toolstack' }));
});
