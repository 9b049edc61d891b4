// The device-server side of one vhost-user connection: which message may come now, what it changes, what the device is
// told. Bytes come decoded (messages.ts), handles stay opaque, the device is an interface; so the bus and a unix socket
// share it. Nothing here waits: a message is handled whole, in the order in which they came.
import { ErrnoError, ProtocolError } from '../core/errors.js';
import { VHOST_USER_LOG_BYTES_MAX } from '../core/limits.js';
import {
  VHOST_USER_F_PROTOCOL_FEATURES,
  VHOST_USER_NEED_REPLY_MASK,
  VHOST_USER_PROTOCOL_F,
} from '../layout/vhost-user.js';
import { VIRTIO_CONFIG_S_NEEDS_RESET } from '../layout/virtio-mmio.js';
import { hasFeature, VIRTIO_F_RING_PACKED } from '../layout/virtio-ring.js';
import { BackendRings } from './backend-rings.js';
import type { VhostUserDevice } from './device.js';
import { inflightBytes } from './inflight.js';
import { checkRegions, type MappedRegion } from './memory-map.js';
import {
  decodeRequest,
  encodeAck,
  encodeReply,
  type RawMessage,
  REQUESTS,
  type ReplyOf,
  type Request,
  type RequestType,
  replies,
} from './messages.js';
import type { MemoryRegionBody } from './payloads.js';
import type { RingState } from './ring-state.js';

const SESSION_FEATURES =
  (1n << BigInt(VHOST_USER_PROTOCOL_F.MQ)) |
  (1n << BigInt(VHOST_USER_PROTOCOL_F.REPLY_ACK)) |
  (1n << BigInt(VHOST_USER_PROTOCOL_F.CONFIG));
const NEEDS_RESET = BigInt(VIRTIO_CONFIG_S_NEEDS_RESET);
const PROTOCOL_FEATURES = 1n << BigInt(VHOST_USER_F_PROTOCOL_FEATURES);

type Handler<H, T extends RequestType> = (message: Extract<Request<H>, { type: T }>) => ReplyOf<T>;

export class BackendSession<H> {
  readonly #device: VhostUserDevice<H>;
  readonly #rings: BackendRings<H>;
  #regions: readonly MappedRegion<H>[] = [];
  #features = 0n;
  #protocolFeatures = 0n;
  #owned = false;
  #status = 0n;
  #closed = false;
  /** That ride with the reply which is being made. */
  readonly #replyHandles: H[] = [];

  constructor(device: VhostUserDevice<H>) {
    this.#device = device;
    this.#rings = new BackendRings(device);
  }

  ringState(index: number): RingState {
    return this.#rings.state(index);
  }

  /** Handles that the session holds: memory, kicks, calls, errors. */
  get handleCount(): number {
    return [...this.#handles()].length;
  }

  /**
   * Handles one message; answers the reply or acknowledgement to send, if any. The message's handles belong to the
   * session from here on, those of the reply to the caller, who releases them once it is sent. A message that is refused or malformed and asked for an acknowledgement is answered with 1; any
   * other throws ProtocolError or ErrnoError, and the transport ends the connection (close()).
   */
  handle(raw: RawMessage<H>): RawMessage<H> | undefined {
    const acknowledged = (raw.flags & VHOST_USER_NEED_REPLY_MASK) !== 0 && this.#negotiated('REPLY_ACK');
    try {
      const message: Request<H> = decodeRequest(raw);
      const reply = this.#dispatch(message);
      if (replies(raw.request)) return encodeReply(message.type, reply, this.#replyHandles.splice(0));
      // The message itself may have negotiated it, and then is not acknowledged yet.
      return acknowledged ? encodeAck(raw.request, 0n) : undefined;
    } catch (error) {
      const held = new Set(this.#handles());
      for (const handle of raw.handles) if (!held.has(handle)) this.#device.release(handle);
      const refusal = error instanceof ProtocolError || error instanceof ErrnoError;
      if (!refusal || !acknowledged || replies(raw.request)) throw error;
      return encodeAck(raw.request, 1n);
    }
  }

  #dispatch(message: Request<H>): ReplyOf<RequestType> {
    const { type } = message;
    const rule = REQUESTS[type];
    if (this.#closed) throw new ProtocolError('closed', `${type} after the end`);
    if ('needs' in rule && !this.#negotiated(rule.needs))
      throw new ProtocolError('features', `${type} needs ${rule.needs}`);
    return (this.#handlers[type] as (message: Request<H>) => ReplyOf<RequestType>)(message);
  }

  *#handles(): Iterable<H> {
    for (const { handle } of this.#regions) yield handle;
    yield* this.#rings.handles();
  }

  /** The connection ended: rings stop, the device is reset, every handle is released. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#rings.close();
    this.#device.reset();
    this.#replaceMemory([]);
    this.#device.close?.();
  }

  readonly #handlers: { readonly [T in RequestType]: Handler<H, T> } = {
    GET_FEATURES: () => ({ value: this.#device.features | PROTOCOL_FEATURES }),
    SET_FEATURES: ({ value }) => {
      const unknown = value & ~(this.#device.features | PROTOCOL_FEATURES);
      if (unknown !== 0n) throw new ProtocolError('features', `features 0x${unknown.toString(16)} were not offered`);
      this.#features = value;
      // Of a running device too: that is how dirty logging is switched.
      this.#rings.whilePaused(
        () => this.#device.setFeatures(value & ~PROTOCOL_FEATURES),
        () => this.#regions,
      );
      this.#enableWithoutMessages();
      return undefined;
    },
    SET_OWNER: () => {
      if (this.#owned) throw new ProtocolError('owner', 'SET_OWNER twice');
      this.#owned = true;
      return undefined;
    },
    RESET_OWNER: () => {
      this.#owned = false;
      this.#rings.moveAll('disable');
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
      for (const region of regions) this.#checkKind(region);
      this.#replaceMemory(regions.map((region, i) => ({ ...region, handle: handles[i]! })));
      return undefined;
    },
    ADD_MEM_REG: ({ region, handles }) => {
      if (this.#regions.length >= this.#device.memorySlotsMax)
        throw new ProtocolError('regions', `more than ${this.#device.memorySlotsMax} regions`);
      this.#checkKind(region);
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
    SET_LOG_BASE: ({ size, offset, handles }) => {
      if (size === 0n || size > BigInt(VHOST_USER_LOG_BYTES_MAX) || offset > BigInt(Number.MAX_SAFE_INTEGER))
        throw new ProtocolError('size', `log of ${size} bytes`);
      this.#rings.whilePaused(
        () => this.#device.setLog!(handles[0]!, Number(offset), Number(size)),
        () => this.#regions,
      );
      return { value: 0n };
    },
    // It would be signalled when the log has news; a front-end that shares the log looks at it by itself.
    SET_LOG_FD: ({ handles }) => {
      this.#device.release(handles[0]!);
      return undefined;
    },
    SET_VRING_NUM: ({ index, num }) => {
      this.#rings.setSize(index, num, this.#packed);
      return undefined;
    },
    SET_VRING_ADDR: ({ index, desc, avail, used }) => {
      this.#rings.setAddresses(index, { desc, avail, used });
      return undefined;
    },
    SET_VRING_BASE: ({ index, num }) => {
      this.#rings.setBase(index, num, this.#packed);
      return undefined;
    },
    // No reset, not even of the last ring: QEMU stops a device so that it goes on later, with all that the guest made.
    GET_VRING_BASE: ({ index }) => ({ index, num: this.#rings.stop(index) }),
    SET_VRING_KICK: ({ index, handles }) => {
      this.#rings.setKick(index, handles[0]);
      return undefined;
    },
    SET_VRING_CALL: ({ index, handles }) => {
      this.#rings.setEnd(index, 'call', handles[0]);
      return undefined;
    },
    SET_VRING_ERR: ({ index, handles }) => {
      this.#rings.setEnd(index, 'error', handles[0]);
      return undefined;
    },
    SET_VRING_ENABLE: ({ index, num }) => {
      if (!(this.#features & PROTOCOL_FEATURES))
        throw new ProtocolError('features', 'SET_VRING_ENABLE needs feature bit 30');
      if (num > 1) throw new ProtocolError('ring', `SET_VRING_ENABLE ${num}`);
      this.#rings.move(index, num === 1 ? 'enable' : 'disable');
      return undefined;
    },
    GET_CONFIG: ({ offset, size, flags }) => ({ offset, flags, data: this.#device.readConfig(offset, size) }),
    SET_CONFIG: ({ offset, data }) => {
      this.#device.writeConfig(offset, data);
      return undefined;
    },
    SET_BACKEND_REQ_FD: ({ handles }) => {
      this.#device.check('backend channel', handles[0]!);
      this.#device.setBackendChannel(handles[0]!);
      return undefined;
    },
    GET_INFLIGHT_FD: ({ queueCount, queueSize }) => {
      const size = this.#inflightSize(queueCount, queueSize);
      this.#replyHandles.push(this.#device.makeInflight!(size));
      return { size: BigInt(size), offset: 0n, queueCount, queueSize };
    },
    SET_INFLIGHT_FD: ({ size, offset, queueCount, queueSize, handles }) => {
      const needed = this.#inflightSize(queueCount, queueSize);
      if (size < BigInt(needed) || offset > BigInt(Number.MAX_SAFE_INTEGER))
        throw new ProtocolError('size', `inflight buffer of ${size} bytes for ${queueCount} queues of ${queueSize}`);
      this.#device.setInflight!(handles[0]!, { offset: Number(offset), queueCount, queueSize, packed: this.#packed });
      return undefined;
    },
    GPU_SET_SOCKET: ({ handles }) => {
      this.#device.check('display', handles[0]!);
      this.#device.setDisplay(handles[0]!);
      return undefined;
    },
    RESET_DEVICE: () => {
      this.#reset();
      return undefined;
    },
    SET_STATUS: ({ value }) => {
      if (value > 0xffn) throw new ProtocolError('status', `status 0x${value.toString(16)}`);
      this.#status = value;
      // QEMU says 0 of a device that it only stops, too, after it has stopped the rings: then the next start tells.
      if (value === 0n && this.#rings.started) this.#reset();
      return undefined;
    },
    GET_STATUS: () => ({ value: this.#status | (this.#rings.broken ? NEEDS_RESET : 0n) }),
  };

  /** A front-end that negotiated XEN_MMAP may send regions of the short form all the same: QEMU acknowledges bits that it skips. */
  #checkKind({ xen }: MemoryRegionBody): void {
    if (xen !== undefined && !this.#negotiated('XEN_MMAP'))
      throw new ProtocolError('regions', 'memory of a domain without XEN_MMAP');
  }

  /** Bytes of the buffer; it is checked before anything is allocated for it. */
  #inflightSize(queueCount: number, queueSize: number): number {
    if (queueCount === 0 || queueCount > this.#device.queueCount)
      throw new ProtocolError('ring', `inflight tracking of ${queueCount} queues`);
    if (queueSize === 0 || queueSize > this.#device.queueSizeMax)
      throw new ProtocolError('ring', `inflight tracking of rings of ${queueSize} entries`);
    return queueCount * inflightBytes(queueSize, this.#packed);
  }

  get #offeredProtocolFeatures(): bigint {
    return this.#device.protocolFeatures | SESSION_FEATURES;
  }

  #negotiated(name: keyof typeof VHOST_USER_PROTOCOL_F): boolean {
    return ((this.#protocolFeatures >> BigInt(VHOST_USER_PROTOCOL_F[name])) & 1n) === 1n;
  }

  get #packed(): boolean {
    return hasFeature(this.#features, VIRTIO_F_RING_PACKED);
  }

  /** Without bit 30 there is no SET_VRING_ENABLE, and rings are enabled from the start. */
  #enableWithoutMessages(): void {
    if (!(this.#features & PROTOCOL_FEATURES)) this.#rings.moveAll('enable');
  }

  #replaceMemory(regions: readonly MappedRegion<H>[]): void {
    checkRegions(regions);
    const old = this.#regions;
    try {
      this.#rings.whilePaused(
        () => {
          this.#device.setMemory(regions);
          this.#regions = regions;
        },
        () => this.#regions,
      );
    } finally {
      for (const region of old) if (!this.#regions.includes(region)) this.#device.release(region.handle);
    }
  }

  /** The guest's driver begins anew: rings are stopped and stand at 0, and all that it made in the device is gone. */
  #reset(): void {
    this.#status = 0n;
    this.#rings.moveAll('disable');
    this.#rings.reset();
    this.#device.reset();
    this.#enableWithoutMessages();
  }
}
