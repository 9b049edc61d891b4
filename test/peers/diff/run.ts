// Runs scripts against daemons: one step on all of them, then what every client received is compared. A step is over
// when a barrier on every connection is answered, so that the events it caused have arrived, without waiting for time.
import { XENSTORE_PAYLOAD_MAX, XS, xsName } from '../../../lib/layout/xs-wire.js';
import { connectRing } from '../../../testkit/store-ring-client.js';
import { WireClient, type WireMessage, wireBytes } from '../../../testkit/store-wire-client.js';
import { Comparator, type Outcome, type Received } from './compare.js';
import { normalise } from './normalise.js';
import {
  DOMIDS,
  describeStep,
  type GuestSetting,
  NO_TRANSACTION,
  type Request,
  type Script,
  type Step,
  show,
} from './script.js';

/** Where two daemons parted. */
export interface Disagreement {
  readonly stepIndex: number;
  readonly step: Step;
  /** For people: what each said. */
  readonly received: readonly { readonly name: string; readonly text: string }[];
}

/** A client of the daemon that no script knows: it looks after what scripts leave behind. */
class Caretaker {
  readonly client: WireClient;

  constructor(client: WireClient) {
    this.client = client;
  }

  async must(type: number, payload: string): Promise<string> {
    const reply = await this.client.request(type, payload);
    if (reply.type !== type) throw new Error(`${xsName(type)} ${show(payload)} was answered ${show(reply.payload)}`);
    return reply.payload;
  }

  /** Makes room for guests: a store that they may write to, and limits to meet. */
  async admit({ quotas }: GuestSetting): Promise<void> {
    for (const [name, value] of Object.entries(quotas)) {
      await this.must(XS.XS_CONTROL, `quota\0set\0${name}\0${value}\0`);
    }
    await this.must(XS.XS_SET_PERMS, '/\0b0\0');
  }

  async release(domid: number): Promise<void> {
    const known = await this.must(XS.XS_IS_DOMAIN_INTRODUCED, `${domid}\0`);
    if (known === 'T\0') await this.must(XS.XS_RELEASE, `${domid}\0`);
  }

  async introduce(domid: number): Promise<void> {
    await this.must(XS.XS_INTRODUCE, `${domid}\x001\x005\0`);
  }

  /** Makes the store as it was at the start of the daemon. */
  async reset(): Promise<void> {
    for (const path of ['/', '@introduceDomain', '@releaseDomain']) {
      await this.must(XS.XS_SET_PERMS, `${path}\0n0\0`);
    }
    for (const domid of DOMIDS) await this.release(domid);
    for (;;) {
      const reply = await this.client.request(XS.XS_DIRECTORY_PART, '/\x000\0');
      // oxenstored has no DIRECTORY_PART
      const list =
        reply.type === XS.XS_ERROR ? await this.must(XS.XS_DIRECTORY, '/\0') : reply.payload.replace(/^\d+\0/, '');
      // oxenstored lists its special nodes beside the others.
      const names = list.split('\0').filter((name) => name !== '' && !name.startsWith('@'));
      if (names.length === 0) break;
      for (const name of names) await this.must(XS.XS_RM, `/${name}\0`);
    }
    await this.must(XS.XS_WRITE, '/\0');
    await this.must(XS.XS_MKDIR, '/tool/xenstored\0');
    this.client.take();
  }
}

/** A daemon, as those who talk to it see it. */
export interface Target {
  readonly name: string;
  readonly socket: string;
  /** Where the pages of guests are, when it serves any. */
  readonly dir: string;
  /** What it died of; undefined while it lives. */
  readonly ended: () => string | undefined;
}

/** One daemon and the clients of the script that runs. */
class Side {
  readonly target: Target;
  readonly #caretaker: Caretaker;
  readonly #clients = new Map<number, WireClient>();
  /** Which of them are guests, and which ones. */
  readonly #domids = new Map<number, number>();
  readonly #watching = new Set<number>();
  readonly #labels = new Map<string, number>();

  private constructor(target: Target, caretaker: Caretaker) {
    this.target = target;
    this.#caretaker = caretaker;
  }

  static async of(target: Target): Promise<Side> {
    return new Side(target, new Caretaker(await WireClient.connect(target.socket)));
  }

  async begin(setting: GuestSetting | undefined): Promise<void> {
    for (const conn of [...this.#clients.keys()]) await this.#close(conn);
    this.#watching.clear();
    this.#labels.clear();
    await this.#caretaker.reset();
    if (setting !== undefined) await this.#caretaker.admit(setting);
  }

  end(): void {
    for (const client of this.#clients.values()) client.destroy();
    this.#caretaker.client.destroy();
  }

  async step(step: Step): Promise<Outcome> {
    if (step.do === 'open') await this.#open(step.conn, step.domid);
    else if (step.do === 'close') await this.#close(step.conn);
    else await this.#send(step);
    await this.#settle(step.conn);
    const outcome = new Map<number, Received>();
    for (const [conn, client] of this.#clients) {
      const messages = client.take();
      if (messages.length > 0 || client.closed) {
        outcome.set(conn, { messages: normalise(messages, step), closed: client.closed });
      }
    }
    return outcome;
  }

  async #open(conn: number, domid: number | undefined): Promise<void> {
    await this.#close(conn);
    const client = await this.#connect(domid);
    if (domid !== undefined) this.#domids.set(conn, domid);
    this.#clients.set(conn, client);
    // Events go to connections in the order in which they were made: the daemon must have taken this one.
    await client.barrier();
  }

  async #connect(domid: number | undefined): Promise<WireClient> {
    if (domid === undefined) return WireClient.connect(this.target.socket);
    await this.#caretaker.release(domid);
    return connectRing(this.target.dir, domid, () => this.#caretaker.introduce(domid));
  }

  async #close(conn: number): Promise<void> {
    const client = this.#clients.get(conn);
    const domid = this.#domids.get(conn);
    if (client !== undefined && !client.closed) await client.close();
    if (domid !== undefined) {
      await this.#caretaker.release(domid);
      client?.destroy();
    }
    this.#clients.delete(conn);
    this.#domids.delete(conn);
    this.#watching.delete(conn);
  }

  async #send(step: Step & { do: 'send' }): Promise<void> {
    const client = this.#clients.get(step.conn);
    if (client === undefined || client.closed) return;
    const bytes = Buffer.concat(step.requests.map((request) => this.#bytes(request)));
    let at = 0;
    for (const cut of (step.cuts ?? []).filter((cut) => cut > 0 && cut < bytes.length)) {
      if (cut <= at) continue;
      client.write(bytes.subarray(at, cut));
      at = cut;
      // The daemon has looked at all its sockets once this is answered.
      await this.#caretaker.client.barrier();
    }
    const fatal = step.requests.some(({ announce = 0 }) => announce > XENSTORE_PAYLOAD_MAX);
    if (fatal) {
      client.write(bytes.subarray(at));
      await client.untilClosed();
      return;
    }
    await client.barrier(bytes.subarray(at));
    if (client.closed) throw new Error('it closed the connection, or died');
    this.#learn(client, step);
  }

  /** Takes note of transactions started and watches set, without taking the messages. */
  #learn(client: WireClient, step: Step & { do: 'send' }): void {
    const { requests } = step;
    if (requests.some(({ type }) => type === XS.XS_WATCH)) this.#watching.add(step.conn);
    const starts = requests.filter(({ label }) => label !== undefined);
    if (starts.length === 0) return;
    const replies = client.peek().filter(({ type }) => type !== XS.XS_WATCH_EVENT);
    requests.forEach(({ label }, index) => {
      const reply = replies[index];
      if (label === undefined || reply?.type !== XS.XS_TRANSACTION_START) return;
      this.#labels.set(label, Number.parseInt(reply.payload, 10));
    });
  }

  #bytes(request: Request): Buffer {
    const { type, payload, tx, id = 0, announce } = request;
    const txId = typeof tx === 'string' ? (this.#labels.get(tx) ?? NO_TRANSACTION) : (tx ?? 0);
    return wireBytes({ type, reqId: id, txId, payload }, announce);
  }

  /** Waits until all that the step of client `conn` caused has arrived everywhere. */
  async #settle(conn: number): Promise<void> {
    await Promise.all(
      [...this.#watching].filter((other) => other !== conn).map((other) => this.#clients.get(other)?.barrier()),
    );
  }
}

const HEADER_TEXT = (message: WireMessage): string =>
  `${xsName(message.type)} id ${message.reqId} tx ${message.txId} ${show(message.payload)}`;

function outcomeText(outcome: Outcome): string {
  const lines = [...outcome].flatMap(([conn, { messages, closed }]) => [
    ...messages.map((message) => `  to client ${conn}: ${HEADER_TEXT(message)}`),
    ...(closed ? [`  client ${conn} is closed`] : []),
  ]);
  return lines.length === 0 ? '  nothing' : lines.join('\n');
}

/** Several daemons side by side, kept from one script to the next. Close it before the daemons end. */
export class Comparison {
  readonly #sides: readonly Side[];

  private constructor(sides: readonly Side[]) {
    this.#sides = sides;
  }

  static async of(...targets: readonly Target[]): Promise<Comparison> {
    return new Comparison(await Promise.all(targets.map((target) => Side.of(target))));
  }

  /** Runs the script on all from an empty store; the first step where they part, or undefined. */
  async run(script: Script): Promise<Disagreement | undefined> {
    await this.#all((side) => side.begin(script.guests), 'emptying the store');
    const comparators = this.#sides.slice(1).map(() => new Comparator());
    for (const [stepIndex, step] of script.steps.entries()) {
      const outcomes = await this.#all(
        (side) => side.step(step),
        `step ${stepIndex} of seed ${script.seed}: ${describeStep(step)}`,
      );
      const [first, ...others] = outcomes as [Outcome, ...Outcome[]];
      const verdicts = others.map((outcome, index) => comparators[index]?.judge(step, first, outcome));
      if (verdicts.every((verdict) => verdict === 'same')) continue;
      if (!verdicts.includes('different')) return undefined;
      const received = outcomes.map((outcome, index) => ({
        name: this.#sides[index]?.target.name ?? '',
        text: outcomeText(outcome),
      }));
      return { stepIndex, step, received };
    }
    return undefined;
  }

  close(): void {
    for (const side of this.#sides) side.end();
  }

  async #all<T>(act: (side: Side) => Promise<T>, what: string): Promise<T[]> {
    const settled = await Promise.allSettled(this.#sides.map(act));
    return settled.map((result, index) => {
      if (result.status === 'fulfilled') return result.value;
      const { name, ended } = (this.#sides[index] as Side).target;
      throw new Error(`${name}, ${what}: ${ended() ?? String(result.reason)}`);
    });
  }
}

export function describeDisagreement({ stepIndex, step, received }: Disagreement): string {
  const sides = received.map(({ name, text }) => `${name} answered\n${text}`);
  return `step ${stepIndex}: ${describeStep(step)}\n${sides.join('\n')}`;
}
