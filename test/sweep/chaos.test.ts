// xenwire chaos and replay as a user runs them: a case of each kind of fault passes, results are whole, mistakes are a sentence.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parseResult } from '../../chaos/results.js';
import { temporaryRunDir } from '../../testkit/processes.js';
import { leftovers, temporaryLabDir, xenwire } from '../fixtures/lab.js';

const CASES = [
  'guest:front.state(device/virtio-mmio/0/state)#1/KILL vhost-frontend/restart',
  'guest:guest.frame#1/KILL xenstored/restart',
  'vhost-gpu:gpu.flush(1/0)#2/KILL vhost-gpu/late',
  'xenstored:store.commit(/local/domain/1/device/virtio-mmio/0/state)#2/TERM vhost-gpu/restart',
];

t.test(
  'cases pass one after the other in a lab that they share, and the result says so',
  { timeout: 120_000 },
  async (t) => {
    const runDir = temporaryLabDir(t);
    const folder = join(runDir, '..');
    const [list, out, half] = ['cases', 'out.json', 'half.json'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(list, `# some\n${CASES.join('\n')}\n`);
    const common = ['chaos', '--cases', list, '--run-dir', runDir, '--twice-every', '0'];
    const first = await xenwire(t, [...common, '--shard', '1/2', '--out', half]);
    t.equal(first.status, 0, first.stdout);
    t.match(first.stdout, /2 of 2 run, 0 skipped: 2 pass/);
    const second = await xenwire(t, [...common, '--shard', '2/2', '--out', out, '--junit', join(folder, 'junit.xml')]);
    t.equal(second.status, 0, second.stdout);
    t.match(readFileSync(join(folder, 'junit.xml'), 'utf8'), /tests="2" failures="0" errors="0"/);
    const { judged } = parseResult(readFileSync(out, 'utf8'), out);
    t.ok(
      judged.every(({ recoveryMs }) => recoveryMs !== undefined && recoveryMs > 0),
      'a frame came after each fault',
    );

    const partly = await xenwire(t, ['chaos', 'merge', half]);
    t.equal(partly.status, 1);
    t.match(partly.stdout, /2 cases were judged by no shard/);
    const whole = await xenwire(t, ['chaos', 'merge', half, out, out]);
    t.equal(whole.status, 0, whole.stdout);
    t.match(whole.stdout, /4 of 4 run, 0 skipped: 4 pass/);
    t.match(whole.stdout, /2 cases were judged by several shards/);

    const resumed = await xenwire(t, ['chaos', '--out', out, '--resume', '--run-dir', runDir]);
    t.equal(resumed.status, 0, 'nothing is left to do');
    t.same(
      leftovers(runDir).filter((name) => !/cases|json|xml/.test(name)),
      [],
    );
  },
);

t.test('a replay tells its steps and its verdict', async (t) => {
  const runDir = temporaryLabDir(t);
  const { status, stdout } = await xenwire(t, [
    'replay',
    '--run-dir',
    runDir,
    'guest:guest.frame#1/KILL hypervisor/late',
  ]);
  t.equal(status, 0, stdout);
  t.match(stdout, /guest-gpu-guest stands at the point/);
  t.match(stdout, /hypervisor was killed by SIGKILL/);
  t.match(stdout, /a new host is started/);
  t.match(stdout, /^\. pass/m);
  t.same(leftovers(runDir), []);
});

t.test("a user's mistake is one sentence and status 2", async (t) => {
  const noResult = join(temporaryRunDir(t), 'file');
  writeFileSync(noResult, '{}');
  const WRONG = [
    ['replay', 'nothing'],
    ['replay', 'guest:guest.nothing#1/KILL vhost-gpu/restart'],
    ['chaos', '--faults', 'BREAK'],
    ['chaos', '--victims', 'toolstack'],
    ['chaos', '--shard', '3/2'],
    ['chaos', '--resume'],
    ['chaos', '--resume', '--out', `${noResult}.missing`],
    ['chaos', '--cases', '/dev/null'],
    ['chaos', 'merge', noResult],
  ];
  for (const args of WRONG) {
    const { status, stderr, stdout } = await xenwire(t, args);
    t.equal(status, 2, args.join(' '));
    t.match(stderr, /^xenwire[^\n]+\n?$/);
    t.equal(stdout, '');
  }
});
