// `xenwire conformance`: every clause that binds an end played here, checked on ours or on another vhost-user GPU server.
// What the flags mean together is here; clauses and checks are in conformance/.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { CLAUSES } from '../../conformance/clauses.js';
import type { Outcome } from '../../conformance/outcome.js';
import { acceptable, countOf, junit, line, markdown } from '../../conformance/report.js';
import { type Result, runClauses, type Target } from '../../conformance/run.js';
import { errorMessage, UserError } from '../../lib/core/errors.js';
import { shellQuoted } from '../../lib/core/shell.js';
import { type Command, EXIT } from '../../lib/node/process/cli.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { packageVersion, printJson, writeWhole } from './common.js';

interface Options {
  readonly against?: string;
  readonly device?: string;
  readonly start?: string;
  readonly clause?: readonly string[];
  readonly json?: boolean;
  readonly junit?: string;
  readonly table?: readonly string[];
}

/** What --json prints, as --table reads it. */
interface Printed {
  readonly target: string;
  readonly results: readonly { readonly id: string; readonly outcome?: Outcome; readonly detail: string }[];
}

export function register(program: Command): void {
  program
    .command('conformance')
    .description('check the clauses of virtio, its GPU and vhost-user on this server or on another one')
    .option('--against <socket>', 'the server that listens there, which must serve one connection after another')
    .option('--device <socket>', 'the same, as the device that a guest has through the registers of vhost-frontend')
    .option('--start <command>', 'start this server anew for each clause; {socket} stands for where it is to listen')
    .option('--clause <ids...>', 'only these clauses')
    .option('--json', 'one JSON object')
    .option('--junit <file>', 'write the results as JUnit there')
    .option('--table <files...>', 'run nothing: print the table of docs/conformance.md from what --json printed')
    .addHelpText(
      'after',
      `
Examples:
  xenwire conformance
  xenwire conformance --clause T0001 GPU-FENCE
  xenwire conformance --device /tmp/gpu.sock --json
  xenwire conformance --start '/usr/lib/qemu/vhost-user-gpu --socket-path={socket}' --json

Exit status: 0 when every checked clause is kept, 1 otherwise, 2 for a mistake.`,
    )
    .action(conformance);
}

async function conformance(options: Options): Promise<void> {
  const { against, device, start, clause, json, junit: file, table } = options;
  if (table !== undefined) {
    process.stdout.write(markdown(table.map(printed)));
    return;
  }
  if ([against, device, start].filter((which) => which !== undefined).length > 1)
    throw new UserError('--against, --device and --start exclude each other');
  const unknown = clause?.find((id) => !CLAUSES.some((known) => known.id === id));
  if (unknown !== undefined) throw new UserError(`there is no clause ${unknown}`);
  const abort = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => abort.abort());
  const dir = mkdtempSync(join(tmpdir(), 'xenwire-conformance-'));
  const target = targetOf(options, dir);
  try {
    const tell = (result: Result): void => {
      if (!json) process.stdout.write(`${line(result)}\n`);
    };
    const results = await runClauses(target, abort.signal, { tell, ...(clause === undefined ? {} : { ids: clause }) });
    const counts = countOf(results);
    if (json)
      printJson({
        ...{ version: packageVersion(), target: target.name, counts },
        results: results.map(({ clause: { id, group }, outcome, detail }) => ({ id, group, outcome, detail })),
      });
    else
      process.stdout.write(
        `${Object.entries(counts)
          .map(([what, count]) => `${count} ${what}`)
          .join(', ')}\n`,
      );
    if (file !== undefined) writeWhole(file, junit(target.name, results));
    if (abort.signal.aborted || !results.every(acceptable)) process.exitCode = EXIT.FAILED;
  } finally {
    await target.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

function printed(path: string): { name: string; results: Result[] } {
  let read: Printed;
  try {
    read = JSON.parse(readFileSync(path, 'utf8')) as Printed;
  } catch (error) {
    throw new UserError(`${path} is nothing that --json printed: ${errorMessage(error)}`);
  }
  const byId = new Map(read.results.map((result) => [result.id, result]));
  const results = CLAUSES.map((clause) => ({ clause, outcome: byId.get(clause.id)?.outcome, detail: '' }));
  return { name: basename(read.target), results };
}

function targetOf({ against, device, start }: Options, dir: string): Target {
  if (device !== undefined) return listening(device, 'before it');
  if (against !== undefined) return listening(against, 'none');
  return start !== undefined ? started(start, dir) : own(dir);
}

const listening = (path: string, registers: Target['registers']): Target => ({
  ...{ name: path, registers, close: async () => {} },
  open: async () => ({ path, close: async () => {} }),
});

const OWN = join(PACKAGE_ROOT, 'dist', 'services', 'vhost-gpu', 'main.js');

interface Started {
  readonly path: string;
  close(): Promise<void>;
}

function startServer(command: string, path: string): Started {
  // The shell becomes the server, so that a signal reaches it.
  const child: ChildProcess = spawn('/bin/sh', ['-c', `exec ${command.replaceAll('{socket}', path)}`], {
    stdio: 'ignore',
  });
  const ended = once(child, 'exit');
  const close = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    await ended;
  };
  return { path, close };
}

/** One server a clause: some end with their first connection. */
function started(command: string, dir: string): Target {
  let count = 0;
  const open = async (): Promise<Started> => startServer(command, join(dir, `${++count}.sock`));
  return { name: command.split(' ')[0]!, registers: 'none', open, close: async () => {} };
}

/** Ours serves one front-end after another, each by a process. */
function own(dir: string): Target {
  const server = [process.execPath, OWN, '--run-dir', dir].map(shellQuoted).join(' ');
  const all = startServer(`${server} --socket-path '{socket}'`, join(dir, 'gpu.sock'));
  const open = async (): Promise<Started> => ({ path: all.path, close: async () => {} });
  return { name: 'xenwire', registers: 'ours', open, close: all.close };
}
