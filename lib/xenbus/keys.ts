// Text forms of the virtio-mmio keys: formatters for who writes them, parsers for who reads them. What a peer wrote is
// hostile: every parser returns undefined for anything that the protocol's table does not allow.
import { DOMID_FIRST_RESERVED, DomId, EvtchnPort } from '../core/ids.js';
import { HVM_BELOW_4G_RAM_END } from '../layout/hvm-memory.js';
import { XenbusState } from '../layout/xenbus.js';

/** Where a guest puts register ranges: in the hole below 4 GiB that its RAM leaves, below the addresses of the platform. */
export const MMIO_WINDOW = { start: HVM_BELOW_4G_RAM_END, end: 0xfbffffff } as const;
/** Alignment of `base`: a page, so that two devices never share one. */
export const MMIO_ALIGN = 0x1000;
/** Registers end at 0x100; the device's configuration follows. */
export const MMIO_SIZE_MIN = 0x200;
/** What our backend publishes: what QEMU's microvm, libxl and xen-vhost-frontend use. */
export const MMIO_SIZE = 0x200;
/** Queues of a device that get event channels of their own; virtio-gpu has 2. */
export const QUEUE_EVTCHNS_MAX = 16;
/** Ports end there under either event-channel ABI (FIFO: 2^17); 0 is never a port. */
export const EVTCHN_PORT_END = 1 << 17;

const DECIMAL = /^[0-9]{1,10}$/;
const HEX = /^0x[0-9a-fA-F]{1,13}$/;

export function formatHex(value: number): string {
  return `0x${value.toString(16)}`;
}

/** State as Linux reads it: a decimal number at the start; anything else reads as Unknown. May lie outside the enum. */
export function parseState(text: string): number {
  const found = /^\s*([0-9]{1,4})/.exec(text);
  return found ? Number(found[1]) : XenbusState.Unknown;
}

/** `size`: bytes of the register range; a multiple of 4 from MMIO_SIZE_MIN that fits the window. */
export function parseSize(text: string): number | undefined {
  if (!DECIMAL.test(text) && !HEX.test(text)) return undefined;
  const size = Number(text);
  return size >= MMIO_SIZE_MIN && size % 4 === 0 && size <= MMIO_WINDOW.end + 1 - MMIO_WINDOW.start ? size : undefined;
}

/** `base`: aligned, and `size` bytes from it lie inside the window. Overlaps are for the reader to check. */
export function parseBase(text: string, size: number): number | undefined {
  if (!HEX.test(text)) return undefined;
  const base = Number(text);
  const inside = base >= MMIO_WINDOW.start && base + size - 1 <= MMIO_WINDOW.end;
  return inside && base % MMIO_ALIGN === 0 ? base : undefined;
}

/** `event-channel`. Whether the port is one, and ours to bind, only Xen can say. */
export function parseEventChannel(text: string): EvtchnPort | undefined {
  if (!DECIMAL.test(text)) return undefined;
  const port = Number(text);
  return port > 0 && port < EVTCHN_PORT_END ? EvtchnPort(port) : undefined;
}

/** `feature-queue-evtchn`: 0 for whatever is no count of queues. */
export function parseQueueCount(text: string): number {
  const count = DECIMAL.test(text) ? Number(text) : 0;
  return count <= QUEUE_EVTCHNS_MAX ? count : 0;
}

/** `backend-id`, `frontend-id`. */
export function parseDomid(text: string): DomId | undefined {
  if (!DECIMAL.test(text)) return undefined;
  const domid = Number(text);
  return domid < DOMID_FIRST_RESERVED ? DomId(domid) : undefined;
}

/** `type`: the virtio device id of "virtio,device<hex>" (libxl_virtio.c: lower case, no 0x). */
export function parseDeviceType(text: string): number | undefined {
  const found = /^virtio,device([0-9a-f]{1,4})$/.exec(text);
  return found ? Number.parseInt(found[1]!, 16) : undefined;
}

/** `online`: anything but 1 means that the device is not wanted. */
export function parseOnline(text: string | undefined): boolean {
  return text === '1';
}

/** Two ranges share a byte. */
export function overlaps(a: { base: number; size: number }, b: { base: number; size: number }): boolean {
  return a.base < b.base + b.size && b.base < a.base + a.size;
}
