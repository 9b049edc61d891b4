// vhost-user on a unix socket: listens on a path, or takes one connection that was inherited (vhost-user.rst, "Backend
// program conventions"). Leaves connections to unix-session.ts.
import { lstatSync, unlinkSync } from 'node:fs';
import { errorMessage, UserError } from '../../../lib/core/errors.js';
import { SOCKET_PATH_BYTES_MAX } from '../../../lib/core/limits.js';
import { OwnedFd } from '../../../lib/node/files/owned-fd.js';
import { type ConnectionEvents, connectUnix, listenUnix } from '../../../lib/node/files/unix-fds.js';

/** Throws UserError when the path cannot be listened on. A socket file whose listener ended is replaced. */
export async function listenOn(path: string, events: ConnectionEvents): Promise<{ close(): Promise<void> }> {
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
    throw new UserError(`the socket path ${path} is longer than ${SOCKET_PATH_BYTES_MAX} bytes`);
  }
  if (isSocket(path)) {
    const listener = await connectUnix(path).catch(() => undefined);
    if (listener !== undefined) {
      listener.close();
      throw new UserError(`another process listens on ${path} already`);
    }
    unlinkSync(path);
  }
  try {
    return await listenUnix(path, events);
  } catch (error) {
    throw new UserError(`cannot listen on ${path}: ${errorMessage(error)}`, { cause: error });
  }
}

/** The connection that this process was started with. Throws UserError when the descriptor is no open file. */
export function inheritedConnection(fd: number): OwnedFd {
  const owned = new OwnedFd(fd);
  try {
    void owned.size;
  } catch (error) {
    throw new UserError(`descriptor ${fd} is not open`, { cause: error });
  }
  return owned;
}

function isSocket(path: string): boolean {
  try {
    return lstatSync(path).isSocket();
  } catch {
    return false;
  }
}
