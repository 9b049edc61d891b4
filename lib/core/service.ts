// What a process is given to live in: names, log, probe, clock, doorbell, shared files, the bus; and where it hands
// over what it must give back. services/*/main.ts receives one from lib/node/process/service.ts; tests may make their own.
import type { EventBody, EventServiceName, Handlers, Peer, Remote, ServiceName } from './bus.js';
import type { Clock } from './clock.js';
import type { DeviceServerProcess } from './device-server.js';
import type { Log } from './log.js';
import type { Doorbell } from './notify.js';
import type { Probe } from './probe.js';
import type { Hello, Services } from './proto-types.js';
import type { SharedFiles } from './shared.js';

/** The processes that others connect to. */
export type ServerName = 'hypervisor' | 'xenstored' | DeviceServerProcess | 'vhost-frontend' | `guest-${string}`;

export interface BusClient {
  /** The domain that the server took us for. */
  readonly domid: number;
  remote<S extends ServiceName>(service: S): Remote<S>;
  /** One action an event; set before the first call that can cause it. */
  on<S extends EventServiceName, M extends keyof Services[S] & string>(
    service: S,
    method: M,
    action: (body: EventBody<S, M>) => void,
  ): void;
  /** One-way message to the server, in order with calls. */
  emit<S extends EventServiceName, M extends keyof Services[S] & string>(
    service: S,
    method: M,
    body: Partial<EventBody<S, M>>,
  ): void;
  /** Runs once when the server's process ended (learnt from the kernel) or refused us; not after close(). */
  onLost(action: () => void): void;
  close(): Promise<void>;
}

export interface BusServer {
  handle<S extends ServiceName>(service: S, handlers: Handlers<S>): void;
  on<S extends EventServiceName, M extends keyof Services[S] & string>(
    service: S,
    method: M,
    action: (body: EventBody<S, M>, peer: Peer) => void,
  ): void;
  /** Every accepted peer, once. */
  onPeer(action: (peer: Peer) => void): void;
  readonly peers: ReadonlySet<Peer>;
}

export interface ServeOptions {
  /** Tells the domain that a HELLO proves; throws ErrnoError to refuse it. Default: everybody is dom0. */
  readonly authenticate?: (hello: Hello) => Promise<number> | number;
}

export interface ServiceContext {
  /** Unique among the living: "hypervisor", "guest-1". */
  readonly name: string;
  /** Absolute. */
  readonly runDir: string;
  readonly incarnation: number;
  readonly log: Log;
  readonly probe: Probe;
  readonly clock: Clock;
  readonly doorbell: Doorbell;
  readonly shared: SharedFiles;
  /**
   * Connects to a server, waiting until it is there (and, without `token`, for the hypervisor's dom0 token). A function
   * gives the token once the server is there, and again for the next one if that ends meanwhile. By default
   * the process ends with a clear message when that server is lost; `onLost: 'keep'` leaves it to client.onLost.
   */
  connect(
    server: ServerName,
    options?: { token?: string | (() => Promise<string>); onLost?: 'end' | 'keep' },
  ): Promise<BusClient>;
  /**
   * This process ends with the host, that is with the hypervisor, from the moment that one is there; it does not wait for
   * it. For a server that has no business with the hypervisor; connect() includes this.
   */
  endWithHost(): void;
  /** Opens this process's own endpoint; call handle() before the event loop turns. */
  serve(options?: ServeOptions): Promise<BusServer>;
  /** Says that a transport of the service's own just had work: the process polls for a while before it blocks. */
  activity(): void;
  /**
   * Something to give back at the end, in reverse order of owning, on every path that lets code run. The answer is for what was
   * given back before: it is forgotten.
   */
  own(what: string, release: () => void | Promise<void>): () => void;
  /** Says that the process does its work now: registered for `xenwire ps`, logged, recorded. */
  ready(state?: string): void;
  /** The descriptor that holds this process's name: a program that replaces this one goes on with it. */
  readonly nameFd?: number;
  /** Ends the process in order; `failure` gives exit status 1 and is logged as the reason. */
  stop(failure?: string): Promise<void>;
}
