// A device that writes down what a vhost-user session asks of it, and the front-end's half of that session: for tests of
// lib/vhost-user/backend-session.ts, with names for handles.
import { ErrnoError, ProtocolError } from '../lib/core/errors.js';
import type { Notifier } from '../lib/core/notify.js';
import { BackendSession } from '../lib/vhost-user/backend-session.js';
import type { HandleUse, InflightPlace, RingSetup, VhostUserDevice } from '../lib/vhost-user/device.js';
import type { MappedRegion } from '../lib/vhost-user/memory-map.js';
import { type BodyOf, decodeReply, encodeRequest, type RequestType } from '../lib/vhost-user/messages.js';

export const FEATURES = (1n << 28n) | (1n << 32n) | 2n;
export const BIT30 = 1n << 30n;
export const REPLY_ACK = 1n << 3n;
export const SLOTS = 1n << 15n;
export const RESET_DEVICE = 1n << 13n;
export const OFFERED = SLOTS | RESET_DEVICE | REPLY_ACK | 0x201n;
export const MEMORY = { guestAddr: 0n, size: 0x100000n, userAddr: 0x7f0000000000n, mmapOffset: 0n };
export const UVA = MEMORY.userAddr;

/** A device that writes down what it is told, and which handles are open. */
export class FakeDevice implements VhostUserDevice<string> {
  readonly features = FEATURES;
  protocolFeatures = SLOTS | RESET_DEVICE;
  readonly queueCount = 2;
  readonly queueSizeMax = 1024;
  readonly memorySlotsMax = 3;
  readonly calls: string[] = [];
  readonly closed: string[] = [];
  readonly running = new Map<number, RingSetup<string>>();
  readonly released = new Set<string>();
  readonly bases = [0, 0];
  memory: readonly MappedRegion<string>[] = [];
  failMap = false;
  check(use: HandleUse, handle: string): void {
    if (handle.startsWith('wrong')) throw new ProtocolError('handles', `${handle} for ${use}`);
  }
  openNotifier(handle: string): Notifier {
    this.check('call', handle);
    return { signal: () => this.calls.push(`signal ${handle.split(' ')[0]}`), close: () => this.closed.push(handle) };
  }
  setFeatures(features: bigint): void {
    this.calls.push(`features ${features.toString(16)}`);
  }
  setMemory(regions: readonly MappedRegion<string>[]): void {
    if (this.failMap) throw new ErrnoError('ENOMEM');
    if (this.running.size > 0) throw new Error('memory changed under a running ring');
    this.memory = regions;
  }
  startRing(index: number, setup: RingSetup<string>): void {
    if (this.running.has(index)) throw new Error(`ring ${index} started twice`);
    this.running.set(index, setup);
    this.calls.push(`start ${index}`);
  }
  stopRing(index: number): number {
    if (!this.running.delete(index)) throw new Error(`ring ${index} stopped twice`);
    this.calls.push(`stop ${index}`);
    return this.bases[index]!;
  }
  reset(): void {
    this.calls.push('reset');
  }
  readConfig(offset: number, size: number): Uint8Array | undefined {
    return offset + size <= 16 ? new Uint8Array(size).fill(offset) : undefined;
  }
  writeConfig(offset: number, data: Uint8Array): void {
    this.calls.push(`config ${offset} ${data.length}`);
  }
  makeInflight(bytes: number): string {
    return `inflight ${bytes}`;
  }
  setInflight(handle: string, { offset, queueCount, queueSize }: InflightPlace): void {
    this.calls.push(`inflight ${handle.split(' ')[0]} ${offset} ${queueCount}x${queueSize}`);
    this.release(handle);
  }
  setLog(handle: string, offset: number, size: number): void {
    if (this.running.size > 0) throw new Error('the log changed under a running ring');
    this.calls.push(`log ${offset} ${size}`);
    this.release(handle);
  }
  close(): void {
    this.calls.push('close');
  }
  setDisplay(handle: string): void {
    this.calls.push(`display ${handle}`);
  }
  setBackendChannel(handle: string): void {
    this.calls.push(`backend channel ${handle}`);
  }
  release(handle: string): void {
    if (this.released.has(handle)) throw new Error(`${handle} released twice`);
    this.released.add(handle);
  }
}

let handleCount = 0;
export const handle = (what: string): string => `${what} ${++handleCount}`;

export class Front {
  readonly device = new FakeDevice();
  readonly session = new BackendSession<string>(this.device);
  readonly given: string[] = [];
  send<T extends RequestType>(type: T, body: BodyOf<T>, handles: string[] = [], needReply = false) {
    this.given.push(...handles);
    return this.session.handle(encodeRequest(type, body, { handles, needReply }));
  }
  ask<T extends RequestType>(type: T, body: BodyOf<T>) {
    return decodeReply(type, this.send(type, body)!);
  }
  negotiate(protocol = OFFERED): this {
    this.send('SET_PROTOCOL_FEATURES', { value: protocol });
    this.send('SET_OWNER', {});
    this.send('SET_FEATURES', { value: FEATURES | BIT30 });
    return this;
  }
  /** Negotiated, with protocol features that this device has beside. */
  more(protocol: bigint): this {
    this.device.protocolFeatures |= protocol;
    return this.negotiate(OFFERED | protocol);
  }
  memory(): this {
    this.send('SET_MEM_TABLE', { regions: [MEMORY] }, [handle('memory')]);
    return this;
  }
  ring(index: number, base = 0): this {
    this.send('SET_VRING_NUM', { index, num: 64 });
    this.send('SET_VRING_BASE', { index, num: base });
    const at = UVA + BigInt(index * 0x10000);
    this.send('SET_VRING_ADDR', { index, flags: 0, desc: at, avail: at + 0x1000n, used: at + 0x2000n, log: 0n });
    this.send('SET_VRING_CALL', { index, polled: false }, [handle('call')]);
    this.send('SET_VRING_KICK', { index, polled: false }, [handle('kick')]);
    return this;
  }
  enable(index: number, num = 1): this {
    this.send('SET_VRING_ENABLE', { index, num });
    return this;
  }
}
