// What a file of results keeps of a run that failed, so that the report can show it: the records of all processes around the
// fault and at the end, the store and the event channels before and after. Bounded: a campaign may have many failures. Leaves how
// it is shown to html.ts, and asking the lab to ../snapshot.ts.
import { fieldsOf, flowOf, type TraceRecord } from '../../lib/trace/record.js';
import type { CaseResult } from '../engine.js';
import type { LabSnapshot } from '../snapshot.js';

/** Microseconds since the fault; index into `processes`; the point and its label; numbers; "incarnation.number" of its message. */
export type ExhibitRecord = readonly [
  us: number,
  process: number,
  point: string,
  label: string,
  numbers: string,
  flow: string,
];

export interface Exhibit {
  /** Which run of its case, from 1: the first is in a lab that served others, the others each in a fresh one. */
  readonly run: number;
  /** False when the point of the case was not passed: times then count from the beginning of the case. */
  readonly hadFault: boolean;
  /** Every life of a process by itself: "xenstored", and "xenstored (2)" after it was replaced. */
  readonly processes: readonly string[];
  /** Oldest first. */
  readonly records: readonly ExhibitRecord[];
  /** Records of the run that were left out, and before which of `records`: none where it is 0. */
  readonly left: { readonly first: number; readonly middle: number; readonly middleBefore: number };
  /** Indexes into `records`: those that show what was broken. */
  readonly marked?: readonly number[];
  /** Of the verdict, microseconds since the fault. */
  readonly endUs?: number;
  readonly before?: LabSnapshot;
  readonly after?: LabSnapshot;
}

/** Records before the fault, after it, and at the end of the run: what led to the failure is near one of these. */
const KEPT = { before: 500, after: 700, end: 300 } as const;
const LABEL_CHARS_MAX = 160;
/** The servers that a snapshot asks, and who asks them. */
const ASKED = ['toolstack', 'xenstored', 'hypervisor'];

export function exhibitOf(result: CaseResult, run: number): Exhibit {
  const { faultNs, before, after } = result;
  const all = result.records.filter(
    ({ process, ns }) => !(before !== undefined && ns > before.sinceNs && ns < faultNs! && ASKED.includes(process)),
  );
  const zero = faultNs ?? all[0]?.ns ?? 0n;
  // The time that the snapshot took does not count: the fault was to happen when it began.
  const sinceNs = before?.sinceNs ?? zero;
  const sinceFault = (ns: bigint): bigint => (ns < sinceNs ? ns - sinceNs : ns < zero ? 0n : ns - zero);
  const found = faultNs === undefined ? -1 : all.findIndex(({ ns }) => ns > faultNs);
  const fault = found < 0 ? (faultNs === undefined ? 0 : all.length) : found;
  const start = Math.max(0, fault - KEPT.before);
  const near = all.slice(start, fault + KEPT.after);
  const endStart = Math.max(fault + KEPT.after, all.length - KEPT.end);
  const kept = [...near, ...all.slice(endStart)];
  const middle = Math.max(0, endStart - (fault + KEPT.after));
  const lives = new Map<string, number>();
  const processes: string[] = [];
  const lifeOf = ({ process, incarnation }: TraceRecord): number => {
    const key = `${process} ${incarnation}`;
    let index = lives.get(key);
    if (index === undefined) {
      index = processes.length;
      lives.set(key, index);
      const nth = [...lives.keys()].filter((each) => each.startsWith(`${process} `)).length;
      processes.push(nth === 1 ? process : `${process} (${nth})`);
    }
    return index;
  };
  // Lives are numbered by all records: the first of them may be left out.
  for (const record of all) lifeOf(record);
  const records = kept.map((record): ExhibitRecord => {
    const fields = Object.entries(fieldsOf(record)).map(([name, text]) => `${name}=${text}`);
    if (record.domid !== undefined) fields.push(`dom${record.domid}`);
    const us = Number(sinceFault(record.ns)) / 1000;
    const label = record.label.slice(0, LABEL_CHARS_MAX);
    return [Math.round(us), lifeOf(record), record.point.name, label, fields.join(' '), flowOf(record) ?? ''];
  });
  const { sinceNs: _since, ...asked } = before ?? { sinceNs: 0n, notAsked: [] };
  return {
    ...{ run, hadFault: faultNs !== undefined, processes, records },
    marked: kept.flatMap((record, index) => (result.breaches.includes(record) ? [index] : [])),
    endUs: Math.round(Number(sinceFault(result.endNs)) / 1000),
    left: { first: start, middle, middleBefore: middle === 0 ? 0 : near.length },
    ...(before === undefined ? {} : { before: asked }),
    ...(after === undefined ? {} : { after }),
  };
}

const isList = (value: unknown, of: (each: unknown) => boolean): boolean => Array.isArray(value) && value.every(of);
const isText = (value: unknown): value is string => typeof value === 'string';
const isNumber = (value: unknown): boolean => Number.isInteger(value);
const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/** Whether a file's exhibit has the shape that the report relies on. */
export function isExhibit(value: unknown): value is Exhibit {
  if (!isObject(value) || !isObject(value['left'])) return false;
  const { first, middle, middleBefore } = value['left'];
  const isRecord = (each: unknown): boolean =>
    Array.isArray(each) && each.length === 6 && isNumber(each[0]) && isNumber(each[1]) && each.slice(2).every(isText);
  return (
    isNumber(value['run']) &&
    typeof value['hadFault'] === 'boolean' &&
    [first, middle, middleBefore].every(isNumber) &&
    isList(value['processes'], isText) &&
    isList(value['records'], isRecord) &&
    (value['marked'] === undefined || isList(value['marked'], isNumber)) &&
    (value['endUs'] === undefined || isNumber(value['endUs'])) &&
    [value['before'], value['after']].every((each) => each === undefined || isSnapshot(each))
  );
}

function isSnapshot(value: unknown): boolean {
  if (!isObject(value) || !isList(value['notAsked'], isText)) return false;
  const { store, ports } = value;
  const isNode = (each: unknown): boolean => Array.isArray(each) && each.length === 2 && each.every(isText);
  const isPort = (each: unknown): boolean =>
    isObject(each) && isNumber(each['domid']) && isNumber(each['port']) && isText(each['bound']);
  return (store === undefined || isList(store, isNode)) && (ports === undefined || isList(ports, isPort));
}
