// The answering end of the bus: one ROUTER, the peers behind it, and the handlers of the services it offers.
// Leaves framing and pitfalls to wire.ts, death to live.ts.
import { rmSync } from 'node:fs';
import * as zmq from 'zeromq';
import type { EventBody, EventServiceName, Handlers, Peer, ServiceName } from '../../core/bus.js';
import { ERRNO } from '../../core/errno.js';
import { ErrnoError, errorMessage, isOurBug, ProtocolError } from '../../core/errors.js';
import { BUS_REQUESTS_IN_FLIGHT_MAX } from '../../core/limits.js';
import type { Log } from '../../core/log.js';
import type { Point, Probe } from '../../core/probe.js';
import type { Envelope, Hello, Services } from '../../core/proto-types.js';
import type { BusServer, ServeOptions } from '../../core/service.js';
import { POINT } from '../../trace/points.js';
import { runPaths } from '../process/run-dir.js';
import { type LiveServer, serveLive } from './live.js';
import { messageCodec, methodCodec } from './proto.js';
import {
  busAddress,
  decodeEnvelope,
  descriptorsForSocket,
  encodeEnvelope,
  KIND,
  SendQueue,
  SOCKET_OPTIONS,
} from './wire.js';

export interface BusServerSetup extends ServeOptions {
  readonly runDir: string;
  readonly name: string;
  readonly incarnation: number;
  readonly log: Log;
  readonly probe: Probe;
  /** A message came: start polling. */
  readonly onActivity: () => void;
}

type Handler = (request: object, peer: Peer) => object | Promise<object>;
type Frames = [id: Buffer, message: Uint8Array];

const helloCodec = messageCodec('Hello');
const welcomeCodec = messageCodec('Welcome');

class ZmqPeer implements Peer {
  readonly name: string;
  readonly domid: number;
  readonly incarnation: number;
  readonly pid: number;
  inFlight = 0;
  closed = false;
  readonly #emit: (method: string, body: Uint8Array) => void;
  readonly #drop: (reason: string) => void;
  readonly #closeActions: (() => void)[] = [];

  constructor(
    hello: Hello,
    domid: number,
    incarnation: number,
    emit: (method: string, body: Uint8Array) => void,
    drop: (reason: string) => void,
  ) {
    this.name = hello.name;
    this.pid = hello.pid;
    this.domid = domid;
    this.incarnation = incarnation;
    this.#emit = emit;
    this.#drop = drop;
  }

  emit<S extends EventServiceName, M extends keyof Services[S] & string>(
    service: S,
    method: M,
    body: Partial<EventBody<S, M>>,
  ): void {
    if (this.closed) return;
    const name = `${service}.${method}`;
    this.#emit(name, methodCodec(name)!.request.encode(body));
  }

  drop(reason: string): void {
    if (!this.closed) this.#drop(reason);
  }

  onClose(action: () => void): void {
    if (this.closed) action();
    else this.#closeActions.push(action);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const action of this.#closeActions.splice(0)) action();
  }
}

export class ZmqBusServer implements BusServer {
  readonly #setup: BusServerSetup;
  readonly #socket: zmq.Router;
  readonly #queue: SendQueue<Frames>;
  readonly #byId = new Map<string, ZmqPeer>();
  readonly #greeting = new Set<string>();
  readonly #handlers = new Map<string, Handler>();
  readonly #eventActions = new Map<string, (body: object, peer: Peer) => void>();
  readonly #peerActions: ((peer: Peer) => void)[] = [];
  readonly #peers = new Set<Peer>();
  #live!: LiveServer;
  #closed = false;

  private constructor(setup: BusServerSetup) {
    this.#setup = setup;
    descriptorsForSocket();
    this.#socket = new zmq.Router({ ...SOCKET_OPTIONS, mandatory: true, handover: true });
    this.#queue = new SendQueue(
      (frames) => this.#socket.send(frames),
      ([id], error) => this.#unreachable(id.toString('latin1'), error),
    );
  }

  /** Binds the endpoint of `name`; the caller holds that name's lock. */
  static async open(setup: BusServerSetup): Promise<ZmqBusServer> {
    const server = new ZmqBusServer(setup);
    await server.#socket.bind(busAddress(runPaths.bus(setup.runDir, setup.name)));
    // Clients look for this one first, so it comes last.
    server.#live = await serveLive(runPaths.live(setup.runDir, setup.name), (id) => server.#gone(id));
    void server.#receive();
    return server;
  }

  get peers(): ReadonlySet<Peer> {
    return this.#peers;
  }

  handle<S extends ServiceName>(service: S, handlers: Handlers<S>): void {
    for (const [method, handler] of Object.entries(handlers)) {
      this.#handlers.set(`${service}.${method}`, handler as Handler);
    }
  }

  on<S extends EventServiceName, M extends keyof Services[S] & string>(
    service: S,
    method: M,
    action: (body: EventBody<S, M>, peer: Peer) => void,
  ): void {
    this.#eventActions.set(`${service}.${method}`, action as (body: object, peer: Peer) => void);
  }

  onPeer(action: (peer: Peer) => void): void {
    this.#peerActions.push(action);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#queue.drained();
    this.#queue.close();
    await this.#live.close();
    this.#socket.close();
    // ZeroMQ's thread would unlink it too, but this process may end first; the name is still ours to remove.
    rmSync(runPaths.bus(this.#setup.runDir, this.#setup.name), { force: true });
    for (const peer of this.#byId.values()) peer.close();
    this.#byId.clear();
    this.#peers.clear();
  }

  async #receive(): Promise<void> {
    try {
      for await (const frames of this.#socket) {
        const [id, bytes] = frames;
        this.#setup.onActivity();
        if (id !== undefined && bytes !== undefined && frames.length === 2) this.#take(id, bytes);
      }
    } catch (error) {
      if (!this.#closed) throw error;
    }
  }

  #take(id: Buffer, bytes: Buffer): void {
    let message: Envelope;
    try {
      message = decodeEnvelope(bytes);
    } catch (error) {
      this.#setup.log.warn({ error: errorMessage(error) }, 'dropped bytes that are no envelope');
      return;
    }
    const key = id.toString('latin1');
    if (message.kind === KIND.HELLO) {
      void this.#greet(id, key, message);
      return;
    }
    const peer = this.#byId.get(key);
    // Of an earlier life, or never accepted: no client waits for an answer to it.
    if (peer === undefined || peer.incarnation !== message.incarnation) return;
    if (message.kind === KIND.REQUEST) this.#serve(id, peer, message);
    else if (message.kind === KIND.EVENT) this.#event(peer, message);
  }

  async #greet(id: Buffer, key: string, message: Envelope): Promise<void> {
    if (this.#byId.has(key) || this.#greeting.has(key)) return;
    this.#greeting.add(key);
    let name = '';
    try {
      const hello = helloCodec.decode(message.body) as Hello;
      name = hello.name;
      this.#received(POINT['bus.greeted'], message, name, undefined, hello.pid);
      const domid = (await this.#setup.authenticate?.(hello)) ?? 0;
      if (this.#closed || !this.#live.isAlive(key)) return; // ended meanwhile
      const peer = new ZmqPeer(
        hello,
        domid,
        message.incarnation,
        (method, body) =>
          this.#send(id, { kind: KIND.EVENT, method, body }, POINT['bus.tell'], `${method} ${hello.name}`, domid),
        (reason) => this.#drop(key, reason),
      );
      this.#byId.set(key, peer);
      this.#peers.add(peer);
      for (const action of this.#peerActions) action(peer);
      const body = welcomeCodec.encode({ name: this.#setup.name, domid, pid: process.pid });
      this.#send(id, { kind: KIND.WELCOME, body }, POINT['bus.welcome'], name, domid, hello.pid);
    } catch (error) {
      if (isOurBug(error)) throw error;
      const rc = error instanceof ErrnoError ? -error.errno : -ERRNO.EIO;
      const refusal = { kind: KIND.REFUSED, error: errorMessage(error), rc };
      this.#send(id, refusal, POINT['bus.refuse'], name, undefined, -rc);
    } finally {
      this.#greeting.delete(key);
    }
  }

  #serve(id: Buffer, peer: ZmqPeer, message: Envelope): void {
    const handler = this.#handlers.get(message.method);
    const codec = methodCodec(message.method);
    const label = `${message.method} ${peer.name}`;
    const answer = (rc: number, body: Uint8Array, error = ''): void => {
      const reply = { kind: KIND.REPLY, id: message.id, method: message.method, rc, body, error };
      this.#send(id, reply, POINT['bus.answer'], label, peer.domid, message.id, rc);
    };
    const refuse = (error: unknown): void => {
      if (error instanceof ErrnoError) {
        answer(-error.errno, EMPTY, error.message);
      } else if (error instanceof ProtocolError) {
        answer(-ERRNO.EINVAL, EMPTY, error.message);
      } else if (isOurBug(error)) {
        // Our own handler is wrong: what it holds is not what it says any more. Ends this process (lib/node/process/service.ts).
        this.#setup.log.error({ method: message.method }, 'a handler failed');
        throw error;
      } else {
        answer(-ERRNO.EIO, EMPTY, errorMessage(error));
      }
    };
    if (handler === undefined || codec === undefined) {
      answer(-ERRNO.ENOSYS, EMPTY, `no method ${message.method}`);
      return;
    }
    if (peer.inFlight >= BUS_REQUESTS_IN_FLIGHT_MAX) {
      answer(-ERRNO.EBUSY, EMPTY, 'too many requests in flight');
      return;
    }
    this.#received(POINT['bus.serve'], message, label, peer.domid, message.id);
    try {
      const result = handler(codec.request.decode(message.body), peer);
      if (!(result instanceof Promise)) {
        answer(0, codec.reply.encode(result));
        return;
      }
      peer.inFlight++;
      result.then((reply) => answer(0, codec.reply.encode(reply)), refuse).finally(() => peer.inFlight--);
    } catch (error) {
      refuse(error);
    }
  }

  #event(peer: ZmqPeer, message: Envelope): void {
    const action = this.#eventActions.get(message.method);
    const codec = methodCodec(message.method);
    if (action === undefined || codec === undefined) return;
    this.#received(POINT['bus.told'], message, `${message.method} ${peer.name}`, peer.domid);
    try {
      action(codec.request.decode(message.body), peer);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#setup.log.warn({ peer: peer.name, error: error.message }, 'dropped a bad event');
    }
  }

  #send(id: Buffer, message: Partial<Envelope>, point: Point, label: string, domid?: number, a = 0, b = 0): void {
    if (this.#closed) return;
    const { probe, incarnation } = this.#setup;
    const flow = probe.nextFlow();
    probe.at(point, label, a, b, domid, flow);
    this.#queue.push([id, encodeEnvelope({ ...message, incarnation, flow })]);
  }

  /** A message came: the point is of its sender's number. */
  #received(point: Point, message: Envelope, label: string, domid?: number, a = 0, b = 0): void {
    this.#setup.probe.at(point, label, a, b, domid, message.flow, message.incarnation);
  }

  /** ZeroMQ could not hand a message over: the peer is gone, or has not read for thousands of messages. */
  #unreachable(key: string, error: unknown): void {
    this.#drop(key, `it does not read: ${errorMessage(error)}`);
  }

  #drop(key: string, reason: string): void {
    this.#setup.log.warn({ peer: this.#byId.get(key)?.name, reason }, 'dropped a peer');
    this.#live.drop(key);
    this.#gone(key);
  }

  #gone(key: string): void {
    const peer = this.#byId.get(key);
    if (peer === undefined) return;
    this.#byId.delete(key);
    this.#peers.delete(peer);
    this.#setup.probe.at(POINT['bus.peer-gone'], peer.name, peer.pid, 0, peer.domid);
    this.#setup.onActivity();
    peer.close();
  }
}

const EMPTY = new Uint8Array(0);
