// The device-server side of one vhost-user connection: which message may come now, what it changes, what the device is
// told. Bytes come decoded (messages.ts), handles stay opaque, the device is an interface; so the bus and a unix socket
// share it. Nothing here waits: a message is handled whole, in the order in which they came.
import { ErrnoError, ProtocolError } from '../core/errors.js';
import { type Machine, machine } from '../core/machine.js';
import { VHOST_USER_F_PROTOCOL_FEATURES, VHOST_USER_PROTOCOL_F } from '../layout/vhost-user.js';
import { VIRTQ_SIZE_MAX } from '../layout/virtio-ring.js';
import type { VhostUserDevice } from './device.js';
import { checkRegions, type MappedRegion, userToGuest } from './memory-map.js';
import {
  decodeRequest,
  encodeAck,
  encodeReply,
  type RawMessage,
  REQUESTS,
  type ReplyOf,
  type Request,
  type RequestType,
} from './messages.js';
import type { MemoryRegionBody } from './payloads.js';
import { RING_MOVES, RING_RUNNING, type RingEvent, type RingState } from './ring-state.js';

interface Ring<H> {
  readonly machine: Machine<RingState, RingEvent>;
  size: number;
  base: number;
  /** As the front-end gave them, translated again whenever the memory changes. */
  user: { desc: bigint; avail: bigint; used: bigint } | undefined;
  kick: H | undefined;
  call: H | undefined;
  err: H | undefined;
  /** The device was told to run it. */
  active: boolean;
}

const SESSION_FEATURES =
  (1n << BigInt(VHOST_USER_PROTOCOL_F.MQ)) |
  (1n << BigInt(VHOST_USER_PROTOCOL_F.REPLY_ACK)) |
  (1n << BigInt(VHOST_USER_PROTOCOL_F.CONFIG));
const PROTOCOL_FEATURES = 1n << BigInt(VHOST_USER_F_PROTOCOL_FEATURES);

type Handler<H, T extends RequestType> = (message: Extract<Request<H>, { type: T }>) => ReplyOf<T>;

export class BackendSession<H> {
  readonly #device: VhostUserDevice<H>;
  readonly #rings: readonly Ring<H>[];
  #regions: MappedRegion<H>[] = [];
  #features: bigint | undefined;
  #protocolFeatures = 0n;
  #owned = false;
  #status = 0n;
  #closed = false;

  constructor(device: VhostUserDevice<H>) {
    this.#device = device;
    this.#rings = Array.from({ length: device.queueCount }, () => ({
      machine: machine(RING_MOVES, 'stopped-disabled'),
      size: 0,
      base: 0,
      user: undefined,
      kick: undefined,
      call: undefined,
      err: undefined,
      active: false,
    }));
  }

  ringState(index: number): RingState {
    return this.#ring(index).machine.state;
  }

  /**
   * Handles one message; answers the reply or acknowledgement to send, if any. The message's handles belong to the
   * session from here on. A refused message that asked for an acknowledgement is answered with 1; any other throws
   * ProtocolError or ErrnoError, and the transport ends the connection (close()).
   */
  handle(raw: RawMessage<H>): RawMessage<never> | undefined {
    let message: Request<H>;
    try {
      message = decodeRequest(raw);
    } catch (error) {
      for (const handle of raw.handles) this.#device.release(handle);
      throw error;
    }
    const { type, needReply, handles } = message;
    const rule = REQUESTS[type];
    try {
      if (this.#closed) throw new ProtocolError('closed', `${type} after the end`);
      if ('needs' in rule && !this.#negotiated(rule.needs))
        throw new ProtocolError('features', `${type} needs ${rule.needs}`);
      const handler = this.#handlers[type] as (message: Request<H>) => ReplyOf<RequestType>;
      const reply = handler(message);
      if ('reply' in rule) return encodeReply(type, reply);
    } catch (error) {
      for (const handle of handles) if (!this.#holds(handle)) this.#device.release(handle);
      const refusal = error instanceof ProtocolError || error instanceof ErrnoError;
      if (!refusal || !needReply || !this.#negotiated('REPLY_ACK') || 'reply' in rule) throw error;
      return encodeAck(type, 1n);
    }
    return needReply && this.#negotiated('REPLY_ACK') ? encodeAck(type, 0n) : undefined;
  }

  /** The connection ended: rings stop, the device is reset, every handle is released. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (let index = 0; index < this.#rings.length; index++) {
      this.#move(index, 'stop');
      this.#dropHandles(this.#rings[index]!);
    }
    this.#reset();
    this.#replaceMemory([]);
  }

  readonly #handlers: { readonly [T in RequestType]: Handler<H, T> } = {
    GET_FEATURES: () => ({ value: this.#device.features | PROTOCOL_FEATURES }),
    SET_FEATURES: ({ value }) => {
      const unknown = value & ~(this.#device.features | PROTOCOL_FEATURES);
      if (unknown !== 0n) throw new ProtocolError('features', `features 0x${unknown.toString(16)} were not offered`);
      this.#notRunning('SET_FEATURES');
      this.#features = value;
      this.#device.setFeatures(value & ~PROTOCOL_FEATURES);
      // Without bit 30 there is no SET_VRING_ENABLE, and rings are enabled from the start.
      if (!(value & PROTOCOL_FEATURES))
        for (let index = 0; index < this.#rings.length; index++) this.#move(index, 'enable');
      return undefined;
    },
    SET_OWNER: () => {
      if (this.#owned) throw new ProtocolError('owner', 'SET_OWNER twice');
      this.#owned = true;
      return undefined;
    },
    RESET_OWNER: () => {
      this.#owned = false;
      this.#disableAll();
      return undefined;
    },
    GET_PROTOCOL_FEATURES: () => ({ value: this.#offeredProtocolFeatures }),
    SET_PROTOCOL_FEATURES: ({ value }) => {
      const unknown = value & ~this.#offeredProtocolFeatures;
      if (unknown) throw new ProtocolError('features', `protocol features 0x${unknown.toString(16)} were not offered`);
      this.#protocolFeatures = value;
      return undefined;
    },
    GET_QUEUE_NUM: () => ({ value: BigInt(this.#device.queueCount) }),
    GET_MAX_MEM_SLOTS: () => ({ value: BigInt(this.#device.memorySlotsMax) }),
    SET_MEM_TABLE: ({ regions, handles }) => {
      this.#replaceMemory(regions.map((region, i) => ({ ...region, handle: handles[i]! })));
      return undefined;
    },
    ADD_MEM_REG: ({ region, handles }) => {
      if (this.#regions.length >= this.#device.memorySlotsMax)
        throw new ProtocolError('regions', `more than ${this.#device.memorySlotsMax} regions`);
      this.#replaceMemory([...this.#regions, { ...region, handle: handles[0]! }]);
      return undefined;
    },
    REM_MEM_REG: ({ region, handles }) => {
      const same = (r: MemoryRegionBody) =>
        r.guestAddr === region.guestAddr && r.userAddr === region.userAddr && r.size === region.size;
      const kept = this.#regions.filter((r) => !same(r));
      if (kept.length === this.#regions.length) throw new ProtocolError('regions', 'no such region');
      this.#replaceMemory(kept);
      for (const handle of handles) this.#device.release(handle);
      return undefined;
    },
    SET_VRING_NUM: ({ index, num }) => {
      const ring = this.#stoppedRing(index, 'SET_VRING_NUM');
      const max = Math.min(this.#device.queueSizeMax, VIRTQ_SIZE_MAX);
      if (num === 0 || num > max || (num & (num - 1)) !== 0) throw new ProtocolError('ring', `ring of ${num} entries`);
      ring.size = num;
      return undefined;
    },
    SET_VRING_ADDR: ({ index, desc, avail, used }) => {
      const ring = this.#stoppedRing(index, 'SET_VRING_ADDR');
      for (const address of [desc, avail, used]) userToGuest(this.#regions, address);
      ring.user = { desc, avail, used };
      return undefined;
    },
    SET_VRING_BASE: ({ index, num }) => {
      if (num > 0xffff) throw new ProtocolError('ring', `ring base ${num}`);
      this.#stoppedRing(index, 'SET_VRING_BASE').base = num;
      return undefined;
    },
    GET_VRING_BASE: ({ index }) => {
      const ring = this.#ring(index);
      this.#move(index, 'stop');
      this.#dropHandles(ring);
      // The last ring's stop is the only sign of a guest's reset that QEMU gives (it sends no RESET_DEVICE).
      if (this.#rings.every((r) => r.machine.state.startsWith('stopped'))) this.#reset();
      return { index, num: ring.base };
    },
    SET_VRING_KICK: ({ index, polled, handles }) => {
      const ring = this.#ring(index);
      if (polled) throw new ProtocolError('ring', 'rings without a kick handle are not polled here');
      if (ring.size === 0 || ring.user === undefined) throw new ProtocolError('ring', `ring ${index} is not set up`);
      this.#pause(index);
      this.#take(ring, 'kick', handles[0]!);
      this.#move(index, 'kick');
      return undefined;
    },
    SET_VRING_CALL: ({ index, handles }) => {
      const ring = this.#ring(index);
      this.#take(ring, 'call', handles[0]);
      if (ring.active) this.#device.setCall(index, ring.call);
      return undefined;
    },
    SET_VRING_ERR: ({ index, handles }) => {
      const ring = this.#ring(index);
      this.#pause(index);
      this.#take(ring, 'err', handles[0]);
      this.#sync(index);
      return undefined;
    },
    SET_VRING_ENABLE: ({ index, num }) => {
      if (!((this.#features ?? 0n) & PROTOCOL_FEATURES))
        throw new ProtocolError('features', 'SET_VRING_ENABLE needs feature bit 30');
      if (num > 1) throw new ProtocolError('ring', `SET_VRING_ENABLE ${num}`);
      this.#ring(index);
      this.#move(index, num === 1 ? 'enable' : 'disable');
      return undefined;
    },
    GET_CONFIG: ({ offset, size, flags }) => ({ offset, flags, data: this.#device.readConfig(offset, size) }),
    SET_CONFIG: ({ offset, data }) => {
      this.#device.writeConfig(offset, data);
      return undefined;
    },
    SET_BACKEND_REQ_FD: ({ handles }) => {
      this.#device.setBackendChannel(handles[0]!);
      return undefined;
    },
    GPU_SET_SOCKET: ({ handles }) => {
      this.#device.setDisplay(handles[0]!);
      return undefined;
    },
    RESET_DEVICE: () => {
      this.#disableAll();
      this.#reset();
      return undefined;
    },
    SET_STATUS: ({ value }) => {
      if (value > 0xffn) throw new ProtocolError('status', `status 0x${value.toString(16)}`);
      this.#status = value;
      if (value === 0n) {
        this.#disableAll();
        this.#reset();
      }
      return undefined;
    },
    GET_STATUS: () => ({ value: this.#status }),
  };

  get #offeredProtocolFeatures(): bigint {
    return this.#device.protocolFeatures | SESSION_FEATURES;
  }

  #negotiated(name: keyof typeof VHOST_USER_PROTOCOL_F): boolean {
    return ((this.#protocolFeatures >> BigInt(VHOST_USER_PROTOCOL_F[name])) & 1n) === 1n;
  }

  #ring(index: number): Ring<H> {
    const ring = this.#rings[index];
    if (ring === undefined) throw new ProtocolError('ring', `ring ${index} of ${this.#rings.length}`);
    return ring;
  }

  #stoppedRing(index: number, what: string): Ring<H> {
    const ring = this.#ring(index);
    if (ring.machine.state.startsWith('started')) throw new ProtocolError('ring', `${what} on started ring ${index}`);
    return ring;
  }

  #notRunning(what: string): void {
    if (this.#rings.some((ring) => ring.active)) throw new ProtocolError('ring', `${what} while a ring runs`);
  }

  #move(index: number, event: RingEvent): void {
    this.#rings[index]!.machine.fire(event);
    this.#sync(index);
  }

  #disableAll(): void {
    for (let index = 0; index < this.#rings.length; index++) this.#move(index, 'disable');
  }

  /** Makes the device's view of a ring what its state says. */
  #sync(index: number): void {
    const ring = this.#rings[index]!;
    if (ring.machine.state !== RING_RUNNING) {
      this.#pause(index);
    } else if (!ring.active) {
      try {
        const { desc, avail, used } = ring.user!;
        this.#device.startRing(index, {
          size: ring.size,
          desc: userToGuest(this.#regions, desc),
          avail: userToGuest(this.#regions, avail),
          used: userToGuest(this.#regions, used),
          base: ring.base,
          kick: ring.kick!,
          call: ring.call,
          err: ring.err,
        });
      } catch (error) {
        ring.machine.fire('stop');
        throw error;
      }
      ring.active = true;
    }
  }

  /** The device leaves the ring alone until the next #sync. */
  #pause(index: number): void {
    const ring = this.#rings[index]!;
    if (!ring.active) return;
    ring.active = false;
    ring.base = this.#device.stopRing(index);
  }

  #take(ring: Ring<H>, which: 'kick' | 'call' | 'err', handle: H | undefined): void {
    const old = ring[which];
    ring[which] = handle;
    if (old !== undefined) this.#device.release(old);
  }

  #dropHandles(ring: Ring<H>): void {
    for (const which of ['kick', 'call', 'err'] as const) this.#take(ring, which, undefined);
  }

  #holds(handle: H): boolean {
    return (
      this.#regions.some((region) => region.handle === handle) ||
      this.#rings.some((ring) => ring.kick === handle || ring.call === handle || ring.err === handle)
    );
  }

  #replaceMemory(regions: MappedRegion<H>[]): void {
    checkRegions(regions);
    for (let index = 0; index < this.#rings.length; index++) this.#pause(index);
    let failure: unknown;
    try {
      this.#device.setMemory(regions);
      const gone = this.#regions.filter((region) => !regions.includes(region));
      this.#regions = regions;
      for (const region of gone) this.#device.release(region.handle);
    } catch (error) {
      failure = error;
    }
    for (let index = 0; index < this.#rings.length; index++) {
      try {
        this.#sync(index);
      } catch (error) {
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
  }

  #reset(): void {
    this.#status = 0n;
    this.#device.reset();
  }
}
