// A channel that outlives xenstored: when the server ends, it waits for the next one, registers the watches anew, asks
// again what was not answered, and fails open transactions with EAGAIN, which is what their users repeat on. Its user
// notices a pause, and that each watch fires once more (what changed meanwhile is unknown).
//
// Asking again is sound because acknowledged writes survive and the operations are repeatable: a WRITE, MKDIR, RM,
// SET_PERMS or INTRODUCE that was done and not acknowledged has the same outcome the second time. RELEASE alone has not:
// a domain that is gone counts as released.
import { passOver } from '../core/errors.js';
import { XS, type XsMessage } from '../layout/xs-wire.js';
import type { StoreChannel } from './channel.js';
import { ACK, splitStrings } from './payload.js';

interface Asked {
  readonly request: XsMessage;
  /** This channel's own: a watch that is registered anew; the user of the channel does not see its answer. */
  readonly internal: boolean;
  /** Asked of an earlier server too. */
  repeated: boolean;
  /** Known without a server; delivered when all before it are answered. */
  answer: XsMessage | undefined;
}

const reply = (request: XsMessage, type: number, payload: string): XsMessage => ({ ...request, type, payload });
const acknowledge = (request: XsMessage): XsMessage => reply(request, request.type, ACK);
const error = (request: XsMessage, name: string): XsMessage => reply(request, XS.XS_ERROR, `${name}\0`);

export class ReconnectingChannel implements StoreChannel {
  readonly #connect: () => Promise<StoreChannel>;
  /** Undefined while there is no server. */
  #channel: StoreChannel | undefined;
  /** Oldest first; what waits for a server stands here too. */
  #asked: Asked[] = [];
  /** Payloads of registered watches, in the order of registration. */
  readonly #watches = new Map<string, string>();
  /** The server's ids of open transactions by ours, which no later server gives again. */
  readonly #transactions = new Map<number, number>();
  #lastTransaction = 0;
  #deliver: (message: XsMessage) => void = () => {};
  #lost: (error: Error) => void = () => {};
  #closed = false;

  /** `connect` waits for a server; when it rejects, the channel is lost for good. */
  constructor(connect: () => Promise<StoreChannel>) {
    this.#connect = connect;
    void this.#reconnect();
  }

  onMessage(action: (message: XsMessage) => void): void {
    this.#deliver = action;
  }
  onLost(action: (error: Error) => void): void {
    this.#lost = action;
  }

  send(request: XsMessage): void {
    const asked: Asked = { request, internal: false, repeated: false, answer: this.#knownAnswer(request) };
    this.#asked.push(asked);
    if (asked.answer !== undefined) this.#deliverAnswered();
    else if (this.#channel !== undefined) this.#ask(this.#channel, asked);
  }

  close(): void {
    this.#closed = true;
    this.#channel?.close();
  }

  /** A transaction that an earlier server had is over: an abort succeeds, all else is to be repeated from the start. */
  #knownAnswer(request: XsMessage): XsMessage | undefined {
    const { type, txId, payload } = request;
    if (txId === 0 || this.#transactions.has(txId) || type === XS.XS_WATCH || type === XS.XS_UNWATCH) return undefined;
    return type === XS.XS_TRANSACTION_END && payload === 'F\0' ? acknowledge(request) : error(request, 'EAGAIN');
  }

  #ask(channel: StoreChannel, { request }: Asked): void {
    channel.send({ ...request, txId: this.#transactions.get(request.txId) ?? 0 });
  }

  async #reconnect(): Promise<void> {
    try {
      const channel = await this.#connect();
      if (this.#closed) channel.close();
      else this.#attach(channel);
    } catch (failure) {
      passOver(failure);
      if (!this.#closed) this.#lost(failure as Error);
    }
  }

  #attach(channel: StoreChannel): void {
    this.#channel = channel;
    channel.onMessage((message) => this.#take(message));
    channel.onLost(() => this.#serverEnded());
    const watches = [...this.#watches.values()].map((payload, index): Asked => {
      const request = { type: XS.XS_WATCH, reqId: index, txId: 0, payload };
      return { request, internal: true, repeated: false, answer: undefined };
    });
    this.#asked = [...watches, ...this.#asked];
    for (const asked of [...this.#asked]) if (asked.answer === undefined) this.#ask(channel, asked);
  }

  #serverEnded(): void {
    if (this.#closed) return;
    this.#channel?.close();
    this.#channel = undefined;
    this.#transactions.clear();
    this.#asked = this.#asked.filter(({ internal }) => !internal);
    for (const asked of this.#asked) {
      if (asked.answer !== undefined) continue;
      asked.repeated = true;
      asked.answer = this.#answerAtEnd(asked.request);
    }
    this.#deliverAnswered();
    void this.#reconnect();
  }

  /** What needs no second asking: watches are gone with the server, and transactions too. */
  #answerAtEnd(request: XsMessage): XsMessage | undefined {
    if (request.type === XS.XS_UNWATCH) {
      this.#watches.delete(request.payload);
      return acknowledge(request);
    }
    if (request.type === XS.XS_RESET_WATCHES) {
      this.#watches.clear();
      return acknowledge(request);
    }
    return this.#knownAnswer(request);
  }

  #take(message: XsMessage): void {
    if (message.type === XS.XS_WATCH_EVENT) {
      this.#deliver(message);
      return;
    }
    const asked = this.#asked.find(({ answer }) => answer === undefined);
    if (asked === undefined) return;
    asked.answer = this.#noted(asked, message);
    this.#deliverAnswered();
  }

  /** Keeps what outlives the server; returns the answer as our user sees it. */
  #noted({ request, repeated }: Asked, message: XsMessage): XsMessage {
    const answer = { ...message, txId: request.txId, reqId: request.reqId };
    if (message.type === XS.XS_ERROR) {
      if (request.type === XS.XS_TRANSACTION_END && message.payload !== 'EINVAL\0')
        this.#transactions.delete(request.txId);
      const gone = repeated && request.type === XS.XS_RELEASE && message.payload === 'ENOENT\0';
      return gone ? acknowledge(request) : answer;
    }
    switch (message.type) {
      case XS.XS_WATCH:
        this.#watches.set(pathAndToken(request.payload), request.payload);
        return answer;
      case XS.XS_UNWATCH:
        this.#watches.delete(request.payload);
        return answer;
      case XS.XS_RESET_WATCHES:
        this.#watches.clear();
        this.#transactions.clear();
        return answer;
      case XS.XS_TRANSACTION_START: {
        const id = ++this.#lastTransaction;
        this.#transactions.set(id, Number.parseInt(message.payload, 10));
        return { ...answer, payload: `${id}\0` };
      }
      case XS.XS_TRANSACTION_END:
        this.#transactions.delete(request.txId);
        return answer;
      default:
        return answer;
    }
  }

  #deliverAnswered(): void {
    for (let head = this.#asked[0]; head?.answer !== undefined; head = this.#asked[0]) {
      this.#asked.shift();
      if (!head.internal) this.#deliver(head.answer);
    }
  }
}

/** UNWATCH's payload for what a WATCH registered. */
function pathAndToken(payload: string): string {
  return splitStrings(payload)
    .slice(0, 2)
    .map((text) => `${text}\0`)
    .join('');
}
