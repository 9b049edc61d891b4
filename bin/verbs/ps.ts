// `xenwire ps`: the processes of a lab, from the registry that each writes itself into. Also the health check of containers.
import { requireLab } from '../../lab/running.js';
import type { Command } from '../../lib/node/process/cli.js';
import { listProcesses, type ProcessEntry } from '../../lib/node/process/run-dir.js';
import { fail, labOption, printJson } from './common.js';

export function register(program: Command): void {
  labOption(program.command('ps').description('list the running processes of a lab'))
    .option('--json', 'as a JSON array')
    .option('--check <name>', 'say nothing; status 0 only if this process runs and is ready')
    .addHelpText('after', '\nExamples:\n  xenwire ps\n  xenwire ps --json\n  xenwire ps --check hypervisor')
    .action((options: { runDir: string; json?: boolean; check?: string }) => {
      const entries = listProcesses(options.runDir);
      if (entries.length === 0 && options.check === undefined) requireLab(options.runDir);
      if (options.check !== undefined) check(entries, options.check);
      else if (options.json)
        printJson(entries.map(({ name, pid, incarnation, state }) => ({ name, pid, incarnation, state })));
      else show(entries);
    });
}

function check(entries: readonly ProcessEntry[], name: string): void {
  const entry = entries.find((candidate) => candidate.name === name);
  if (entry === undefined) fail(`${name} does not run`);
  else if (entry.state === 'starting' || entry.state === 'dead') fail(`${name} is ${entry.state}`);
}

function show(entries: readonly ProcessEntry[]): void {
  const rows = [['NAME', 'PID', 'STATE'], ...entries.map(({ name, pid, state }) => [name, String(pid), state])];
  const width = Math.max(...rows.map(([name]) => name!.length));
  for (const [name, pid, state] of rows)
    process.stdout.write(`${name!.padEnd(width)}  ${pid!.padStart(7)}  ${state}\n`);
}
