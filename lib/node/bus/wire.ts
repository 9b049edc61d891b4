// What both ends of the bus share: the envelope, socket options, and a queue that keeps one send in flight.
//
// ZeroMQ pitfalls that this layer is built against (measured on zeromq.js 6.8; test/e2e/bus.test.ts has one each):
// a mandatory ROUTER can leave a send to a peer killed just now unsettled for ever, so sendTimeout is 0 and the peer's
// death is learnt from the kernel (live.ts), not from the socket; without `mandatory` sends to the dead succeed
// silently; a paused peer keeps its routing id, so each incarnation has another; one send and one receive may be in
// flight on a socket; exit hangs on undelivered messages without linger 0; a second bind on an ipc path steals it
// silently, so the process name is locked first (run-dir.ts).
import { closeSync, openSync } from 'node:fs';
import * as zmq from 'zeromq';
import { BUS_MESSAGE_BYTES_MAX, BUS_SEND_QUEUE_MAX } from '../../core/limits.js';
import type { Envelope } from '../../core/proto-types.js';
import { messageCodec } from './proto.js';

zmq.context.blocky = false;

/** Envelope.Kind of proto/bus.proto. */
export const KIND = { HELLO: 0, WELCOME: 1, REQUEST: 2, REPLY: 3, EVENT: 4, REFUSED: 5 } as const;

const envelope = messageCodec('Envelope');

export function encodeEnvelope(message: Partial<Envelope>): Uint8Array {
  return envelope.encode(message);
}

/** Throws ProtocolError on anything that is no envelope. */
export function decodeEnvelope(bytes: Uint8Array): Envelope {
  return envelope.decode(bytes) as Envelope;
}

export const SOCKET_OPTIONS = {
  linger: 0,
  sendTimeout: 0,
  maxMessageSize: BUS_MESSAGE_BYTES_MAX,
  sendHighWaterMark: BUS_SEND_QUEUE_MAX,
  receiveHighWaterMark: BUS_SEND_QUEUE_MAX,
} as const;

/**
 * What ZeroMQ takes for a first socket: its threads' mailboxes and epoll descriptors, the socket, its connection, its monitor. It aborts the
 * process where it gets none.
 */
const DESCRIPTORS_PER_SOCKET = 24;

/** To be called before a socket is made: throws the EMFILE of open(2) where ZeroMQ would abort. */
export function descriptorsForSocket(): void {
  const taken: number[] = [];
  try {
    while (taken.length < DESCRIPTORS_PER_SOCKET) taken.push(openSync('/dev/null', 'r'));
  } finally {
    for (const fd of taken) closeSync(fd);
  }
}

export function busAddress(path: string): string {
  return `ipc://${path}`;
}

/** Sends in order, one at a time. `onFailure` hears of each message that could not be handed over, and why. */
export class SendQueue<Frames extends unknown[]> {
  readonly #send: (frames: Frames) => Promise<void>;
  readonly #onFailure: (frames: Frames, error: unknown) => void;
  readonly #waiting: Frames[] = [];
  #sending = false;
  #closed = false;
  #idle: (() => void)[] = [];

  constructor(send: (frames: Frames) => Promise<void>, onFailure: (frames: Frames, error: unknown) => void) {
    this.#send = send;
    this.#onFailure = onFailure;
  }

  push(frames: Frames): void {
    if (this.#closed) return;
    this.#waiting.push(frames);
    if (!this.#sending) void this.#pump();
  }

  async #pump(): Promise<void> {
    this.#sending = true;
    for (let frames = this.#waiting.shift(); frames !== undefined; frames = this.#waiting.shift()) {
      try {
        await this.#send(frames);
      } catch (error) {
        if (!this.#closed) this.#onFailure(frames, error);
      }
    }
    this.#sending = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Resolves when everything pushed so far was handed to ZeroMQ. */
  drained(): Promise<void> {
    return this.#sending ? new Promise((resolve) => this.#idle.push(resolve)) : Promise.resolve();
  }

  close(): void {
    this.#closed = true;
    this.#waiting.length = 0;
  }
}
