import t from 'tap';
import { afterDeath, type DeathRecord, NO_DEATHS, type Verdict } from '../../../lab/policy.js';

const SECOND = 1_000_000_000n;

function deaths(count: number, wasReady: boolean, apartNs: bigint): Verdict[] {
  let record: DeathRecord = NO_DEATHS;
  return Array.from({ length: count }, (_, index) => {
    const result = afterDeath(record, { ns: BigInt(index) * apartNs, wasReady });
    record = result.record;
    return result.verdict;
  });
}

t.test('a process that worked is started again at once, two hundred times', async (t) => {
  t.ok(deaths(200, true, SECOND).every((verdict) => verdict.kind === 'restart' && verdict.delayMs === 0));
});

t.test('one that dies as soon as it is ready is given up within a minute', async (t) => {
  const verdicts = deaths(200, true, SECOND / 4n);
  t.equal(
    verdicts.findIndex(({ kind }) => kind === 'give up'),
    120,
  );
  t.same(verdicts[120], { kind: 'give up', why: 'it died 121 times in a minute' });
});

t.test('one that never becomes ready is tried after waits that double, and then given up', async (t) => {
  const verdicts = deaths(7, false, SECOND);
  const waits = verdicts.map((verdict) => (verdict.kind === 'restart' ? verdict.delayMs : verdict.why));
  t.same(waits, [0, 100, 200, 400, 800, 1600, 'it died 7 times before it was ready']);
});

t.test('being ready once forgets the failed starts before', async (t) => {
  let { record } = afterDeath(NO_DEATHS, { ns: 0n, wasReady: false });
  ({ record } = afterDeath(record, { ns: SECOND, wasReady: false }));
  ({ record } = afterDeath(record, { ns: 2n * SECOND, wasReady: true }));
  t.same(afterDeath(record, { ns: 3n * SECOND, wasReady: false }).verdict, { kind: 'restart', delayMs: 0 });
});
