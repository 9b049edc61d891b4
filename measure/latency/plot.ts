// Percentile plots as inline SVG: nanoseconds over percentiles, both logarithmic, the tail to the right. Pure.
import { showNs } from './report-text.js';
import type { Curve } from './tally.js';

export interface Series {
  readonly name: string;
  /** Index of its colour. */
  readonly colour: number;
  readonly curve: Curve;
}

/** A horizontal line to compare with. */
export interface Level {
  readonly name: string;
  readonly ns: number;
}

const WIDTH = 420;
const HEIGHT = 260;
const PAD = { left: 58, right: 12, top: 26, bottom: 34 };
const PERCENTILES = [0, 50, 90, 99, 99.9, 99.99];

export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);

/** 0 at the median's far left, one more for each nine. */
const nines = (percentile: number): number => -Math.log10(Math.max(1e-6, 1 - percentile / 100));

export function percentilePlot(title: string, series: readonly Series[], levels: readonly Level[]): string {
  const values = [...series.flatMap(({ curve }) => curve.map(([, ns]) => ns)), ...levels.map(({ ns }) => ns)];
  const shown = series.filter(({ curve }) => curve.length > 0);
  if (shown.length === 0 || values.length === 0) return '';
  const bottom = Math.floor(Math.log10(Math.max(1, Math.min(...values))));
  const top = Math.max(bottom + 1, Math.ceil(Math.log10(Math.max(...values))));
  // The last point of a curve is its maximum, at 100 %: drawn one step past the last percentile that has samples.
  const reach = Math.max(2, ...shown.map(({ curve }) => nines(curve.at(-2)?.[0] ?? 0))) + 0.3;
  const x = (n: number): number => PAD.left + ((WIDTH - PAD.left - PAD.right) * Math.min(n, reach)) / reach;
  const y = (ns: number): number =>
    HEIGHT - PAD.bottom - ((HEIGHT - PAD.top - PAD.bottom) * (Math.log10(Math.max(1, ns)) - bottom)) / (top - bottom);
  const parts = [`<text class="title" x="${PAD.left}" y="16">${escapeHtml(title)}</text>`];
  for (let decade = bottom; decade <= top; decade++) {
    const at = y(10 ** decade).toFixed(1);
    parts.push(`<path class="grid" d="M${PAD.left} ${at}H${WIDTH - PAD.right}"/>`);
    parts.push(
      `<text class="tick" x="${PAD.left - 6}" y="${at}" dy="4" text-anchor="end">${showNs(10 ** decade)}</text>`,
    );
  }
  for (const percentile of PERCENTILES) {
    if (nines(percentile) > reach) continue;
    const at = x(nines(percentile)).toFixed(1);
    parts.push(`<path class="grid" d="M${at} ${PAD.top}V${HEIGHT - PAD.bottom}"/>`);
    parts.push(
      `<text class="tick" x="${at}" y="${HEIGHT - PAD.bottom + 16}" text-anchor="middle">${percentile}</text>`,
    );
  }
  for (const { name, ns } of levels) {
    const at = y(ns);
    parts.push(`<path class="level" d="M${PAD.left} ${at.toFixed(1)}H${WIDTH - PAD.right}"/>`);
    parts.push(
      `<text class="tick" x="${WIDTH - PAD.right}" y="${(at - 4).toFixed(1)}" text-anchor="end">${escapeHtml(name)}</text>`,
    );
  }
  for (const { name, colour, curve } of shown) {
    const points = curve.map(([percentile, ns]) => {
      const across = percentile >= 100 ? reach : nines(percentile);
      return `${x(across).toFixed(1)},${y(ns).toFixed(1)}`;
    });
    parts.push(
      `<polyline class="s${colour}" points="${points.join(' ')}"><title>${escapeHtml(name)}</title></polyline>`,
    );
  }
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(title)}">${parts.join('')}</svg>`;
}
