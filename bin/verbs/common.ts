// What the verbs share: the option that names a lab, plain output, failures in one sentence.
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../../lib/core/errors.js';
import { shellQuoted } from '../../lib/core/shell.js';
import { type Command, EXIT, folder } from '../../lib/node/process/cli.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { defaultRunDir } from '../../lib/node/process/run-dir.js';

export function labOption(command: Command): Command {
  return command.option('--run-dir <dir>', 'where the processes of the lab find each other', folder, defaultRunDir());
}

/** For verbs that act as the toolstack: a controller can arm its first steps (lab/gates.ts). */
export function holdOption(command: Command): Command {
  return command.option('--hold', 'stand still before the first step until a controller of gates lets it go', false);
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** A verb that could not do what it was asked: one sentence, exit status 1. */
export function fail(sentence: string): void {
  process.stderr.write(`xenwire: ${sentence}\n`);
  process.exitCode = EXIT.FAILED;
}

export function packageVersion(): string {
  return (JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as { version: string }).version;
}

/** The command line, when it began, and on what: for a report, so that others can repeat it. A seed that was drawn is named. */
export function howRun(seed: number | undefined): { command: string; began: string; machine: string } {
  const words = process.argv.slice(2);
  const drawn = seed === undefined || words.some((word) => word.startsWith('--seed')) ? [] : ['--seed', String(seed)];
  const shown = ['xenwire', ...words, ...drawn].map((word) =>
    /^[\w./:,=@%+-]+$/.test(word) ? word : shellQuoted(word),
  );
  const cores = availableParallelism();
  return {
    command: shown.join(' '),
    began: `${new Date().toISOString().slice(0, 16)}Z`,
    machine: `${cores} core${cores === 1 ? '' : 's'}, Node ${process.version}`,
  };
}

/** That a file can be written there, which is found out before hours of work. Throws UserError; leaves what is there. */
export function requireWritable(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory())
    throw new UserError(`cannot write ${path}: it is a folder`);
  try {
    writeFileSync(`${path}.new`, '');
    rmSync(`${path}.new`);
  } catch (error) {
    throw new UserError(`cannot write ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Never half a file: a campaign that is killed leaves the last whole one. */
export function writeWhole(path: string, content: string): void {
  try {
    writeFileSync(`${path}.new`, content);
    renameSync(`${path}.new`, path);
  } catch (error) {
    throw new UserError(`cannot write ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
