import t from 'tap';
import { faultsOf, formatCase, parseCase } from '../../../../chaos/case.js';
import { faultNamed } from '../../../../chaos/faults/table.js';
import { Corpus, type CorpusSettings } from '../../../../chaos/guided/corpus.js';
import { seeded } from '../../../../chaos/random.js';
import { parseInstance } from '../../../../lib/trace/instances.js';

const POINTS = ['guest.frame#1', 'front.probe(a)#1', 'front.probe(b)#1'].map((text) =>
  parseInstance(`guest-gpu-guest:${text}`),
);
const LATER = ['gpu.flush(a)#1', 'gpu.flush(b)#1'].map((text) => parseInstance(`vhost-gpu:${text}`));

const corpus = (seed: number, settings: Partial<CorpusSettings> = {}): Corpus =>
  new Corpus(POINTS, {
    ...{ bound: 2, draw: seeded(seed), faults: ['KILL', 'STOP'], restarts: ['restart', 'late'] },
    ...{ victims: ['vhost-gpu', 'xenstored'], ...settings },
  });

/** Proposes and takes `count` lists, of which every third shows something new. */
function proposed(of: Corpus, count: number): string[] {
  return Array.from({ length: count }, (_, at) => {
    const found = of.propose();
    if (found === undefined) return '';
    of.take(found, { behaviours: [at % 3 === 0 ? `new ${at}` : 'known'], after: faultsOf(found).map(() => LATER) });
    return formatCase(found);
  });
}

t.test('what is proposed follows from the seed and from what was taken, and is never proposed again', (t) => {
  const some = proposed(corpus(1), 60).filter((text) => text !== '');
  t.same(
    some,
    proposed(corpus(1), 60).filter((text) => text !== ''),
  );
  t.notSame(some, proposed(corpus(2), 60));
  t.equal(new Set(some).size, some.length);
  for (const text of some) t.equal(formatCase(parseCase(text)), text);
  t.end();
});

t.test('a list that showed something new grows by a fault at a point of its own run, up to the bound', (t) => {
  const some = proposed(corpus(3), 100)
    .filter((text) => text !== '')
    .map((text) => faultsOf(parseCase(text)));
  const lists = some.filter(({ length }) => length > 1);
  t.ok(lists.length > 10, `${lists.length} lists`);
  t.ok(some.every(({ length }) => length <= 2));
  t.ok(some.every(([first]) => first!.at.process === 'guest-gpu-guest'));
  t.ok(lists.every(([, second]) => second!.at.process === 'vhost-gpu'));
  const late = some.flat().filter(({ restart }) => restart === 'late');
  t.ok(late.length > 0);
  t.ok(
    late.every(({ fault }) => faultNamed(fault)?.fault.replaces),
    'only what ends is replaced late',
  );
  t.end();
});

t.test('when nothing is new no list is kept, and once every first fault was tried there is none left', (t) => {
  const few = corpus(4, { faults: ['STOP'], restarts: ['restart'] });
  const seen: string[] = [];
  for (let found = few.propose(); found !== undefined; found = few.propose()) {
    t.equal(faultsOf(found).length, 1);
    seen.push(formatCase(found));
    t.equal(few.take(found, { behaviours: ['known'], after: [] }), seen.length === 1 ? 1 : 0);
    if (seen.length > 6) break;
  }
  t.equal(few.behaviourCount, 1);
  // Three points by two processes; the one that was kept may also have moved to one of them.
  t.equal(new Set(seen).size, 6);
  t.end();
});
