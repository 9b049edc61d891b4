// The way into the store: requests in, one after the other, each done by its handler in commands.ts or put off until what
// it waits for has come. Pure: what comes out are messages in connections' outboxes, questions to the host, and changes told
// to the journal. Leaves what the store holds to state.ts, transports to server.ts.
import { XENSTORE_PAYLOAD_MAX, XS, XSD_SOCKMSG, type XsdError, type XsMessage } from '../../lib/layout/xs-wire.js';
import type { Call } from './call.js';
import { COMMANDS } from './commands.js';
import { COMPAT, type Compat } from './compat.js';
import type { Connection } from './connection.js';
import { type DomainChange, domainsChanged } from './domain-life.js';
import { type Domain, isPrivileged } from './domains.js';
import { Failure, fail, UNTIL_LIVE_UPDATE_ENDS, Unanswered } from './failure.js';
import { Outstanding } from './outbox.js';
import { type StoreHost, StoreState } from './state.js';

/** Replies up to this long are given whatever a guest's memory quota says, or it could not be told anything. */
const SHORT_REPLY = 16;

export class Store extends StoreState {
  constructor(host: StoreHost, compat: Compat = COMPAT['4.22']) {
    super(host, compat, { onReady: (connection) => this.#pump(connection), onCredit: () => this.resume() });
  }

  /** Takes one request; its reply, and the events it causes, are in outboxes when this returns, unless it must wait. */
  receive(connection: Connection, message: XsMessage): void {
    if (connection.closed) return;
    if (this.trace.traces('io')) this.trace.message('IN', connection, message);
    if (connection.stall === undefined && connection.inbox.length === 0 && !this.#holds(connection)) {
      this.#process(connection, message);
    } else connection.inbox.push(message);
  }

  /** Goes on with requests that waited. */
  #pump(connection: Connection): void {
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
    this.cause = this.#countOutstanding(connection);
    try {
      payload = this.#run(call, message);
      if (payload.length > XENSTORE_PAYLOAD_MAX) fail('E2BIG');
      if (connection.domain !== undefined) this.#checkReply(connection.domain, payload);
    } catch (thrown) {
      if (thrown instanceof Unanswered || thrown === UNTIL_LIVE_UPDATE_ENDS) {
        connection.inbox.unshift(message);
        connection.stall = thrown instanceof Unanswered ? 'question' : 'live-update';
        connection.domain?.account.add('outstanding', this.cause === undefined ? 0 : -1);
        this.cause = undefined;
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
    connection.outbox.reply({ type, reqId: message.reqId, txId: message.txId, payload }, this.cause);
    this.cause = undefined;
    if (connection.domainAnswers.size > 0) connection.domainAnswers.clear();
    if (connection.introduceAnswers.size > 0) connection.introduceAnswers.clear();
    call.after?.();
  }

  /** A guest's request counts until its reply and its events are consumed; requests of dom0 do not count. */
  #countOutstanding(connection: Connection): Outstanding | undefined {
    if (connection.privileged) return undefined;
    const { domain } = connection;
    domain?.account.add('outstanding', 1);
    return new Outstanding(() => domain?.account.add('outstanding', -1));
  }

  /** A reply that is more than a word needs room, though what it answers was done. */
  #checkReply(domain: Domain, payload: string): void {
    if (payload.length <= SHORT_REPLY || isPrivileged(domain.domid)) return;
    if (!this.hasRoom(domain, XSD_SOCKMSG.size + payload.length)) fail('ENOMEM');
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
      connection.goOn('bounds');
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
    connection.goOn('question');
    this.liveUpdate?.reconsider();
  }

  /** What the hypervisor says of domains after it signalled a change. */
  domainsChanged(changes: readonly DomainChange[]): void {
    domainsChanged(this, changes);
  }
}
