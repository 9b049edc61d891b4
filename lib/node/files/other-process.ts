// What a process with the same user may do to another one from outside, beside signals: lower what the kernel lets it have, and
// close its connections under it. For faults; nothing that works uses it. Leaves why to its callers (chaos/faults/).
import { closeSync, readdirSync, readlinkSync } from 'node:fs';
import koffi from 'koffi';
import { LibcError } from './libc.js';

const libc = koffi.load(null);
const prlimitFn = libc.func('int prlimit(int pid, int resource, const void *now, void *before)');
const syscallFn = libc.func('long syscall(long number, long a, long b, long c)');
const shutdownFn = libc.func('int shutdown(int fd, int how)');
const getsockoptFn = libc.func('int getsockopt(int fd, int level, int name, void *value, _Inout_ int *length)');
const getsocknameFn = libc.func('int getsockname(int fd, void *address, _Inout_ int *length)');
const getpeernameFn = libc.func('int getpeername(int fd, void *address, _Inout_ int *length)');

// asm-generic/resource.h
const RESOURCES = { fileBytes: 1, descriptors: 7 } as const;
export type Resource = keyof typeof RESOURCES;
/** struct rlimit: soft, hard; 64 bits each. */
const RLIMIT_WORDS = 2;

// asm-generic/unistd.h; x86-64 has the same numbers for these.
const SYS_PIDFD_OPEN = 434;
const SYS_PIDFD_GETFD = 438;
// asm-generic/socket.h, linux/un.h
const SHUT_RDWR = 2;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
/** struct ucred: pid, uid, gid. */
const UCRED_BYTES = 12;
const AF_UNIX = 1;
const SOCKADDR_UN_BYTES = 110;
const SUN_PATH = 2;

const checked = (call: string, result: number): number => {
  if (result < 0) throw new LibcError(call, koffi.errno());
  return result;
};

/**
 * Sets what a process may have of a resource (its soft limit; the hard one stays) and answers what it might have before, to be set
 * again. `descriptors` is the number above which it gets none. Throws LibcError: ESRCH when it has ended, EPERM when it is
 * not ours.
 */
export function limitProcess(pid: number, resource: Resource, soft: bigint): bigint {
  const before = new BigUint64Array(RLIMIT_WORDS);
  checked('prlimit', prlimitFn(pid, RESOURCES[resource], null, before) as number);
  const now = BigUint64Array.of(soft < before[1]! ? soft : before[1]!, before[1]!);
  checked('prlimit', prlimitFn(pid, RESOURCES[resource], now, null) as number);
  return before[0]!;
}

/** The lowest descriptor that a process does not have: the next one that it would get. */
export function nextDescriptor(pid: number): number {
  const taken = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
  let next = 0;
  while (taken.has(next)) next++;
  return next;
}

/** One end of a connection over a unix socket with a name. */
export interface Connection {
  /** Of the server's socket, whichever end this is. */
  readonly path: string;
  /** Of the process at the other end, as it was when the connection was made. */
  readonly peer: number;
}

/**
 * Closes those connections of a process that `wanted` chooses, in both directions; the process keeps its descriptors and finds that
 * they are at their end, as its peer does. Answers which. Throws LibcError: EPERM where the kernel does not let us
 * (ptrace(2): the process must be ours, and in a container CAP_SYS_PTRACE may be needed).
 */
export function closeConnections(pid: number, wanted: (connection: Connection) => boolean): Connection[] {
  const process = checked('pidfd_open', Number(syscallFn(SYS_PIDFD_OPEN, pid, 0, 0)));
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((name) => {
      const connection = closeConnection(process, `/proc/${pid}/fd/${name}`, Number(name), wanted);
      return connection === undefined ? [] : [connection];
    });
  } finally {
    closeSync(process);
  }
}

function closeConnection(
  process: number,
  link: string,
  theirs: number,
  wanted: (connection: Connection) => boolean,
): Connection | undefined {
  if (!linkOf(link).startsWith('socket:')) return undefined;
  const fd = Number(syscallFn(SYS_PIDFD_GETFD, process, theirs, 0));
  if (fd < 0) {
    const errno = koffi.errno();
    if (errno === koffi.os.errno['EBADF']) return undefined; // closed since it was listed
    throw new LibcError('pidfd_getfd', errno);
  }
  try {
    const connection = connectionOf(fd);
    if (connection === undefined || !wanted(connection)) return undefined;
    return shutdownFn(fd, SHUT_RDWR) === 0 ? connection : undefined; // ENOTCONN: it was at its end already
  } finally {
    closeSync(fd);
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ''; // closed since it was listed
  }
}

/** undefined for a socket that listens, has no name at either end, or is of another family. */
function connectionOf(fd: number): Connection | undefined {
  const peerPath = nameOf(getpeernameFn, fd);
  if (peerPath === undefined) return undefined;
  const credentials = new Uint8Array(UCRED_BYTES);
  if (getsockoptFn(fd, SOL_SOCKET, SO_PEERCRED, credentials, [UCRED_BYTES]) !== 0) return undefined;
  const path = peerPath === '' ? nameOf(getsocknameFn, fd) : peerPath;
  const peer = new DataView(credentials.buffer).getInt32(0, true);
  return path === undefined || path === '' ? undefined : { path, peer };
}

type NameFn = (fd: number, address: Uint8Array, length: number[]) => number;

/** '' for an end without a name; undefined when there is no such end, or it is no unix socket. */
function nameOf(call: NameFn, fd: number): string | undefined {
  const address = new Uint8Array(SOCKADDR_UN_BYTES);
  const length = [SOCKADDR_UN_BYTES];
  if (call(fd, address, length) !== 0 || new DataView(address.buffer).getUint16(0, true) !== AF_UNIX) return undefined;
  const text = new TextDecoder().decode(address.subarray(SUN_PATH, Math.max(SUN_PATH, length[0]!)));
  return text.replace(/\0.*$/s, '');
}
