// Live update as an administrator asks for it: CONTROL live-update names a program (-f), its arguments (-c), starts (-s) or
// aborts (-a). The start waits until no transaction is open on any connection, since none outlives the program;
// meanwhile none begins. The answers are the C daemon's (its lu.c and lu_daemon.c). Pure: time, files and the replacement
// itself are the host's; the reply to a start that succeeds is given by the next program.
import { XS_STATE_VERSION } from '../../lib/layout/xs-state.js';
import { ACK, atoi } from '../../lib/xenstore/payload.js';
import type { Connection } from './connection.js';
import { fail, UNTIL_LIVE_UPDATE_ENDS } from './failure.js';
import type { HostTime } from './host-time.js';

/** What to become. */
export interface NextProgram {
  readonly file: string;
  /** Its arguments, separated by blanks; undefined: ours. */
  readonly commandLine: string | undefined;
}

export interface LiveUpdateHost extends HostTime {
  /** Why a file cannot be a program, undefined when it can. */
  whyNot(file: string): 'File not accessible.' | 'File not executable.' | undefined;
  /**
   * Becomes the program, which answers OK to the request that `requester` waits with. Returns only when that failed: what
   * is answered instead; nothing has changed then.
   */
  replace(next: NextProgram, requester: Connection): string;
}

interface Session {
  readonly connection: Connection;
  readonly file: string;
  commandLine: string | undefined;
  start: { readonly at: number; readonly timeout: number; readonly force: boolean } | undefined;
}

export class LiveUpdate {
  readonly #connections: ReadonlySet<Connection>;
  readonly #host: LiveUpdateHost;
  #session: Session | undefined;
  /** What the request to start is answered, once that is known. */
  readonly #verdicts = new Map<Connection, string>();
  #cancelTimer: () => void = () => {};
  #cancelLook: (() => void) | undefined;

  constructor(connections: ReadonlySet<Connection>, host: LiveUpdateHost) {
    this.#connections = connections;
    this.#host = host;
  }

  /** From naming the program to the end of it all. */
  get pending(): boolean {
    return this.#session !== undefined;
  }

  /** The payload of the reply. */
  command(connection: Connection, args: readonly string[]): string {
    const [option, value, ...rest] = args;
    switch (option) {
      case '-s':
        return this.#startCommand(connection, args.slice(1));
      case '-a':
        if (value !== undefined) fail('EINVAL');
        return this.#abort();
      case '-f':
        if (value === undefined || rest.length > 0) fail('EINVAL');
        return this.#name(connection, value);
      case '-c':
        if (value === undefined || rest.length > 0) fail('EINVAL');
        if (this.#session?.connection !== connection) return 'Not in live-update session.\0';
        this.#session.commandLine = value;
        return ACK;
      default:
        return fail('EINVAL');
    }
  }

  #name(connection: Connection, file: string): string {
    const wrong = this.#host.whyNot(file);
    if (wrong !== undefined) return `${wrong}\0`;
    if (this.#session !== undefined) return 'live-update session already active.\0';
    if (!connection.outlivesProgram) return 'Ask through the socket: this connection ends with the program.\0';
    this.#session = { connection, file, commandLine: undefined, start: undefined };
    return ACK;
  }

  #abort(): string {
    if (this.#session === undefined) return 'No live-update session active.\0';
    this.#end('Cancellation was requested');
    return ACK;
  }

  #startCommand(connection: Connection, args: readonly string[]): string {
    // Done again at the end, to be answered.
    const verdict = this.#verdicts.get(connection);
    this.#verdicts.delete(connection);
    if (verdict !== undefined) return `${verdict}\0`;
    const { timeout, force, version } = startOptions(args);
    const session = this.#session;
    if (session?.connection !== connection) return 'Not in live-update session.\0';
    if (version < 1 || version > XS_STATE_VERSION) return 'Migration stream version not supported.\0';
    session.start = { at: this.#host.seconds(), timeout, force };
    this.#cancelTimer = this.#host.later(timeout, () => this.#look());
    this.reconsider();
    throw UNTIL_LIVE_UPDATE_ENDS;
  }

  /** Something ended that may have been waited for. Looked at once the request under way is done with. */
  reconsider(): void {
    if (this.#session?.start === undefined) return;
    this.#cancelLook ??= this.#host.later(0, () => this.#look());
  }

  #look(): void {
    this.#cancelLook?.();
    this.#cancelLook = undefined;
    const session = this.#session;
    if (session?.start === undefined) return;
    const { at, timeout, force } = session.start;
    const connections = [...this.#connections];
    const open = connections.filter(({ transactionsSince }) => transactionsSince !== undefined);
    const long = open.filter((connection) => this.#openFor(connection) >= timeout);
    const inTime = this.#host.seconds() < at + timeout;
    if (open.length > 0 && !(force && (long.length === open.length || !inTime))) {
      if (!inTime) this.#end(rejection(long.map((connection) => ({ connection, seconds: this.#openFor(connection) }))));
      return;
    }
    // The host answers at once or its process is gone, and every answer makes us look again.
    if (connections.some(({ stall }) => stall === 'question')) return;
    this.#end(this.#host.replace({ file: session.file, commandLine: session.commandLine }, session.connection));
  }

  #openFor({ transactionsSince }: Connection): number {
    return this.#host.seconds() - (transactionsSince ?? Number.POSITIVE_INFINITY);
  }

  /** The connection that asked is gone: so is the session. */
  closed(connection: Connection): void {
    this.#verdicts.delete(connection);
    if (this.#session?.connection === connection) this.#end('');
    else this.reconsider();
  }

  /** There is no session any more; what waited for its end goes on. */
  #end(verdict: string): void {
    const session = this.#session as Session;
    this.#session = undefined;
    this.#cancelTimer();
    this.#cancelLook?.();
    this.#cancelLook = undefined;
    if (session.start !== undefined && !session.connection.closed) this.#verdicts.set(session.connection, verdict);
    for (const connection of [...this.#connections]) {
      if (connection.stall === 'live-update') connection.goOn('live-update');
    }
  }
}

function startOptions(args: readonly string[]): { timeout: number; force: boolean; version: number } {
  const options = { timeout: 0, force: false, version: XS_STATE_VERSION };
  for (let index = 0; index < args.length; index++) {
    const value = args[index + 1];
    if (args[index] === '-F') options.force = true;
    else if (args[index] === '-t' && value !== undefined) options.timeout = atoi(value) >>> 0;
    else if (args[index] === '-v' && value !== undefined) options.version = atoi(value);
    else fail('EINVAL');
    if (args[index] !== '-F') index++;
  }
  return options;
}

function rejection(long: readonly { connection: Connection; seconds: number }[]): string {
  if (long.length === 0) return 'Overlapping transactions';
  const lines = long.map(({ connection, seconds }) => `\nDomain ${connection.domid}: ${Math.floor(seconds)} s`);
  return `Domains with long running transactions:${lines.join('')}`;
}
