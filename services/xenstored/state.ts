// What the store is: its nodes, watches, domains and connections, what each holds, and what is charged for it. Leaves
// requests to store.ts, what an operation does to the *-commands.ts files, which work on this.
import { DOM0 } from '../../lib/core/ids.js';
import { NO_PROBE, type Probe } from '../../lib/core/probe.js';
import type { Held } from '../../lib/core/proto-types.js';
import { Bounds } from './bounds.js';
import type { Compat } from './compat.js';
import { Connection, type ConnectionOptions } from './connection.js';
import { type ControlHost, NO_TRACE, type StoreTrace } from './control-host.js';
import { type Domain, Domains, isPrivileged } from './domains.js';
import { fail, type Question } from './failure.js';
import type { HostTime } from './host-time.js';
import { type Journal, NO_JOURNAL } from './journal.js';
import { LiveUpdate, type LiveUpdateHost } from './live-update.js';
import type { Outstanding } from './outbox.js';
import { defaultLimits, type QuotaName } from './quota.js';
import { StorePoints } from './store-points.js';
import { Transaction } from './transaction.js';
import { Tree } from './tree.js';
import { DirectView } from './view.js';
import { asSpelled, type Watch, Watches } from './watch.js';

/** Where the store ends and the process begins. */
export interface StoreHost {
  /** Answered, now or later, by answerDomain or answerIntroduce. */
  ask(connection: Connection, question: Question): void;
  readonly control: ControlHost;
  /** Missing: nothing is traced. */
  readonly trace?: StoreTrace;
  /** A guest met a quota, for the `times`th time. Told at the first, second, fourth, eighth ... so that no guest fills a log. */
  onQuota?(hit: QuotaHit): void;
  /** Missing: nothing is recorded. */
  readonly probe?: Probe;
  /** Missing: nothing that a guest does not take is dropped for that, and it may write as fast as it can. */
  readonly time?: HostTime;
  /** Missing where the program cannot be replaced. */
  readonly liveUpdate?: LiveUpdateHost;
  /** A domain was released or died: its transport can be given back. */
  onRemoved?(domid: number): void;
}

export interface QuotaHit {
  readonly connection: string;
  readonly domid: number;
  readonly quota: QuotaName;
  readonly limit: number;
  readonly times: number;
}

/** What the state asks of the way in, store.ts. */
export interface StateHooks {
  /** Requests of a connection that waited may be done now. */
  readonly onReady: (connection: Connection) => void;
  /** Guests that wrote too fast may be heard again. */
  readonly onCredit: () => void;
}

export class StoreState {
  readonly compat: Compat;
  readonly host: StoreHost;
  readonly trace: StoreTrace;
  readonly domains: Domains;
  readonly tree: Tree;
  readonly connections = new Set<Connection>();
  readonly watches = new Watches(() => this.cause);
  readonly view: DirectView;
  readonly bounds: Bounds;
  /** Transports tell it of messages. */
  readonly points: StorePoints;
  /** Undefined where the program cannot be replaced. */
  readonly liveUpdate: LiveUpdate | undefined;
  /** Told of everything that must outlive the process. */
  journal: Journal = NO_JOURNAL;
  /** The guest's request that is being done: what it causes is counted against it. */
  protected cause: Outstanding | undefined;
  readonly #onReady: (connection: Connection) => void;
  #connectionSeq = 0;

  constructor(host: StoreHost, compat: Compat, { onReady, onCredit }: StateHooks) {
    this.host = host;
    this.points = new StorePoints(host.probe ?? NO_PROBE);
    this.trace = host.trace ?? NO_TRACE;
    this.#onReady = onReady;
    this.bounds = new Bounds(host.time, onCredit);
    this.liveUpdate = host.liveUpdate === undefined ? undefined : new LiveUpdate(this.connections, host.liveUpdate);
    this.compat = compat;
    this.domains = new Domains(defaultLimits(), compat);
    this.tree = new Tree((perm, generation) => {
      const domain = this.domains.get(perm.domid);
      return domain !== undefined && domain.generation <= generation;
    });
    this.tree.onChange = (path, node) => {
      this.journal.node(path, node);
      this.points.committed(path, node?.value);
    };
    this.view = new DirectView(this.tree, this.watches, (domid, nodes, bytes) => this.account(domid, nodes, bytes));
    this.domains.make(DOM0, '', 0).introduced = true;
    this.domains.onMade = (domain) => this.journal.domain(domain);
  }

  /** Makes the first nodes of an empty store. */
  plant(): void {
    this.tree.plant(this.compat.releaseDomainReadable);
    this.recount();
  }

  /** Charges every node to its owner; after nodes were put in place without the commands. */
  recount(): void {
    for (const [path, node] of this.tree.entries()) this.account(node.owner, 1, node.size + path.length);
    for (const { domid, introduced } of this.domains.all()) {
      if (introduced && !isPrivileged(domid)) this.bounds.domainCame(domid);
    }
  }

  account(domid: number, nodes: number, bytes: number): void {
    const account = this.domains.get(domid)?.account;
    if (nodes !== 0) account?.add('nodes', nodes);
    if (bytes !== 0) account?.add('memory', bytes);
  }

  // --- connections ---------------------------------------------------------------------------------------------------

  /** A socket, or dom0: privileged and without quotas. */
  connectPrivileged(
    options: Pick<ConnectionOptions, 'name' | 'onOutput' | 'onDropped' | 'outlivesProgram'>,
  ): Connection {
    return this.#connect({ ...options, domid: DOM0, privileged: true, domain: undefined });
  }

  /** A guest that exists in the host. Its requests wait until the domain is introduced. */
  connectGuest(
    domid: number,
    options: Pick<ConnectionOptions, 'name' | 'onOutput' | 'onDropped' | 'outlivesProgram' | 'keep'>,
  ): Connection {
    const domain = this.domains.make(domid, '', this.tree.generation);
    const privileged = isPrivileged(domid);
    const admits = privileged ? undefined : (bytes: number): boolean => this.hasRoom(domain, bytes);
    const connection = this.#connect({ ...options, domid, privileged, domain, admits });
    if (!domain.introduced) connection.stall = 'introduce';
    return connection;
  }

  #connect(options: ConnectionOptions): Connection {
    const place = { seq: ++this.#connectionSeq, onReady: this.#onReady, trace: this.trace };
    const connection = new Connection({ ...options, time: this.host.time }, place);
    this.connections.add(connection);
    this.#traceObject('CREATE', 'connection', connection);
    return connection;
  }

  /** The client is gone: so are its watches and transactions. */
  close(connection: Connection): void {
    if (connection.closed) return;
    connection.end();
    this.#traceObject('DESTROY', 'connection', connection);
    this.dropHeld(connection);
    connection.inbox.length = 0;
    connection.outbox.take();
    this.connections.delete(connection);
    this.bounds.forget(connection);
    this.liveUpdate?.closed(connection);
    connection.keep?.({ kind: 'end' });
  }

  /** Drops a connection's watches and transactions; it may go on. */
  dropHeld(connection: Connection): void {
    for (const watch of [...connection.watches.values()]) this.removeWatch(connection, watch);
    for (const transaction of [...connection.transactions.values()]) this.closeTransaction(connection, transaction);
  }

  addWatch(connection: Connection, fields: Omit<Watch, 'seq' | 'connection'>): void {
    const { path, token } = this.watches.add({ ...fields, connection });
    this.#traceObject('CREATE', 'watch', connection, `${path} ${token}`);
    this.points.watch(true, connection, path);
    connection.keep?.({ kind: 'watch', watch: asSpelled(fields) });
    connection.domain?.account.add('watches', 1);
    connection.domain?.account.add('memory', path.length + token.length);
  }

  removeWatch(connection: Connection, watch: Watch): void {
    const { path, token } = watch;
    this.watches.remove(watch);
    this.#traceObject('DESTROY', 'watch', connection, `${path} ${token}`);
    this.points.watch(false, connection, path);
    connection.keep?.({ kind: 'unwatch', watch: asSpelled(watch) });
    connection.domain?.account.add('watches', -1);
    connection.domain?.account.add('memory', -path.length - token.length);
  }

  openTransaction(connection: Connection): Transaction {
    this.tree.nextGeneration();
    return this.#openTransaction(connection, this.#unusedTransactionId(connection));
  }

  /** One that was open when the process before us was killed: what it had read and written is lost, so it cannot commit. */
  openLostTransaction(connection: Connection, id: number): void {
    this.#openTransaction(connection, id).loseTrack();
    connection.nextTransactionId = Math.max(connection.nextTransactionId, (id + 1) >>> 0);
  }

  #openTransaction(connection: Connection, id: number): Transaction {
    const transaction = new Transaction(id, {
      tree: this.tree,
      watches: this.watches,
      checkTouch: (count) => {
        if (this.meetsQuota(connection, 'transaction-nodes', count)) fail('ENOSPC');
      },
      charge: (bytes) => connection.domain?.account.add('memory', bytes),
      account: (domid, nodes, bytes) => this.account(domid, nodes, bytes),
    });
    connection.transactionsSince ??= this.host.liveUpdate?.seconds();
    connection.transactions.set(id, transaction);
    this.points.transaction(true, connection, id);
    connection.keep?.({ kind: 'opened', txId: id });
    this.bounds.transactionOpened();
    this.#traceObject('CREATE', 'transaction', connection, id);
    connection.domain?.account.add('transactions', 1);
    return transaction;
  }

  #unusedTransactionId(connection: Connection): number {
    for (;;) {
      const id = connection.nextTransactionId;
      connection.nextTransactionId = (id + 1) >>> 0;
      if (id !== 0 && !connection.transactions.has(id)) return id;
    }
  }

  closeTransaction(connection: Connection, transaction: Transaction): void {
    transaction.close();
    this.points.transaction(false, connection, transaction.id);
    connection.keep?.({ kind: 'closed', txId: transaction.id });
    this.bounds.transactionClosed();
    this.#traceObject('DESTROY', 'transaction', connection, transaction.id);
    connection.transactions.delete(transaction.id);
    if (connection.transactions.size === 0) {
      connection.transactionsSince = undefined;
      this.liveUpdate?.reconsider();
    }
    connection.domain?.account.add('transactions', -1);
  }

  /** True when a value is more than a domain's quota; never for what has no quota. */
  exceedsQuota(domain: Domain | undefined, quota: QuotaName, value: number): boolean {
    if (domain === undefined) return false;
    const limit = domain.account.limits.get(quota) ?? 0;
    if (limit !== 0 && !isPrivileged(domain.domid)) {
      if (value >= limit + (this.compat.quotaSlack[quota] ?? 0)) return true;
    }
    domain.account.see(quota, value);
    return false;
  }

  /**
   * As exceedsQuota, for a request that is refused for it: the host is told who met which quota. `of`: the
   * domain that is charged, if not the connection's.
   */
  meetsQuota(connection: Connection, quota: QuotaName, value: number, of?: Domain): boolean {
    const { name } = connection;
    const domain = of ?? connection.domain;
    if (domain === undefined || !this.exceedsQuota(domain, quota, value)) return false;
    const times = domain.account.meet(quota);
    if (isPowerOfTwo(times)) {
      const limit = domain.account.limits.get(quota) ?? 0;
      const hit = { connection: name, domid: domain.domid, quota, limit, times };
      this.host.onQuota?.(hit);
      if (this.trace.traces('acc')) {
        this.trace.line('acc', `d${hit.domid} met its quota of ${limit} ${quota} (${times})`);
      }
    }
    return true;
  }

  #traceObject(what: 'CREATE' | 'DESTROY', kind: string, { name }: Connection, detail: string | number = ''): void {
    if (this.trace.traces('obj')) this.trace.line('obj', `${what} ${kind} ${name} ${detail}`.trimEnd());
  }

  /** May so many bytes more be held for a domain? */
  hasRoom(domain: Domain, bytes: number): boolean {
    return !this.exceedsQuota(domain, 'memory', domain.account.used('memory') + bytes);
  }

  connectionsOf(domid: number): Connection[] {
    return [...this.connections].filter(({ domain }) => domain?.domid === domid);
  }

  // --- looking in ----------------------------------------------------------------------------------------------------

  /** What is held for others: watches, transactions, nodes of domains. */
  audit(): Held[] {
    const held: Held[] = [];
    for (const connection of this.connections) {
      for (const watch of connection.watches.values()) {
        held.push({ kind: 'watch', name: `${connection.name} ${watch.path} ${watch.token}` });
      }
      for (const id of connection.transactions.keys())
        held.push({ kind: 'transaction', name: `${connection.name} ${id}` });
    }
    for (const [path, node] of this.tree.entries()) {
      if (!isPrivileged(node.owner)) held.push({ kind: 'domain-node', name: `${node.owner} ${path}` });
    }
    return held;
  }
}

function isPowerOfTwo(count: number): boolean {
  return Math.log2(count) % 1 === 0;
}
