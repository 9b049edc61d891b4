// Descriptors and the duty to close them; flags of the files behind them.
import { closeSync, fstatSync, ftruncateSync } from 'node:fs';
import koffi from 'koffi';
import type { Probe } from '../../core/probe.js';
import { POINT } from '../../trace/points.js';
import { LibcError } from './libc.js';

const libc = koffi.load(null);
const memfdFn = libc.func('int memfd_create(const char *name, unsigned int flags)');
const fcntlFn = libc.func('int fcntl(int fd, int command, long argument)');

// asm-generic/fcntl.h; the same on x86-64 and arm64.
const F_GETFL = 3;
const F_SETFL = 4;
const F_DUPFD_CLOEXEC = 1030;
const MFD_CLOEXEC = 1;
export const O_NONBLOCK = 0o4000;
export const O_ASYNC = 0o20000;
export const O_CLOEXEC = 0o2000000;

function fcntl(fd: number, command: number, argument: number): number {
  const result = fcntlFn(fd, command, argument) as number;
  if (result < 0) throw new LibcError('fcntl', koffi.errno());
  return result;
}

/** A descriptor and the duty to close it, which is done once. */
export class OwnedFd {
  readonly fd: number;
  #open = true;
  #closed: (() => void) | undefined;
  constructor(fd: number) {
    this.fd = fd;
  }
  get open(): boolean {
    return this.#open;
  }
  /** Bytes of the file behind it, 0 for what has no size. */
  get size(): number {
    return fstatSync(this.fd).size;
  }
  /** Another descriptor of the same file, closed on exec. Throws LibcError EMFILE. */
  duplicate(): OwnedFd {
    return new OwnedFd(fcntl(this.fd, F_DUPFD_CLOEXEC, 0));
  }
  /** Records that this process has it now, and once more when it closes it; `what` it is for. Answers itself. */
  recordedAs(what: string, probe: Probe): this {
    probe.at(POINT['descriptor.take'], what, this.fd);
    this.#closed = () => probe.at(POINT['descriptor.give'], what, this.fd);
    return this;
  }
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.fd);
    this.#closed?.();
  }
}

/** A file of zeroes in memory, without a name, closed on exec. Throws LibcError. */
export function memoryFile(name: string, size: number): OwnedFd {
  const fd = memfdFn(name, MFD_CLOEXEC) as number;
  if (fd < 0) throw new LibcError('memfd_create', koffi.errno());
  ftruncateSync(fd, size);
  return new OwnedFd(fd);
}

/** O_ACCMODE and the rest, as fcntl(2) has them. */
export function fileFlags(fd: number): number {
  return fcntl(fd, F_GETFL, 0);
}
export function addFileFlags(fd: number, flags: number): void {
  fcntl(fd, F_SETFL, fileFlags(fd) | flags);
}
export function removeFileFlags(fd: number, flags: number): void {
  fcntl(fd, F_SETFL, fileFlags(fd) & ~flags);
}
