// `xenwire trace`: the history rings of all processes of a lab, the dead ones included, merged and printed.

import { HistoryFeed } from '../../lab/feed.js';
import { RECORD_KINDS, type RecordKind } from '../../lib/core/history.js';
import type { HistoryRecord } from '../../lib/node/files/history.js';
import { type Command, InvalidArgumentError, integerBetween } from '../../lib/node/process/cli.js';
import { fail, labOption } from './common.js';

interface TraceOptions {
  readonly runDir: string;
  readonly process?: string;
  readonly kind?: readonly RecordKind[];
  readonly domid?: number;
  readonly last?: number;
  readonly json?: boolean;
}

function kinds(text: string): RecordKind[] {
  return text.split(',').map((word) => {
    const kind = RECORD_KINDS.find((known) => known === word.trim());
    if (kind === undefined) throw new InvalidArgumentError(`Kinds are ${RECORD_KINDS.join(', ')}.`);
    return kind;
  });
}

export function register(program: Command): void {
  labOption(program.command('trace').description('print what the processes of a lab have recorded, in order of time'))
    .option('--process <name>', 'of one process only')
    .option('--kind <kinds>', `only these kinds: ${RECORD_KINDS.join(', ')}`, kinds)
    .option('--domid <number>', 'only what concerns this domain', integerBetween(0, 0xffff))
    .option('--last <count>', 'only the last records', integerBetween(1, 10_000_000))
    .option('--json', 'one JSON object a line')
    .addHelpText(
      'after',
      '\nExamples:\n  xenwire trace --kind state\n  xenwire trace --process guest-gpu-guest --last 50\n  xenwire trace --domid 1 --json',
    )
    .action((options: TraceOptions) => {
      const feed = new HistoryFeed(options.runDir);
      const all = feed.read();
      for (const [name, count] of feed.lost) {
        process.stderr.write(`${name}: its first ${count} records were overwritten\n`);
      }
      for (const [path, what] of feed.unreadable) process.stderr.write(`${path}: ${what}\n`);
      feed.close();
      if (all.length === 0) fail(`nothing is recorded in ${options.runDir}`);
      const chosen = all.filter((record) => matches(record, options));
      const start = all[0]?.ns ?? 0n;
      const lines = chosen.slice(-(options.last ?? chosen.length)).map(options.json ? asJson : (r) => asText(r, start));
      if (lines.length > 0) process.stdout.write(`${lines.join('\n')}\n`);
    });
}

function matches(record: HistoryRecord, options: TraceOptions): boolean {
  return (
    (options.process === undefined || record.process === options.process) &&
    (options.kind === undefined || options.kind.includes(record.kind)) &&
    (options.domid === undefined || record.domid === options.domid)
  );
}

function asText({ process: who, ns, kind, domid, name, a, b }: HistoryRecord, start: bigint): string {
  const ms = (Number(ns - start) / 1e6).toFixed(3).padStart(12);
  const domain = domid === undefined ? '' : ` dom${domid}`;
  return `${ms} ms  ${who.padEnd(16)} ${kind.padEnd(8)} ${name} ${a} ${b}${domain}`;
}

function asJson({ process: who, ns, kind, domid, name, a, b }: HistoryRecord): string {
  return JSON.stringify({ ns: String(ns), process: who, kind, name, a, b, ...(domid === undefined ? {} : { domid }) });
}
