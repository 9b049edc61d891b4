// Waiting for a server of others on a unix socket: its file is there from bind() on, which is before it accepts.
import { connect } from 'node:net';
import { lookAgain } from '../lib/node/process/wait.js';

const LOOK_MS = 5;

const accepts = (path: string): Promise<true | undefined> =>
  new Promise((resolve) => {
    const socket = connect(path);
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(undefined));
  });

/** Resolves once a connection to `path` was accepted; false when aborted first. */
export async function accepting(path: string, signal: AbortSignal): Promise<boolean> {
  return (await lookAgain(() => accepts(path), LOOK_MS, signal)) ?? false;
}
