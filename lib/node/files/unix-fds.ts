// Unix stream sockets that carry file descriptors (SCM_RIGHTS), which Node's own sockets lose. Reads never wait: the kernel
// says by SIGIO (O_ASYNC) that a socket may be read or written again, so that no thread blocks on one. Leaves eventfds to
// event-fds.ts, what the bytes mean to vhost-user-socket.ts.
import { createServer, Socket } from 'node:net';
import { constants } from 'node:os';
import koffi from 'koffi';
import { bytes, pad, struct, u32, u64 } from '../../layout/struct.js';
import { LibcError } from './libc.js';
import { addFileFlags, O_ASYNC, O_CLOEXEC, O_NONBLOCK, OwnedFd, removeFileFlags } from './owned-fd.js';

const libc = koffi.load(null);
const fcntlFn = libc.func('int fcntl(int fd, int command, long argument)');
const recvmsgFn = libc.func('int64_t recvmsg(int fd, void *message, int flags)');
const sendmsgFn = libc.func('int64_t sendmsg(int fd, void *message, int flags)');
const socketpairFn = libc.func('int socketpair(int domain, int type, int protocol, _Out_ int *ends)');

// asm-generic/fcntl.h, sys/socket.h; the same on x86-64 and arm64.
const F_SETOWN = 8;
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CTRUNC = 0x8;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;
const { EAGAIN, EINTR } = constants.errno;

/** struct msghdr, iovec and cmsghdr of the LP64 ABIs. */
const MSGHDR = struct(
  'msghdr',
  {
    name: u64,
    namelen: u32,
    pad: pad(4),
    iov: u64,
    iovlen: u64,
    control: u64,
    controllen: u64,
    flags: u32,
    pad2: pad(4),
  },
  { size: 56 },
);
const IOVEC = struct('iovec', { base: u64, len: u64 }, { size: 16 });
const CMSGHDR = struct('cmsghdr', { len: u64, level: u32, type: u32 }, { size: 16 });
/** Descriptors that one read may bring: rust-vmm's bound, the largest among vhost-user implementations. */
const FDS_RECEIVED_MAX = 32;
/** Room for those that one write may carry. */
const FDS_PER_MESSAGE_MAX = 64;
const CONTROL = struct(
  'control',
  { header: CMSGHDR, fds: bytes(4 * FDS_PER_MESSAGE_MAX) },
  { size: 16 + 4 * FDS_PER_MESSAGE_MAX },
);

const addressOf = (buffer: Uint8Array): bigint => BigInt(koffi.address(buffer));
const check = (call: string, result: number): number => {
  if (result < 0) throw new LibcError(call, koffi.errno());
  return result;
};

/** Two connected stream sockets. */
export function socketPair(): [OwnedFd, OwnedFd] {
  const ends = [0, 0];
  check('socketpair', socketpairFn(AF_UNIX, SOCK_STREAM | O_CLOEXEC, 0, ends) as number);
  return [new OwnedFd(ends[0]!), new OwnedFd(ends[1]!)];
}

/** One socket that may be read again, or written. */
type Ready = () => void;
const watched = new Set<Ready>();
let listening = false;

/** From the first socket on, for the life of the process: the signal's default action would end it, and one may be late. */
function listenToSigio(): void {
  if (listening) return;
  listening = true;
  process.on('SIGIO', () => {
    for (const ready of [...watched]) ready();
  });
}

/** What a connected socket brings. */
export interface FdSocketEvents {
  /** May be readable, writable or ended: read() until it answers undefined. */
  onReady(): void;
}

/** A connected stream socket with descriptors. Neither call waits. */
export class FdSocket {
  readonly #owned: OwnedFd;
  readonly #ready: Ready;
  // What the kernel is given addresses of lives as long as the socket, so that no collection can take it in the middle.
  readonly #message = new Uint8Array(MSGHDR.size);
  readonly #iovec = new Uint8Array(IOVEC.size);
  readonly #control = new Uint8Array(CONTROL.size);
  #local: Uint8Array = new Uint8Array(0);

  constructor(owned: OwnedFd, events: FdSocketEvents) {
    this.#owned = owned;
    this.#ready = () => events.onReady();
    listenToSigio();
    watched.add(this.#ready);
    check('fcntl', fcntlFn(owned.fd, F_SETOWN, process.pid) as number);
    addFileFlags(owned.fd, O_ASYNC | O_NONBLOCK);
    // What came before the signal was asked for makes none.
    setImmediate(this.#ready);
  }

  get open(): boolean {
    return this.#owned.open;
  }

  /** Fills at most `target`; 'end' when the peer closed, undefined when there is nothing now. Descriptors are the caller's. */
  read(target: Uint8Array): { readonly count: number; readonly fds: OwnedFd[] } | 'end' | undefined {
    this.#prepare(target, CMSGHDR.size + 4 * FDS_RECEIVED_MAX);
    const count = call(() => recvmsgFn(this.#owned.fd, this.#message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) as number);
    if (count === -EAGAIN) return undefined;
    if (count <= 0) return 'end'; // an error of the connection is its end
    const { flags, controllen } = MSGHDR.decode(this.#message);
    const fds = this.#takeFds(Number(controllen));
    if ((flags & MSG_CTRUNC) !== 0) {
      for (const fd of fds) fd.close();
      return 'end';
    }
    return { count, fds };
  }

  /** Sends some of `source`, `fds` with its first byte; answers how many bytes, 0 when the peer must read first. */
  write(source: Uint8Array, fds: readonly number[] = []): number | 'end' {
    const controlBytes = fds.length === 0 ? 0 : CMSGHDR.size + 4 * fds.length;
    const header = { len: BigInt(controlBytes), level: SOL_SOCKET, type: SCM_RIGHTS };
    CONTROL.encode({ header, fds: new Uint8Array(Int32Array.from(fds).buffer) }, this.#control);
    this.#prepare(source, controlBytes);
    const count = call(() => sendmsgFn(this.#owned.fd, this.#message, MSG_DONTWAIT | MSG_NOSIGNAL) as number);
    if (count === -EAGAIN) return 0;
    return count < 0 ? 'end' : count;
  }

  #prepare(local: Uint8Array, controlBytes: number): void {
    this.#local = local;
    IOVEC.encode({ base: addressOf(this.#local), len: BigInt(local.length) }, this.#iovec);
    const message = {
      name: 0n,
      namelen: 0,
      iov: addressOf(this.#iovec),
      iovlen: 1n,
      control: controlBytes === 0 ? 0n : addressOf(this.#control),
      controllen: BigInt(controlBytes),
      flags: 0,
    };
    MSGHDR.encode(message, this.#message);
  }

  #takeFds(controlBytes: number): OwnedFd[] {
    if (controlBytes < CMSGHDR.size) return [];
    const { header, fds } = CONTROL.decode(this.#control);
    if (header.level !== SOL_SOCKET || header.type !== SCM_RIGHTS) return [];
    const count = (Number(header.len) - CMSGHDR.size) >> 2;
    const view = new DataView(fds.buffer, fds.byteOffset);
    return Array.from({ length: count }, (_, index) => new OwnedFd(view.getInt32(index * 4, true)));
  }

  close(): void {
    if (!this.#owned.open) return;
    // The file may live on in other processes: no more signals to us for it.
    removeFileFlags(this.#owned.fd, O_ASYNC);
    watched.delete(this.#ready);
    this.#owned.close();
  }
}

/** The result, or minus the error number; a call that a signal interrupted is made again. */
function call(action: () => number): number {
  for (;;) {
    const result = action();
    if (result >= 0) return result;
    const errno = koffi.errno();
    if (errno !== EINTR) return -errno;
  }
}

/** What a listener hands over. */
export interface ConnectionEvents {
  /** A connection that Node has not read from; it is the receiver's to close. */
  onConnection(fd: OwnedFd): void;
  /** A connection could not be taken (no descriptors left, say); it is closed, and the listener goes on. */
  onRefused(error: Error): void;
}

/** Listens on a unix socket path. Rejects with Node's error. */
export async function listenUnix(path: string, events: ConnectionEvents): Promise<{ close(): Promise<void> }> {
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    socket.on('error', () => {});
    let fd: OwnedFd;
    try {
      fd = takeDescriptor(socket);
    } catch (error) {
      socket.destroy();
      events.onRefused(error as Error);
      return;
    }
    events.onConnection(fd);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
  server.on('error', (error) => events.onRefused(error));
  return { close: () => new Promise((resolve) => server.close(() => resolve())) };
}

/** Connects to a unix socket path. Rejects with Node's error when no process listens there. */
export async function connectUnix(path: string): Promise<OwnedFd> {
  const socket = new Socket();
  socket.pause();
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.connect(path, resolve);
  });
  return takeDescriptor(socket);
}

/** Throws LibcError EMFILE. */
function takeDescriptor(socket: Socket): OwnedFd {
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
  try {
    return new OwnedFd(fd).duplicate();
  } finally {
    socket.destroy();
  }
}
