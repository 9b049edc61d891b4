// The command line as data, out of commander's own tree: what completion scripts and the man page are made from.
import type { Command } from '../lib/node/process/cli.js';

export interface OptionEntry {
  /** "-F"; most have none. */
  readonly short?: string;
  /** "--run-dir"; of a negated option "--no-process". */
  readonly long: string;
  /** "<dir>"; left out for a flag. */
  readonly argument?: string;
  readonly choices: readonly string[];
  readonly description: string;
}

export interface VerbEntry {
  readonly name: string;
  /** "<config>", one a positional argument. */
  readonly arguments: readonly string[];
  readonly description: string;
  readonly options: readonly OptionEntry[];
}

/** All verbs, in the order of --help. */
export function commandTree(program: Command): VerbEntry[] {
  return program.commands.map((verb) => ({
    name: verb.name(),
    arguments: verb.registeredArguments.map((each) => {
      const name = `${each.name()}${each.variadic ? '...' : ''}`;
      return each.required ? `<${name}>` : `[${name}]`;
    }),
    description: verb.description(),
    options: verb.options.map((option) => {
      const argument = /[<[].*[>\]]/.exec(option.flags)?.[0];
      return {
        ...(option.short === undefined || option.short === null ? {} : { short: option.short }),
        long: option.long ?? option.flags,
        ...(argument === undefined ? {} : { argument }),
        choices: option.argChoices ?? [],
        description: option.description,
      };
    }),
  }));
}
