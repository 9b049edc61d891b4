// A front-end's hand on a vhost-user GPU server, ours or another one: connects, brings memory, a display and rings, and sees
// what comes: answers, used chains, silence, the end of the connection. Leaves what is right to checks/.
import { Socket } from 'node:net';
import { errorMessage } from '../lib/core/errors.js';
import { RegionMemory } from '../lib/core/memory.js';
import { NO_PROBE } from '../lib/core/probe.js';
import { VHOST_USER_F_PROTOCOL_FEATURES, VHOST_USER_PROTOCOL_F } from '../lib/layout/vhost-user.js';
import {
  featureBits,
  hasFeature,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_INDIRECT_DESC,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_VERSION_1,
} from '../lib/layout/virtio-ring.js';
import { listenEventFd, makeEventFd, signalEventFd } from '../lib/node/files/event-fds.js';
import { mapFile } from '../lib/node/files/libc.js';
import { memoryFile, type OwnedFd } from '../lib/node/files/owned-fd.js';
import { connectUnix, socketPair } from '../lib/node/files/unix-fds.js';
import { VhostUserSocket } from '../lib/node/files/vhost-user-socket.js';
import { retryOnChange, withDeadline } from '../lib/node/process/wait.js';
import { GpuViewer } from '../lib/vhost-user/gpu-viewer.js';
import {
  type BodyOf,
  decodeAck,
  decodeReply,
  encodeRequest,
  type RawMessage,
  type ReplyOf,
  type RequestType,
  replies,
} from '../lib/vhost-user/messages.js';
import {
  type DecodedResponse,
  decodeResponse,
  encodeCommand,
  type GpuCommandName,
  type GpuFields,
} from '../lib/virtio/gpu-codec.js';
import { PackedDriver } from '../testkit/packed-driver.js';
import { RingDriver, type Segment } from '../testkit/ring-driver.js';

export const RAM_BYTES = 4 << 20;
export const RING_SIZE = 16;
/** First addresses for requests, answers, pixels and indirect tables. */
export const AT = { request: 0x8000, response: 0xc000, table: 0x14000, pixels: 0x20000 } as const;
/** How long silence takes at least, and how long an answer may, the start of a process on a busy machine included. */
const SILENCE_MS = 500;
const ANSWER_MS = 20_000;
/** Questions that a server answers before its silence about a ring counts: it has looked at its descriptors meanwhile. */
const QUESTIONS = 3;
const bit = (number: number): bigint => 1n << BigInt(number);
const BIT30 = bit(VHOST_USER_F_PROTOCOL_FEATURES);
const WANTED = featureBits(
  VHOST_USER_PROTOCOL_F.REPLY_ACK,
  VHOST_USER_PROTOCOL_F.CONFIG,
  VHOST_USER_PROTOCOL_F.RESET_DEVICE,
  VHOST_USER_PROTOCOL_F.CONFIGURE_MEM_SLOTS,
);

/** What became of something that was sent. */
export type Seen = 'used' | 'error' | 'silence' | 'ended';

export class ServerEnd {
  readonly memory: RegionMemory;
  offered = 0n;
  protocol = 0n;
  /** The control queue, in the layout that start() negotiated. */
  ring: RingDriver | PackedDriver;
  ended = false;
  /** Calls and errors of the control queue that were signalled. */
  calls = 0;
  errors = 0;
  readonly #socket: VhostUserSocket;
  readonly ram: OwnedFd;
  readonly kickHandle = makeEventFd();
  readonly callHandle = makeEventFd();
  readonly #error = makeEventFd();
  readonly #releases: (() => void)[] = [];
  readonly #answers: ((message: RawMessage<OwnedFd> | Error) => void)[] = [];
  #wake: (() => void)[] = [];

  /** Resolves once a server listens on `path`. `ram`: memory of another one, of which a duplicate is taken. */
  static async connect(path: string, signal: AbortSignal, ram?: OwnedFd): Promise<ServerEnd> {
    const found = retryOnChange(path, () => connectUnix(path).catch(() => undefined), signal);
    const connection = await withDeadline(found, ANSWER_MS, `a server on ${path}`);
    if (connection === undefined) throw new Error('interrupted');
    return new ServerEnd(connection, ram?.duplicate() ?? memoryFile('ram', RAM_BYTES));
  }

  private constructor(connection: OwnedFd, ram: OwnedFd) {
    this.ram = ram;
    const raw = mapFile(this.ram.fd, RAM_BYTES, true);
    this.memory = new RegionMemory([{ base: 0, bytes: new Uint8Array(raw.buffer) }]);
    this.ring = new RingDriver(this.memory, { size: RING_SIZE });
    this.#socket = new VhostUserSocket(connection, {
      onMessage: (message) => this.#answers.shift()?.(message),
      onEnd: (reason) => {
        this.ended = true;
        for (const answer of this.#answers.splice(0)) answer(new Error(reason));
        this.#stir();
      },
    });
    const listen = (fd: OwnedFd, action: () => void) => {
      const listener = listenEventFd(fd.fd, () => {
        action();
        this.#stir();
      });
      this.#releases.push(() => listener.close());
    };
    listen(this.callHandle, () => this.calls++);
    listen(this.#error, () => this.errors++);
    this.#releases.push(() => {
      this.#socket.close();
      for (const fd of [this.ram, this.kickHandle, this.callHandle, this.#error]) fd.close();
      raw.unmap();
    });
  }

  /** Runs `release` when the connection is closed. */
  onClose(release: () => void): void {
    this.#releases.push(release);
  }

  close(): void {
    for (const release of this.#releases.splice(0)) release();
  }

  #stir(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  /** Sends a message as it is; answers what came back, undefined when nothing is due or nothing came. */
  async raw(message: RawMessage<OwnedFd>, answered: boolean): Promise<RawMessage<OwnedFd> | undefined> {
    if (this.ended) throw new Error('the server has ended the connection');
    this.#socket.send(message);
    if (!answered) return undefined;
    const answer = new Promise<RawMessage<OwnedFd>>((resolve, reject) =>
      this.#answers.push((got) => (got instanceof Error ? reject(got) : resolve(got))),
    );
    return withDeadline(answer, ANSWER_MS, 'answer');
  }

  async ask<T extends RequestType>(type: T, body: BodyOf<T>): Promise<ReplyOf<T>> {
    return decodeReply(type, (await this.raw(encodeRequest<T, OwnedFd>(type, body), true))!);
  }

  /** Answers the acknowledgement, 0 for success; without REPLY_ACK always 0. */
  async tell<T extends RequestType>(type: T, body: BodyOf<T>, handles: readonly OwnedFd[] = []): Promise<bigint> {
    const needReply = hasFeature(this.protocol, VHOST_USER_PROTOCOL_F.REPLY_ACK);
    const message = encodeRequest<T, OwnedFd>(type, body, { handles, needReply });
    const answer = await this.raw(message, needReply || replies(message.request));
    return answer === undefined ? 0n : decodeAck(type, answer);
  }

  has(feature: keyof typeof VHOST_USER_PROTOCOL_F): boolean {
    return hasFeature(this.protocol, VHOST_USER_PROTOCOL_F[feature]);
  }

  /** Greets, and brings a display whose questions are answered. */
  async greet(): Promise<void> {
    this.offered = (await this.ask('GET_FEATURES', {})).value;
    const wanted = (await this.ask('GET_PROTOCOL_FEATURES', {})).value & WANTED;
    await this.tell('SET_PROTOCOL_FEATURES', { value: wanted });
    this.protocol = wanted;
    await this.tell('SET_OWNER', {});
    const display = this.display();
    await this.tell('GPU_SET_SOCKET', {}, [display]);
    display.close();
  }

  /** The server's end of a display whose questions are answered; the caller closes it once it is sent. */
  display(): OwnedFd {
    const [mine, theirs] = socketPair();
    const own = mine.duplicate();
    mine.close();
    const display = new Socket({ fd: own.fd });
    const viewer = new GpuViewer(
      [{ width: 640, height: 480 }],
      { send: (bytes) => void display.write(bytes), onFrame: () => {} },
      NO_PROBE,
    );
    display.on('data', (bytes: Buffer) => viewer.receive(bytes)).on('error', () => {});
    this.#releases.push(() => display.destroy());
    return theirs;
  }

  get offersPacked(): boolean {
    return hasFeature(this.offered, VIRTIO_F_RING_PACKED);
  }

  /** Features that a driver of this layout takes. */
  features(packed: boolean): bigint {
    const event = packed ? 0n : bit(VIRTIO_F_EVENT_IDX);
    const layout = packed ? 0n : bit(VIRTIO_F_RING_PACKED);
    const bits = featureBits(VIRTIO_F_VERSION_1, VIRTIO_F_INDIRECT_DESC, VIRTIO_F_RING_PACKED);
    return (this.offered & bits & ~(layout | event)) | BIT30;
  }

  /** Features and memory, then the control ring, empty and from its start. */
  async start(packed = false): Promise<void> {
    await this.bring(packed);
    await this.startRing(packed);
  }

  /** Features and memory only. */
  async bring(packed = false): Promise<void> {
    await this.tell('SET_FEATURES', { value: this.features(packed) });
    const region = { guestAddr: 0n, size: BigInt(RAM_BYTES), userAddr: 0n, mmapOffset: 0n };
    if (this.has('CONFIGURE_MEM_SLOTS')) await this.tell('ADD_MEM_REG', { region }, [this.ram]);
    else await this.tell('SET_MEM_TABLE', { regions: [region] }, [this.ram]);
  }

  /** An empty control ring in memory, which the server is not told of. */
  lay(packed: boolean, size = RING_SIZE): RingDriver | PackedDriver {
    this.memory.write(0, new Uint8Array(0x8000));
    this.ring = packed ? new PackedDriver(this.memory, { size }) : new RingDriver(this.memory, { size });
    return this.ring;
  }

  async startRing(packed = false): Promise<void> {
    const { size, base, ...at } = this.lay(packed).layout;
    const vring = { index: 0, polled: false };
    await this.tell('SET_VRING_CALL', vring, [this.callHandle]);
    await this.tell('SET_VRING_ERR', vring, [this.#error]);
    await this.tell('SET_VRING_NUM', { index: 0, num: size });
    await this.tell('SET_VRING_BASE', { index: 0, num: base });
    const [desc, avail, used] = [at.desc, at.avail, at.used].map(BigInt) as [bigint, bigint, bigint];
    await this.tell('SET_VRING_ADDR', { index: 0, flags: 0, desc, avail, used, log: 0n });
    await this.tell('SET_VRING_KICK', vring, [this.kickHandle]);
    await this.tell('SET_VRING_ENABLE', { index: 0, num: 1 });
  }

  /** Starts the control ring again where it is, with what is in it. */
  async resume(base: number, kick = true): Promise<void> {
    const vring = { index: 0, polled: false };
    const { layout } = this.ring;
    const [desc, avail, used] = [layout.desc, layout.avail, layout.used].map(BigInt) as [bigint, bigint, bigint];
    await this.call();
    await this.tell('SET_VRING_NUM', { index: 0, num: layout.size });
    await this.tell('SET_VRING_BASE', { index: 0, num: base });
    await this.tell('SET_VRING_ADDR', { index: 0, flags: 0, desc, avail, used, log: 0n });
    await this.tell('SET_VRING_KICK', vring, [this.kickHandle]);
    await this.tell('SET_VRING_ENABLE', { index: 0, num: 1 });
    if (kick) this.kick();
  }

  async call(): Promise<void> {
    await this.tell('SET_VRING_CALL', { index: 0, polled: false }, [this.callHandle]);
  }

  /** The same memory once more, at the same place. */
  moreMemory(): Promise<bigint> {
    const region = { guestAddr: 0n, size: BigInt(RAM_BYTES), userAddr: 0n, mmapOffset: 0n };
    return this.tell('ADD_MEM_REG', { region }, [this.ram]);
  }

  /** Resolves with the next thing that happens, or a moment later. */
  async stirred(): Promise<void> {
    await withDeadline(new Promise<void>((resolve) => this.#wake.push(resolve)), SILENCE_MS, 'word').catch(() => {});
  }

  kick(): void {
    signalEventFd(this.kickHandle.fd);
  }

  /** Kicks, and tells what comes first: used chains, an error of the ring, the end, or nothing. */
  async kicked(): Promise<Seen> {
    const { errors } = this;
    this.kick();
    return this.seen(errors);
  }

  /** What comes first from now on. `errors`: those that were seen before. */
  async seen(errors = this.errors): Promise<Seen> {
    const until = Date.now() + SILENCE_MS;
    for (let asked = 0; ; ) {
      if (this.ended) return 'ended';
      if (this.errors > errors) return 'error';
      if (this.ring.collect().length > 0) return 'used';
      if (asked === QUESTIONS) return 'silence';
      if (Date.now() < until) await this.stirred();
      else {
        asked++;
        await this.ask('GET_FEATURES', {}).catch(() => {});
      }
    }
  }

  /** Lays the bytes of a command, and of its room; the segments of its chain. */
  segments(bytes: Uint8Array, room = 1200): Segment[] {
    this.memory.write(AT.request, bytes);
    this.memory.write(AT.response, new Uint8Array(2048));
    return [
      { addr: AT.request, len: bytes.length },
      { addr: AT.response, len: room, write: true },
    ];
  }

  /** Sends a command and takes its answer. */
  async command<N extends GpuCommandName>(name: N, fields: GpuFields<N>, fence?: bigint): Promise<DecodedResponse> {
    return this.bytes(encodeCommand(name, fields, fence === undefined ? {} : { fence }));
  }

  /** Sends bytes as a request; rejects when no answer comes. */
  async bytes(request: Uint8Array, kick: () => unknown = () => this.kick()): Promise<DecodedResponse> {
    this.ring.add(this.segments(request));
    await kick();
    const until = Date.now() + ANSWER_MS;
    for (;;) {
      const [used] = this.ring.collect();
      if (used !== undefined) return decodeResponse(this.memory.view(AT.response, used.len).slice());
      if (this.ended || Date.now() >= until) throw new Error(this.ended ? 'the connection ended' : 'no answer');
      await this.stirred();
    }
  }

  /** Whether the next driver is served: after the rings were stopped and the device was reset. */
  async serves(packed = false): Promise<string | undefined> {
    try {
      await this.ask('GET_VRING_BASE', { index: 0, num: 0 });
      if (this.has('RESET_DEVICE')) await this.tell('RESET_DEVICE', {});
      await this.startRing(packed);
      await this.command('RESOURCE_UNREF', { resource_id: 999 });
      return undefined;
    } catch (error) {
      return errorMessage(error);
    }
  }
}
