// How a change that no search notices is explained: by the same steps as others see them, or by the row of the other end that does the
// same. All changes are searched in test/sweep/mutations.test.ts.
import t from 'tap';
import { explained, type Mutation } from '../../../explore/mutations.js';
import { modelOf } from '../../../explore/settings.js';
import { XenbusState as S } from '../../../lib/layout/xenbus.js';
import { BACK_REVIEW, type BackTables } from '../../../lib/xenbus/backend.js';
import { FRONT_REVIEW } from '../../../lib/xenbus/frontend.js';

const BOUNDS = { statesMax: 100_000, violationsMax: 1 };

function backRest(phase: 'closed' | 'waiting', state: number, move: string): Mutation {
  const rest = { ...BACK_REVIEW.rest, [phase]: { ...BACK_REVIEW.rest[phase], [state]: move } } as BackTables['rest'];
  return { name: `${phase}[${state}] ${move}`, front: FRONT_REVIEW, back: { ...BACK_REVIEW, rest } };
}

t.test('letting go of nothing comes to the same steps; not beginning to connect does not', async (t) => {
  const ends = { frontend: 'review', backend: 'review', core: '6.12' } as const;
  const model = await modelOf({ ...ends, faults: 0, kinds: [], copies: 1, transactions: 'whole' });
  const same = backRest('closed', S.Closed, 'finish');
  const other = backRest('waiting', S.Initialised, 'stay');
  t.same(
    explained(model.options, [same, other], BOUNDS).map(({ because }) => because),
    ['equivalent', 'unexplained'],
  );
});
