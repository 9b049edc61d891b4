// The socket of a display link: bytes between it and the viewer. Leaves the protocol to display-link.ts.
import { Socket } from 'node:net';
import type { Clock } from '../../../lib/core/clock.js';
import type { OwnedFd } from '../../../lib/node/files/unix-fds.js';
import { DisplayLink } from '../display-link.js';

export interface DisplaySocket {
  readonly link: DisplayLink;
  close(): void;
}

/** Speaks to the viewer at the other end of `fd`, which it takes over. `onEnd` runs once, not after close(). */
export function openDisplaySocket(fd: OwnedFd, clock: Clock, onEnd: (reason: string) => void): DisplaySocket {
  const own = fd.duplicate(); // Node closes what it is given
  fd.close();
  const socket = new Socket({ fd: own.fd, readable: true, writable: true });
  let open = true;
  const close = (): void => {
    open = false;
    socket.destroy();
    link.close();
  };
  const end = (reason: string): void => {
    if (!open) return;
    close();
    onEnd(reason);
  };
  const link = new DisplayLink({
    send: (bytes) => open && (bytes.length === 0 || socket.write(bytes)),
    broken: end,
    clock,
  });
  socket.on('data', (bytes: Buffer) => link.receive(bytes));
  socket.on('drain', () => link.drained());
  socket.on('error', (error) => end(error.message));
  socket.on('close', () => end('the viewer closed'));
  link.start();
  return { link, close };
}
