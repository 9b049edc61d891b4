// Applies deliberate bugs to a copy of the sources, builds it, replays a case on it, and says which checkers objected. The
// copy is a whole project beside this one, with the same packages; this tree is never changed. Needs the sources, which an
// installed package has not.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../lib/core/errors.js';
import { PACKAGE_ROOT } from '../lib/node/process/package-root.js';
import type { Edit, Mutation } from './mutations.js';

/** What neither a build reads nor a lab needs. */
const NOT_COPIED = /^(\.|node_modules$|dist|build|test$|bench$|docs$)/;
const BUILD_DEADLINE_MS = 60_000;
const REPLAY_DEADLINE_MS = 90_000;
/** Some twenty cases, half of which wait until their deadline. */
const EXPLAIN_DEADLINE_MS = 900_000;

export interface Caught {
  readonly name: string;
  /** Names of the checkers that objected. */
  readonly objected: readonly string[];
  /** One of those that must was among them. */
  readonly caught: boolean;
  /** What the replay printed when it gave no verdict. */
  readonly trouble?: string;
}

export class MutatedCopy {
  readonly #dir: string;

  /** `dir` is made, and removed by close(). Throws UserError where there are no sources. */
  constructor(dir: string) {
    if (!existsSync(join(PACKAGE_ROOT, 'services', 'guest', 'main.ts'))) {
      throw new UserError('mutations need the sources: run them in a checkout');
    }
    this.#dir = dir;
    for (const name of readdirSync(PACKAGE_ROOT).filter((each) => !NOT_COPIED.test(each))) {
      cpSync(join(PACKAGE_ROOT, name), join(dir, name), { recursive: true });
    }
    symlinkSync(join(PACKAGE_ROOT, 'node_modules'), join(dir, 'node_modules'));
  }

  /** Puts the bug in, runs the case, takes the bug out. Throws an Error when an edit does not fit the sources or they do not build. */
  run({ name, edits, case: text, caughtBy }: Mutation, runDir: string): Caught {
    const originals = new Map<string, string>();
    try {
      for (const edit of edits) this.#apply(edit, originals);
      this.#build();
      return { name, ...this.#replay(text, runDir, caughtBy) };
    } finally {
      for (const [path, original] of originals) writeFileSync(path, original);
    }
  }

  /** Puts the bug in and has the case explained: what `xenwire replay --explain --json` prints. Throws as run() does. */
  explain({ edits }: Mutation, text: string, runDir: string): Record<string, unknown> {
    const originals = new Map<string, string>();
    try {
      for (const edit of edits) this.#apply(edit, originals);
      this.#build();
      const args = [this.#program, 'replay', '--json', '--explain', '--run-dir', runDir, text];
      const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: EXPLAIN_DEADLINE_MS });
      if (stdout === '') throw new Error(`no answer: ${stderr.slice(-2000)}`);
      return JSON.parse(stdout) as Record<string, unknown>;
    } finally {
      for (const [path, original] of originals) writeFileSync(path, original);
    }
  }

  /** The same without a bug: no checker may object. */
  runWithout(text: string, runDir: string): Caught {
    this.#build();
    return { name: 'no mutation', ...this.#replay(text, runDir, []) };
  }

  #apply({ file, find, replace }: Edit, originals: Map<string, string>): void {
    const path = join(this.#dir, file);
    const before = readFileSync(path, 'utf8');
    const parts = before.split(find);
    if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times: ${find}`);
    if (!originals.has(path)) originals.set(path, before);
    writeFileSync(path, parts.join(replace));
  }

  get #program(): string {
    return join(this.#dir, 'dist', 'bin', 'xenwire.js');
  }

  #build(): void {
    const script = join(this.#dir, 'scripts', 'build.mjs');
    execFileSync(process.execPath, [script, '--force', '--no-lab'], {
      cwd: this.#dir,
      stdio: 'pipe',
      timeout: BUILD_DEADLINE_MS,
    });
  }

  #replay(text: string, runDir: string, caughtBy: readonly string[]): Omit<Caught, 'name'> {
    const args = [this.#program, 'replay', '--json', '--run-dir', runDir, text];
    const { stdout, stderr, error } = spawnSync(process.execPath, args, {
      encoding: 'utf8',
      timeout: REPLAY_DEADLINE_MS,
    });
    let objected: string[];
    try {
      const { violations } = JSON.parse(stdout) as { violations: { check: string }[] };
      objected = [...new Set(violations.map(({ check }) => check))];
    } catch {
      return { objected: [], caught: false, trouble: error?.message ?? stderr.slice(-2000) };
    }
    return { objected, caught: objected.some((check) => caughtBy.includes(check)) };
  }

  close(): void {
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
