// Descriptors that a peer sent: of what kind they are, looked at when they come. A wrong one would fail only later, where its
// failure is the process's: epoll refuses a file, writing to a directory throws, a memory file that is too short is a
// SIGBUS. Leaves using them to event-fds.ts and libc.ts.
import { fstatSync, readlinkSync } from 'node:fs';
import koffi from 'koffi';
import { ProtocolError } from '../../core/errors.js';
import { DEV_NAME_PREFIX } from '../../layout/ours/dev-wire.js';
import { fileFlags, type OwnedFd } from './owned-fd.js';

const libc = koffi.load(null);
const getsockoptFn = libc.func('int getsockopt(int fd, int level, int name, _Out_ int *value, _Inout_ int *length)');
const getsocknameFn = libc.func('int getsockname(int fd, _Out_ uint8_t *address, _Inout_ int *length)');
const getpeernameFn = libc.func('int getpeername(int fd, _Out_ uint8_t *address, _Inout_ int *length)');

// asm-generic/fcntl.h, asm-generic/socket.h; the same on x86-64 and arm64.
const O_ACCMODE = 3;
const O_RDONLY = 0;
const O_WRONLY = 1;
const O_RDWR = 2;
const O_PATH = 0o10000000;
const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SOCK_STREAM = 1;
/** struct sockaddr_un is the longest address of a stream socket. */
const ADDRESS_BYTES = 128;

const wrong = (what: string, is: string): ProtocolError =>
  new ProtocolError('handles', `the descriptor for ${what} is ${is}`);

/** What a descriptor is, in the words of a person. */
function describe(fd: number): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return 'closed';
  }
}

const isEventFd = (fd: number): boolean => describe(fd) === 'anon_inode:[eventfd]';

function checkEventEnd(fd: number, what: string, unfit: number): void {
  const flags = fileFlags(fd);
  const pipe = (flags & O_PATH) === 0 && fstatSync(fd).isFIFO() && (flags & O_ACCMODE) !== unfit;
  if (!pipe && !isEventFd(fd)) throw wrong(what, `${describe(fd)}, neither an eventfd nor the right end of a pipe`);
}

/** An eventfd or the reading end of a pipe. Throws ProtocolError. */
export function checkKick({ fd }: OwnedFd): void {
  checkEventEnd(fd, 'a kick', O_WRONLY);
}

/** An eventfd or the writing end of a pipe. Throws ProtocolError. */
export function checkSignal({ fd }: OwnedFd, what: string): void {
  checkEventEnd(fd, what, O_RDONLY);
}

/** A file, memfd or other, that can be mapped to be written, of at least `size` bytes. Throws ProtocolError. */
export function checkMemory({ fd }: OwnedFd, size: number): void {
  const stat = fstatSync(fd);
  if (!stat.isFile() || (fileFlags(fd) & O_PATH) !== 0) throw wrong('memory', `${describe(fd)}, no file`);
  if ((fileFlags(fd) & O_ACCMODE) !== O_RDWR) throw wrong('memory', 'not open for reading and writing');
  if (stat.size < size) throw wrong('memory', `a file of ${stat.size} bytes; ${size} were announced`);
}

/** A stream socket that is connected. Throws ProtocolError. */
export function checkStream({ fd }: OwnedFd, what: string): void {
  const type = [0];
  const isSocket = fstatSync(fd).isSocket() && (fileFlags(fd) & O_PATH) === 0;
  if (!isSocket || getsockoptFn(fd, SOL_SOCKET, SO_TYPE, type, [4]) !== 0 || type[0] !== SOCK_STREAM)
    throw wrong(what, `${describe(fd)}, no stream socket`);
  if (getpeernameFn(fd, new Uint8Array(ADDRESS_BYTES), [ADDRESS_BYTES]) !== 0) throw wrong(what, 'not connected');
}

/** What follows the family in the address that a call gave; empty where it gave none. */
function socketName(call: typeof getsocknameFn, fd: number): string {
  const address = new Uint8Array(ADDRESS_BYTES);
  const length = [ADDRESS_BYTES];
  if (call(fd, address, length) !== 0) return '';
  return Buffer.from(address.subarray(2, Math.min(length[0]!, ADDRESS_BYTES))).toString('latin1');
}

/**
 * A file of a device of dom0 (DEV_DEVICE) that a program of the lab opened whose devices are at `path`: what the preloaded
 * library leaves for it is a socket to there with a name (native/lab.c). Throws ProtocolError.
 */
export function checkLabDevice(file: OwnedFd, { path, device }: { path: string; device: number }, what: string): void {
  checkStream(file, what);
  const [name, peer] = [socketName(getsocknameFn, file.fd), socketName(getpeernameFn, file.fd)];
  if (!name.startsWith(`\0${DEV_NAME_PREFIX}${device}/`) || peer.replace(/\0+$/, '') !== path)
    throw wrong(what, `${describe(file.fd)}, no file of that device of this lab`);
}
