// Branded numbers: the ids that would all be just `number`, so that a swapped argument does not compile.
// Brands exist in types only; make one with the function of the same name, which checks the range.
import { assert } from './errors.js';

declare const brand: unique symbol;
type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** domid_t, u16. */
export type DomId = Branded<number, 'DomId'>;
/** Event channel port in the port space of one domain. */
export type EvtchnPort = Branded<number, 'EvtchnPort'>;
/** Guest-physical byte address, below 2^53. */
export type GuestAddr = Branded<number, 'GuestAddr'>;

export function DomId(value: number): DomId {
  assert(Number.isInteger(value) && value >= 0 && value <= 0xffff, `domid ${value}`);
  return value as DomId;
}
export function EvtchnPort(value: number): EvtchnPort {
  assert(Number.isInteger(value) && value >= 0 && value <= 0xffffffff, `port ${value}`);
  return value as EvtchnPort;
}
export function GuestAddr(value: number): GuestAddr {
  assert(Number.isSafeInteger(value) && value >= 0, `guest address ${value}`);
  return value as GuestAddr;
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
