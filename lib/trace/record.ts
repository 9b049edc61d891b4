// A record of a history ring as readers see it, and how one is shown. Leaves reading the ring to lib/node/files.
import { errnoName } from '../core/errno.js';
import type { NumberField, Point } from '../core/probe.js';
import { xenbusStateName } from '../layout/xenbus.js';
import { formatInstance } from './instances.js';
import { edgeFrom, edgeTo } from './points.js';

export interface TraceRecord {
  readonly process: string;
  /** Of the process. */
  readonly incarnation: number;
  /** Of the record, from the start of the process, modulo 2^32. */
  readonly index: number;
  /** CLOCK_MONOTONIC. */
  readonly ns: bigint;
  readonly point: Point;
  /** '' where the point has none. */
  readonly label: string;
  /** How often the process was here with this label, this time included. */
  readonly occurrence: number;
  readonly a: number;
  readonly b: number;
  /** undefined where the record concerns no domain. */
  readonly domid: number | undefined;
  /** Number of the message, 0: none; with `sender` it names the message. */
  readonly flow: number;
  /** Incarnation of the process that numbered the message. */
  readonly sender: number;
}

/** The same text at the sending and the receiving end of one message; undefined where a record is of no message. */
export function flowOf({ flow, sender }: Pick<TraceRecord, 'flow' | 'sender'>): string | undefined {
  return flow === 0 ? undefined : `${sender.toString(36)}.${flow}`;
}

function shown({ shown }: NumberField, value: number): string {
  switch (shown) {
    case 'hex':
      return `0x${value.toString(16)}`;
    case 'state':
      return xenbusStateName(value);
    case 'edge':
      return `${xenbusStateName(edgeFrom(value))}>${xenbusStateName(edgeTo(value))}`;
    case 'errno':
      return value === 0 ? '0' : errnoName(value);
    default:
      return String(value);
  }
}

/** The record's numbers by their names, for programs: a step between two states is `from` and `to`. */
export function numbersOf({ point, a, b }: TraceRecord): Readonly<Record<string, number>> {
  const numbers: Record<string, number> = {};
  const take = (field: NumberField | undefined, value: number): void => {
    if (field?.shown === 'edge') Object.assign(numbers, { from: edgeFrom(value), to: edgeTo(value) });
    else if (field !== undefined) numbers[field.name] = value;
  };
  take(point.a, a);
  take(point.b, b);
  return numbers;
}

/** The record's numbers by their names, as a person reads them. */
export function fieldsOf({ point, a, b }: TraceRecord): Readonly<Record<string, string>> {
  const fields: Record<string, string> = {};
  if (point.a !== undefined) fields[point.a.name] = shown(point.a, a);
  if (point.b !== undefined) fields[point.b.name] = shown(point.b, b);
  return fields;
}

/** `guest-1:front.key(device/virtio-mmio/0/base=0xf0000000)#1 devid=0 dom1` */
export function showRecord(record: TraceRecord): string {
  const fields = Object.entries(fieldsOf(record)).map(([name, text]) => ` ${name}=${text}`);
  const domain = record.domid === undefined ? '' : ` dom${record.domid}`;
  const flow = flowOf(record);
  return `${formatInstance(record)}${fields.join('')}${domain}${flow === undefined ? '' : ` flow=${flow}`}`;
}

/** One JSON object, for programs: numbers by their names, the time as text because it passes 2^53 after 104 days. */
export function recordJson(record: TraceRecord): string {
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
