// A bench that is told to end leaves no process and no file, wherever it was: measuring in a loop that looks at no signal, with a lab of
// its own, or with another bench inside it. bench:compare makes checkouts, which takes too long here.
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { lookAgain } from '../../lib/node/process/wait.js';
import { livingOf } from '../../measure/owned/processes.js';
import { startNode } from '../../testkit/processes.js';
import { C_DAEMON_NEEDS, missing, TEST_XENSTORE } from '../../testkit/xenstored-peers.js';

const BEGUN_MS = 60_000;
const END_MS = 20_000;
const LOOK_MS = 20;
const NO_GROUP = -1;
const SERVICES = 5;

interface Case {
  readonly script: string;
  readonly args: readonly string[];
  /** Processes that live once it measures. */
  readonly processes: number;
  readonly skip?: string | false;
}

const CASES: readonly Case[] = [
  { script: 'bench:floors', args: [], processes: 1 },
  // In the loops of the device alone, before there are servers.
  { script: 'bench:gpu', args: [], processes: 1 },
  { script: 'soak', args: [], processes: 1 + SERVICES },
  { script: 'bench', args: ['--only', 'boot', '--busy', '1'], processes: 3 + SERVICES },
  { script: 'bench:xenstored', args: [], processes: 2, skip: missing(...C_DAEMON_NEEDS, TEST_XENSTORE) },
];

const { scripts } = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>;
};

const folders = (pid: number): string[] =>
  [tmpdir(), '/dev/shm'].flatMap((dir) =>
    readdirSync(dir)
      .filter((name) => name.startsWith(`xwb-${pid}-`))
      .map((name) => join(dir, name)),
  );

for (const { script, args, processes, skip = false } of CASES) {
  t.test(`${script} ends in order at SIGTERM and leaves nothing`, { skip }, async (t) => {
    const file = /\S+\.js/.exec(scripts[script]!.split(' && ').at(-1)!)![0];
    const bench = startNode(t, pathToFileURL(join(PACKAGE_ROOT, file)), args);
    const mark = `xwb-${bench.pid}-`;
    const begun = async (): Promise<true | undefined> => {
      const [made, living] = [folders(bench.pid), livingOf(NO_GROUP, mark)];
      return made.some((dir) => readdirSync(dir).length > 0) && living.length >= processes ? true : undefined;
    };
    const found = await lookAgain(begun, LOOK_MS, AbortSignal.timeout(BEGUN_MS));
    t.ok(found, `it measures, with at least ${processes} of its processes: ${bench.stderr}`);
    bench.child.kill('SIGTERM');
    t.equal(await bench.ended(END_MS), 1);

    t.same(folders(bench.pid), [], 'no file');
    t.same(livingOf(NO_GROUP, mark), [], 'no process');
  });
}
