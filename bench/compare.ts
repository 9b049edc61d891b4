// `npm run bench:compare -- A B`: the same bench on two commits, by turns on this machine, and which figures became larger or
// smaller and how sure that is (bench/compare/figures.ts). Each commit is checked out and built in a folder of its own that is
// removed at the end. Prints a table, or JSON; status 1 when a figure became worse, so that a slower commit is seen.
import { execFile, execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { UserError } from '../lib/core/errors.js';
import { command, EXIT, integerBetween, Option } from '../lib/node/process/cli.js';
import { PACKAGE_ROOT } from '../lib/node/process/package-root.js';
import { runBench } from '../measure/owned/bench.js';
import { BENCHES, type Bench } from './compare/benches.js';
import { type Comparison, compare, figuresOf, ROUNDS_MAX, ROUNDS_MIN, verdictOf } from './compare/figures.js';

/** A smaller difference is none, however sure. */
const SHARE = 0.02;

interface Options {
  readonly bench: keyof typeof BENCHES;
  readonly rounds: number;
  readonly args?: string;
  readonly json?: boolean;
}

const run = promisify(execFile);

const program = command('bench:compare')
  .description('measure two commits by turns, and say which figures differ and how sure that is')
  .argument('<a>', 'a commit')
  .argument('<b>', 'another one; HEAD, a branch, a hash')
  .addOption(new Option('--bench <name>', 'what to run').choices(Object.keys(BENCHES)).default('boot'))
  .option('--rounds <count>', 'runs of each', integerBetween(ROUNDS_MIN, ROUNDS_MAX), 8)
  .option('--args <text>', 'further arguments of the bench, separated by spaces')
  .option('--json', 'print one JSON object, and nothing else')
  .addHelpText(
    'after',
    '\nExamples:\n  npm run bench:compare -- HEAD~1 HEAD\n  npm run bench:compare -- main HEAD --bench latency --args "--path direct"',
  )
  .action(async (a: string, b: string, options: Options) => {
    const commits = [commitOf(a), commitOf(b)] as const;
    const parent = mkdtempSync(join(tmpdir(), 'xw-compare-'));
    const checkouts: string[] = [];
    const cleanUp = (): void => {
      for (const checkout of checkouts) rmSync(checkout, { recursive: true, force: true });
      rmSync(parent, { recursive: true, force: true });
      git('worktree', 'prune');
    };
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => {
        cleanUp();
        process.exit(EXIT.FAILED);
      });
    try {
      for (const [index, commit] of commits.entries()) {
        checkouts.push(join(parent, index === 0 ? 'a' : 'b'));
        checkOut(commit, checkouts[index]!, (line) => process.stderr.write(`${line}\n`));
      }
      const series: [Map<string, number>[], Map<string, number>[]] = [[], []];
      for (let round = 0; round < options.rounds; round++) {
        // A B, then B A: what a run leaves in the machine's caches falls on both.
        for (const which of round % 2 === 0 ? [0, 1] : [1, 0])
          series[which]!.push(await measure(checkouts[which]!, options));
        process.stderr.write(`round ${round + 1} of ${options.rounds}\n`);
      }
      report(commits, series, options);
    } finally {
      cleanUp();
    }
  });

function git(...args: string[]): string {
  return execFileSync('git', args, { cwd: PACKAGE_ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
}

function commitOf(name: string): string {
  try {
    return git('rev-parse', '--verify', '--quiet', '--end-of-options', `${name}^{commit}`);
  } catch {
    throw new UserError(`${name} is no commit here`);
  }
}

/** Checks `commit` out into `checkout` and builds it; its packages are copied from here where the lock file is the same. */
function checkOut(commit: string, checkout: string, say: (line: string) => void): void {
  say(`${commit.slice(0, 12)}: checking out and building`);
  git('worktree', 'add', '--detach', '--force', checkout, commit);
  const lock = 'package-lock.json';
  const same = readFileSync(join(checkout, lock), 'utf8') === readFileSync(join(PACKAGE_ROOT, lock), 'utf8');
  const options = { cwd: checkout, stdio: ['ignore', 'ignore', 'inherit'] as ['ignore', 'ignore', 'inherit'] };
  if (same && existsSync(join(PACKAGE_ROOT, 'node_modules'))) {
    cpSync(join(PACKAGE_ROOT, 'node_modules'), join(checkout, 'node_modules'), {
      recursive: true,
      verbatimSymlinks: true,
    });
    execFileSync(process.execPath, ['scripts/build.mjs'], options);
  } else execFileSync('npm', ['ci'], options);
}

async function measure(checkout: string, { bench, args }: Options): Promise<Map<string, number>> {
  const { run: words, figures } = BENCHES[bench];
  const [file, ...rest] = words;
  const given = args?.split(' ').filter((each) => each !== '') ?? [];
  const { stdout } = await run(process.execPath, [join(checkout, file), ...rest, ...given], {
    cwd: checkout,
    maxBuffer: 64 << 20,
  });
  return figuresOf(JSON.parse(stdout), figures);
}

function report(
  [a, b]: readonly [string, string],
  [first, second]: readonly [readonly Map<string, number>[], readonly Map<string, number>[]],
  { bench, rounds, json }: Options,
): void {
  const everywhere = [...first[0]!.keys()].filter((name) =>
    [...first, ...second].every((figures) => (figures.get(name) ?? 0) > 0),
  );
  const median = (values: readonly number[]): number => [...values].sort((x, y) => x - y)[values.length >> 1]!;
  const { rates }: Bench = BENCHES[bench];
  const worse = (name: string) => (rates?.test(name) === true ? 'smaller' : 'larger');
  const rows = everywhere.map((name) => {
    const before = first.map((figures) => figures.get(name)!);
    const after = second.map((figures) => figures.get(name)!);
    const comparison: Comparison = compare(before, after);
    const verdict = verdictOf(comparison, SHARE);
    return { name, a: median(before), b: median(after), ...comparison, verdict, worse: verdict === worse(name) };
  });
  if (json) process.stdout.write(`${JSON.stringify({ a, b, bench, rounds, figures: rows }, null, 2)}\n`);
  else {
    const width = Math.max(...rows.map(({ name }) => name.length), 6);
    console.log(
      `${'figure'.padEnd(width)}  ${a.slice(0, 10).padStart(12)}  ${b.slice(0, 10).padStart(12)}   b/a      p`,
    );
    for (const row of rows)
      console.log(
        `${row.name.padEnd(width)}  ${String(row.a).padStart(12)}  ${String(row.b).padStart(12)}  ${row.ratio.toFixed(2).padStart(4)}  ${row.p.toFixed(3)}  ${row.verdict}${row.worse ? ', worse' : ''}`,
      );
    console.log(
      `${rounds} rounds of each, by turns; a difference counts below p = 0.05 and above ${SHARE * 100} %, and of many figures one in twenty comes out by chance.`,
    );
  }
  if (rows.length === 0) throw new UserError('the two benches have no figure in common');
  if (rows.some(({ worse }) => worse)) process.exitCode = EXIT.FAILED;
}

await runBench(program);
