// The machine that behaves as xen-vhost-frontend: where it gives up, and what it gives back.
import t from 'tap';
import { XVF_START, type XvfEvent, type XvfState, xvfAtRest, xvfStep } from '../../../lib/xenbus/xvf.js';

const LOOK = { type: 'look', there: true, front: 1 } as const;
const ANSWERS: Readonly<Record<string, string>> = {
  readingBack: '1',
  readingFrontend: '/local/domain/1/device/virtio/0',
  readingFront: '1',
  readingBackAgain: '2',
  readingBase: '0xf0000000',
  readingChannel: '5',
};

/** From an event to rest: the effects on the way. `wrong`: what is answered in a phase instead. */
function run(from: XvfState, first: XvfEvent, wrong: Readonly<Record<string, XvfEvent>> = {}) {
  const effects: string[] = [];
  let { state, effect } = xvfStep(from, first, 'x86');
  while (effect !== undefined) {
    effects.push(effect.type === 'writeState' ? `writeState ${effect.state}` : effect.type);
    const value = ANSWERS[state.phase];
    const answer: XvfEvent = wrong[state.phase] ?? { type: 'done', ...(value === undefined ? {} : { value }) };
    ({ state, effect } = xvfStep(state, answer, 'x86'));
  }
  return { state, effects };
}

const waiting = run(XVF_START, LOOK);
const serving = run(waiting.state, { ...LOOK, front: 3 });

t.test('it looks at every key once, writes 2 and waits; at 3 it binds, answers registers and writes 4', async (t) => {
  t.equal(waiting.state.phase, 'waiting');
  t.same(waiting.effects, [
    ...['readOwn', 'writeState 2', 'readOwn', 'readFront', 'readOwn', 'readOwn', 'openSession'],
  ]);
  t.equal(serving.state.phase, 'serving');
  t.same(serving.effects, ['readFront', 'bindPort', 'claimRange', 'wire', 'writeState 4']);
});

t.test('whatever it reads that it did not expect, and each refusal, is the end of its trying', async (t) => {
  const cases: readonly [phase: string, value: string][] = [
    ['readingBack', '2'],
    ['readingFront', '3'],
    ['readingBackAgain', '5'],
    ['readingBase', ''],
    ['readingBase', '0x100000000'],
  ];
  for (const [phase, value] of cases)
    t.equal(run(XVF_START, LOOK, { [phase]: { type: 'done', value } }).state.phase, 'gaveUp', `${phase} ${value}`);
  const refused = { type: 'failed', errno: 5 } as const;
  for (const phase of ['readingBack', 'publishing', 'opening'])
    t.equal(run(XVF_START, LOOK, { [phase]: refused }).state.phase, 'gaveUp', `${phase} refused`);
  for (const phase of ['readingChannel', 'binding', 'claiming', 'wiring', 'connecting'])
    t.equal(run(waiting.state, { ...LOOK, front: 3 }, { [phase]: refused }).state.phase, 'gaveUp', `${phase} refused`);
  const { state } = run(XVF_START, LOOK, { readingFront: { type: 'done', value: '3' } });
  t.same(run(state, LOOK), { state, effects: [] }, 'and it is not tried again');
});

t.test(
  'from every rest, and after each refusal, a directory that goes has all given back, last taken first',
  async (t) => {
    const gone = { type: 'look', there: false, front: 0 } as const;
    t.same(run(serving.state, gone).effects, ['unwire', 'unclaimRange', 'unbindPort', 'closeSession']);
    t.same(run(waiting.state, gone).effects, ['closeSession']);
    const refused = { type: 'failed', errno: 5 } as const;
    for (const phase of ['binding', 'claiming', 'wiring', 'connecting']) {
      const { state } = run(waiting.state, { ...LOOK, front: 3 }, { [phase]: refused });
      // A giving back that is refused does not keep what it was for.
      const end = run(state, gone, { unclaiming: refused, unbinding: refused });
      t.same([end.state.phase, end.state.held], ['gone', {}], phase);
      t.ok(xvfAtRest(end.state));
    }
  },
);
