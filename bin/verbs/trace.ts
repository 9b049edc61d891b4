// `xenwire trace`: the history rings of all processes of a lab, the dead ones included, merged and printed.

import { HistoryFeed } from '../../lab/feed.js';
import { requireLab } from '../../lab/running.js';
import { POINT_KINDS, type Point, type PointKind } from '../../lib/core/probe.js';
import { type Command, InvalidArgumentError, integerBetween } from '../../lib/node/process/cli.js';
import { POINT, type PointName } from '../../lib/trace/points.js';
import { flowOf, numbersOf, showRecord, type TraceRecord } from '../../lib/trace/record.js';
import { fail, labOption } from './common.js';

interface TraceOptions {
  readonly runDir: string;
  readonly process?: string;
  readonly kind?: readonly PointKind[];
  readonly point?: readonly Point[];
  readonly domid?: number;
  readonly last?: number;
  readonly json?: boolean;
}

function kinds(text: string): PointKind[] {
  return text.split(',').map((word) => {
    const kind = POINT_KINDS.find((known) => known === word.trim());
    if (kind === undefined) throw new InvalidArgumentError(`Kinds are ${POINT_KINDS.join(', ')}.`);
    return kind;
  });
}

function points(text: string): Point[] {
  return text.split(',').map((word) => {
    const name = word.trim();
    if (!Object.hasOwn(POINT, name)) throw new InvalidArgumentError(`Points are ${Object.keys(POINT).join(', ')}.`);
    return POINT[name as PointName];
  });
}

export function register(program: Command): void {
  labOption(program.command('trace').description('print what the processes of a lab have recorded, in order of time'))
    .option('--process <name>', 'of one process only')
    .option('--kind <kinds>', `only these kinds: ${POINT_KINDS.join(', ')}`, kinds)
    .option('--point <names>', 'only these points: bus.call, store.commit and so on', points)
    .option('--domid <number>', 'only what concerns this domain', integerBetween(0, 0xffff))
    .option('--last <count>', 'only the last records', integerBetween(1, 10_000_000))
    .option('--json', 'one JSON object a line')
    .addHelpText(
      'after',
      '\nExamples:\n  xenwire trace --kind state\n  xenwire trace --process guest-gpu-guest --last 50\n  xenwire trace --point store.commit,front.state-written\n  xenwire trace --domid 1 --json',
    )
    .action((options: TraceOptions) => {
      const feed = new HistoryFeed(options.runDir);
      const all = feed.read();
      for (const [name, count] of feed.lost) {
        process.stderr.write(`${name}: its first ${count} records were overwritten\n`);
      }
      for (const [path, what] of feed.unreadable) process.stderr.write(`${path}: ${what}\n`);
      feed.close();
      if (all.length === 0) {
        requireLab(options.runDir);
        fail(`nothing is recorded in ${options.runDir}`);
      }
      const chosen = all.filter((record) => matches(record, options));
      const start = all[0]?.ns ?? 0n;
      const lines = chosen.slice(-(options.last ?? chosen.length)).map(options.json ? asJson : (r) => asText(r, start));
      if (lines.length > 0) process.stdout.write(`${lines.join('\n')}\n`);
    });
}

function matches(record: TraceRecord, options: TraceOptions): boolean {
  return (
    (options.process === undefined || record.process === options.process) &&
    (options.kind === undefined || options.kind.includes(record.point.kind)) &&
    (options.point === undefined || options.point.includes(record.point)) &&
    (options.domid === undefined || record.domid === options.domid)
  );
}

function asText(record: TraceRecord, start: bigint): string {
  const ms = (Number(record.ns - start) / 1e6).toFixed(3).padStart(12);
  return `${ms} ms  ${record.point.kind.padEnd(8)} ${showRecord(record)}`;
}

function asJson(record: TraceRecord): string {
  const { process: who, ns, point, label, occurrence, domid } = record;
  const flow = flowOf(record);
  return JSON.stringify({
    ...{ ns: String(ns), process: who, kind: point.kind, point: point.name, occurrence },
    ...(point.label === undefined ? {} : { label }),
    ...numbersOf(record),
    ...(domid === undefined ? {} : { domid }),
    ...(flow === undefined ? {} : { flow }),
  });
}
