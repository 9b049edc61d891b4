// A toolstack at work in a lab: dom0's connections to the hypervisor and xenstored, the guests' token files, and the lock
// that lets one toolstack at a time make or remove guests. Leaves the sequences to domain.ts.

import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { PeerDiedError, UserError } from '../lib/core/errors.js';
import { NO_LOG } from '../lib/core/log.js';
import type { NotifyMode } from '../lib/core/notify.js';
import type { BusClient, ServerName } from '../lib/core/service.js';
import { bellName, bellPaths } from '../lib/node/bell/bell.js';
import { ZmqBusClient } from '../lib/node/bus/client.js';
import { createProbe } from '../lib/node/files/probe.js';
import { REAL_CLOCK } from '../lib/node/process/clock.js';
import { guestTokenText, listProcesses, lockName, runPaths, waitingFor } from '../lib/node/process/run-dir.js';
import { retryOnChange, saidIfSlow } from '../lib/node/process/wait.js';
import { POINT } from '../lib/trace/points.js';
import { lastingStoreClient } from '../lib/xenstore/bus-client.js';
import type { Toolstack } from '../toolstack/toolstack.js';
import { requireLab } from './running.js';

/** Of a toolstack's process on the bus and in traces, and of the lock. */
const NAME = 'toolstack';

export interface Session extends Toolstack {
  readonly runDir: string;
  readonly hypervisorClient: BusClient;
  /** To the store as it runs now. */
  readonly storeClient: BusClient;
  /**
   * Another server of the lab; closed with the session. Waits until it is there; rejects with PeerDiedError when `signal` aborts first.
   */
  connect(server: ServerName, signal?: AbortSignal): Promise<BusClient>;
  /** Runs a sequence that makes or removes guests: no other toolstack's sequence runs meanwhile. */
  exclusively<T>(sequence: () => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface SessionOptions {
  readonly runDir: string;
  /** Of the process on the bus and in traces; left out: a toolstack. */
  readonly name?: string;
  /** Gives up waiting for servers. */
  readonly signal?: AbortSignal;
  /** Told what is waited for, when it takes long; left out: a line on standard error. */
  readonly say?: (sentence: string) => void;
  /** Stands still at `life.start`, before anything is asked of a server, until a controller of gates lets it go. */
  readonly hold?: boolean;
  /** A store that ends is awaited however long: by one that stays, in a lab where it is started again. Left out: DEADLINE_MS.storeBack. */
  readonly awaitsStore?: boolean;
  /** Leaves what it recorded in the run directory. */
  readonly keepHistory?: boolean;
}

/** Connects as dom0, waiting for the servers. Rejects with PeerDiedError when aborted first. */
export async function openSession(options: SessionOptions): Promise<Session> {
  const { runDir, hold = false, name = NAME, awaitsStore = false } = options;
  const say = options.say ?? ((sentence: string) => void process.stderr.write(`xenwire: ${sentence}\n`));
  /** Those whose servers live: a session outlives many. */
  const clients = new Set<BusClient>();
  const incarnation = Date.now() * 4096 + (process.pid & 4095);
  const historyPath = runPaths.history(runDir, name, incarnation);
  const gates = runPaths.gates(runDir, name, incarnation);
  const probe = createProbe({ process: name, incarnation, history: historyPath, gates, hold });
  probe.at(POINT['life.start'], '', process.pid);
  const connect = async (server: ServerName, given?: AbortSignal): Promise<BusClient> => {
    const signal = given === undefined ? ended : AbortSignal.any([given, ended]);
    const connecting = ZmqBusClient.connect({
      runDir,
      signal,
      name,
      server,
      token: () => dom0Token(runDir, ended),
      incarnation,
      log: NO_LOG,
      probe,
      onActivity: () => {},
    });
    const client = await saidIfSlow(connecting, () => say(waitingFor(server, runDir)));
    if (client === undefined) throw new PeerDiedError(server);
    clients.add(client);
    client.onLost(() => {
      clients.delete(client);
      // ZeroMQ would go on connecting its socket to every server that comes after this one.
      void client.close();
    });
    return client;
  };
  const end = new AbortController();
  const ended = AbortSignal.any([end.signal, ...(options.signal === undefined ? [] : [options.signal])]);
  setMaxListeners(0, ended); // a listener for each guest that is waited for
  let storeClient: BusClient | undefined;
  let connected: Promise<BusClient> | undefined;
  // Each life of the store is a connection; the first is waited for here.
  const connectStore = async (): Promise<BusClient> => {
    const lasts = connected === undefined || awaitsStore;
    connected = connect('xenstored', lasts ? undefined : AbortSignal.timeout(DEADLINE_MS.storeBack));
    storeClient = await connected;
    return storeClient;
  };
  const store = lastingStoreClient(connectStore, probe);
  const close = async (): Promise<void> => {
    probe.at(POINT['life.stop'], '', process.pid);
    end.abort();
    store.close();
    await Promise.all([...clients].map((client) => client.close()));
    probe.close();
    // Of many commands in the life of a lab only those that were killed leave their ring.
    if (!options.keepHistory) rmSync(historyPath, { force: true });
  };
  let hypervisorClient: BusClient;
  let firstStoreClient: BusClient | undefined;
  try {
    [hypervisorClient, firstStoreClient] = await Promise.all([connect('hypervisor'), connected]);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    runDir,
    hypervisorClient,
    get storeClient() {
      return storeClient ?? (firstStoreClient as BusClient);
    },
    connect,
    hypervisor: hypervisorClient.remote('Hypervisor'),
    store,
    clock: REAL_CLOCK,
    probe,
    ended,
    newUuid: randomUUID,
    tokens: {
      write: (guest, domid, token) =>
        writeFileSync(runPaths.guestToken(runDir, guest), guestTokenText(domid, token), { mode: 0o600 }),
      remove: (guest) => rmSync(runPaths.guestToken(runDir, guest), { force: true }),
    },
    exclusively: (sequence) => exclusively(runDir, say, sequence),
    close,
  };
}

/** How wake-ups travel in a running lab: every process of it must do the same. */
export function notifyOf(runDir: string): NotifyMode {
  const hypervisor = listProcesses(runDir).find(({ name }) => name === 'hypervisor');
  if (hypervisor === undefined) return 'doorbell';
  return existsSync(bellPaths(runDir, bellName(hypervisor)).zmq) ? 'zmq' : 'doorbell';
}

/** The same for a lab that must be running already: a user's mistake otherwise. */
export async function openRunningSession(runDir: string, hold = false): Promise<Session> {
  requireLab(runDir);
  return openSession({ runDir, hold });
}

async function dom0Token(runDir: string, signal?: AbortSignal): Promise<string> {
  const path = runPaths.dom0Token(runDir);
  const read = async (): Promise<string | undefined> => (await readFile(path, 'utf8').catch(() => '')) || undefined;
  const token = await retryOnChange(path, read, signal);
  if (token === undefined) throw new PeerDiedError('hypervisor');
  return token;
}

async function exclusively<T>(runDir: string, say: (sentence: string) => void, sequence: () => Promise<T>): Promise<T> {
  const path = runPaths.lock(runDir, NAME);
  const taking = retryOnChange(path, () => lockName(runDir, NAME), AbortSignal.timeout(DEADLINE_MS.toolstackLock));
  const lock = await saidIfSlow(taking, () =>
    say(`waiting for another xenwire command that changes guests in ${runDir}`),
  );
  if (lock === undefined) throw new UserError('another xenwire command is changing guests and does not end');
  try {
    return await sequence();
  } finally {
    lock.release();
  }
}
