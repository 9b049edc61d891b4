// Names of point instances, as text that is stable between runs: `guest-1:store.request(write device/virtio-mmio/0/state=3)#1`
// is the first time that process guest-1 is at that point with that label. Printed by `xenwire trace`, armed by lab/gates.ts.
import { UserError } from '../core/errors.js';
import type { Point } from '../core/probe.js';
import { POINT, type PointName } from './points.js';

export interface PointInstance {
  readonly process: string;
  readonly point: Point;
  /** '' where the point has no label. */
  readonly label: string;
  /** From 1, counted since the process started. */
  readonly occurrence: number;
}

export function formatInstance({ process, point, label, occurrence }: PointInstance): string {
  return `${process}:${point.name}${point.label === undefined ? '' : `(${label})`}#${occurrence}`;
}

/** Throws UserError, one sentence, for anything that formatInstance does not write. */
export function parseInstance(text: string): PointInstance {
  const colon = text.indexOf(':');
  const hash = text.lastIndexOf('#');
  const open = text.indexOf('(', colon);
  const labelled = open > 0 && text[hash - 1] === ')';
  const name = text.slice(colon + 1, labelled ? open : hash);
  const point = Object.hasOwn(POINT, name) ? POINT[name as PointName] : undefined;
  const digits = text.slice(hash + 1);
  const occurrence = /^[1-9][0-9]{0,9}$/.test(digits) ? Number(digits) : 0;
  if (colon < 1 || hash < colon || occurrence === 0) {
    throw new UserError(`${text} names no point: PROCESS:POINT(LABEL)#NUMBER is expected`);
  }
  if (point === undefined) throw new UserError(`there is no point ${name}: xenwire trace prints those that are passed`);
  if (labelled !== (point.label !== undefined)) {
    const what = point.label === undefined ? 'takes no label' : `needs its ${point.label} in brackets`;
    throw new UserError(`point ${name} ${what}`);
  }
  return { process: text.slice(0, colon), point, label: labelled ? text.slice(open + 1, hash - 1) : '', occurrence };
}
