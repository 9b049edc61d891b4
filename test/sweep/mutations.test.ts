// Every wrong table under one fault of each kind: each that no search notices is explained, but for those that docs/explore.md
// explains in words. Minutes.
import t from 'tap';
import { caught, explained, mutations } from '../../explore/mutations.js';
import { modelOf, WITHSTOOD } from '../../explore/settings.js';

const BOUNDS = { statesMax: 1_000_000, violationsMax: 1 };
const IN_WORDS = [
  'back rest waiting[0] finish -> stay',
  'back rest connected[0] finish -> stay',
  'front work explaining without its effect',
];

t.test('wrong tables are noticed, or shown to make no difference', async (t) => {
  const ends = { frontend: 'review', backend: 'review', core: '7.2' } as const;
  const kinds = WITHSTOOD['7.2'];
  const { options } = await modelOf({ ...ends, faults: 1, kinds, copies: 1, transactions: 'whole' });
  const all = mutations(options, BOUNDS);
  const survivors = all.filter((mutation) => !caught(options, mutation, BOUNDS));
  t.ok(survivors.length <= all.length / 4, `${survivors.length} of ${all.length}`);
  const open = explained(options, survivors, BOUNDS).filter(({ because }) => because === 'unexplained');
  t.same(
    open.map(({ name }) => name),
    IN_WORDS,
  );
});
