// The socket of a display link: bytes between it and the viewer. Leaves the protocol to display-link.ts.
import { Socket } from 'node:net';
import type { Clock } from '../../../lib/core/clock.js';
import type { Probe } from '../../../lib/core/probe.js';
import type { OwnedFd } from '../../../lib/node/files/owned-fd.js';
import { POINT } from '../../../lib/trace/points.js';
import { DisplayLink } from '../display-link.js';

/** At trace points. */
const DESCRIPTOR = 'display';

export interface DisplaySocket {
  readonly link: DisplayLink;
  close(): void;
}

export interface DisplaySocketDeps {
  readonly clock: Clock;
  readonly probe: Probe;
}

export interface DisplaySocketEvents {
  /** Runs once, not after close(). */
  onEnd(reason: string): void;
  /** The viewer left a question unanswered. */
  onSlow(what: string): void;
}

/** Speaks to the viewer at the other end of `fd`, which it takes over. Throws LibcError EMFILE, and leaves `fd` alone then. */
export function openDisplaySocket(fd: OwnedFd, deps: DisplaySocketDeps, events: DisplaySocketEvents): DisplaySocket {
  const { clock, probe } = deps;
  const own = fd.duplicate(); // Node closes what it is given
  fd.close();
  probe.at(POINT['descriptor.take'], DESCRIPTOR, own.fd);
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
    events.onEnd(reason);
  };
  const link = new DisplayLink({
    send: (bytes) => open && (bytes.length === 0 || socket.write(bytes)),
    broken: end,
    slow: (what) => events.onSlow(what),
    clock,
    probe,
  });
  socket.on('data', (bytes: Buffer) => link.receive(bytes));
  socket.on('drain', () => link.drained());
  socket.on('error', (error) => end(error.message));
  socket.on('close', () => {
    probe.at(POINT['descriptor.give'], DESCRIPTOR, own.fd);
    end('the viewer closed');
  });
  link.start();
  return { link, close };
}
