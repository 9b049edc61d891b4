// The result of a run for a terminal: tables, the bars beside the figures, and the timeline of one notification. Pure.

import { fieldsOf } from '../../lib/trace/record.js';
import type { Figures } from '../floor/figures.js';
import type { Floors } from '../floor/floors.js';
import { floorNs, verdicts } from './bars.js';
import { conditionsText } from './machine-facts.js';
import type { Exceeded } from './measure.js';
import type { LatencyResult, PathResult } from './result.js';

/** 640 ns, 6.40 us, 64.0 us, 6.40 ms. */
export function showNs(ns: number): string {
  if (ns < 1000) return `${Math.round(ns)} ns`;
  const [value, unit] = ns < 1e6 ? [ns / 1e3, 'us'] : [ns / 1e6, 'ms'];
  return `${value.toPrecision(value >= 100 ? Math.ceil(Math.log10(value + 1)) : 3)} ${unit}`;
}

/** Columns as wide as they must be; the first to the left, numbers to the right. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length);
  }
  return rows.map((row) =>
    row
      .map((cell, index) => (index === 0 ? cell.padEnd(widths[index]!) : cell.padStart(widths[index]!)))
      .join('  ')
      .trimEnd(),
  );
}

const shown = ({ count, min, p50, p99, p999, max }: Figures): string[] => [
  count === undefined ? '' : String(count),
  min === undefined ? '' : showNs(min),
  ...[p50, p99, p999, max].map(showNs),
];
const POINTS = ['count', 'min', 'p50', 'p99', 'p99.9', 'max'];

function floorRows(floor: Floors): string[][] {
  const c = floor.eventfdC;
  return [
    ['floors, one way', ...POINTS],
    ...(c === undefined
      ? []
      : [
          ['eventfd in C, two cores ("C")', ...shown(c.oneWayNs)],
          ['eventfd in C, one core', ...shown(c.sameCoreNs)],
          ['eventfd in C, after 3 ms of nothing', ...shown(c.afterIdleNs)],
        ]),
    ...(floor.libzmqC === undefined ? [] : [['libzmq in C', ...shown(floor.libzmqC.oneWayNs)]]),
    ['bare zeromq.js', ...shown(floor.zeromqJs.oneWayNs)],
    ['bare zeromq.js, calls with replies', ...shown(floor.zeromqJsCalls.oneWayNs)],
    ['spun word of shared memory', ...shown(floor.sharedMemorySpin.oneWayNs)],
  ];
}

function pathRows(results: readonly (PathResult & { condition?: string })[], floor: Floors): string[][] {
  return results.flatMap((result) => {
    const { path, notify, mode, load, ratePerSecond, condition } = result;
    const loop = load === 'open' ? `open ${ratePerSecond}/s` : 'closed';
    const name = [path, notify, mode, loop, ...(condition === undefined ? [] : [`(${condition})`])].join(' ');
    const oneWay = (what: string, figures: Figures, floorOf: number | undefined): string[] => [
      what,
      ...shown(figures),
      floorOf === undefined ? '-' : showNs(floorOf),
      floorOf === undefined ? '-' : showNs(Math.max(0, figures.p50 - floorOf)),
    ];
    return [
      oneWay(`${name}: guest to device`, result.guestToDeviceNs, floorNs(result, floor, 'toDevice')),
      oneWay('    device to guest', result.deviceToGuestNs, floorNs(result, floor, 'toGuest')),
      ['    round trip', ...shown(result.roundTripNs), '', ''],
      ...result.hops.map(({ from, to, ns }) => [`        ${from} > ${to}`, ...shown(ns), '', '']),
    ];
  });
}

/** Lines for a terminal. */
export function reportText(result: LatencyResult): string[] {
  const { floor, beside } = result;
  const head = [`${result.paths.length} measurements`, ...POINTS, 'floor', 'p50 - floor'];
  const bars = verdicts(result).map(({ what, measured, bar, unit, met }) => {
    const show = (value: number): string => (unit === 'ns' ? showNs(value) : `${value.toFixed(1)} %`);
    return [what, show(measured), show(bar), met ? 'met' : `missed: ${(measured / bar).toFixed(2)} of it`];
  });
  return [
    ...beside.warnings.map((warning) => `warning: ${warning}`),
    conditionsText(beside.machine),
    `${result.cores} cores, Node ${result.node}, one history record takes ${showNs(beside.recordNs)}`,
    '',
    ...table(floorRows(floor)),
    '',
    ...table([head, ...pathRows(result.paths, floor)]),
    ...(beside.reported.length === 0
      ? []
      : ['', ...table([['reported', ...POINTS, 'floor', 'p50 - floor'], ...pathRows(beside.reported, floor)])]),
    '',
    ...table([['bars, one way, p50', 'measured', 'bar', ''], ...bars]),
  ];
}

/** Everything that any process recorded around one notification, in microseconds from the request's intended start. */
export function timeline({ request, direction, ns, records }: Exceeded): string[] {
  const rows = records.map((record) => [
    `${(Number(record.ns - request.intendedNs) / 1000).toFixed(1)} us`.padStart(12),
    record.process.padEnd(16),
    `${record.point.name} ${record.label}`.trim().padEnd(28),
    Object.entries(fieldsOf(record))
      .map(([name, value]) => `${name}=${value}`)
      .join(' '),
  ]);
  return [`request ${request.sequence}, ${direction}: ${showNs(ns)}`, ...table(rows)];
}
