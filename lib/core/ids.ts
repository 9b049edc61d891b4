// Branded numbers: the ids that would all be just `number`, so that a swapped argument does not compile.
// Brands exist in types only; make one with the function of the same name, which checks the range. Guest addresses have no
// brand: arithmetic would lose it at each step, and each access checks them (memory.ts).
import { assert, ErrnoError } from './errors.js';

declare const brand: unique symbol;
type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** domid_t, u16. */
export type DomId = Branded<number, 'DomId'>;
/** Event channel port in the port space of one domain, u32. */
export type EvtchnPort = Branded<number, 'EvtchnPort'>;

const DOMID_MAX = 0xffff;
const PORT_MAX = 0xffffffff;
const within = (value: number, max: number): boolean => Number.isInteger(value) && value >= 0 && value <= max;

export function DomId(value: number): DomId {
  assert(within(value, DOMID_MAX), `domid ${value}`);
  return value as DomId;
}
export function EvtchnPort(value: number): EvtchnPort {
  assert(within(value, PORT_MAX), `port ${value}`);
  return value as EvtchnPort;
}

export const isDomId = (value: unknown): value is DomId => typeof value === 'number' && within(value, DOMID_MAX);

/** The same for numbers of another process: EINVAL for one that does not fit its field. */
export function domIdFrom(value: number): DomId {
  if (!within(value, DOMID_MAX)) throw new ErrnoError('EINVAL', `${value} is no domid`);
  return value as DomId;
}
export function evtchnPortFrom(value: number): EvtchnPort {
  if (!within(value, PORT_MAX)) throw new ErrnoError('EINVAL', `${value} is no port`);
  return value as EvtchnPort;
}

/** xen.h: special domain ids. */
export const DOMID_SELF = 0x7ff0 as DomId;
export const DOMID_IO = 0x7ff1 as DomId;
export const DOMID_XEN = 0x7ff2 as DomId;
export const DOMID_COW = 0x7ff3 as DomId;
export const DOMID_INVALID = 0x7ff4 as DomId;
/** xenstore wildcard "all domains" in permission lists (since 4.22). */
export const DOMID_ANY = 0x7ff5 as DomId;
export const DOMID_FIRST_RESERVED = 0x7ff0;
export const DOM0 = 0 as DomId;
