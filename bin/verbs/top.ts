// `xenwire top`: what the processes of a lab do, redrawn in place once a second until q or Ctrl-C; without a terminal one table.
import { HistoryFeed } from '../../lab/feed.js';
import { type ProcessRates, Rates } from '../../lab/rates.js';
import { requireLab } from '../../lab/running.js';
import { type Command, integerBetween } from '../../lib/node/process/cli.js';
import { colour } from '../../lib/node/process/output.js';
import { lookAgain } from '../../lib/node/process/wait.js';
import { labOption, printJson } from './common.js';

interface Options {
  readonly runDir: string;
  readonly interval: number;
  readonly count?: number;
  readonly json?: boolean;
}

const LOOK_MS = 1000;
const INTERVAL_MS_MIN = 100;
const INTERVAL_MS_MAX = 60_000;
const COUNT_MAX = 1_000_000;
const MIB = 1 << 20;

/** ECMA-48: home and clear below; the alternate screen and the cursor, as terminals since xterm have them. */
const HOME_CLEAR = '\u001b[H\u001b[J';
const SCREEN_ON = '\u001b[?1049h\u001b[?25l';
const SCREEN_OFF = '\u001b[?25h\u001b[?1049l';
const CTRL_C = '\u0003';

export function register(program: Command): void {
  labOption(program.command('top').description('show what the processes of a running lab do, again and again'))
    .option('--interval <ms>', 'between two tables', integerBetween(INTERVAL_MS_MIN, INTERVAL_MS_MAX), LOOK_MS)
    .option(
      '--count <number>',
      'end after so many tables; left out: 1 where no terminal reads them',
      integerBetween(1, COUNT_MAX),
    )
    .option('--json', 'one JSON array a table')
    .addHelpText('after', '\nExamples:\n  xenwire top\n  xenwire top --count 1 --json')
    .action(async (options: Options) => {
      requireLab(options.runDir);
      const inPlace = process.stdout.isTTY === true && !options.json;
      const screen = inPlace ? new Screen() : undefined;
      try {
        await show(options, screen);
      } finally {
        screen?.close();
      }
    });
}

/** The terminal while the table is redrawn: given back at the end, also after Ctrl-C, which arrives as a key. */
class Screen {
  readonly #quit = new AbortController();

  constructor() {
    process.stdout.write(SCREEN_ON);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => this.#quit.abort());
    if (!process.stdin.isTTY) return;
    process.stdin.setRawMode(true);
    process.stdin.setEncoding('utf8').on('data', (keys: string) => {
      if (keys.includes('q') || keys.includes(CTRL_C)) this.#quit.abort();
    });
  }

  get quit(): AbortSignal {
    return this.#quit.signal;
  }

  draw(lines: readonly string[]): void {
    process.stdout.write(`${HOME_CLEAR}${lines.slice(0, process.stdout.rows - 1).join('\n')}\n`);
  }

  close(): void {
    process.stdout.write(SCREEN_OFF);
    if (!process.stdin.isTTY) return;
    process.stdin.setRawMode(false);
    process.stdin.destroy();
  }
}

async function show({ runDir, interval, count, json }: Options, screen: Screen | undefined): Promise<void> {
  const feed = new HistoryFeed(runDir);
  const rates = new Rates(runDir, feed);
  // What was recorded before is not of now.
  rates.take(feed.read());
  rates.sample(process.hrtime.bigint());
  const tables = count ?? (screen === undefined ? 1 : Number.POSITIVE_INFINITY);
  let shown = 0;
  let first = true;
  await lookAgain(
    async () => {
      if (first) {
        first = false;
        return undefined;
      }
      rates.take(feed.read());
      const now = rates.sample(process.hrtime.bigint());
      const over = now.every(({ condition }) => condition === 'dead');
      if (json) printJson(now.map(jsonOf));
      else if (screen === undefined) process.stdout.write(`${table(now).join('\n')}\n`);
      else screen.draw([colour('dim', `${runDir}   q ends`), ...table(now)]);
      return ++shown >= tables || over || undefined;
    },
    interval,
    screen?.quit ?? new AbortController().signal,
  );
  feed.close();
}

const round = (value: number): number => Math.round(value * 10) / 10;

function jsonOf({ incarnation: _incarnation, ...rates }: ProcessRates): object {
  return {
    ...rates,
    cpuPercent: round(rates.cpuPercent),
    recordsPerSecond: round(rates.recordsPerSecond),
    sentPerSecond: round(rates.sentPerSecond),
    wakeUpsPerSecond: round(rates.wakeUpsPerSecond),
    historyFill: Math.round(rates.historyFill * 1000) / 1000,
  };
}

const HEAD = ['PROCESS', 'PID', 'STATE', 'CPU %', 'MEM MiB', 'RECORDS/s', 'SENT/s', 'WAKE-UPS/s', 'RING %', 'COMMANDS'];

function table(rates: readonly ProcessRates[]): string[] {
  const rows = rates.map((each) => [
    each.name,
    String(each.pid),
    each.condition === 'runs' ? each.state : each.condition,
    each.cpuPercent.toFixed(1),
    (each.residentBytes / MIB).toFixed(1),
    each.recordsPerSecond.toFixed(0),
    each.sentPerSecond.toFixed(0),
    each.wakeUpsPerSecond.toFixed(0),
    (each.historyFill * 100).toFixed(0),
    each.inFlight === undefined ? '' : String(each.inFlight),
  ]);
  const widths = HEAD.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) =>
        column === 0 || column === 2 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
      )
      .join('  ')
      .trimEnd();
  const body = rates.flatMap((each, index) => {
    const text = line(rows[index]!);
    const shown =
      each.condition === 'dead' ? colour('red', text) : each.condition === 'runs' ? text : colour('yellow', text);
    return each.at === undefined ? [shown] : [shown, colour('yellow', `  at ${each.at}`)];
  });
  return [line(HEAD), ...body];
}
