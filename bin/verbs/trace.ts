// `xenwire trace`: the history rings of all processes of a lab, the dead ones included, merged: printed, followed, drawn as the
// sequence diagram of a device, or written as a file for other programs.
import { createWriteStream } from 'node:fs';
import { HistoryFeed } from '../../lab/feed.js';
import { followHistories } from '../../lab/follow.js';
import { requireLab } from '../../lab/running.js';
import { UserError } from '../../lib/core/errors.js';
import { POINT_KINDS, type Point, type PointKind } from '../../lib/core/probe.js';
import { Argument, type Command, InvalidArgumentError, integerBetween, Option } from '../../lib/node/process/cli.js';
import { deviceMermaid, deviceSequence, deviceText } from '../../lib/trace/device-sequence.js';
import { type DeviceName, DeviceNames, parseDevice } from '../../lib/trace/devices.js';
import { POINT, type PointName } from '../../lib/trace/points.js';
import { recordJson, showRecord, type TraceRecord } from '../../lib/trace/record.js';
import { selector } from '../../lib/trace/selection.js';
import { fail, labOption } from './common.js';

interface TraceOptions {
  readonly runDir: string;
  readonly process?: string;
  readonly kind?: readonly PointKind[];
  readonly point?: readonly Point[];
  readonly domid?: number;
  readonly device?: DeviceName;
  readonly from?: number;
  readonly until?: number;
  readonly last?: number;
  readonly follow?: boolean;
  readonly diagram?: 'text' | 'mermaid';
  readonly json?: boolean;
  readonly format: ExportFormat;
  readonly output?: string;
}

const EXPORT_FORMATS = ['perfetto', 'ndjson', 'text'] as const;
type ExportFormat = (typeof EXPORT_FORMATS)[number];
const MS_MAX = 1e12;

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

function device(text: string): DeviceName {
  const name = parseDevice(text);
  if (name === undefined) throw new InvalidArgumentError('It must be a domain and a number of a device, as 1/0.');
  return name;
}

function milliseconds(text: string): number {
  const ms = Number(text);
  if (text.trim() === '' || !(ms >= 0) || ms > MS_MAX) throw new InvalidArgumentError('It must be milliseconds.');
  return ms;
}

export function register(program: Command): void {
  labOption(program.command('trace').description('print what the processes of a lab have recorded, in order of time'))
    .addArgument(new Argument('[export]', 'write a file for other programs instead').choices(['export']))
    .option('--process <name>', 'of one process only')
    .option('--kind <kinds>', `only these kinds: ${POINT_KINDS.join(', ')}`, kinds)
    .option('--point <names>', 'only these points: bus.call, store.commit and so on', points)
    .option('--domid <number>', 'only what concerns this domain', integerBetween(0, 0xffff))
    .option('--device <name>', 'only what concerns this device, as 1/0, or its domain and no device', device)
    .option('--from <ms>', 'only from this time on, as printed: milliseconds from the first record', milliseconds)
    .option('--until <ms>', 'only up to this time', milliseconds)
    .option('--last <count>', 'only the last records', integerBetween(1, 10_000_000))
    .option('-f, --follow', 'go on with what is recorded from now on, until the lab ends')
    .addOption(
      new Option('--diagram <form>', 'the life of each device, or of that of --device, as a sequence diagram').choices([
        'text',
        'mermaid',
      ]),
    )
    .option('--json', 'one JSON object a line')
    .addOption(
      new Option('--format <format>', 'of the file: for ui.perfetto.dev, a JSON object a line, or lines as printed')
        .choices(EXPORT_FORMATS)
        .default('perfetto'),
    )
    .option('-o, --output <file>', 'of export: where to write; left out: standard output')
    .addHelpText(
      'after',
      '\nExamples:\n  xenwire trace --kind state\n  xenwire trace --process guest-gpu-guest --last 50\n  xenwire trace --point store.commit,front.state-written\n  xenwire trace --domid 1 --json\n  xenwire trace --device 1/0 --diagram text\n  xenwire trace --diagram mermaid\n  xenwire trace export --format ndjson --last 100',
    )
    .action(async (what: 'export' | undefined, options: TraceOptions) => {
      checkTogether(what, options);
      const feed = new HistoryFeed(options.runDir);
      if (options.follow) return followed(feed, options);
      const all = feed.read();
      sayLost(feed.lost);
      for (const [path, problem] of feed.unreadable) process.stderr.write(`${path}: ${problem}\n`);
      feed.close();
      const [first] = all;
      if (first === undefined) {
        requireLab(options.runDir);
        return fail(`nothing is recorded in ${options.runDir}`);
      }
      if (options.diagram !== undefined) return print(diagrams(all, options));
      const selected = all.filter(selector(selectionOf(options), first.ns));
      const chosen = selected.slice(-(options.last ?? selected.length));
      if (what === 'export') await exported(chosen, first.ns, options);
      else print(chosen.map(options.json ? recordJson : (record) => asText(record, first.ns)));
    });
}

function checkTogether(what: 'export' | undefined, options: TraceOptions): void {
  const { follow, diagram, json, last, output } = options;
  if (follow && (what !== undefined || diagram !== undefined || last !== undefined))
    throw new UserError('--follow goes with neither export, --diagram nor --last');
  if (diagram !== undefined && (what !== undefined || json))
    throw new UserError('--diagram goes with neither export nor --json');
  if (output !== undefined && what === undefined)
    throw new UserError('-o goes with export: xenwire trace export -o FILE');
  if (what !== undefined && output === undefined && options.format === 'perfetto' && process.stdout.isTTY)
    throw new UserError('a Perfetto file is not for a terminal: name a file with -o');
}

const ns = (ms: number): bigint => BigInt(Math.round(ms * 1e6));

function selectionOf({ process: who, kind, point, domid, device: of, from, until }: TraceOptions) {
  return {
    ...(who === undefined ? {} : { process: who }),
    ...(kind === undefined ? {} : { kinds: kind }),
    ...(point === undefined ? {} : { points: point }),
    ...(domid === undefined ? {} : { domid }),
    ...(of === undefined ? {} : { device: of }),
    ...(from === undefined ? {} : { fromNs: ns(from) }),
    ...(until === undefined ? {} : { untilNs: ns(until) }),
  };
}

function print(lines: readonly string[]): void {
  if (lines.length > 0) process.stdout.write(`${lines.join('\n')}\n`);
}

function sayLost(lost: ReadonlyMap<string, number>): void {
  for (const [name, count] of lost) process.stderr.write(`${name}: ${count} records were overwritten\n`);
}

/** Prints until the lab ends; a signal ends the command as any other. */
async function followed(feed: HistoryFeed, options: TraceOptions): Promise<void> {
  requireLab(options.runDir);
  let select: ((record: TraceRecord) => boolean) | undefined;
  let startNs = 0n;
  const follower = {
    records: (records: readonly TraceRecord[]): void => {
      if (select === undefined) {
        startNs = records[0]!.ns;
        select = selector(selectionOf(options), startNs);
      }
      print(records.filter(select).map(options.json ? recordJson : (record) => asText(record, startNs)));
    },
    lost: sayLost,
  };
  await followHistories(options.runDir, feed, follower, new AbortController().signal);
  feed.close();
  process.stderr.write('the lab has ended\n');
}

/** Of the chosen device, or of each in the order of their domains. */
function diagrams(all: readonly TraceRecord[], options: TraceOptions): string[] {
  const names = new DeviceNames();
  const found = new Map<string, DeviceName>();
  for (const record of all) {
    const of = names.of(record);
    if (of?.domid === undefined || of.devid === undefined) continue;
    found.set(`${of.domid}/${of.devid}`, { domid: of.domid, devid: of.devid });
  }
  const { device: chosen, domid } = options;
  const devices = [...found.values()]
    .filter((each) => chosen === undefined || (each.domid === chosen.domid && each.devid === chosen.devid))
    .filter((each) => domid === undefined || each.domid === domid)
    .sort((one, other) => one.domid - other.domid || one.devid - other.devid);
  if (devices.length === 0) {
    const there = [...found.keys()].join(', ');
    throw new UserError(`no such device is recorded${there === '' ? '' : `; there is ${there}`}`);
  }
  const startNs = all[0]!.ns;
  // A diagram has its own choice of points.
  const { kind: _kind, point: _point, ...rest } = options;
  const selected = all.filter(selector(selectionOf(rest), startNs));
  return devices.flatMap((each, index) => {
    const sequence = deviceSequence(selected, each, startNs);
    const text = options.diagram === 'mermaid' ? deviceMermaid(sequence) : deviceText(sequence);
    const title = `device ${each.domid}/${each.devid}, milliseconds from the first record`;
    const heading = options.diagram === 'mermaid' ? `%% ${title}` : title;
    return [...(index === 0 ? [] : ['']), heading, text];
  });
}

async function exported(records: readonly TraceRecord[], startNs: bigint, options: TraceOptions): Promise<void> {
  const bytes = await exportBytes(records, startNs, options.format);
  if (options.output === undefined) {
    process.stdout.write(bytes);
    return;
  }
  const { output } = options;
  await new Promise<void>((resolve, reject) => {
    const file = createWriteStream(output);
    file.on('error', (error) => reject(new UserError(`cannot write ${output}: ${error.message}`)));
    file.end(bytes, resolve);
  });
}

async function exportBytes(
  records: readonly TraceRecord[],
  startNs: bigint,
  format: ExportFormat,
): Promise<Uint8Array> {
  if (format === 'perfetto') {
    const { perfettoFile } = await import('../../lib/node/files/perfetto-file.js');
    return perfettoFile(records);
  }
  const lines = records.map(format === 'ndjson' ? recordJson : (record) => asText(record, startNs));
  return new TextEncoder().encode(lines.map((line) => `${line}\n`).join(''));
}

function asText(record: TraceRecord, start: bigint): string {
  const ms = (Number(record.ns - start) / 1e6).toFixed(3).padStart(12);
  return `${ms} ms  ${record.point.kind.padEnd(8)} ${showRecord(record)}`;
}
