// The few C library calls that Node lacks, through koffi: mapping files, making FIFOs, locks that the kernel releases.
// Nothing else loads koffi. Errors carry the C errno in the message.
import { constants } from 'node:os';
import koffi from 'koffi';

const libc = koffi.load(null);
const mmapFn = libc.func('void *mmap(void *addr, size_t length, int prot, int flags, int fd, int64_t offset)');
const munmapFn = libc.func('int munmap(void *addr, size_t length)');
const fallocateFn = libc.func('int posix_fallocate(int fd, int64_t offset, int64_t length)');
const lseekFn = libc.func('int64_t lseek(int fd, int64_t offset, int whence)');
const yieldFn = libc.func('int sched_yield()');
const flockFn = libc.func('int flock(int fd, int operation)');
const mkfifoFn = libc.func('int mkfifo(const char *path, unsigned int mode)');

const recvFn = libc.func('int64_t recv(int fd, uintptr_t buffer, size_t length, int flags)');
const sendFn = libc.func('int64_t send(int fd, uintptr_t buffer, size_t length, int flags)');
const writeFn = libc.func('int64_t write(int fd, const void *buffer, size_t length)');
const pollFn = libc.func('int poll(uintptr_t fds, uint64_t count, int timeout)');

const fcntlFn = libc.func('int fcntl(int fd, int command, long argument)');
const prctlFn = libc.func('int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)');
const execveFn = libc.func('int execve(const char *path, const char **argv, const char **envp)');

const PR_SET_PDEATHSIG = 1;
const F_GETFD = 1;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const MSG_PEEK = 2;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;
const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;
const SEEK_DATA = 3;
const { EEXIST, ENXIO, EPIPE, EWOULDBLOCK } = constants.errno;

/** A C call that failed; `errno` positive. */
export class LibcError extends Error {
  override readonly name = 'LibcError';
  readonly syscall: string;
  readonly errno: number;
  constructor(call: string, errno: number) {
    super(`${call}: ${Object.entries(koffi.os.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`}`);
    this.syscall = call;
    this.errno = errno;
  }
}

export interface RawMapping {
  readonly buffer: ArrayBuffer;
  unmap(): void;
}

/**
 * Maps `length` bytes of a file from `offset` on, a multiple of the page size, shared. The buffer must not be touched
 * after unmap().
 */
export function mapFile(fd: number, length: number, writable: boolean, offset = 0): RawMapping {
  const protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  const address = mmapFn(null, length, protection, MAP_SHARED, fd, offset) as bigint;
  if (BigInt.asUintN(64, BigInt(address)) === MAP_FAILED) throw new LibcError('mmap', koffi.errno());
  let mapped = true;
  return {
    buffer: koffi.view(address, length) as ArrayBuffer,
    unmap() {
      if (!mapped) return;
      mapped = false;
      if (munmapFn(address, length) !== 0) throw new LibcError('munmap', koffi.errno());
    },
  };
}

/**
 * Backs `length` bytes of the file from `offset` on, which grows where it is shorter: a full tmpfs answers ENOSPC here
 * instead of SIGBUS at a later store.
 */
export function allocateFile(fd: number, length: number, offset = 0): void {
  const errno = fallocateFn(fd, offset, length) as number;
  if (errno !== 0) throw new LibcError('posix_fallocate', errno);
}

/** Where a file has bytes from `offset` on; undefined: nothing but a hole follows. */
export function nextData(fd: number, offset: number): number | undefined {
  const found = Number(lseekFn(fd, offset, SEEK_DATA));
  if (found >= 0) return found;
  const errno = koffi.errno();
  if (errno === ENXIO) return undefined;
  throw new LibcError('lseek', errno);
}

/** Gives the rest of this time slice to the processes that wait for this core. */
export function schedYield(): void {
  yieldFn();
}

/** Takes an exclusive lock on the open file; false when another process holds it. The kernel releases it at our death. */
export function tryLock(fd: number): boolean {
  return flock(fd, LOCK_EX);
}

/** Takes a lock that others may have at the same time; false when a process holds the exclusive one. */
export function trySharedLock(fd: number): boolean {
  return flock(fd, LOCK_SH);
}

function flock(fd: number, kind: number): boolean {
  if (flockFn(fd, kind | LOCK_NB) === 0) return true;
  const errno = koffi.errno();
  if (errno === EWOULDBLOCK) return false;
  throw new LibcError('flock', errno);
}

export function unlock(fd: number): void {
  flockFn(fd, LOCK_UN);
}

/** Makes a FIFO; an existing one stays. */
export function makeFifo(path: string, mode: number): void {
  if (mkfifoFn(path, mode) === 0) return;
  const errno = koffi.errno();
  if (errno !== EEXIST) throw new LibcError('mkfifo', errno);
}

/** Whether a descriptor stays open in a program that replaces this one, or that this one starts. */
export function setInherited(fd: number, inherited: boolean): void {
  const flags = fcntlFn(fd, F_GETFD, 0) as number;
  if (flags < 0) throw new LibcError('fcntl', koffi.errno());
  const wanted = inherited ? flags & ~FD_CLOEXEC : flags | FD_CLOEXEC;
  if (fcntlFn(fd, F_SETFD, wanted) !== 0) throw new LibcError('fcntl', koffi.errno());
}

/**
 * Becomes another program: same process, same descriptors that are inherited, nothing else. Returns never; throws
 * LibcError when the program cannot be run, and then nothing has changed.
 */
export function execute(file: string, argv: readonly string[], env: Readonly<Record<string, string>>): never {
  const pairs = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  execveFn(file, [...argv, null], [...pairs, null]);
  throw new LibcError('execve', koffi.errno());
}

export const PAGE_SIZE = 4096;

/**
 * Zeroed bytes of the ordinary heap that begin on a page. Copying to them from pages of shared memory is up to a third
 * faster than to where the allocator puts a buffer (16 bytes into a page): there each load seems to hit the store before
 * it, since processors compare the low twelve bits only. Throws RangeError when there is no room.
 */
export function pageAlignedBytes(size: number): Uint8Array {
  if (size < PAGE_SIZE) return new Uint8Array(size);
  const buffer = new ArrayBuffer(size + PAGE_SIZE - 1);
  const at = Number(-BigInt(koffi.address(buffer)) & BigInt(PAGE_SIZE - 1));
  return new Uint8Array(buffer, at, size);
}

/** Bytes that C may be given by their address: outside of the heap, where nothing moves them. */
export interface FixedBytes {
  readonly bytes: Buffer;
  /** Of the first byte. Passing it costs less than passing the buffer. */
  readonly address: number;
}

/** Not zeroed. Lives as long as its Buffer is referred to. */
export function fixedBytes(size: number): FixedBytes {
  const bytes = Buffer.allocUnsafeSlow(size);
  return { bytes, address: Number(koffi.address(bytes)) };
}

/**
 * Copies out what a socket holds now, which it goes on holding: bytes, 0 at its end, negative when nothing waits or it
 * failed. Never blocks.
 */
export function peekNow(fd: number, target: FixedBytes): number {
  return Number(recvFn(fd, target.address, target.bytes.length, MSG_DONTWAIT | MSG_PEEK));
}

/** Takes what a socket holds now, at most `length` bytes; the answer as that of peekNow. */
export function receiveNow(fd: number, target: FixedBytes, length = target.bytes.length): number {
  return Number(recvFn(fd, target.address, length, MSG_DONTWAIT));
}

/** Hands bytes to a socket: how many it took, negative when none or it failed. Never blocks, never raises SIGPIPE. */
export function sendNow(fd: number, source: FixedBytes, length: number): number {
  return Number(sendFn(fd, source.address, length, MSG_DONTWAIT | MSG_NOSIGNAL));
}

/**
 * Writes to a pipe that does not block, in half the time of fs.writeSync. False when its reader is gone (Node ignores
 * SIGPIPE) or it is full. Throws LibcError for anything else.
 */
export function writeNow(fd: number, source: Uint8Array): boolean {
  if (Number(writeFn(fd, source, source.length)) >= 0) return true;
  const errno = koffi.errno();
  if (errno === EWOULDBLOCK || errno === EPIPE) return false;
  throw new LibcError('write', errno);
}

/** struct pollfd: fd, events, revents. */
export const POLLFD_SIZE = 8;
export const POLLIN = 1;

/** poll(2) without waiting; `fds` holds `count` struct pollfd. How many are ready. */
export function pollNow(fds: FixedBytes, count: number): number {
  return Number(pollFn(fds.address, count, 0));
}

/** The signal that this process gets when the thread that started it ends (prctl(2)); it survives execve. */
export function parentDeathSignal(signal: number): void {
  if (prctlFn(PR_SET_PDEATHSIG, signal, 0, 0, 0) !== 0) throw new LibcError('prctl', koffi.errno());
}
