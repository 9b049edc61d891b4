// Work that no signal may interrupt: ZeroMQ looks at its command pipes with poll(2), which EINTR ends whatever SA_RESTART says
// (signal(7)), and zeromq.js answers that with an exception where it makes an observer or connects (zmq_socket_monitor(3),
// zmq_connect(3)). In a process with children each SIGCHLD can be the one.
import koffi from 'koffi';
import { LibcError } from '../files/libc.js';

const libc = koffi.load(null);
const sigmaskFn = libc.func('int pthread_sigmask(int how, const void *set, _Out_ uint8_t *old)');

// bits/sigaction.h, bits/types/__sigset_t.h of glibc; musl's set is no larger.
const SIG_SETMASK = 2;
const SIGSET_BYTES = 128;
const EVERY_SIGNAL = new Uint8Array(SIGSET_BYTES).fill(0xff);

/** Runs `action`, which must not wait, with all signals of this thread held back until it has ended. */
export function withSignalsBlocked<T>(action: () => T): T {
  const before = new Uint8Array(SIGSET_BYTES);
  setMask(EVERY_SIGNAL, before);
  try {
    return action();
  } finally {
    setMask(before, null);
  }
}

/** pthread_sigmask(3) returns its error, and leaves errno alone. */
function setMask(mask: Uint8Array, old: Uint8Array | null): void {
  const error = sigmaskFn(SIG_SETMASK, mask, old) as number;
  if (error !== 0) throw new LibcError('pthread_sigmask', error);
}
