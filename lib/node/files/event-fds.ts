// Eventfds, and the pipe ends that may stand for them: made, signalled, listened to. Leaves whether a peer's descriptor is
// one to peer-fds.ts.
import { closeSync, writeSync } from 'node:fs';
import { Socket, type SocketConstructorOpts } from 'node:net';
import koffi from 'koffi';
import { fixedBytes, LibcError, POLLFD_SIZE, POLLIN, pollNow } from './libc.js';
import { addFileFlags, O_CLOEXEC, O_NONBLOCK, OwnedFd } from './owned-fd.js';

const libc = koffi.load(null);
const dup3Fn = libc.func('int dup3(int from, int to, int flags)');
const pipeFn = libc.func('int pipe2(_Out_ int *ends, int flags)');
const eventfdFn = libc.func('int eventfd(unsigned int initial, int flags)');

const check = (call: string, result: number): number => {
  if (result < 0) throw new LibcError(call, koffi.errno());
  return result;
};

/** A fresh eventfd. Throws LibcError EMFILE. */
export function makeEventFd(): OwnedFd {
  return new OwnedFd(check('eventfd', eventfdFn(0, O_CLOEXEC | O_NONBLOCK) as number));
}

const ONE = new Uint8Array(new BigUint64Array([1n]).buffer);

/** Adds 1 to an eventfd (or writes 8 bytes to the pipe that stands for one). Does not wait. Throws Node's error. */
export function signalEventFd(fd: number): void {
  try {
    writeSync(fd, ONE);
  } catch (error) {
    // EAGAIN: it is full, so its reader has plenty to wake for; EPIPE: its reader is gone, which its connection tells.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EAGAIN' && code !== 'EPIPE') throw error;
  }
}

/** Signals must not block: the other side chose the file. */
export function setNonBlocking(fd: number): void {
  addFileFlags(fd, O_NONBLOCK);
}

/** Signals in a row after each of which the descriptor could be read again at once: then it is left alone for a while. */
const READABLE_AGAIN_MAX = 16;
/** One signal in so many is looked after, and each once one was found so: a look costs a system call. */
const SIGNALS_PER_LOOK = 8;
/** How long it is left alone, in milliseconds; twice as long each time in a row. */
const PAUSE_MS_MIN = 1;
const PAUSE_MS_MAX = 16;

/**
 * Runs `onSignal` from the event loop whenever the eventfd was written to; signals coalesce. The descriptor stays the
 * caller's. Throws LibcError EMFILE. Node can listen to sockets and pipes only, so a copy of the eventfd takes the place of a
 * pipe's descriptor before the event loop first looks at it; from then on it is read like the pipe.
 *
 * An eventfd is empty after one read, unless it is in semaphore mode or its writer never rests: then it could be read for
 * ever. So one that is still readable after each of many reads is left alone for some milliseconds.
 */
export function listenEventFd(fd: number, onSignal: () => void): { close(): void } {
  setNonBlocking(fd);
  const ends = [0, 0];
  check('pipe2', pipeFn(ends, O_CLOEXEC | O_NONBLOCK) as number);
  closeSync(ends[1]!);
  const readable = watchReadable(ends[0]!);
  let signals = 0;
  /** Signals in a row after which it was readable. */
  let again = 0;
  let pauseMs = PAUSE_MS_MIN;
  let pause: NodeJS.Timeout | undefined;
  const onread = {
    // Twice what a read gives: one that fills its buffer is followed by another, which finds nothing and costs a call into
    // JavaScript all the same.
    buffer: Buffer.alloc(16),
    callback: () => {
      if (again > 0 || ++signals % SIGNALS_PER_LOOK === 0) {
        again = readable() ? again + 1 : 0;
        if (again === 0) pauseMs = PAUSE_MS_MIN;
      }
      onSignal();
      if (again < READABLE_AGAIN_MAX || pause !== undefined) return true;
      again = 1;
      pause = setTimeout(() => {
        pause = undefined;
        if (!socket.destroyed) socket.resume();
      }, pauseMs);
      pauseMs = Math.min(pauseMs * 2, PAUSE_MS_MAX);
      socket.pause();
      return false;
    },
  };
  const socket = new Socket({ fd: ends[0], readable: true, writable: false, onread } as SocketConstructorOpts);
  socket.on('error', () => {});
  check('dup3', dup3Fn(fd, ends[0]!, O_CLOEXEC) as number);
  socket.resume();
  return {
    close: () => {
      clearTimeout(pause);
      socket.destroy();
    },
  };
}

/** Whether a descriptor can be read now, asked without waiting. */
function watchReadable(fd: number): () => boolean {
  const pollfd = fixedBytes(POLLFD_SIZE);
  pollfd.bytes.writeInt32LE(fd, 0);
  pollfd.bytes.writeInt16LE(POLLIN, 4);
  return () => pollNow(pollfd, 1) > 0;
}
