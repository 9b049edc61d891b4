// A program with the preloaded library as the devices see it: its memory, its mappings, its descriptors. What a kernel does in
// the address space of the calling process is asked of that library. Interface only: node/dev-connection.ts speaks with it.
import type { FileHandle } from '../../../lib/core/proto-types.js';
import type { Domain } from '../domain/domain.js';

/** An event descriptor that the program handed over, which belongs to the receiver. */
export interface UserEventFd {
  /** The same for every descriptor of one eventfd. */
  readonly identity: string;
  signal(): void;
  /** `onSignal` runs after each signal, those that wait already included. */
  listen(onSignal: () => void): void;
  close(): void;
}

/** A mapping of a device. */
export interface UserVma {
  readonly start: bigint;
  readonly length: number;
  /** The open file that it was made from. */
  readonly file: bigint;
  /** What hold() gave it; 0n without. */
  readonly held: bigint;
  /** Pages in it that are backed. */
  readonly pages: number;
}

export interface UserProcess {
  readonly domain: Domain;
  /** Rejects with EFAULT. */
  copyIn(address: bigint, length: number): Promise<Uint8Array>;
  /** Rejects with EFAULT. */
  copyOut(address: bigint, bytes: Uint8Array): Promise<void>;
  /** Undefined where no mapping of a device is. */
  vma(address: bigint): Promise<UserVma | undefined>;
  /** Backs pages of a mapping with a file of the lab. Rejects with EINVAL outside of one. */
  map(address: bigint, length: number, file: FileHandle, offset: number): Promise<void>;
  /** `giveBack` runs once: when the last page of the mapping at `address` goes, or with the process. */
  hold(address: bigint, giveBack: () => void): Promise<bigint>;
  /** Rejects with EBADF for what is no descriptor, EINVAL for what is no eventfd. */
  eventFd(number: number): Promise<UserEventFd>;
}
