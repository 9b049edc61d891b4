// The guides of docs/, run as they are written: the blocks of commands of each in one shell, in order, and every one must succeed.
// Files that they name below /tmp are in a folder of the test's own.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readPerfettoFile } from '../../lib/node/files/perfetto-file.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { TestProcess, temporaryRunDir } from '../../testkit/processes.js';
import { missing } from '../../testkit/xenstored-peers.js';
import { leftovers, processesIn, temporaryLabDir } from '../fixtures/lab.js';

const QEMU_SERVER = '/usr/lib/qemu/vhost-user-gpu';
const GUIDE_MS = 120_000;
t.setTimeout(900_000);

interface Guide {
  readonly name: string;
  readonly skip?: string | false;
  /** What the shell must have said, one each. */
  readonly says: readonly RegExp[];
  /** Files in the place of those below /tmp, which must be Perfetto files. */
  readonly perfetto?: readonly string[];
}

const GUIDES: readonly Guide[] = [
  {
    name: 'tour',
    says: [
      /^guest-gpu-guest +\d+ +shown$/m,
      /the live page: http:\/\/127\.0\.0\.1:\d+\/\?token=/,
      /state=3 Initialised/,
      /pid \d+ was ready after \d+ ms, the picture was right again after/,
      /screen\.png: 1024x768, frame \d+/,
    ],
    perfetto: ['run.perfetto'],
  },
  {
    name: 'plug-in-qemu',
    skip: missing(QEMU_SERVER),
    says: [/state=4 Connected/, /vhost-user\.reply\(GET_FEATURES\)#1|vhost-user\.reply\(/],
  },
  { name: 'replay-a-bug', says: [/"point":"front\.state-written"/, /state=6 Closed/], perfetto: ['bug.perfetto'] },
  { name: 'add-a-fault', says: [/PAUSE\s+MS/] },
  { name: 'add-a-device', says: [/virtio = \[ "type=virtio,device10/, /0 of 1024x768 pixels differ/] },
];

for (const { name, says, perfetto = [], skip = false } of GUIDES) {
  t.test(`docs/${name}.md`, { skip, timeout: GUIDE_MS * 2 }, async (t) => {
    const dir = temporaryRunDir(t);
    const runDir = temporaryLabDir(t);
    const text = readFileSync(join(PACKAGE_ROOT, 'docs', `${name}.md`), 'utf8');
    const blocks = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block]) =>
      block!.replaceAll('/tmp/', `${dir}/`),
    );
    t.ok(blocks.length > 0);
    const child = spawn('bash', ['--norc'], {
      cwd: PACKAGE_ROOT,
      env: { ...process.env, XENWIRE_RUN_DIR: runDir },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    t.teardown(async () => {
      for (const pid of processesIn(runDir)) process.kill(pid, 'SIGKILL');
      if (child.exitCode === null && child.signalCode === null && child.kill('SIGKILL')) await once(child, 'exit');
    });
    const bash = new TestProcess(child);
    bash.say('shopt -s expand_aliases; set -m; set -e');
    for (const block of blocks) bash.say(block);
    bash.say('wait; exit 0');
    const status = await bash.ended(GUIDE_MS);
    if (status !== 0) t.comment(bash.stderr.slice(-2000), bash.lines.slice(-20));
    t.equal(status, 0, 'every command succeeds');
    const said = bash.lines.join('\n');
    for (const words of says) t.match(said, words);
    for (const file of perfetto) t.ok(readPerfettoFile(readFileSync(join(dir, file))).length > 1000, file);
    t.same(processesIn(runDir), []);
    if (existsSync(runDir)) t.notOk(leftovers(runDir).some((what) => what.startsWith('process')));
  });
}

t.test('every guide is in this test, and README names it', async (t) => {
  const readme = readFileSync(join(PACKAGE_ROOT, 'README.md'), 'utf8');
  for (const { name } of GUIDES) t.ok(readme.includes(`docs/${name}.md`), name);
});
