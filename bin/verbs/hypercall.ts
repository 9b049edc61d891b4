// `xenwire hypercall`: hypercalls as JSON lines on a host of their own inside this process, and recordings of real Xen
// compared with it. Leaves the lines to testkit/hypercall-lines.ts.
import { createInterface } from 'node:readline';
import { readGivenFile } from '../../lib/node/files/given.js';
import { type Command, EXIT } from '../../lib/node/process/cli.js';
import { OPERATIONS } from '../../services/hypervisor/operations.js';
import { HypercallLines, replay } from '../../testkit/hypercall-lines.js';
import { SCRIPT_OPERATIONS } from '../../testkit/script-actors.js';
import { printJson } from './common.js';

/** Far above the recordings in test/golden. */
const RECORDING_BYTES_MAX = 256 << 20;

export function register(program: Command): void {
  program
    .command('hypercall')
    .description(
      'hypercalls as JSON lines: {"dom":0,"op":"evtchn.alloc_unbound","args":{"dom":0}} on standard input,\n' +
        '{"rc":0,"out":{"port":1}} on standard output; domains are made by domctl.create',
    )
    .option('--replay <files...>', 'run recordings made on real Xen and print each line that differs')
    .option('--list', 'print the operations and their arguments')
    .addHelpText(
      'after',
      '\nExamples:\n  xenwire hypercall < calls.jsonl\n  xenwire hypercall --replay recording.jsonl',
    )
    .action(async (options: { replay?: string[]; list?: boolean }) => {
      if (options.list) listOperations();
      else if (options.replay !== undefined) replayAll(options.replay);
      else await answerLines();
    });
}

async function answerLines(): Promise<void> {
  const lines = new HypercallLines();
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim() !== '') printJson(lines.line(line));
  }
}

function listOperations(): void {
  for (const [name, { caller, args }] of OPERATIONS) {
    const fields = Object.entries(args).map(([arg, kind]) => `${arg}:${kind}`);
    process.stdout.write(`${[name, ...fields].join(' ')}${caller === 'dom0' ? ' (dom0)' : ''}\n`);
  }
  for (const [name, what] of SCRIPT_OPERATIONS) process.stdout.write(`${name} (${what})\n`);
}

/** Exit status 1 when any line differs. */
function replayAll(files: readonly string[]): void {
  for (const file of files) {
    const { lines, differences } = replay(readText(file), file);
    for (const { line, text, got } of differences) process.stdout.write(`${file}:${line}: ${text}\n  here: ${got}\n`);
    process.stdout.write(`${file}: ${lines} calls, ${differences.length} differ\n`);
    if (differences.length > 0) process.exitCode = EXIT.FAILED;
  }
}

function readText(file: string): string {
  return readGivenFile(file, 'the recording', RECORDING_BYTES_MAX).toString('utf8');
}
