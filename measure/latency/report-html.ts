// The result of a run as one page without anything from outside: percentile plots by kind of measurement, the bars, the
// figures. Pure. Leaves drawing to plot.ts.
import { NOTIFICATION_PATHS } from '../../lib/core/notification-path.js';
import type { Figures } from '../floor/figures.js';
import { verdicts } from './bars.js';
import { conditionsText } from './machine-facts.js';
import { escapeHtml, percentilePlot, type Series } from './plot.js';
import { showNs } from './report-text.js';
import { type LatencyResult, type PathCurves, type PathResult, resultKey } from './result.js';

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5d6878; --line: #d9dee6; --page: #fff; --good: #17713a; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --soft: #9aa5b5; --line: #343d4a; --page: #14181e; --good: #5fc98a; --bad: #ff8a80; } }
body { margin: 2rem auto; max-width: 84rem; padding: 0 1rem; font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--page); }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.plots { display: flex; flex-wrap: wrap; gap: 1rem; } .plots svg { flex: 1 1 22rem; max-width: 28rem; min-width: 0; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } tr.hop td { color: var(--soft); } tr.hop td:first-child { padding-left: 2rem; }
.met { color: var(--good); } .missed { color: var(--bad); } .warning { color: var(--bad); }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; padding: 0; list-style: none; }
.legend svg { width: 1.6rem; height: .7rem; vertical-align: middle; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; } svg .title { fill: var(--ink); font-size: 13px; font-weight: 600; }
.grid { stroke: var(--line); fill: none; } .level { stroke: var(--soft); stroke-dasharray: 4 3; fill: none; }
polyline, .key { fill: none; stroke-width: 2; stroke-linejoin: round; }
.s0 { stroke: #3b7dd8; } .s1 { stroke: #d8702a; } .s2 { stroke: #2a9d6f; } .s3 { stroke: #b0459e; } .s4 { stroke: #b89000; } .s5 { stroke: #7a6ad8; }
`;

const POINTS = ['p50', 'p99', 'p99.9', 'max'];
const KINDS: readonly (readonly [keyof PathCurves, string])[] = [
  ['guestToDevice', 'guest to device'],
  ['deviceToGuest', 'device to guest'],
  ['roundTrip', 'round trip'],
];

const cells = (texts: readonly string[]): string => texts.map((text) => `<td>${escapeHtml(text)}</td>`).join('');
const four = ({ p50, p99, p999, max }: Figures): string[] => [p50, p99, p999, max].map(showNs);
const row = (name: string, figures: Figures, kind = ''): string =>
  `<tr${kind === '' ? '' : ` class="${kind}"`}><td>${escapeHtml(name)}</td>${cells(four(figures))}</tr>`;
const tableOf = (head: readonly string[], rows: readonly string[]): string =>
  `<div class="scroll"><table><thead><tr>${head.map((text) => `<th>${escapeHtml(text)}</th>`).join('')}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`;

/** A whole page. */
export function reportHtml(result: LatencyResult): string {
  const body = [
    '<h1>Notification latency</h1>',
    ...result.beside.warnings.map((text) => `<p class="warning">Warning: ${escapeHtml(text)}.</p>`),
    `<p>${escapeHtml(conditionsText(result.beside.machine))}.</p>`,
    `<p>${result.cores} cores, Node ${escapeHtml(result.node)}. One history record takes ${showNs(result.beside.recordNs)}.</p>`,
    legend(result.paths),
    ...groups(result.paths).map((group) => plots(group, result)),
    '<h2>Bars</h2>',
    bars(result),
    '<h2>Floors, one way</h2>',
    floors(result),
    '<h2>Figures</h2>',
    tableOf(
      ['', ...POINTS],
      result.paths.flatMap((path) => pathRows(path)),
    ),
    ...(result.beside.reported.length === 0
      ? []
      : [
          '<h2>Reported</h2>',
          tableOf(
            ['', ...POINTS],
            result.beside.reported.flatMap((each) => pathRows(each, each.condition)),
          ),
        ]),
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Notification latency</title><style>${STYLE}</style></head>
<body>
${body.join('\n')}
</body></html>
`;
}

const colourOf = (path: PathResult['path']): number => NOTIFICATION_PATHS.indexOf(path);

function legend(paths: readonly PathResult[]): string {
  const names = NOTIFICATION_PATHS.filter((name) => paths.some(({ path }) => path === name));
  const items = names.map(
    (name) =>
      `<li><svg viewBox="0 0 26 10"><path class="key s${colourOf(name)}" d="M0 5H26"/></svg> ${escapeHtml(name)}</li>`,
  );
  return `<ul class="legend">${items.join('')}</ul>`;
}

/** By everything but the path. */
function groups(paths: readonly PathResult[]): PathResult[][] {
  const found = new Map<string, PathResult[]>();
  for (const result of paths) {
    const key = `${result.notify} ${result.mode} ${result.load}`;
    found.set(key, [...(found.get(key) ?? []), result]);
  }
  return [...found.values()];
}

function plots(group: readonly PathResult[], { floor, beside }: LatencyResult): string {
  const { notify, mode, load, ratePerSecond } = group[0]!;
  const level =
    notify === 'zmq'
      ? { name: 'one bare zeromq.js hop', ns: floor.zeromqJs.oneWayNs.p50 }
      : floor.eventfdC && { name: 'C', ns: floor.eventfdC.oneWayNs.p50 };
  const drawn = KINDS.map(([kind, title]) => {
    const series = group.map(
      (result): Series => ({
        name: result.path,
        colour: colourOf(result.path),
        curve: beside.curves[resultKey(result)]?.[kind] ?? [],
      }),
    );
    return percentilePlot(title, series, level === undefined ? [] : [level]);
  });
  const loop = load === 'open' ? `open loop, ${ratePerSecond} a second` : 'closed loop';
  return `<h2>${notify}, ${mode}, ${loop}</h2><div class="plots">${drawn.join('')}</div>`;
}

function bars(result: LatencyResult): string {
  const rows = verdicts(result).map(({ what, measured, bar, unit, met }) => {
    const show = (value: number): string => (unit === 'ns' ? showNs(value) : `${value.toFixed(1)} %`);
    const outcome = met ? 'met' : `missed: ${(measured / bar).toFixed(2)} of it`;
    return `<tr>${cells([what, show(measured), show(bar)])}<td class="${met ? 'met' : 'missed'}">${outcome}</td></tr>`;
  });
  return tableOf(['one way, p50', 'measured', 'bar', ''], rows);
}

function floors({ floor }: LatencyResult): string {
  const c = floor.eventfdC;
  const rows = [
    ...(c === undefined
      ? []
      : [
          row('eventfd in C, two cores ("C")', c.oneWayNs),
          row('eventfd in C, one core', c.sameCoreNs),
          row('eventfd in C, after 3 ms of nothing', c.afterIdleNs),
        ]),
    ...(floor.libzmqC === undefined ? [] : [row('libzmq in C', floor.libzmqC.oneWayNs)]),
    row('bare zeromq.js', floor.zeromqJs.oneWayNs),
    row('bare zeromq.js, calls with replies', floor.zeromqJsCalls.oneWayNs),
    row('spun word of shared memory', floor.sharedMemorySpin.oneWayNs),
  ];
  return tableOf(['', ...POINTS], rows);
}

function pathRows(result: PathResult, condition = ''): string[] {
  const { path, notify, mode, load, ratePerSecond } = result;
  const loop = load === 'open' ? `open ${ratePerSecond}/s` : 'closed';
  const name = [path, notify, mode, loop, condition].filter((text) => text !== '').join(' ');
  return [
    row(`${name}: guest to device`, result.guestToDeviceNs),
    row('device to guest', result.deviceToGuestNs),
    row('round trip', result.roundTripNs),
    ...result.hops.map(({ from, to, ns }) => row(`${from} > ${to}`, ns, 'hop')),
  ];
}
