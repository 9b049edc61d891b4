// A device server as its vhost-user connection sees it: what backend-session.ts asks of a device, and nothing of how the
// messages travelled.
import type { Notifier } from '../core/notify.js';
import type { MappedRegion } from './memory-map.js';

/** What a running ring is. Addresses are guest addresses (or DMA addresses, as negotiated); sizes in entries. */
export interface RingSetup<H> {
  readonly size: number;
  readonly desc: bigint;
  readonly avail: bigint;
  readonly used: bigint;
  /** First entry of the available ring to look at: a free-running u16. */
  readonly base: number;
  /** Undefined: the ring is to be polled. */
  readonly kick: H | undefined;
  /** Tells the driver of used buffers, if its front-end wants to hear of them. */
  readonly call: () => void;
  /** Tells the front-end that the driver broke the ring. */
  readonly error: () => void;
}

/** Where in its file a buffer of inflight tracking lies, in bytes, and what it is for. */
export interface InflightPlace {
  readonly offset: number;
  readonly queueCount: number;
  /** Entries of each queue. */
  readonly queueSize: number;
  /** The record of packed rings. */
  readonly packed: boolean;
}

/** What a handle that a message brings is for; memory apart, which setMemory() takes. */
export type HandleUse = 'kick' | 'call' | 'error' | 'display' | 'backend channel';

/** A device as its connection sees it. What these throw as ErrnoError is answered as a failure of the message. */
export interface VhostUserDevice<H> {
  /** Virtio features offered, without bit 30. */
  readonly features: bigint;
  /** Protocol features offered, beside REPLY_ACK, MQ and CONFIG, which the session brings. */
  readonly protocolFeatures: bigint;
  readonly queueCount: number;
  readonly queueSizeMax: number;
  /** Regions that ADD_MEM_REG may reach. */
  readonly memorySlotsMax: number;
  /** Throws ProtocolError or ErrnoError when the handle is not fit for that. */
  check(use: HandleUse, handle: H): void;
  /** The sending end of a call or error handle. Throws as check() does. */
  openNotifier(handle: H): Notifier;
  /** No ring runs meanwhile. */
  setFeatures(features: bigint): void;
  /** The whole memory, anew (empty at the end); no ring runs meanwhile. Throws ErrnoError, and keeps the old one, when it cannot be mapped. */
  setMemory(regions: readonly MappedRegion<H>[]): void;
  startRing(index: number, setup: RingSetup<H>): void;
  /** The ring is not touched any more once this returns; answers the next entry of the available ring to look at. */
  stopRing(index: number): number;
  /** Everything that the guest made in the device is gone: it was reset, or the front-end went. */
  reset(): void;
  /** Undefined: no such bytes. */
  readConfig(offset: number, size: number): Uint8Array | undefined;
  writeConfig(offset: number, data: Uint8Array): void;
  /** A fresh buffer of inflight tracking, zeroed; the caller releases it. Only with INFLIGHT_SHMFD. */
  makeInflight?(bytes: number): H;
  /** The buffer that rings which start from now on keep their record in; owned by the device from here on. */
  setInflight?(handle: H, place: InflightPlace): void;
  /** The file whose `size` bytes from `offset` on are the log of written pages; the device's from here on. Only with LOG_SHMFD. */
  setLog?(handle: H, offset: number, size: number): void;
  setDisplay(handle: H): void;
  /** Where back-end requests go; owned by the device from here on. */
  setBackendChannel(handle: H): void;
  /** A handle is not needed any more. */
  release(handle: H): void;
  /** The connection ended: what setInflight() and setLog() took goes back. After reset(). */
  close?(): void;
}
