// The bus as its users see it: typed calls and events between our own processes. Shapes come from proto/ (proto-types.ts).
// The ZeroMQ implementation is client.ts and server.ts of lib/node/bus/; tests may use plain objects.
import type { Services } from './proto-types.js';

export type ServiceName = Exclude<keyof Services, `${string}Events`>;
export type EventServiceName = Extract<keyof Services, `${string}Events`>;
type Methods<S extends keyof Services> = Services[S];
type Req<M> = M extends { req: infer R } ? R : never;
type Res<M> = M extends { res: infer R } ? R : never;

/**
 * The calling side of a service. Fields left out read as 0, '' or empty, as protobuf has it. A call rejects with
 * ErrnoError (the server refused) or PeerDiedError (the server ended, also while the call was under way).
 */
export type Remote<S extends ServiceName> = {
  readonly [M in keyof Methods<S>]: (request: Partial<Req<Methods<S>[M]>>) => Promise<Res<Methods<S>[M]>>;
};

/**
 * The answering side. Handlers of one peer start in the order its requests came; synchronous ones also answer in it.
 * What a handler throws as ErrnoError is the answer; ProtocolError answers EINVAL, other failures of peers and of the world EIO.
 * Anything else is a bug of ours and ends the process.
 */
export type Handlers<S extends ServiceName> = {
  readonly [M in keyof Methods<S>]: (
    request: Req<Methods<S>[M]>,
    peer: Peer,
  ) => Partial<Res<Methods<S>[M]>> | Promise<Partial<Res<Methods<S>[M]>>>;
};

export type EventBody<S extends EventServiceName, M extends keyof Services[S]> = Req<Services[S][M]>;

/** One client of a server: an incarnation of a process, and the domain that its token proved. */
export interface Peer {
  readonly name: string;
  readonly domid: number;
  readonly incarnation: number;
  readonly pid: number;
  /** Sends an event, in order with the replies to the same peer. Silently nothing once the peer ended. */
  emit<S extends EventServiceName, M extends keyof Services[S] & string>(
    service: S,
    method: M,
    body: Partial<EventBody<S, M>>,
  ): void;
  /** Ends the connection, which the peer learns as our end: it broke a rule of its protocol, or does not read. */
  drop(reason: string): void;
  /** Runs once when the peer's process ended or it closed its connection. */
  onClose(action: () => void): void;
}
