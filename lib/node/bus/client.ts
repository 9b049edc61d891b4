// The calling end of the bus: one DEALER to one server, its calls under way, and its events.
// Leaves framing and pitfalls to wire.ts, death to live.ts. A connection is for one life of the server: when that
// ends, so does this client; for the next server its user makes the next client.
import { existsSync } from 'node:fs';
import * as zmq from 'zeromq';
import type { EventBody, EventServiceName, Remote, ServiceName } from '../../core/bus.js';
import { errnoName } from '../../core/errno.js';
import { ErrnoError, errorMessage, PeerDiedError, passOver } from '../../core/errors.js';
import type { Log } from '../../core/log.js';
import type { Point, Probe } from '../../core/probe.js';
import type { Envelope, Services, Welcome } from '../../core/proto-types.js';
import type { BusClient } from '../../core/service.js';
import { POINT } from '../../trace/points.js';
import { runPaths } from '../process/run-dir.js';
import { withSignalsBlocked } from '../process/signal-mask.js';
import { retryOnChange } from '../process/wait.js';
import { connectLive, type LiveConnection } from './live.js';
import { messageCodec, methodCodec, serviceMethods } from './proto.js';
import {
  busAddress,
  decodeEnvelope,
  descriptorsForSocket,
  encodeEnvelope,
  KIND,
  SendQueue,
  SOCKET_OPTIONS,
} from './wire.js';

export interface BusClientSetup {
  readonly runDir: string;
  /** The server to connect to. */
  readonly server: string;
  /** Of this process. */
  readonly name: string;
  readonly incarnation: number;
  /** Asked once the server is there: a token of an earlier life of it would be refused. */
  readonly token: () => Promise<string>;
  readonly log: Log;
  readonly probe: Probe;
  readonly onActivity: () => void;
  /** Gives up waiting for the server. */
  readonly signal?: AbortSignal;
}

interface Call {
  readonly method: string;
  resolve(body: object): void;
  reject(error: Error): void;
}

const helloCodec = messageCodec('Hello');
const welcomeCodec = messageCodec('Welcome');
let connectionCount = 0;

export class ZmqBusClient implements BusClient {
  readonly #setup: BusClientSetup;
  readonly #socket: zmq.Dealer;
  readonly #queue: SendQueue<[Uint8Array]>;
  readonly #id: string;
  readonly #calls = new Map<number, Call>();
  readonly #eventActions = new Map<string, (body: object) => void>();
  readonly #lostActions: (() => void)[] = [];
  readonly #remotes = new Map<string, object>();
  #welcome: ((welcome: Welcome) => void) | undefined;
  #refuse: ((error: Error) => void) | undefined;
  #live: LiveConnection | undefined;
  #serverIncarnation = 0;
  #nextCall = 1;
  #domid = 0;
  #lost = false;
  #closed = false;

  private constructor(setup: BusClientSetup) {
    this.#setup = setup;
    this.#id = `${setup.name}.${setup.incarnation.toString(36)}.${++connectionCount}`;
    descriptorsForSocket();
    this.#socket = new zmq.Dealer({ ...SOCKET_OPTIONS, routingId: this.#id });
    // ZeroMQ would connect again by itself, and say nothing of the messages that were lost with the stream.
    withSignalsBlocked(() => this.#socket.events).on('disconnect', () => this.#streamBroke());
    this.#queue = new SendQueue(
      (frames) => this.#socket.send(frames),
      (_frames, error) => {
        setup.log.error({ server: setup.server, error: errorMessage(error) }, 'the server does not read');
        this.#onLost();
      },
    );
  }

  /** Waits for the server, greets it, and resolves once it has accepted us. Undefined when aborted first. */
  static async connect(setup: BusClientSetup): Promise<ZmqBusClient | undefined> {
    const path = runPaths.live(setup.runDir, setup.server);
    for (;;) {
      const client = new ZmqBusClient(setup);
      const live = await retryOnChange(
        path,
        async () => {
          if (!existsSync(path)) return undefined;
          return connectLive(path, client.#id, () => client.#onLost(), setup.signal).catch(passOver);
        },
        setup.signal,
      );
      if (live === undefined) {
        client.#socket.close();
        return undefined;
      }
      client.#live = live;
      // A server that is paused keeps its connections and answers no greeting.
      const giveUp = (): void => client.#onLost();
      setup.signal?.addEventListener('abort', giveUp);
      try {
        const welcome = await client.#greet(await setup.token());
        client.#domid = welcome.domid;
        return client;
      } catch (error) {
        await client.close();
        if (!(error instanceof PeerDiedError)) throw error;
        // ended between our connecting and its answer: wait for the next one
      } finally {
        setup.signal?.removeEventListener('abort', giveUp);
      }
    }
  }

  get domid(): number {
    return this.#domid;
  }

  #greet(token: string): Promise<Welcome> {
    return new Promise((resolve, reject) => {
      this.#welcome = resolve;
      this.#refuse = reject;
      if (this.#lost) {
        reject(new PeerDiedError(this.#setup.server));
        return;
      }
      const address = busAddress(runPaths.bus(this.#setup.runDir, this.#setup.server));
      withSignalsBlocked(() => this.#socket.connect(address));
      void this.#receive();
      const { name } = this.#setup;
      const body = helloCodec.encode({ name, token, pid: process.pid });
      this.#send({ kind: KIND.HELLO, body }, POINT['bus.hello'], this.#setup.server);
    });
  }

  remote<S extends ServiceName>(service: S): Remote<S> {
    const known = this.#remotes.get(service);
    if (known !== undefined) return known as Remote<S>;
    const remote: Record<string, (request: object) => Promise<object>> = {};
    for (const method of serviceMethods(service)) {
      const name = `${service}.${method}`;
      remote[method] = (request) => this.#call(name, request);
    }
    this.#remotes.set(service, remote);
    return remote as Remote<S>;
  }

  on<S extends EventServiceName, M extends keyof Services[S] & string>(
    service: S,
    method: M,
    action: (body: EventBody<S, M>) => void,
  ): void {
    this.#eventActions.set(`${service}.${method}`, action as (body: object) => void);
  }

  emit<S extends EventServiceName, M extends keyof Services[S] & string>(
    service: S,
    method: M,
    body: Partial<EventBody<S, M>>,
  ): void {
    const name = `${service}.${method}`;
    const message = { kind: KIND.EVENT, method: name, body: methodCodec(name)!.request.encode(body) };
    this.#send(message, POINT['bus.emit'], name);
  }

  onLost(action: () => void): void {
    // A loss that came before close() is told all the same.
    if (this.#lost) action();
    else this.#lostActions.push(action);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#queue.drained();
    this.#queue.close();
    this.#live?.close();
    this.#socket.close();
    this.#failCalls();
  }

  #call(method: string, request: object): Promise<object> {
    return new Promise((resolve, reject) => {
      if (this.#lost || this.#closed) {
        reject(new PeerDiedError(this.#setup.server));
        return;
      }
      const id = this.#nextCall;
      this.#nextCall = this.#nextCall === 0xffff_ffff ? 1 : this.#nextCall + 1;
      const body = methodCodec(method)!.request.encode(request);
      this.#calls.set(id, { method, resolve, reject });
      this.#send({ kind: KIND.REQUEST, id, method, body }, POINT['bus.call'], method, id);
    });
  }

  #send(message: Partial<Envelope>, point: Point, label: string, id = 0): void {
    if (this.#lost || this.#closed) return;
    const { probe, incarnation } = this.#setup;
    const flow = probe.nextFlow();
    probe.at(point, label, id, 0, undefined, flow);
    this.#queue.push([encodeEnvelope({ ...message, incarnation, flow })]);
  }

  /** A message came: the point is of its sender's number. */
  #received(point: Point, message: Envelope, label: string, a = 0, b = 0): void {
    this.#setup.probe.at(point, label, a, b, undefined, message.flow, message.incarnation);
  }

  async #receive(): Promise<void> {
    try {
      for await (const frames of this.#socket) {
        this.#setup.onActivity();
        const [bytes] = frames;
        if (this.#lost || this.#closed) return;
        if (bytes !== undefined && frames.length === 1) this.#take(decodeEnvelope(bytes));
      }
    } catch (error) {
      if (!this.#closed) throw error;
    }
  }

  #take(message: Envelope): void {
    if (message.kind === KIND.WELCOME) {
      this.#serverIncarnation = message.incarnation;
      const welcome = welcomeCodec.decode(message.body) as Welcome;
      this.#received(POINT['bus.welcomed'], message, this.#setup.server, welcome.domid);
      this.#welcome?.(welcome);
      return;
    }
    if (message.kind === KIND.REFUSED) {
      this.#received(POINT['bus.refused'], message, this.#setup.server, -message.rc);
      this.#refuse?.(new ErrnoError(errnoName(-message.rc), `${this.#setup.server} refused us: ${message.error}`));
      return;
    }
    if (message.incarnation !== this.#serverIncarnation) return; // an earlier life of the server
    if (message.kind === KIND.REPLY) this.#reply(message);
    else if (message.kind === KIND.EVENT) this.#event(message);
  }

  #reply(message: Envelope): void {
    const call = this.#calls.get(message.id);
    if (call === undefined) return;
    this.#calls.delete(message.id);
    this.#received(POINT['bus.answered'], message, call.method, message.id, message.rc);
    if (message.rc !== 0) call.reject(new ErrnoError(errnoName(-message.rc), message.error || errnoName(-message.rc)));
    else call.resolve(methodCodec(call.method)!.reply.decode(message.body));
  }

  #event(message: Envelope): void {
    const action = this.#eventActions.get(message.method);
    const codec = methodCodec(message.method);
    if (action === undefined || codec === undefined) return;
    this.#received(POINT['bus.event'], message, message.method);
    action(codec.request.decode(message.body));
  }

  #onLost(): void {
    if (this.#lost || this.#closed) return;
    this.#lost = true;
    this.#queue.close();
    this.#setup.probe.at(POINT['bus.lost'], this.#setup.server);
    this.#setup.onActivity();
    this.#refuse?.(new PeerDiedError(this.#setup.server));
    this.#failCalls();
    for (const action of this.#lostActions.splice(0)) action();
  }

  /** The server may live: it learns from the other connection that we are done with this one. */
  #streamBroke(): void {
    if (this.#lost || this.#closed) return;
    this.#setup.log.warn({ server: this.#setup.server }, 'the stream of messages has broken');
    this.#live?.close();
    this.#onLost();
  }

  #failCalls(): void {
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) call.reject(new PeerDiedError(this.#setup.server));
  }
}
