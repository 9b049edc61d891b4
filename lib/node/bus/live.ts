// Liveness: beside its bus socket each client holds a unix stream connection to the server. The kernel closes it when
// either process ends, however it ends: that is how both learn of the other's death (2 ms, where ZeroMQ hides it).
// The client names its routing id on one line; the server answers with one byte once it has taken note.
import { unlinkSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { ErrnoError } from '../../core/errors.js';

const ID_BYTES_MAX = 128;
const ACK = '\n';

export interface LiveServer {
  /** Ends the connection of a client, which thereby learns that we are done with it. */
  drop(id: string): void;
  isAlive(id: string): boolean;
  close(): Promise<void>;
}

/** Listens; `onGone` runs once for each client that had named itself. */
export async function serveLive(path: string, onGone: (id: string) => void): Promise<LiveServer> {
  const sockets = new Map<string, Socket>();
  const all = new Set<Socket>();
  const server: Server = createServer((socket) => {
    all.add(socket);
    let id: string | undefined;
    let text = '';
    socket.setEncoding('latin1');
    socket.on('error', () => {}); // 'close' follows
    socket.on('data', (chunk: string) => {
      if (id !== undefined) return; // nothing more is said on this connection
      text += chunk;
      const end = text.indexOf('\n');
      if (end < 0 && text.length <= ID_BYTES_MAX) return;
      const name = text.slice(0, end);
      if (end <= 0 || end > ID_BYTES_MAX || sockets.has(name)) {
        socket.destroy();
        return;
      }
      id = name;
      sockets.set(id, socket);
      socket.write(ACK);
    });
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      all.delete(socket);
      if (id !== undefined && sockets.get(id) === socket) {
        sockets.delete(id);
        onGone(id);
      }
    });
  });
  // A socket file of a dead predecessor: its name is locked by us by now.
  try {
    unlinkSync(path);
  } catch {
    // none there
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return {
    drop: (id) => sockets.get(id)?.destroy(),
    isAlive: (id) => sockets.has(id),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve()); // unlinks the path
        for (const socket of all) socket.destroy();
      }),
  };
}

export interface LiveConnection {
  close(): void;
}

/**
 * Connects and names itself. Rejects with ErrnoError ENOENT while no server listens, and when `signal` aborts: a server
 * that is paused accepts, and does not answer. `onGone` runs once, not after close().
 */
export function connectLive(
  path: string,
  id: string,
  onGone: () => void,
  signal?: AbortSignal,
): Promise<LiveConnection> {
  return new Promise((resolve, reject) => {
    let acknowledged = false;
    let closed = false;
    const socket = createConnection(path);
    const giveUp = (): void => void socket.destroy();
    if (signal?.aborted) giveUp();
    signal?.addEventListener('abort', giveUp);
    socket.on('connect', () => socket.write(`${id}\n`));
    socket.on('error', () => {}); // 'close' follows
    socket.on('data', () => {
      if (acknowledged) return;
      acknowledged = true;
      signal?.removeEventListener('abort', giveUp);
      resolve({
        close() {
          closed = true;
          socket.destroy();
        },
      });
    });
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      signal?.removeEventListener('abort', giveUp);
      if (!acknowledged) reject(new ErrnoError('ENOENT', `no server listens on ${path}`));
      else if (!closed) onGone();
    });
  });
}
