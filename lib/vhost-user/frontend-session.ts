// The front-end's side of one vhost-user connection: which messages are sent in which order, for a device's life from
// connection to stop. The order is what vhost-user-gpu and rust-vmm's back-ends both take: features, protocol features,
// owner; at DRIVER_OK features, memory, and per ring CALL, NUM, BASE, ADDR, KICK, then ENABLE. Messages that need no answer
// of each other are sent in one go. Leaves the wire to the channel, and kicking each started ring once to the caller.
import { ErrnoError, ProtocolError } from '../core/errors.js';
import { VHOST_USER_F_PROTOCOL_FEATURES, VHOST_USER_PROTOCOL_F } from '../layout/vhost-user.js';
import {
  type BodyOf,
  decodeAck,
  decodeReply,
  encodeRequest,
  type RawMessage,
  REQUESTS,
  type ReplyOf,
  type RequestType,
} from './messages.js';
import type { MemoryRegionBody } from './payloads.js';

/** Carries messages to the back-end, in order. */
export interface FrontendChannel<H> {
  /**
   * Sends one message. Resolves with the answer when one is due (`answered`), with undefined otherwise. Rejects with
   * PeerDiedError when the back-end ended.
   */
  exchange(message: RawMessage<H>, answered: boolean): Promise<RawMessage<unknown> | undefined>;
}

export interface FrontendRing<H> {
  readonly index: number;
  /** Entries. */
  readonly size: number;
  /** Guest addresses. */
  readonly desc: bigint;
  readonly avail: bigint;
  readonly used: bigint;
  /** First entry of the available ring to be looked at. */
  readonly base: number;
  readonly kick: H;
  readonly call: H;
}

/** A region as the guest knows it; it is told to the back-end with its guest address as user address (vhost-user 5). */
export interface FrontendRegion<H> extends Omit<MemoryRegionBody, 'userAddr'> {
  readonly handle: H;
}

export interface FrontendStart<H> {
  /** What the driver accepted. */
  readonly features: bigint;
  readonly memory: readonly FrontendRegion<H>[];
  readonly rings: readonly FrontendRing<H>[];
}

const bit = (number: number): bigint => 1n << BigInt(number);
const WANTED =
  bit(VHOST_USER_PROTOCOL_F.MQ) |
  bit(VHOST_USER_PROTOCOL_F.REPLY_ACK) |
  bit(VHOST_USER_PROTOCOL_F.CONFIG) |
  bit(VHOST_USER_PROTOCOL_F.RESET_DEVICE) |
  bit(VHOST_USER_PROTOCOL_F.CONFIGURE_MEM_SLOTS);

export class FrontendSession<H> {
  readonly #channel: FrontendChannel<H>;
  #features = 0n;
  #protocolFeatures = 0n;
  #queueCount = 0;
  #running = new Set<number>();
  /** Regions that the back-end has: with ADD_MEM_REG they stay from one start to the next. */
  #told: readonly MemoryRegionBody[] = [];

  constructor(channel: FrontendChannel<H>) {
    this.#channel = channel;
  }

  /** What the back-end offers the guest. */
  get features(): bigint {
    return this.#features & ~bit(VHOST_USER_F_PROTOCOL_FEATURES);
  }
  get queueCount(): number {
    return this.#queueCount;
  }
  /** Indexes of rings that the back-end may be working on. */
  get running(): ReadonlySet<number> {
    return this.#running;
  }

  /** Greets the back-end. Rejects with ProtocolError when it has fewer than `queueCount` rings. */
  async connect(queueCount: number): Promise<void> {
    this.#features = (await this.#ask('GET_FEATURES', {})).value;
    if (this.#features & bit(VHOST_USER_F_PROTOCOL_FEATURES)) {
      const offered = (await this.#ask('GET_PROTOCOL_FEATURES', {})).value;
      this.#protocolFeatures = offered & WANTED;
      // Not acknowledged itself: REPLY_ACK holds from the message after it on.
      await this.#channel.exchange(encodeRequest('SET_PROTOCOL_FEATURES', { value: this.#protocolFeatures }), false);
    }
    const rings = this.#has('MQ') ? this.#ask('GET_QUEUE_NUM', {}) : { value: 1n };
    const owner = this.#tell('SET_OWNER', {});
    const [{ value }] = await Promise.all([rings, owner]);
    this.#queueCount = Number(value);
    if (this.#queueCount < queueCount)
      throw new ProtocolError(
        'rings',
        `the device server has ${this.#queueCount} rings, the device needs ${queueCount}`,
      );
  }

  /** `size` bytes of config space from its start. */
  async getConfig(size: number): Promise<Uint8Array> {
    if (!this.#has('CONFIG')) throw new ErrnoError('EOPNOTSUPP', 'the device server has no CONFIG feature');
    const { data } = await this.#ask('GET_CONFIG', { offset: 0, size, flags: 0, data: new Uint8Array(size) });
    if (data === undefined || data.length !== size)
      throw new ProtocolError('config', `the device server has no config space of ${size} bytes`);
    return data;
  }

  async setConfig(offset: number, data: Uint8Array): Promise<void> {
    await this.#tell('SET_CONFIG', { offset, size: data.length, flags: 0, data });
  }

  /** GPU_SET_SOCKET: where a GPU shows its picture; once a connection, before the first start (vhost-user 8.3). */
  async setDisplay(handle: H): Promise<void> {
    await this.#tell('GPU_SET_SOCKET', {}, [handle]);
  }

  /** Starts the rings. On rejection some may run; stop() is then due. Each started ring is to be kicked once. */
  async start({ features, memory, rings }: FrontendStart<H>): Promise<void> {
    const protocol = this.#features & bit(VHOST_USER_F_PROTOCOL_FEATURES);
    await all([
      this.#tell('SET_FEATURES', { value: features | protocol }),
      ...this.#tellMemory(memory),
      ...this.#tellRings(rings),
    ]);
  }

  /** Starts one ring more of a device that runs. On rejection it may run; stopRing() is then due. It is to be kicked once. */
  async startRing(ring: FrontendRing<H>): Promise<void> {
    await all(this.#tellRings([ring]));
  }

  #tellRings(rings: readonly FrontendRing<H>[]): Promise<void>[] {
    const sent = rings.flatMap(({ index, size, base, desc, avail, used, call, kick }) => {
      this.#running.add(index);
      const vring = { index, polled: false };
      return [
        this.#tell('SET_VRING_CALL', vring, [call]),
        this.#tell('SET_VRING_NUM', { index, num: size }),
        this.#tell('SET_VRING_BASE', { index, num: base }),
        this.#tell('SET_VRING_ADDR', { index, flags: 0, desc, avail, used, log: 0n }),
        this.#tell('SET_VRING_KICK', vring, [kick]),
      ];
    });
    if (this.#features & bit(VHOST_USER_F_PROTOCOL_FEATURES))
      for (const { index } of rings) sent.push(this.#tell('SET_VRING_ENABLE', { index, num: 1 }));
    return sent;
  }

  /** Stops one ring; answers where it stopped. Nothing of its memory is touched once this resolves. */
  async stopRing(index: number): Promise<number> {
    const disable = this.#features & bit(VHOST_USER_F_PROTOCOL_FEATURES);
    const disabled = disable ? this.#tell('SET_VRING_ENABLE', { index, num: 0 }) : Promise.resolve();
    const base = this.#ask('GET_VRING_BASE', { index, num: 0 });
    // A back-end that refuses to disable a ring still has to stop it.
    await Promise.allSettled([disabled, base]);
    const { num } = await base;
    this.#running.delete(index);
    return num;
  }

  /** Stops what runs; a later start() goes on with what the driver made. */
  async stop(): Promise<void> {
    await all([...this.#running].map((index) => this.stopRing(index)));
  }

  /**
   * The driver has reset the device: stops what runs and has everything forgotten that the driver made. A back-end without
   * RESET_DEVICE learns it from the next start, whose rings begin at 0.
   */
  async reset(): Promise<void> {
    await this.stop();
    if (this.#has('RESET_DEVICE')) await this.#tell('RESET_DEVICE', {});
  }

  #has(feature: keyof typeof VHOST_USER_PROTOCOL_F): boolean {
    return (this.#protocolFeatures & bit(VHOST_USER_PROTOCOL_F[feature])) !== 0n;
  }

  #tellMemory(memory: readonly FrontendRegion<H>[]): Promise<void>[] {
    const bodies = memory.map(({ handle, ...region }) => ({ handle, body: { ...region, userAddr: region.guestAddr } }));
    const fresh = bodies.filter(({ body }) => !this.#told.some((told) => sameRegion(told, body)));
    const slots = this.#has('CONFIGURE_MEM_SLOTS');
    if (slots && fresh.length + this.#told.length === bodies.length) {
      this.#told = bodies.map(({ body }) => body);
      return fresh.map(({ handle, body }) => this.#tell('ADD_MEM_REG', { region: body }, [handle]));
    }
    this.#told = bodies.map(({ body }) => body);
    return [
      this.#tell(
        'SET_MEM_TABLE',
        { regions: this.#told },
        bodies.map(({ handle }) => handle),
      ),
    ];
  }

  async #ask<T extends RequestType>(type: T, body: BodyOf<T>): Promise<ReplyOf<T>> {
    const answer = await this.#channel.exchange(encodeRequest<T, H>(type, body), true);
    if (answer === undefined) throw new ProtocolError('reply', `${type} was not answered`);
    return decodeReply(type, answer);
  }

  /** A message without a reply of its own, acknowledged where the back-end can. */
  async #tell<T extends RequestType>(type: T, body: BodyOf<T>, handles: readonly H[] = []): Promise<void> {
    const needReply = this.#has('REPLY_ACK');
    const answer = await this.#channel.exchange(encodeRequest<T, H>(type, body, { handles, needReply }), needReply);
    if (!needReply) return;
    if (answer === undefined) throw new ProtocolError('reply', `${type} was not acknowledged`);
    if (decodeAck(type, answer) !== 0n)
      throw new ProtocolError('refused', `the device server refused ${type} (request ${REQUESTS[type].number})`);
  }
}

const sameRegion = (a: MemoryRegionBody, b: MemoryRegionBody): boolean =>
  a.guestAddr === b.guestAddr && a.size === b.size && a.mmapOffset === b.mmapOffset;

/** Waits for all, so that no rejection goes unhandled, then throws the first. */
async function all(sent: readonly Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(sent);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
