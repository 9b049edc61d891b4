// `xenwire completion SHELL` and `xenwire man`: what a shell and man(1) are told of this command line, by itself.
import { Argument, type Command } from '../../lib/node/process/cli.js';
import { commandTree } from '../command-tree.js';
import { completionScript, SHELLS, type Shell } from '../completion-script.js';
import { manPage } from '../man-page.js';

export function register(program: Command): void {
  program
    .command('completion')
    .description('print a script that completes this command line in a shell')
    .addArgument(new Argument('<shell>', 'which shell').choices(SHELLS))
    .addHelpText('after', '\nExamples:\n  source <(xenwire completion bash)\n  xenwire completion fish | source')
    .action((shell: Shell) => void process.stdout.write(completionScript(shell, commandTree(program))));
  program
    .command('man')
    .description('print the manual page, for man -l')
    .addHelpText('after', '\nExamples:\n  xenwire man | man -l -')
    .action(() => {
      const about = { version: program.version() ?? '', description: program.description() };
      process.stdout.write(manPage(commandTree(program), about));
    });
}
