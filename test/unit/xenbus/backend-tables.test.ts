// The backend's tables over every state and phase: what each pair leads to is legal, and nothing is left out.
import t from 'tap';
import { EvtchnPort } from '../../../lib/core/ids.js';
import { XenbusState } from '../../../lib/layout/xenbus.js';
import {
  BACK_REVIEW,
  BACK_START,
  type BackEvent,
  type BackHeld,
  type BackPhase,
  type BackRest,
  type BackState,
  backStep,
  isBackRest,
  OWN,
  REST,
  WORK,
} from '../../../lib/xenbus/backend.js';
import { ALL, KEYS, World } from '../../fixtures/backend-world.js';

const S = XenbusState;

const HELD: Record<BackRest, BackHeld> = {
  found: {},
  waiting: { session: true },
  connected: ALL,
  closing: ALL,
  closed: {},
  gone: {},
};
const USUAL: Record<BackRest, number> = { found: 0, waiting: 2, connected: 4, closing: 5, closed: 6, gone: 0 };

t.test(
  'every (resting phase, own state, frontend state) settles by legal edges, holding what its phase holds',
  async (t) => {
    const states = [...Object.values(S), 9, 4711];
    for (const phase of Object.keys(HELD) as BackRest[]) {
      for (const back of states) {
        for (const front of states) {
          for (const online of [true, false]) {
            for (const stopping of [true, false]) {
              const held = HELD[phase];
              const state: BackState = {
                phase,
                held,
                back: USUAL[phase],
                front: S.Unknown,
                goal: 'begin',
                ...(stopping ? { stopping } : {}),
              };
              const w = new World(back, front, state);
              w.online = online;
              // World throws at an illegal edge, a second taking, and work without end.
              w.settle();
              const name = `${phase} with ${back}/${front} online ${online} stopping ${stopping}: ${w.state.phase}`;
              if (!isBackRest(w.state.phase)) t.fail(name);
              const kept = JSON.stringify(Object.keys(w.state.held).length);
              if (String(w.resources.size) !== kept) t.fail(`${name}: holds ${[...w.resources]}`);
              if (['gone', 'closed'].includes(w.state.phase) && w.resources.size > 0) t.fail(`${name}: not given back`);
              if (w.state.phase === 'connected' && w.resources.size !== 4)
                t.fail(`${name}: connected without its wires`);
              if (back === S.Unknown && phase !== 'gone' && w.state.phase !== 'gone') t.fail(`${name}: not gone`);
            }
          }
        }
      }
    }
    t.pass('all of them');
  },
);

t.test('every working phase knows success and failure', async (t) => {
  for (const phase of Object.keys(WORK) as BackPhase[]) {
    for (const type of ['done', 'failed'] as const) {
      const state: BackState = {
        phase,
        held: phase === 'releasing' ? ALL : { session: true },
        back: S.InitWait,
        front: S.Initialised,
        goal: 'begin',
        offer: { base: 0xf0000000, port: EvtchnPort(5), queuePorts: [] },
        failure: { errno: 22, text: 'why' },
      };
      const w = new World(S.InitWait, S.Initialised, state);
      const event: BackEvent =
        type === 'failed'
          ? { type, errno: 22, text: 'no' }
          : { type, value: phase === 'readingFrontend' ? KEYS : phase === 'finishing' ? S.Closed : S.InitWait };
      if (phase === 'releasing') w.resources.delete('wires');
      const { state: next } = backStep(state, event);
      t.not(next.phase, phase === 'releasing' ? 'found' : phase, `${phase} ${type}`);
    }
  }
});

t.test('events out of turn are our bug', async (t) => {
  t.throws(() => backStep(BACK_START, { type: 'done' }), /at rest/);
  const { state } = backStep(BACK_START, { type: 'look', front: 1, back: 1, online: true });
  t.throws(() => backStep(state, { type: 'look', front: 1, back: 1, online: true }), /look during/);
});

t.test('the tables name every state', async (t) => {
  for (const table of [OWN, REST])
    for (const row of Object.values(table)) t.same(Object.keys(row).map(Number), Object.values(S));
});

t.test(
  'found at 4 or 5 with nothing to adopt: what an earlier life left in Xen is taken over and given back',
  async (t) => {
    for (const back of [S.Connected, S.Closing]) {
      for (const front of [S.Unknown, S.Initialising, S.Closed]) {
        let step = backStep(BACK_START, { type: 'look', front, back, online: true });
        const effects: string[] = [];
        while (step.effect !== undefined) {
          effects.push(step.effect.type);
          const value = step.effect.type === 'switchState' ? { value: step.effect.to } : {};
          step = backStep(step.state, { type: 'done', ...value });
        }
        t.same(effects, ['readSetup', 'openSession', 'closeSession', 'switchState'], `${back}/${front}`);
        t.same([step.state.phase, step.state.held], ['closed', {}]);
      }
    }
  },
);

t.test('from Closed to InitWait only while the device is wanted in the same transaction', async (t) => {
  const closed: BackState = { ...BACK_START, phase: 'announcing', back: S.Closed, front: S.Initialising };
  t.equal(BACK_REVIEW.work.announcing.effect(closed)?.type, 'switchState');
  t.match(BACK_REVIEW.work.announcing.effect(closed), { from: S.Closed, to: S.InitWait, ifOnline: true });
  t.notOk('ifOnline' in BACK_REVIEW.work.announcing.effect({ ...closed, back: S.Initialising })!);
});
