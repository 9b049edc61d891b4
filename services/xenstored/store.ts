// The store: its nodes, watches, domains and connections, and the one way in, `receive`. Pure: what comes out are
// messages in connections' outboxes, questions to the host, and changes told to the journal. Leaves transports to
// server.ts and what an operation does to commands.ts.
import { DOM0 } from '../../lib/core/ids.js';
import type { Held } from '../../lib/core/proto-types.js';
import { XENSTORE_PAYLOAD_MAX, XS, XSD_SOCKMSG, type XsdError, type XsMessage } from '../../lib/layout/xs-wire.js';
import { Bounds } from './bounds.js';
import type { Call } from './call.js';
import { COMMANDS } from './commands.js';
import { COMPAT, type Compat } from './compat.js';
import { type Clock, Connection, type ConnectionOptions, Outstanding } from './connection.js';
import type { ControlHost } from './control-commands.js';
import { type DomainChange, domainsChanged } from './domain-life.js';
import { type Domain, Domains, isPrivileged } from './domains.js';
import { Failure, fail, type Question, UNTIL_LIVE_UPDATE_ENDS, Unanswered } from './failure.js';
import { type Journal, NO_JOURNAL } from './journal.js';
import { LiveUpdate, type LiveUpdateHost } from './live-update.js';
import { defaultLimits, type QuotaName } from './quota.js';
import { Transaction } from './transaction.js';
import { Tree } from './tree.js';
import { DirectView } from './view.js';
import { type Watch, Watches } from './watch.js';

/** Where the store ends and the process begins. */
export interface StoreHost {
  /** Answered, now or later, by answerDomain or answerIntroduce. */
  ask(connection: Connection, question: Question): void;
  readonly control: ControlHost;
  /** Missing: nothing that a guest does not take is dropped for that, and it may write as fast as it can. */
  readonly clock?: Clock;
  /** Missing where the program cannot be replaced. */
  readonly liveUpdate?: LiveUpdateHost;
  /** A domain was released or died: its transport can be given back. */
  onRemoved?(domid: number): void;
}

/** Replies up to this long are given whatever a guest's memory quota says, or it could not be told anything. */
const SHORT_REPLY = 16;

export class Store {
  readonly compat: Compat;
  readonly host: StoreHost;
  readonly domains: Domains;
  readonly tree: Tree;
  readonly connections = new Set<Connection>();
  readonly watches = new Watches(() => this.#cause);
  readonly view: DirectView;
  readonly bounds: Bounds;
  /** Undefined where the program cannot be replaced. */
  readonly liveUpdate: LiveUpdate | undefined;
  /** Told of everything that must outlive the process. */
  journal: Journal = NO_JOURNAL;
  /** The guest's request that is being done: what it causes is counted against it. */
  #cause: Outstanding | undefined;
  #connectionSeq = 0;

  constructor(host: StoreHost, compat: Compat = COMPAT['4.22']) {
    this.host = host;
    this.bounds = new Bounds(host.clock, () => this.resume());
    this.liveUpdate = host.liveUpdate === undefined ? undefined : new LiveUpdate(this, host.liveUpdate);
    this.compat = compat;
    this.domains = new Domains(defaultLimits(), compat);
    this.tree = new Tree((perm, generation) => {
      const domain = this.domains.get(perm.domid);
      return domain !== undefined && domain.generation <= generation;
    });
    this.tree.onChange = (path, node) => this.journal.node(path, node);
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
    options: Pick<ConnectionOptions, 'name' | 'onOutput' | 'onDropped' | 'outlivesProgram'>,
  ): Connection {
    const domain = this.domains.make(domid, '', this.tree.generation);
    const privileged = isPrivileged(domid);
    const admits = privileged ? undefined : (bytes: number): boolean => this.#hasRoom(domain, bytes);
    const connection = this.#connect({ ...options, domid, privileged, domain, admits });
    if (!domain.introduced) connection.stall = 'introduce';
    return connection;
  }

  #connect(options: ConnectionOptions): Connection {
    const connection = new Connection({ ...options, clock: this.host.clock }, ++this.#connectionSeq);
    this.connections.add(connection);
    return connection;
  }

  /** The client is gone: so are its watches and transactions. */
  close(connection: Connection): void {
    if (connection.closed) return;
    connection.end();
    this.dropHeld(connection);
    connection.inbox.length = 0;
    connection.take();
    this.connections.delete(connection);
    this.bounds.forget(connection);
    this.liveUpdate?.closed(connection);
  }

  /** Drops a connection's watches and transactions; it may go on. */
  dropHeld(connection: Connection): void {
    for (const watch of [...connection.watches.values()]) this.removeWatch(watch);
    for (const transaction of [...connection.transactions.values()]) this.closeTransaction(connection, transaction);
  }

  addWatch(fields: Omit<Watch, 'seq'>): void {
    const { connection, path, token } = this.watches.add(fields);
    connection.domain?.account.add('watches', 1);
    connection.domain?.account.add('memory', path.length + token.length);
  }

  removeWatch(watch: Watch): void {
    const { connection, path, token } = watch;
    this.watches.remove(watch);
    connection.domain?.account.add('watches', -1);
    connection.domain?.account.add('memory', -path.length - token.length);
  }

  openTransaction(connection: Connection): Transaction {
    this.tree.nextGeneration();
    const id = this.#unusedTransactionId(connection);
    const transaction = new Transaction(id, {
      tree: this.tree,
      watches: this.watches,
      checkTouch: (count) => {
        if (this.exceedsQuota(connection.domain, 'transaction-nodes', count)) fail('ENOSPC');
      },
      charge: (bytes) => connection.domain?.account.add('memory', bytes),
      account: (domid, nodes, bytes) => this.account(domid, nodes, bytes),
    });
    connection.transactionsSince ??= this.host.liveUpdate?.seconds();
    connection.transactions.set(id, transaction);
    this.bounds.transactionOpened();
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
    this.bounds.transactionClosed();
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

  // --- requests ------------------------------------------------------------------------------------------------------

  /** Takes one request; its reply, and the events it causes, are in outboxes when this returns, unless it must wait. */
  receive(connection: Connection, message: XsMessage): void {
    if (connection.closed) return;
    if (connection.stall === undefined && connection.inbox.length === 0 && !this.#holds(connection)) {
      this.#process(connection, message);
    } else connection.inbox.push(message);
  }

  /** Goes on with requests that waited. */
  pump(connection: Connection): void {
    while (connection.stall === undefined && !connection.closed && connection.inbox.length > 0) {
      if (this.#holds(connection)) return;
      const message = connection.inbox.shift() as XsMessage;
      this.#process(connection, message);
    }
  }

  #process(connection: Connection, message: XsMessage): void {
    const call: Call = {
      store: this,
      connection,
      transaction: undefined,
      view: this.view,
      payload: message.payload,
      after: undefined,
    };
    let type = message.type;
    let payload: string;
    const { generation } = this.tree;
    this.#cause = this.#countOutstanding(connection);
    try {
      payload = this.#run(call, message);
      if (payload.length > XENSTORE_PAYLOAD_MAX) fail('E2BIG');
      if (connection.domain !== undefined) this.#checkReply(connection.domain, payload);
    } catch (thrown) {
      if (thrown instanceof Unanswered || thrown === UNTIL_LIVE_UPDATE_ENDS) {
        connection.inbox.unshift(message);
        connection.stall = thrown instanceof Unanswered ? 'question' : 'live-update';
        connection.domain?.account.add('outstanding', this.#cause === undefined ? 0 : -1);
        this.#cause = undefined;
        if (thrown instanceof Unanswered) this.host.ask(connection, thrown.question);
        return;
      }
      if (!(thrown instanceof Failure)) throw thrown;
      type = XS.XS_ERROR;
      payload = `${thrown.error}\0`;
      call.after = undefined;
    }
    // Every change of a node has a generation of its own; so has a transaction, which is none.
    if (!connection.privileged && call.transaction === undefined && message.type !== XS.XS_TRANSACTION_START) {
      this.bounds.wrote(connection.domid, this.tree.generation - generation);
    }
    connection.reply({ type, reqId: message.reqId, txId: message.txId, payload }, this.#cause);
    this.#cause = undefined;
    if (connection.domainAnswers.size > 0) connection.domainAnswers.clear();
    if (connection.introduceAnswers.size > 0) connection.introduceAnswers.clear();
    call.after?.();
  }

  /** A guest's request counts until its reply and its events are consumed; nobody else's does. */
  #countOutstanding(connection: Connection): Outstanding | undefined {
    if (connection.privileged) return undefined;
    const { domain } = connection;
    domain?.account.add('outstanding', 1);
    return new Outstanding(() => domain?.account.add('outstanding', -1));
  }

  /** May so many bytes more be held for a domain? */
  #hasRoom(domain: Domain, bytes: number): boolean {
    return !this.exceedsQuota(domain, 'memory', domain.account.used('memory') + bytes);
  }

  /** A reply that is more than a word needs room, though what it answers was done. */
  #checkReply(domain: Domain, payload: string): void {
    if (payload.length <= SHORT_REPLY || isPrivileged(domain.domid)) return;
    if (!this.#hasRoom(domain, XSD_SOCKMSG.size + payload.length)) fail('ENOMEM');
  }

  /**
   * True while a guest has as many requests under way, or as much memory, as its quota allows, or wrote too fast: it is not
   * read from. Its transport is nudged once it may be.
   */
  isStalled(connection: Connection): boolean {
    const { domain } = connection;
    if (domain === undefined || connection.privileged) return false;
    const { account } = domain;
    const stalled =
      this.bounds.isSpent(domain.domid) ||
      this.exceedsQuota(domain, 'outstanding', account.used('outstanding')) ||
      this.exceedsQuota(domain, 'memory', account.used('memory'));
    if (stalled) this.bounds.hold(connection);
    return stalled;
  }

  /** For transports that bring requests all the same: they wait here. */
  #holds(connection: Connection): boolean {
    if (!this.isStalled(connection)) return false;
    connection.stall = 'bounds';
    return true;
  }

  /** Goes on with guests that are within their bounds again. Call it when messages were taken or limits set. */
  resume(): void {
    for (const connection of this.bounds.takeHeld()) {
      if (connection.closed || this.isStalled(connection)) continue;
      if (connection.stall === 'bounds') connection.stall = undefined;
      this.pump(connection);
      connection.nudge();
    }
  }

  #run(call: Call, message: XsMessage): string {
    const command = message.type < this.compat.typeCount ? COMMANDS.get(message.type) : undefined;
    if (command === undefined) fail('ENOSYS');
    if (command.privileged && !call.connection.privileged) fail('EACCES');
    if (message.txId === 0 || command.ignoresTransaction) return command.run(call);
    const transaction = call.connection.transactions.get(message.txId) ?? fail('ENOENT');
    call.transaction = transaction;
    call.view = transaction;
    return command.run(call);
  }

  // --- the host's answers --------------------------------------------------------------------------------------------

  answerDomain(connection: Connection, domid: number, answer: { readonly uniqueId: string } | null): void {
    connection.domainAnswers.set(domid, answer);
    this.#goOn(connection);
  }

  answerIntroduce(connection: Connection, domid: number, answer: XsdError | 'ok'): void {
    connection.introduceAnswers.set(domid, answer);
    this.#goOn(connection);
  }

  #goOn(connection: Connection): void {
    if (connection.stall === 'question') connection.stall = undefined;
    this.pump(connection);
    this.liveUpdate?.reconsider();
  }

  // --- domains: domain-end.ts and domain-life.ts do the rest ------------------------------------------------------------

  connectionsOf(domid: number): Connection[] {
    return [...this.connections].filter(({ domain }) => domain?.domid === domid);
  }

  domainsChanged(changes: readonly DomainChange[]): void {
    domainsChanged(this, changes);
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
