// Becoming the next program and being it: collects what connections hold into a file, makes their descriptors outlive the
// program, and executes the next one in this same process; which finds the file by a variable and goes on with them.
// Clients of the unix socket and guests on ring pages notice nothing. Peers of the bus cannot be carried, because
// ZeroMQ's state cannot: they see xenstored end and come back. When to do it is live-update.ts's business.
import { accessSync, constants, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { concatBytes } from '../../../lib/core/bytes.js';
import { errorMessage } from '../../../lib/core/errors.js';
import type { ServiceContext } from '../../../lib/core/service.js';
import { execute, LibcError, setInherited } from '../../../lib/node/files/libc.js';
import { NAME_FD_VARIABLE } from '../../../lib/node/process/service.js';
import { POINT } from '../../../lib/trace/points.js';
import { encodeMessage } from '../../../lib/xenstore/framing.js';
import { ACK } from '../../../lib/xenstore/payload.js';
import type { Connection } from '../connection.js';
import { decodeLiveState, encodeLiveState, type LiveConnection, type LiveState } from '../live-state.js';
import type { LiveUpdateHost, NextProgram } from '../live-update.js';
import { addWatch, type CarriedRing, carriedRing } from '../ring-resume.js';
import type { Store } from '../store.js';
import { asSpelled } from '../watch.js';
import type { RingTransport } from './ring-transport.js';
import type { SocketClient } from './socket-client.js';
import type { SocketTransport } from './socket-transport.js';

/** Names the file with the state. */
const STATE_VARIABLE = 'XENWIRE_LIVE_UPDATE';
const STATE_FILE = 'xenstored.state_dump';
/** Node lets no other program have its own; ours needs them: a supervisor hears and ends us by them. */
const STANDARD_FDS = [0, 1, 2];
const TIMER_MS_MAX = 2 ** 31 - 1;
/** A program of ours is run by Node, whether or not its file may be executed by itself. */
const isScript = (file: string): boolean => file.endsWith('.js');

export interface LiveUpdaterParts {
  readonly context: ServiceContext;
  readonly sockets: SocketTransport;
  readonly rings: RingTransport | undefined;
  /** Writes down what was not yet. */
  readonly beforeSend: () => void;
}

export interface LiveUpdaterOptions {
  /** Undefined until all of it is there: requests come only then. */
  readonly parts: () => LiveUpdaterParts | undefined;
  /** Requests that had waited may have been answered. */
  readonly flush: () => void;
}

export function liveUpdateHost({ parts, flush }: LiveUpdaterOptions): LiveUpdateHost {
  return {
    seconds: () => performance.now() / 1000,
    later(seconds, action) {
      const timer = setTimeout(
        () => {
          action();
          flush();
        },
        Math.min(seconds * 1000, TIMER_MS_MAX),
      );
      timer.unref();
      return () => clearTimeout(timer);
    },
    whyNot(file) {
      const there = statSync(resolve('/', file), { throwIfNoEntry: false });
      if (there === undefined) return 'File not accessible.';
      return isScript(file) || (there.mode & 0o111) !== 0 ? undefined : 'File not executable.';
    },
    replace(next, requester) {
      const all = parts();
      return all === undefined ? 'Error activating new binary.' : replace(all, next, requester);
    },
  };
}

function replace(parts: LiveUpdaterParts, next: NextProgram, requester: Connection): string {
  const { context, sockets, rings, beforeSend } = parts;
  const path = join(context.runDir, STATE_FILE);
  beforeSend();
  const held = [
    ...[...sockets.clients].flatMap((client) => {
      const state = client.state();
      return state === undefined ? [] : [{ connection: client.connection, state }];
    }),
    ...(rings?.states() ?? []),
  ];
  // In the order in which they are told of events.
  held.sort((a, b) => a.connection.seq - b.connection.seq);
  const connections = held.map(({ connection, state }) => liveConnection(connection, state, connection === requester));
  const state: LiveState = { listeningFd: sockets.fd, connections };
  const bytes = encodeLiveState(state);
  try {
    rmSync(path, { force: true });
    writeFileSync(path, bytes, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    context.log.error({ error: errorMessage(error) }, 'live update: cannot write the state');
    return 'Dump write error';
  }
  const fds = [...STANDARD_FDS, sockets.fd, context.nameFd ?? -1];
  for (const { wire } of connections) if (wire.kind === 'socket') fds.push(wire.fd);
  const inherited = fds.filter((fd) => fd >= 0);
  const { file, argv } = commandOf(next);
  context.log.info({ argv, connections: connections.length }, 'live update: becoming the next program');
  context.probe.at(POINT['life.live-update'], '', process.pid);
  try {
    accessSync(resolve('/', next.file), constants.R_OK);
    for (const fd of inherited) setInherited(fd, true);
    const env = { ...process.env, [STATE_VARIABLE]: path, [NAME_FD_VARIABLE]: String(context.nameFd ?? -1) };
    execute(file, argv, env as Record<string, string>);
  } catch (error) {
    if (!(error instanceof LibcError) && (error as NodeJS.ErrnoException).code === undefined) throw error;
    context.log.error({ error: errorMessage(error) }, 'live update: cannot become the next program');
  }
  for (const fd of inherited) setInherited(fd, false);
  rmSync(path, { force: true });
  return 'Error activating new binary.';
}

/** The connection that asked is answered by the next program: its request stands first among what it waits for. */
function liveConnection(
  connection: Connection,
  state: Omit<LiveConnection, 'watches'>,
  isRequester: boolean,
): LiveConnection {
  const watches = [...connection.watches.values()].map(asSpelled);
  const [request] = connection.inbox;
  if (!isRequester || request === undefined) return { ...state, watches };
  const input = state.input.subarray(encodeMessage(request).length);
  const output = concatBytes([state.output, encodeMessage({ ...request, payload: ACK })]);
  return { ...state, input, output, watches };
}

/** The program and all its arguments: those given, or those that we were started with. */
function commandOf({ file, commandLine }: NextProgram): { file: string; argv: string[] } {
  const program = resolve('/', file);
  const own = readFileSync('/proc/self/cmdline', 'utf8').split('\0').slice(0, -1);
  // Of `node OPTIONS SCRIPT ARGUMENTS`.
  const args = commandLine?.split(/[ \t]+/).filter((arg) => arg !== '') ?? own.slice(process.execArgv.length + 2);
  if (!isScript(program)) return { file: program, argv: [program, ...args] };
  return { file: process.execPath, argv: [process.execPath, ...process.execArgv, program, ...args] };
}

/** What the program before us in this process left; undefined when there was none. Throws ProtocolError. */
export function takeLiveState(): LiveState | undefined {
  const path = process.env[STATE_VARIABLE];
  delete process.env[STATE_VARIABLE];
  if (path === undefined) return undefined;
  const bytes = readFileSync(path);
  rmSync(path, { force: true });
  return decodeLiveState(bytes);
}

export interface TakenUp {
  /** For RingTransport, which goes on with them when their domain's port is bound. */
  readonly rings: Map<number, CarriedRing>;
  /** Goes on with socket clients, once requests may be done. */
  resume(): void;
}

/** Puts the connections and their watches into the store, in their order. Nothing is asked or told yet. */
export function takeUp(state: LiveState, store: Store, sockets: SocketTransport): TakenUp {
  const rings = new Map<number, CarriedRing>();
  const clients: { client: SocketClient; live: LiveConnection }[] = [];
  for (const live of state.connections) {
    let connection: Connection;
    if (live.wire.kind === 'socket') {
      const client = sockets.adopt(live.wire.fd);
      clients.push({ client, live });
      connection = client.connection;
    } else {
      const carried = carriedRing(store, live.wire.domid, live, undefined);
      // What the journal keeps is that of before; its session begins that anew.
      carried.connection.keep?.({ kind: 'end' });
      rings.set(live.wire.domid, carried);
      connection = carried.connection;
    }
    for (const watch of live.watches) addWatch(store, connection, watch);
  }
  const resume = (): void => {
    for (const { client, live } of clients) client.resume(live);
  };
  return { rings, resume };
}
