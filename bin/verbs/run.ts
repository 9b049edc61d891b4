// `xenwire run -- PROGRAM …`: a program of dom0 as it is, against the devices and the store of a lab (docs/dom0-programs.md).
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { dom0Environment } from '../../lab/preload.js';
import { UserError } from '../../lib/core/errors.js';
import type { Command } from '../../lib/node/process/cli.js';
import { isRunning, waitingFor } from '../../lib/node/process/run-dir.js';
import { labOption } from './common.js';

/** A shell's status for a program that a signal ended. */
const SIGNALLED = 128;
const PASSED_ON = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;

export function register(program: Command): void {
  labOption(
    program
      .command('run <program> [args...]')
      .description('run an unmodified program of dom0: /dev/xen/{evtchn,privcmd,gntdev,hypercall} are the lab’s'),
  )
    .addHelpText(
      'after',
      '\nExamples:\n  xenwire run -- lsevtchn 1\n  xenwire run -- ./my-vhost-frontend --socket /tmp/gpu',
    )
    .action(async (file: string, args: string[], options: { runDir: string }) => {
      if (!isRunning(options.runDir, 'hypervisor')) throw new UserError(waitingFor('hypervisor', options.runDir));
      process.exitCode = await runProgram(file, args, dom0Environment(options.runDir));
    });
}

async function runProgram(file: string, args: readonly string[], env: Record<string, string>): Promise<number> {
  const child = spawn(file, args, { stdio: 'inherit', env: { ...process.env, ...env } });
  for (const signal of PASSED_ON) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.on('error', (error: NodeJS.ErrnoException) =>
      reject(
        new UserError(`cannot run ${file}: ${error.code === 'ENOENT' ? 'there is no such program' : error.message}`),
      ),
    );
    child.on('exit', (code, signal) => resolve(code ?? SIGNALLED + constants.signals[signal!]));
  });
}
