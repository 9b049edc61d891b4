// `xenwire dashboard`: the live page of a lab that runs, or of one that has ended and was kept. The page is a program of its own
// (bin/dashboard.ts), run here in this process.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { type Command, integerBetween } from '../../lib/node/process/cli.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { labOption } from './common.js';

/** A port that programs without privilege may have; 0: any. */
export const portNumber = integerBetween(0, 65_535);

export function register(program: Command): void {
  labOption(program.command('dashboard').description('serve the live page of a lab on this machine, until Ctrl-C'))
    .option('--port <number>', 'to serve on; 0: any that is free', portNumber, 0)
    .addHelpText('after', '\nExamples:\n  xenwire dashboard\n  xenwire dashboard --port 8642')
    .action(({ runDir, port }: { runDir: string; port: number }) => {
      const file = join(PACKAGE_ROOT, 'dist', 'bin', 'dashboard.js');
      process.argv = [process.argv[0]!, file, '--run-dir', runDir, '--port', String(port)];
      // Not import(): a script that V8 took from its code cache cannot (docs/start.md).
      createRequire(file)(file);
    });
}
