// Doorbells as messages (`notify = zmq`): the same handles, each ring a protobuf message to the receiver's PULL socket.
// For comparing with shared memory (bell.ts); rings coalesce while a send is under way, as an eventfd's do.

import { existsSync, unlinkSync } from 'node:fs';
import * as zmq from 'zeromq';
import { DEADLINE_MS } from '../../core/deadlines.js';
import { ErrnoError, ProtocolError } from '../../core/errors.js';
import { BELL_BITS, BUS_MESSAGE_BYTES_MAX, BUS_SEND_QUEUE_MAX } from '../../core/limits.js';
import type { Doorbell } from '../../core/notify.js';
import { NO_PROBE, type Probe } from '../../core/probe.js';
import type { Ring } from '../../core/proto-types.js';
import { POINT } from '../../trace/points.js';
import { messageCodec } from '../bus/proto.js';
import { busAddress } from '../bus/wire.js';
import { withSignalsBlocked } from '../process/signal-mask.js';
import { BellBits, bellPaths, bindBits, Senders } from './bell.js';

const ringCodec = messageCodec('Ring');
/** Each kind of socket takes the options of its direction only. */
const SEND_OPTIONS = { linger: 0, sendTimeout: 0, sendHighWaterMark: BUS_SEND_QUEUE_MAX };
const RECEIVE_OPTIONS = { linger: 0, receiveHighWaterMark: BUS_SEND_QUEUE_MAX, maxMessageSize: BUS_MESSAGE_BYTES_MAX };

class MessageSender {
  readonly #socket: zmq.Push;
  readonly #waiting = new Set<number>();
  readonly #probe: Probe;
  #sending = false;
  #closing = false;

  constructor(runDir: string, bell: string, probe: Probe) {
    this.#probe = probe;
    const path = bellPaths(runDir, bell).zmq;
    if (!existsSync(path)) throw new ErrnoError('ENOENT', `no doorbell ${bell}`);
    this.#socket = new zmq.Push(SEND_OPTIONS);
    withSignalsBlocked(() => this.#socket.connect(busAddress(path)));
  }

  ring(bit: number): void {
    if (this.#closing) return;
    this.#waiting.add(bit);
    if (!this.#sending) void this.#pump();
  }

  /** A message arrives or does not; those that other processes sent before it change nothing. */
  insist(bit: number): void {
    this.ring(bit);
  }

  async #pump(): Promise<void> {
    this.#sending = true;
    while (this.#waiting.size > 0) {
      const bits = [...this.#waiting];
      this.#waiting.clear();
      this.#probe.at(POINT['bell.wake'], '', bits[0], bits.length);
      try {
        await this.#socket.send(ringCodec.encode({ bits }));
      } catch {
        // full or closed: the receiver is stuck or dead; its death is learnt from the kernel
      }
    }
    this.#sending = false;
    if (this.#closing) this.#end();
  }

  /** Rings from before still arrive. */
  close(): void {
    this.#closing = true;
    if (!this.#sending) this.#end();
  }

  #end(): void {
    this.#socket.linger = DEADLINE_MS.ringLinger;
    this.#socket.close();
  }
}

/**
 * A process's doorbell under `notify = zmq`. Nothing here is polled: looking at the event loop all the time only takes the
 * cores from ZeroMQ's own threads (measured on two: round trips a third longer).
 */
export async function messageDoorbell(
  runDir: string,
  name: string,
  probe: Probe = NO_PROBE,
): Promise<Doorbell & { close(): void }> {
  const bits = new BellBits();
  const path = bellPaths(runDir, name).zmq;
  const socket = new zmq.Pull(RECEIVE_OPTIONS);
  await socket.bind(busAddress(path));
  let open = true;
  const receive = async (): Promise<void> => {
    try {
      for await (const [bytes] of socket) {
        if (bytes !== undefined) takeRing(bits, bytes, probe);
      }
    } catch (error) {
      if (open) throw error;
    }
  };
  void receive();
  const senders = new Senders((target) => new MessageSender(runDir, target, probe));
  return {
    bind: (onRing, count = 1) => bindBits(bits, name, onRing, count),
    open: (handle) => senders.open(handle),
    close() {
      if (!open) return;
      open = false;
      senders.closeAll();
      socket.close();
      if (existsSync(path)) unlinkSync(path);
    },
  };
}

function takeRing(bits: BellBits, bytes: Uint8Array, probe: Probe): void {
  let ring: Ring;
  try {
    ring = ringCodec.decode(bytes) as Ring;
  } catch (error) {
    if (error instanceof ProtocolError) return;
    throw error;
  }
  probe.at(POINT['bell.woken'], '', ring.bits.length);
  for (const bit of ring.bits.slice(0, BELL_BITS)) if (bit < BELL_BITS) bits.run(bit);
}
