// Percentiles of the last notifications of each domain and direction, as a plot and as a table.
import uPlot from './vendor/uplot.js';
import { element } from './dom.js';

const place = document.getElementById('latency');
const table = document.getElementById('latency-table');
const COLOURS = ['#1f6feb', '#d9730d', '#18803a', '#b3261e', '#8250df', '#0e7c86', '#a05a00', '#5a6573'];
const SERIES_MAX = 8;
const HEIGHT = 240;
let plot;
let names = '';

/** Percentiles evenly by how many nines they have: 50, 90, 99 and 99.9 at equal distances. */
const position = (percent) => (percent >= 100 ? 3.4 : -Math.log10(1 - percent / 100));

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function showLatency({ percentiles, series: all }) {
  const series = all.slice(0, SERIES_MAX);
  if (series.length === 0) {
    place.replaceChildren(element('p', { className: 'hint' }, 'No notification was seen yet.'));
    return;
  }
  const data = [percentiles.map(position), ...series.map(({ us }) => us)];
  const key = series.map(({ name }) => name).join();
  if (names !== key || plot === undefined) {
    names = key;
    plot?.destroy();
    place.replaceChildren();
    plot = new uPlot(options(percentiles, series), data, place);
  } else plot.setData(data);
  const head = element('tr', {}, element('th', { scope: 'col' }, 'µs'), ...SHOWN.map((percent) => element('th', { scope: 'col' }, percent === 100 ? 'max' : `p${percent}`)), element('th', { scope: 'col' }, 'count'));
  table.replaceChildren(table.caption, head, ...series.map(({ name, us, count }) =>
    element('tr', {}, element('th', { scope: 'row' }, name), ...SHOWN.map((percent) => element('td', {}, us[percentiles.indexOf(percent)].toFixed(0))), element('td', {}, String(count)))));
}
const SHOWN = [50, 90, 99, 100];

function options(percentiles, series) {
  const axis = { stroke: colour('--dim'), grid: { stroke: colour('--line'), width: 1 }, ticks: { stroke: colour('--line') } };
  return {
    width: Math.max(240, place.clientWidth),
    height: HEIGHT,
    scales: { x: { time: false }, y: { distr: 3 } },
    legend: { show: series.length <= 4 },
    axes: [
      { ...axis, splits: () => [0, 50, 90, 99, 99.9, 100].map(position), values: () => ['0', '50', '90', '99', '99.9', 'max'], label: 'percentile' },
      { ...axis, size: 60, label: 'µs', values: (_plot, values) => values.map((value) => (value === null ? '' : String(value))) },
    ],
    series: [{ label: 'percentile', value: (_plot, value) => nearest(percentiles, value) }, ...series.map(({ name }, index) => ({ label: name, stroke: COLOURS[index % COLOURS.length], width: 2 }))],
  };
}

const nearest = (percentiles, at) => (at === null ? '' : String(percentiles.find((percent) => Math.abs(position(percent) - at) < 1e-6) ?? ''));

addEventListener('resize', () => plot?.setSize({ width: Math.max(240, place.clientWidth), height: HEIGHT }));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  names = '';
});
