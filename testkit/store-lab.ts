// A store without transports, for tests: connections by name, requests as text, and everything that comes out as lines,
// so that a test can be written down as a conversation.

import { DOMID_SELF } from '../lib/core/ids.js';
import type { Probe } from '../lib/core/probe.js';
import { XS, type XsMessage, xsName } from '../lib/layout/xs-wire.js';
import type { Compat } from '../services/xenstored/compat.js';
import type { Connection } from '../services/xenstored/connection.js';
import { LOG_SWITCHES } from '../services/xenstored/control-host.js';
import type { Question } from '../services/xenstored/failure.js';
import type { HostTime } from '../services/xenstored/host-time.js';
import type { QuotaHit } from '../services/xenstored/state.js';
import { Store } from '../services/xenstored/store.js';

export type OpName = keyof typeof XS extends `XS_${infer Name}` ? Name : never;

export class StoreLab {
  readonly store: Store;
  /** Domains that the host knows, by domid: their unique id. */
  readonly hostDomains = new Map<number, string>();
  readonly questions: Question[] = [];
  readonly printed: string[] = [];
  readonly quotaHits: QuotaHit[] = [];
  /** False: questions wait for answerAll(). */
  answersAtOnce = true;
  readonly #waiting: (() => void)[] = [];
  readonly #connections = new Map<string, Connection>();
  readonly #dropped = new Set<string>();
  #reqId = 0;

  /** `planted` false: the test that fills the store plants it. Without time nothing takes time. */
  constructor(compat?: Compat, planted = true, time?: HostTime, probe?: Probe) {
    this.store = new Store(
      {
        ...(time === undefined ? {} : { time }),
        ...(probe === undefined ? {} : { probe }),
        ask: (connection, question) => {
          this.questions.push(question);
          const uniqueId = this.hostDomains.get(question.domid);
          const answer = (): void => {
            if (question.kind === 'domain') {
              this.store.answerDomain(connection, question.domid, uniqueId === undefined ? null : { uniqueId });
            } else this.store.answerIntroduce(connection, question.domid, uniqueId === undefined ? 'ENOENT' : 'ok');
          };
          if (this.answersAtOnce) answer();
          else this.#waiting.push(answer);
        },
        onQuota: (hit) => this.quotaHits.push(hit),
        control: {
          log: () => {},
          logSwitch: () => {},
          logSwitches: () => new Set(LOG_SWITCHES),
          logFile: () => {},
          print: (text) => this.printed.push(text),
          memoryReport: () => {},
        },
      },
      compat,
    );
    if (planted) this.store.plant();
  }

  answerAll(): void {
    for (const answer of this.#waiting.splice(0)) answer();
  }

  /** A connection by name: "dom0", "dom0-b" are privileged; "dom5" is guest 5, which the host is made to know. */
  connection(name: string): Connection {
    const known = this.#connections.get(name);
    if (known !== undefined) return known;
    const domid = Number(/^dom(\d+)/.exec(name)?.[1] ?? DOMID_SELF);
    const hooks = { name, onOutput: () => {}, onDropped: () => this.#dropped.add(name) };
    if (domid !== 0 && !this.hostDomains.has(domid)) this.hostDomains.set(domid, `${domid}00`);
    const made = domid === 0 ? this.store.connectPrivileged(hooks) : this.store.connectGuest(domid, hooks);
    this.#connections.set(name, made);
    return made;
  }

  close(name: string): void {
    this.store.close(this.connection(name));
    this.#connections.delete(name);
  }

  /** A dropped connection's name may be used again. */
  reopen(name: string): void {
    this.#dropped.delete(name);
    this.#connections.delete(name);
  }

  wasDropped(name: string): boolean {
    return this.#dropped.has(name);
  }

  /** Makes guest `domid` known and introduced, and opens its connection. */
  guest(domid: number): Connection {
    const connection = this.connection(`dom${domid}`);
    this.expectOk('dom0', 'INTRODUCE', `${domid}|1|7|`);
    this.connection('dom0').outbox.take();
    return connection;
  }

  /** Sends a request; "|" stands for NUL in payloads. Replies and events stay queued. */
  send(name: string, op: OpName | number, payload: string, txId = 0): void {
    const type = typeof op === 'number' ? op : XS[`XS_${op}`];
    this.store.receive(this.connection(name), {
      type,
      reqId: ++this.#reqId,
      txId,
      payload: payload.replaceAll('|', '\0'),
    });
  }

  /** What waits for a connection, oldest first, as lines: "READ value", "ERROR ENOENT|", "EVENT /path token". */
  heard(name: string): string[] {
    return this.connection(name).outbox.take().map(formatMessage);
  }

  /** Sends, and returns all that the connection then hears. */
  ask(name: string, op: OpName | number, payload: string, txId = 0): string[] {
    this.send(name, op, payload, txId);
    return this.heard(name);
  }

  /** Sends, and returns the reply's payload or its error's name; events are dropped. */
  reply(name: string, op: OpName | number, payload: string, txId = 0): string {
    this.send(name, op, payload, txId);
    const reply = this.connection(name)
      .outbox.take()
      .filter(({ type }) => type !== XS.XS_WATCH_EVENT)
      .at(-1);
    return reply === undefined ? '(none)' : reply.payload.replace(/\0$/, '').replaceAll('\0', '|');
  }

  expectOk(name: string, op: OpName, payload: string, txId = 0): void {
    const reply = this.reply(name, op, payload, txId);
    if (reply !== 'OK') throw new Error(`${op} ${payload} answered ${reply}`);
  }

  begin(name: string): number {
    return Number(this.reply(name, 'TRANSACTION_START', '|'));
  }
}

export function formatMessage(message: XsMessage): string {
  const text = message.payload.replaceAll('\0', '|');
  if (message.type === XS.XS_WATCH_EVENT) return `EVENT ${text.split('|').slice(0, 2).join(' ')}`;
  return `${xsName(message.type)} ${text}`;
}
