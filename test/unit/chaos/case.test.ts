import t from 'tap';
import {
  type ChaosCase,
  caseOf,
  FAULTS_MAX,
  type FaultAt,
  faultsOf,
  formatCase,
  parseCase,
  VICTIMS,
} from '../../../chaos/case.js';
import { casesOf, sample, shardOf } from '../../../chaos/enumerate.js';
import { RESTARTS } from '../../../chaos/faults/fault.js';
import { shardFromEnvironment } from '../../../chaos/shard.js';
import { UserError } from '../../../lib/core/errors.js';
import { POINT } from '../../../lib/trace/points.js';
import type { TraceRecord } from '../../../lib/trace/record.js';

t.test('a case is one line of text and comes back from it', (t) => {
  for (const label of ['write device/virtio-mmio/0/state=3', 'a/KILL b/late', 'with (brackets)#3']) {
    for (const fault of ['KILL', 'PAUSE 16']) {
      const chaosCase: ChaosCase = {
        at: { process: 'xenstored', point: POINT['store.serve'], label, occurrence: 3 },
        fault,
        victim: 'vhost-gpu',
        restart: 'late',
      };
      t.same(parseCase(formatCase(chaosCase)), chaosCase, label);
    }
  }
  const short = parseCase('guest:guest.frame#1/KILL guest/restart');
  t.equal(
    formatCase(short),
    'guest-gpu-guest:guest.frame#1/KILL guest-gpu-guest/restart',
    'guest is short for its process',
  );
  t.end();
});

t.test('a case with several faults is one line too, whatever the labels of its points hold', (t) => {
  const fault = (label: string): FaultAt => ({
    at: { process: 'xenstored', point: POINT['store.serve'], label, occurrence: 1 },
    ...{ fault: 'STOP', victim: 'vhost-gpu', restart: 'restart' },
  });
  for (const labels of [
    ['a', 'b'],
    ['a then b', '/KILL x/late then y', 'with (brackets)#3/'],
    Array(FAULTS_MAX).fill('a'),
  ]) {
    const chaosCase = caseOf(labels.map(fault));
    t.same(faultsOf(chaosCase), labels.map(fault));
    t.same(parseCase(formatCase(chaosCase)), chaosCase, formatCase(chaosCase));
  }
  t.same(caseOf([fault('a')]), fault('a'), 'one fault alone has none behind it');
  const one = formatCase(fault('a'));
  for (const text of [`${one} then`, `${one} then nothing`, `${one} then x:guest.frame#1/KILL vhost-gpu/restart`]) {
    t.throws(() => parseCase(text), UserError, text);
  }
  t.throws(
    () =>
      parseCase(
        Array(FAULTS_MAX + 1)
          .fill(one)
          .join(' then '),
      ),
    UserError,
  );
  t.end();
});

t.test('what is no case is refused with a sentence', (t) => {
  const WRONG = [
    '',
    'guest:guest.frame#1',
    'guest:guest.frame#1/KILL vhost-gpu',
    'guest:guest.frame#0/KILL vhost-gpu/restart',
    'guest:guest.nothing#1/KILL vhost-gpu/restart',
    'guest:guest.frame#1/BREAK vhost-gpu/restart',
    'guest:guest.frame#1/PAUSE vhost-gpu/restart',
    'guest:guest.frame#1/PAUSE 2001 vhost-gpu/restart',
    'guest:guest.frame#1/KILL 5 vhost-gpu/restart',
    'guest:guest.frame#1/KILL nothing/restart',
    'guest:guest.frame#1/KILL vhost-gpu/sometimes',
    'nothing:guest.frame#1/KILL vhost-gpu/restart',
    'guest:guest.frame#1/CUT vhost-gpu/restart',
    'guest:guest.frame#1/DELAY vhost-gpu/restart',
  ];
  for (const text of WRONG) t.throws(() => parseCase(text), UserError, text);
  t.end();
});

const record = (name: 'guest.frame' | 'store.serve', label: string, occurrence: number): TraceRecord => ({
  ...{ process: 'xenstored', incarnation: 1, index: 0, ns: 0n, point: POINT[name], label, occurrence },
  ...{ a: 0, b: 0, domid: undefined, flow: 0, sender: 0 },
});

t.test(
  'cases are every point by every victim by every fault; only what ends has a replacement that can be late',
  (t) => {
    const points = [record('store.serve', 'one', 1), record('store.serve', 'one', 2), record('store.serve', 'two', 1)];
    const choice = { faults: ['KILL', 'STOP'], victims: VICTIMS, restarts: RESTARTS, everyOccurrence: false };
    const some = casesOf(points, choice);
    t.equal(some.length, 2 * VICTIMS.length * (RESTARTS.length + 1));
    t.equal(new Set(some.map(formatCase)).size, some.length, 'none is there twice');
    const cut = casesOf(points, { ...choice, faults: ['CUT'] }).map(({ victim }) => victim);
    t.same(
      [...new Set(cut)],
      ['guest-gpu-guest', 'vhost-frontend', 'xenstored', 'hypervisor'],
      'only what is connected',
    );
    t.equal(casesOf(points, { ...choice, everyOccurrence: true }).length, (some.length / 2) * 3);
    t.end();
  },
);

t.test('a seeded sample is the same each time, of the size that was asked for, in order and without repeats', (t) => {
  const list = Array.from({ length: 1000 }, (_, index) => index);
  const some = sample(list, 100, 7);
  t.same(some, sample(list, 100, 7));
  t.notSame(some, sample(list, 100, 8));
  t.equal(new Set(some).size, 100);
  t.same(
    some,
    [...some].sort((a, b) => a - b),
  );
  t.same(sample(list, 5000, 1), list);
  const parts = [1, 2, 3].flatMap((index) => shardOf(list, index, 3));
  t.same(
    parts.sort((a, b) => a - b),
    list,
    'shards are the whole, each case once',
  );
  t.end();
});

t.test('the part of a campaign is what its engine says', (t) => {
  t.equal(shardFromEnvironment({}), undefined);
  t.same(shardFromEnvironment({ JOB_COMPLETION_INDEX: '0', JOB_COMPLETIONS: '4' }), { index: 1, count: 4 });
  t.same(shardFromEnvironment({ CI_NODE_INDEX: '4', CI_NODE_TOTAL: '4' }), { index: 4, count: 4 });
  const slurm = { SLURM_ARRAY_TASK_ID: '7', SLURM_ARRAY_TASK_COUNT: '4', SLURM_ARRAY_TASK_MIN: '5' };
  t.same(shardFromEnvironment(slurm), { index: 3, count: 4 });
  t.equal(shardFromEnvironment({ CI_NODE_INDEX: '5', CI_NODE_TOTAL: '4' }), undefined);
  t.equal(shardFromEnvironment({ JOB_COMPLETION_INDEX: '2' }), undefined, 'an index without a count is no part');
  t.end();
});
