// DMA addresses as numbers. On the wire a 64-bit address whose top bit is set names a granted page: the reference above the
// page offset (Linux, drivers/xen/grant-dma-ops.c). A JavaScript number is exact to 2^53 only, so such an address moves down:
//
//   wire                                    number
//   0 .. 2^52-1          guest-physical     the same; no x86 physical address is longer than 52 bits
//   2^63 .. 2^63+2^52-1  granted            2^52 .. 2^53-1
//   anything else        nothing            DMA_NOWHERE, which lies in no memory
//
// Code that takes an address off a wire (descriptors, backing entries, ring addresses, memory regions) comes through here;
// everything behind it has one kind of address. Leaves what a reference allows to grant-memory.ts.
import { GRANT_DMA_ADDR_BIT } from '../layout/grant-table.js';
import { PAGE_SHIFT, PAGE_SIZE } from '../layout/page.js';

const SPACE_BITS = 52;
/** Where granted pages begin among addresses that are numbers. */
export const GRANT_SPACE = 2 ** SPACE_BITS;
/** What names no memory at all. */
export const DMA_NOWHERE = 2 ** 53;

const WORD = 2 ** 32;
const TOP_BIT = 1n << BigInt(GRANT_DMA_ADDR_BIT);
/** The same of the high word. */
const TOP_BIT_HIGH = 2 ** (GRANT_DMA_ADDR_BIT - 32);

/** The two halves of an address, each a u32. */
export function dmaAddress(high: number, low: number): number {
  const granted = high >= TOP_BIT_HIGH;
  const rest = (granted ? high - TOP_BIT_HIGH : high) * WORD + low;
  if (rest >= GRANT_SPACE) return DMA_NOWHERE;
  return granted ? GRANT_SPACE + rest : rest;
}

export function dmaAddressOf(address: bigint): number {
  return dmaAddress(Number(address >> 32n), Number(address & 0xffffffffn));
}

/** As it goes onto a wire. */
export function dmaWire(address: number): bigint {
  return address >= GRANT_SPACE && address < DMA_NOWHERE ? TOP_BIT | BigInt(address - GRANT_SPACE) : BigInt(address);
}

/** What a driver puts into a descriptor, a register or a backing entry for a byte of a granted page. */
export function grantDmaAddress(ref: number, offset: number): bigint {
  return TOP_BIT | (BigInt(ref) << BigInt(PAGE_SHIFT)) | BigInt(offset);
}

/** The reference that a granted address names. */
export function grantRefOf(address: number): number {
  return Math.floor((address - GRANT_SPACE) / PAGE_SIZE);
}

/** First granted address, as a memory region has it. */
export const GRANT_DMA_BASE = TOP_BIT;
