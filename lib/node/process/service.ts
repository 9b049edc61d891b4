// The life of a service process: its name and lock, log, probe, doorbell and bus; ready, orderly stop, and giving
// everything back on every path that lets code run. services/*/main.ts calls runService and nothing else.

import { existsSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { DEADLINE_MS } from '../../core/deadlines.js';
import {
  DeadlineError,
  ErrnoError,
  errorMessage,
  isOurBug,
  PeerDiedError,
  passOver,
  UserError,
} from '../../core/errors.js';
import { POLL_US_MAX } from '../../core/limits.js';
import { LOG_LEVELS, type LogLevel } from '../../core/log.js';
import { type Doorbell, NOTIFY_MODES, type NotifyMode } from '../../core/notify.js';
import type { ServiceContext } from '../../core/service.js';
import { POINT } from '../../trace/points.js';
import { bellName, sharedDoorbell } from '../bell/bell.js';
import { Poller } from '../bell/poller.js';
import { messageDoorbell } from '../bell/zmq.js';
import { type BusClientSetup, ZmqBusClient } from '../bus/client.js';
import { connectLive, type LiveConnection } from '../bus/live.js';
import { ZmqBusServer } from '../bus/server.js';
import { createProbe, type OwnProbe } from '../files/probe.js';
import { sharedFiles } from '../files/shm.js';
import { type Command, command, EXIT, folder, integerBetween, Option, runCommand } from './cli.js';
import { REAL_CLOCK } from './clock.js';
import { openLog } from './log.js';
import {
  defaultRunDir,
  freshRunDir,
  inheritName,
  type NameLock,
  removeProcessEntry,
  removeStalePages,
  runPaths,
  takeName,
  waitingFor,
  writeProcessEntry,
} from './run-dir.js';
import { forgetRunDir, type PreparedRunDir, prepareRunDir } from './run-dir-life.js';
import { followSupervisor, SUPERVISED } from './supervisor.js';
import { processUsage } from './usage.js';
import { retryOnChange, saidIfSlow, withDeadline } from './wait.js';

/** Whether a process writes its history. */
const HISTORY_MODES = ['on', 'off'] as const;

/** Options that every service has. */
export interface CommonOptions {
  readonly runDir: string;
  readonly notify: NotifyMode;
  readonly logLevel: LogLevel;
  /** How long the process looks at its shared pages after each activity before it blocks; 0: it blocks at once. Learnt if not given. */
  readonly pollUs?: number;
  /** `off` writes no records: what tracing costs is measured against it. Points are counted and gates hold all the same. */
  readonly history: (typeof HISTORY_MODES)[number];
  /** Stands at its first point until a controller lets it go. */
  readonly hold: boolean;
}

export interface ServiceDefinition<Options> {
  /** Of the program: "hypervisor". */
  readonly program: string;
  /** What it stands for, for --help. */
  readonly describe: string;
  /** Adds options of its own. */
  readonly options?: (command: Command) => void;
  /** Name of this process among the living; default the program's. */
  readonly name?: (options: Options & CommonOptions) => string;
  /** Whether the process is of no lab: without --run-dir it makes a run directory, which ends with it. */
  readonly standsAlone?: (options: Options & CommonOptions) => boolean;
  /** Resolves once the service works; it then lives on by its sockets. A UserError ends it with status 2. */
  readonly start: (context: ServiceContext, options: Options & CommonOptions) => Promise<void>;
}

/** The process whose end is the host's. */
const HOST = 'hypervisor';
const PROCESS_NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;

export function serviceCommand<Options>(definition: ServiceDefinition<Options>): Command {
  const program = command(`xenwire ${definition.program}`)
    .description(definition.describe)
    .option('--run-dir <dir>', 'where the processes of one lab find each other', folder, defaultRunDir())
    .addOption(
      new Option('--notify <how>', 'how wake-ups travel between processes').choices(NOTIFY_MODES).default('doorbell'),
    )
    .addOption(new Option('--log-level <level>', 'what is logged').choices(LOG_LEVELS).default('info'))
    .option(
      '--poll-us <us>',
      'how long to look at shared pages after each activity before blocking; 0 blocks at once (default: learnt from what wake-ups cost)',
      integerBetween(0, POLL_US_MAX),
    )
    .addOption(new Option('--history <how>', 'whether to write records').choices(HISTORY_MODES).default('on'))
    .option('--hold', 'stand still at the start until a controller of gates lets it go', false);
  definition.options?.(program);
  program.action(async (options: Options & CommonOptions) => {
    const makesOwn = definition.standsAlone?.(options) === true && program.getOptionValueSource('runDir') === 'default';
    const runDir = makesOwn ? ownRunDir() : options.runDir;
    await new RunningService(definition, { ...options, runDir }, makesOwn).run();
  });
  return program;
}

/** Runs the service as this process. Sets the exit status; the process lives until the service stops. */
export async function runService<Options>(
  definition: ServiceDefinition<Options>,
  argv: readonly string[] = process.argv.slice(2),
): Promise<void> {
  const status = await runCommand(serviceCommand(definition), argv);
  if (status !== EXIT.OK) process.exitCode = status;
}

/** What both ends of the bus need of this process. */
type Shared = Omit<BusClientSetup, 'server' | 'token' | 'signal'>;

class RunningService<Options> {
  readonly #definition: ServiceDefinition<Options>;
  readonly #options: Options & CommonOptions;
  /** The run directory ends with this process. */
  readonly #ownsRunDir: boolean;
  readonly #owned: { what: string; release: () => void | Promise<void> }[] = [];
  readonly #abort = new AbortController();
  #context: ServiceContext | undefined;
  #nameFd = -1;
  /** How many of the owned things are this process's own: what the service owns comes behind them. */
  #ownBase = 0;
  #stopping: Promise<void> | undefined;

  constructor(definition: ServiceDefinition<Options>, options: Options & CommonOptions, ownsRunDir: boolean) {
    this.#definition = definition;
    this.#options = options;
    this.#ownsRunDir = ownsRunDir;
  }

  async run(): Promise<void> {
    const name = this.#definition.name?.(this.#options) ?? this.#definition.program;
    if (!PROCESS_NAME.test(name)) {
      throw new UserError(`${name} cannot name a process: small letters, digits and dashes, at most 32`);
    }
    const prepared = prepareRunDir(this.#options.runDir);
    const { runDir } = prepared;
    if (this.#ownsRunDir) this.#own('run directory', () => rmSync(runDir, { recursive: true, force: true }));
    // What a supervisor starts follows on what it saw end, or on what ends with its domain.
    const waitMs = SUPERVISED ? DEADLINE_MS.nameFree : DEADLINE_MS.nameLook;
    let lock: NameLock | undefined;
    try {
      lock = inheritedName(runDir, name) ?? (await takeName(runDir, name, waitMs));
    } finally {
      prepared.release();
    }
    if (lock === undefined) throw new UserError(`${name} is already running in ${runDir}`);
    this.#own('name', () => lock.release());
    this.#nameFd = lock.fd;
    this.#listenToSignals();
    try {
      const context = await this.#prepare(runDir, name);
      this.#ownBase = this.#owned.length;
      this.#context = context;
      if (this.#stopping !== undefined) return; // told to end before we had begun
      context.probe.at(POINT['life.start'], '', process.pid);
      await this.#definition.start(context, this.#options);
    } catch (error) {
      await this.#startFailed(error, prepared, name);
    }
  }

  async #startFailed(error: unknown, prepared: PreparedRunDir, name: string): Promise<void> {
    // Without a context there is no log to say it in: runCommand says it.
    if (error instanceof UserError || this.#context === undefined) {
      await this.#end();
      forgetRunDir(prepared, name);
      throw error;
    }
    // A server that ended while we greeted it: its loss has been said already.
    if (this.#stopping !== undefined) return;
    await this.#stop(error instanceof ErrnoError || error instanceof PeerDiedError ? error.message : stackOf(error));
  }

  async #prepare(runDir: string, name: string): Promise<ServiceContext> {
    // Grows from one start to the next, on one host, and stays below 2^53 until 2041.
    const incarnation = Date.now() * 4096 + (process.pid & 4095);
    const log = openLog({
      name,
      incarnation,
      path: runPaths.log(runDir, name),
      level: this.#options.logLevel,
      terminal: !SUPERVISED,
    });
    removeStalePages(runDir, name);
    const probe = this.#openProbe(runDir, name, incarnation);
    const entry = { name, pid: process.pid, incarnation };
    writeProcessEntry(runDir, { ...entry, state: 'starting' });
    this.#own('registration', () => removeProcessEntry(runDir, name));
    const poller = new Poller(this.#options.pollUs);
    this.#own('poller', () => poller.stop());
    const { doorbell, rescan } = await this.#openDoorbell(runDir, bellName({ name, incarnation }), poller, probe);
    const shared: Shared = { runDir, name, incarnation, log, probe, onActivity: () => poller.activity() };
    return {
      ...shared,
      clock: REAL_CLOCK,
      doorbell,
      shared: sharedFiles(runDir),
      connect: (server, options = {}) => this.#connect(server, options.token, options.onLost ?? 'end', shared),
      endWithHost: () => void this.#endWithHost(shared),
      serve: async (options = {}) => {
        const server = await ZmqBusServer.open({ ...shared, ...options });
        server.handle('Process', { usage: () => processUsage() });
        this.#own('bus endpoint', () => server.close());
        // It may have died between setting a bit and waking us (bell.ts).
        server.onPeer((peer) => peer.onClose(rescan));
        return server;
      },
      activity: () => poller.activity(),
      own: (what, release) => this.#own(what, release),
      ready: (state = 'ready') => {
        writeProcessEntry(runDir, { ...entry, state });
        probe.at(POINT['life.state'], state, process.pid);
        log.info({ pid: process.pid }, state);
      },
      stop: (failure) => this.#stop(failure),
      nameFd: this.#nameFd,
    };
  }

  #openProbe(runDir: string, name: string, incarnation: number): OwnProbe {
    const { history, hold } = this.#options;
    const probe = createProbe({
      process: name,
      incarnation,
      gates: runPaths.gates(runDir, name, incarnation),
      hold,
      ...(history === 'off' ? {} : { history: runPaths.history(runDir, name, incarnation) }),
    });
    this.#own('history and gates', () => probe.close());
    return probe;
  }

  async #openDoorbell(
    runDir: string,
    name: string,
    poller: Poller,
    probe: OwnProbe,
  ): Promise<{ doorbell: Doorbell; rescan: () => void }> {
    if (this.#options.notify === 'zmq') {
      const doorbell = await messageDoorbell(runDir, name, probe);
      this.#own('doorbell', () => doorbell.close());
      return { doorbell, rescan: () => {} };
    }
    const doorbell = sharedDoorbell(runDir, name, poller, probe);
    this.#own('doorbell', () => doorbell.close());
    return { doorbell, rescan: () => doorbell.bell.rescan() };
  }

  async #connect(
    server: string,
    token: string | (() => Promise<string>) | undefined,
    onLost: 'end' | 'keep',
    shared: Shared,
  ): Promise<ZmqBusClient> {
    const { signal } = this.#abort;
    const proof = async (): Promise<string> =>
      (typeof token === 'function' ? await token() : token) ?? (await this.#dom0Token(shared.runDir));
    const connecting = ZmqBusClient.connect({ ...shared, server, token: proof, signal });
    const client = await saidIfSlow(connecting, () => shared.log.info(waitingFor(server, shared.runDir)));
    if (client === undefined) throw new PeerDiedError(server);
    // Given back after all that the service owns, whenever it was made: a server that was replaced is connected to anew
    // while things are held that only it can take back.
    const disown = this.#own(`connection to ${server}`, () => client.close(), this.#ownBase);
    // After the service's own listeners: what it holds of a server that is gone it need not give back.
    if (onLost === 'end') client.onLost(() => queueMicrotask(() => void this.#stop(`${server} ended`)));
    else
      client.onLost(() => {
        // Its sockets go now: this process outlives many servers.
        disown();
        void client.close();
      });
    return client;
  }

  /** The liveness connection alone (lib/node/bus/live.ts): no HELLO, so nothing is asked and nothing proved. */
  async #endWithHost({ runDir, name, incarnation }: Shared): Promise<void> {
    const path = runPaths.live(runDir, HOST);
    const id = `${name}.${incarnation.toString(36)}.host`;
    const attempt = (): Promise<LiveConnection | undefined> | undefined =>
      existsSync(path) ? connectLive(path, id, () => void this.#stop(`${HOST} ended`)).catch(passOver) : undefined;
    const live = await retryOnChange(path, attempt, this.#abort.signal);
    if (live === undefined) return;
    if (this.#abort.signal.aborted) live.close();
    else this.#own(`connection to ${HOST}`, () => live.close());
  }

  async #dom0Token(runDir: string): Promise<string> {
    const path = runPaths.dom0Token(runDir);
    const read = async (): Promise<string | undefined> => {
      const text = (await readFile(path, 'utf8').catch(passOver)) ?? '';
      return text === '' ? undefined : text;
    };
    return (await retryOnChange(path, read, this.#abort.signal)) ?? '';
  }

  #own(what: string, release: () => void | Promise<void>, at = this.#owned.length): () => void {
    const owned = { what, release };
    this.#owned.splice(at, 0, owned);
    return () => {
      const at = this.#owned.indexOf(owned);
      if (at >= 0) this.#owned.splice(at, 1);
    };
  }

  #listenToSignals(): void {
    process.on('SIGTERM', () => void this.#stop());
    process.on('SIGINT', () => {
      if (!SUPERVISED) void this.#stop();
    });
    if (SUPERVISED) {
      // Our standard input is the supervisor's pipe.
      followSupervisor();
      process.stdin.on('end', () => void this.#stop('the supervisor ended'));
      process.stdin.on('error', () => void this.#stop('the supervisor ended'));
      // What it sends are questions whether we still run: our answer says that our event loop turns.
      process.stdin.on('data', (question) => process.stdout.write(question));
      process.stdout.on('error', () => {}); // the supervisor ended: standard input says so
      process.stdin.unref?.();
    }
    process.on('uncaughtException', (error) => void this.#crash(error));
    process.on('unhandledRejection', (error) => void this.#crash(error));
  }

  /**
   * A bug of ours, or something that the world refused where nothing could go on without it: say which, and end; the process that
   * started us decides what comes next.
   */
  async #crash(error: unknown): Promise<void> {
    if (this.#stopping !== undefined) {
      const text = stackOf(error);
      this.#context?.log.error({ error: text }, 'failed while stopping');
      this.#lastWords(`internal error while stopping: ${text}`);
      process.exit(EXIT.FAILED);
    }
    await this.#stop(`${isOurBug(error) ? 'internal error: ' : ''}${stackOf(error)}`);
  }

  #stop(failure?: string): Promise<void> {
    this.#stopping ??= (async () => {
      const context = this.#context;
      const name = context?.name ?? this.#definition.program;
      context?.probe.at(POINT[failure === undefined ? 'life.stop' : 'life.failed'], '', process.pid);
      if (failure === undefined) context?.log.info('stopping');
      else context?.log.error(`${name} ends: ${failure}`);
      if (failure !== undefined) this.#lastWords(failure);
      const whole = await this.#end();
      process.exit(failure === undefined && whole ? EXIT.OK : EXIT.FAILED);
    })();
    return this.#stopping;
  }

  /** Tells the supervisor, and a terminal on which no log of our own has said it already. */
  #lastWords(text: string): void {
    if (!SUPERVISED && this.#context !== undefined) return;
    process.stderr.write(`${this.#context?.name ?? this.#definition.program} ends: ${text}\n`);
  }

  /** Gives back everything, last owned first. False when something could not be given back. */
  async #end(): Promise<boolean> {
    this.#abort.abort();
    let whole = true;
    for (let owned = this.#owned.pop(); owned !== undefined; owned = this.#owned.pop()) {
      const { what, release } = owned;
      try {
        await withDeadline(Promise.resolve(release()), DEADLINE_MS.ownerRelease, `giving back ${what}`);
      } catch (error) {
        whole = false;
        const text = error instanceof DeadlineError ? error.message : stackOf(error);
        this.#context?.log.error({ error: text }, `could not give back ${what}`);
        this.#lastWords(`could not give back ${what}: ${text}`);
      }
    }
    return whole;
  }
}

/** Names the descriptor that holds our name, when another program was this process before us. */
export const NAME_FD_VARIABLE = 'XENWIRE_NAME_FD';

/** Names the run directory that the program before us in this process had made for itself. */
const OWN_RUN_DIR_VARIABLE = 'XENWIRE_OWN_RUN_DIR';

/** The one that the program before us made, or a new one, which the program after us is to find. */
function ownRunDir(): string {
  const inherited = process.env[NAME_FD_VARIABLE] === undefined ? undefined : process.env[OWN_RUN_DIR_VARIABLE];
  const runDir = inherited ?? freshRunDir();
  process.env[OWN_RUN_DIR_VARIABLE] = runDir;
  return runDir;
}

function inheritedName(runDir: string, name: string): NameLock | undefined {
  const text = process.env[NAME_FD_VARIABLE];
  delete process.env[NAME_FD_VARIABLE];
  return text === undefined ? undefined : inheritName(runDir, name, Number(text));
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : errorMessage(error);
}
