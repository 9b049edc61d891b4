// Command lines: commander, with a user's mistakes as one sentence on standard error and exit status 2.
import { resolve } from 'node:path';
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { UserError } from '../../core/errors.js';

export { Argument, Command, InvalidArgumentError, Option };

/** Exit statuses of every program here. */
/** AMBER: nothing failed, and what was to be tried was not all tried. */
export const EXIT = { OK: 0, FAILED: 1, USAGE: 2, AMBER: 3 } as const;

/** A command whose mistakes throw instead of printing and exiting: see runCommand. */
export function command(name: string): Command {
  return new Command(name).exitOverride().configureOutput({ writeErr: () => {} });
}

/** The absolute path of a folder, for Option.argParser. An empty text is no name: an unset variable of a script, say. */
export function folder(text: string): string {
  if (text === '') throw new InvalidArgumentError('It must name a folder.');
  return resolve(text);
}

/** A whole number between two bounds, for Option.argParser. */
export function integerBetween(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isInteger(value) || value < min || value > max) {
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
    }
    return value;
  };
}

/** Parses and runs; returns the exit status. What the user got wrong is said in one sentence. */
export async function runCommand(program: Command, argv: readonly string[]): Promise<number> {
  try {
    await program.parseAsync(argv, { from: 'user' });
    return EXIT.OK;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return EXIT.OK; // --help, --version
      // Without a subcommand commander shows its help instead of a message.
      const text = error.message === '(outputHelp)' ? 'no command given; see --help' : error.message;
      process.stderr.write(`${program.name()}: ${oneSentence(text)}\n`);
      return EXIT.USAGE;
    }
    if (error instanceof UserError) {
      process.stderr.write(`${program.name()}: ${error.message}\n`);
      return EXIT.USAGE;
    }
    throw error;
  }
}

/** Commander says "error: A is invalid. It must be B." and puts suggestions on a second line. */
function oneSentence(text: string): string {
  return text
    .replace(/^error: /, '')
    .replace(/\s*\n\s*/g, ' ')
    .replace(' is invalid. ', ' is invalid: ')
    .replace(/\.$/, '');
}
