// virtio-gpu requests and responses: the bytes of a chain to a closed union, and back. Syntax only: whether a resource
// exists or a rectangle fits is for the device (services/vhost-gpu) to say, and what an answer means for the driver.
// Both ends use it: the device decodes commands and encodes responses, a driver the other way round.
import { concatBytes } from '../core/bytes.js';
import { dmaAddress, dmaWire } from '../core/dma-address.js';
import { GPU_MEM_ENTRIES_MAX } from '../core/limits.js';
import type { Struct, StructValue } from '../layout/struct.js';
import { struct } from '../layout/struct.js';
import {
  VIRTIO_GPU_CMD,
  VIRTIO_GPU_CTRL_HDR,
  VIRTIO_GPU_EDID_BYTES,
  VIRTIO_GPU_FLAG_FENCE,
  VIRTIO_GPU_GET_EDID,
  VIRTIO_GPU_MEM_ENTRY,
  VIRTIO_GPU_RESOURCE_ASSIGN_UUID,
  VIRTIO_GPU_RESOURCE_ATTACH_BACKING,
  VIRTIO_GPU_RESOURCE_CREATE_2D,
  VIRTIO_GPU_RESOURCE_CREATE_BLOB,
  VIRTIO_GPU_RESOURCE_DETACH_BACKING,
  VIRTIO_GPU_RESOURCE_FLUSH,
  VIRTIO_GPU_RESOURCE_UNREF,
  VIRTIO_GPU_RESP,
  VIRTIO_GPU_RESP_DISPLAY_INFO,
  VIRTIO_GPU_RESP_EDID,
  VIRTIO_GPU_RESP_ERR_FIRST,
  VIRTIO_GPU_RESP_RESOURCE_UUID,
  VIRTIO_GPU_SET_SCANOUT,
  VIRTIO_GPU_SET_SCANOUT_BLOB,
  VIRTIO_GPU_TRANSFER_TO_HOST_2D,
  VIRTIO_GPU_UPDATE_CURSOR,
} from '../layout/virtio-gpu.js';

/** Readable bytes of a request, wherever they lie: a Chain, or plain bytes through bytesSource(). */
export interface ByteSource {
  readonly readableBytes: number;
  /** Copies bytes from `offset` on; answers how many there were. */
  read(offset: number, target: Uint8Array): number;
}

const HEADER_ONLY = struct(
  'virtio_gpu_ctrl_hdr only',
  { hdr: VIRTIO_GPU_CTRL_HDR },
  { size: VIRTIO_GPU_CTRL_HDR.size },
);

/** Every command that is decoded; others come out as INVALID. The layout includes the header. */
export const GPU_COMMANDS = {
  GET_DISPLAY_INFO: HEADER_ONLY,
  RESOURCE_CREATE_2D: VIRTIO_GPU_RESOURCE_CREATE_2D,
  RESOURCE_UNREF: VIRTIO_GPU_RESOURCE_UNREF,
  SET_SCANOUT: VIRTIO_GPU_SET_SCANOUT,
  RESOURCE_FLUSH: VIRTIO_GPU_RESOURCE_FLUSH,
  TRANSFER_TO_HOST_2D: VIRTIO_GPU_TRANSFER_TO_HOST_2D,
  RESOURCE_ATTACH_BACKING: VIRTIO_GPU_RESOURCE_ATTACH_BACKING,
  RESOURCE_DETACH_BACKING: VIRTIO_GPU_RESOURCE_DETACH_BACKING,
  GET_EDID: VIRTIO_GPU_GET_EDID,
  RESOURCE_ASSIGN_UUID: VIRTIO_GPU_RESOURCE_ASSIGN_UUID,
  RESOURCE_CREATE_BLOB: VIRTIO_GPU_RESOURCE_CREATE_BLOB,
  SET_SCANOUT_BLOB: VIRTIO_GPU_SET_SCANOUT_BLOB,
  UPDATE_CURSOR: VIRTIO_GPU_UPDATE_CURSOR,
  MOVE_CURSOR: VIRTIO_GPU_UPDATE_CURSOR,
} as const;
export type GpuCommandName = keyof typeof GPU_COMMANDS;

export type GpuHeader = StructValue<typeof VIRTIO_GPU_CTRL_HDR extends Struct<infer F> ? F : never>;
type Body<N extends GpuCommandName> = (typeof GPU_COMMANDS)[N] extends Struct<infer F> ? StructValue<F> : never;

/** A piece of backing, its address as in lib/core/dma-address.ts. */
export interface MemEntry {
  readonly addr: number;
  readonly length: number;
}

/** The fields beside the header, as the specification names them. */
export type GpuFields<N extends GpuCommandName> = Omit<Body<N>, 'hdr'> &
  (N extends 'RESOURCE_ATTACH_BACKING' | 'RESOURCE_CREATE_BLOB'
    ? {
        /** Undefined: more than GPU_MEM_ENTRIES_MAX, or fewer bytes than nr_entries says. */ entries:
          | readonly MemEntry[]
          | undefined;
      }
    : unknown);
export type GpuCommand =
  | { [N in GpuCommandName]: { readonly name: N; readonly hdr: GpuHeader } & GpuFields<N> }[GpuCommandName]
  | InvalidCommand;

/** A request that cannot be taken apart, and how a device answers it. */
export interface InvalidCommand {
  readonly name: 'INVALID';
  /** Zeros when not even a header was there. */
  readonly hdr: GpuHeader;
  /** INVALID_PARAMETER: shorter than its struct. UNSPEC: a type that is unknown or not supported. */
  readonly error: 'ERR_UNSPEC' | 'ERR_INVALID_PARAMETER';
}

const NO_HEADER: GpuHeader = { type: 0, flags: 0, fence_id: 0n, ctx_id: 0, ring_idx: 0 };
const codeOf = (name: GpuCommandName): number => VIRTIO_GPU_CMD[`VIRTIO_GPU_CMD_${name}`];
const BY_CODE = new Map<number, GpuCommandName>(
  (Object.keys(GPU_COMMANDS) as GpuCommandName[]).map((name) => [codeOf(name), name]),
);

// Requests are copied out of guest memory before they are looked at, so that the guest cannot change what was checked.
const scratch = new Uint8Array(Math.max(...Object.values(GPU_COMMANDS).map(({ size }) => size)));
const scratchView = new DataView(scratch.buffer);

/** The request in `source`, a tail longer than its struct ignored. Never throws on what the guest wrote. */
export function decodeCommand(source: ByteSource): GpuCommand {
  const length = source.read(0, scratch);
  if (length < VIRTIO_GPU_CTRL_HDR.size) return { name: 'INVALID', hdr: NO_HEADER, error: 'ERR_INVALID_PARAMETER' };
  const name = BY_CODE.get(scratchView.getUint32(VIRTIO_GPU_CTRL_HDR.offset.type, true));
  if (name === undefined) {
    return { name: 'INVALID', hdr: VIRTIO_GPU_CTRL_HDR.get(scratchView, 0), error: 'ERR_UNSPEC' };
  }
  const layout: Struct<{ hdr: typeof VIRTIO_GPU_CTRL_HDR }> = GPU_COMMANDS[name];
  if (length < layout.size) {
    return { name: 'INVALID', hdr: VIRTIO_GPU_CTRL_HDR.get(scratchView, 0), error: 'ERR_INVALID_PARAMETER' };
  }
  const command: Record<string, unknown> = layout.get(scratchView, 0);
  command['name'] = name;
  if (name === 'RESOURCE_ATTACH_BACKING' || name === 'RESOURCE_CREATE_BLOB') {
    command['entries'] = decodeEntries(source, layout.size, command['nr_entries'] as number);
  }
  return command as unknown as GpuCommand;
}

function decodeEntries(source: ByteSource, offset: number, count: number): MemEntry[] | undefined {
  const size = count * VIRTIO_GPU_MEM_ENTRY.size;
  if (count > GPU_MEM_ENTRIES_MAX || source.readableBytes < offset + size) return undefined;
  const bytes = new Uint8Array(size);
  if (source.read(offset, bytes) < size) return undefined;
  const view = new DataView(bytes.buffer);
  const { addr, length } = VIRTIO_GPU_MEM_ENTRY.offset;
  return Array.from({ length: count }, (_, index) => {
    const at = index * VIRTIO_GPU_MEM_ENTRY.size;
    return {
      addr: dmaAddress(view.getUint32(at + addr + 4, true), view.getUint32(at + addr, true)),
      length: view.getUint32(at + length, true),
    };
  });
}

/** A rectangle in pixels. */
export interface Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface EncodeOptions {
  /** Asks for completion in order, and for this id in the response. */
  readonly fence?: bigint;
}

/** A request in the pieces that Linux makes of it: the struct, and the backing entries if it has any. */
export function encodeCommandParts<N extends GpuCommandName>(
  name: N,
  fields: GpuFields<N>,
  { fence }: EncodeOptions = {},
): Uint8Array[] {
  const layout: Struct<{ hdr: typeof VIRTIO_GPU_CTRL_HDR }> = GPU_COMMANDS[name];
  const hdr: GpuHeader = {
    ...NO_HEADER,
    type: codeOf(name),
    flags: fence === undefined ? 0 : VIRTIO_GPU_FLAG_FENCE,
    fence_id: fence ?? 0n,
  };
  const head = layout.bytes({ ...fields, hdr });
  const entries = (fields as { entries?: readonly MemEntry[] }).entries ?? [];
  if (entries.length === 0) return [head];
  const tail = new Uint8Array(entries.length * VIRTIO_GPU_MEM_ENTRY.size);
  for (const [index, { addr, length }] of entries.entries()) {
    VIRTIO_GPU_MEM_ENTRY.encode({ addr: dmaWire(addr), length }, tail, index * VIRTIO_GPU_MEM_ENTRY.size);
  }
  return [head, tail];
}

/** The bytes of a request in one piece. */
export function encodeCommand<N extends GpuCommandName>(
  name: N,
  fields: GpuFields<N>,
  options: EncodeOptions = {},
): Uint8Array {
  return concatBytes(encodeCommandParts(name, fields, options));
}

/** Bytes that the longest response to a command has: what its driver leaves room for. */
export function responseBytes(name: GpuCommandName): number {
  switch (name) {
    case 'GET_DISPLAY_INFO':
      return VIRTIO_GPU_RESP_DISPLAY_INFO.size;
    case 'GET_EDID':
      return VIRTIO_GPU_RESP_EDID.size;
    case 'RESOURCE_ASSIGN_UUID':
      return VIRTIO_GPU_RESP_RESOURCE_UUID.size;
    default:
      return VIRTIO_GPU_CTRL_HDR.size;
  }
}

type ShortName<K> = K extends `VIRTIO_GPU_RESP_${infer N}` ? N : never;
export type GpuResponseName = ShortName<keyof typeof VIRTIO_GPU_RESP>;
export type GpuErrorName = Extract<GpuResponseName, `ERR_${string}`>;
export type DisplayMode = StructValue<
  typeof VIRTIO_GPU_RESP_DISPLAY_INFO extends Struct<infer F> ? F : never
>['pmodes'][number];

/** What a device answers: no data, an error, or one of those with data. */
export type GpuResponse =
  | { readonly name: 'OK_NODATA' | GpuErrorName }
  /** One entry a scanout that can exist, always VIRTIO_GPU_MAX_SCANOUTS. */
  | { readonly name: 'OK_DISPLAY_INFO'; readonly pmodes: DisplayMode[] }
  /** At most VIRTIO_GPU_EDID_BYTES. */
  | { readonly name: 'OK_EDID'; readonly edid: Uint8Array }
  /** VIRTIO_GPU_UUID_BYTES, as in RFC 4122. */
  | { readonly name: 'OK_RESOURCE_UUID'; readonly uuid: Uint8Array };

const RESPONSE_NAMES = new Map<number, GpuResponseName>(
  Object.entries(VIRTIO_GPU_RESP).map(([name, code]) => [
    code,
    name.slice('VIRTIO_GPU_RESP_'.length) as GpuResponseName,
  ]),
);

const answer = new Uint8Array(VIRTIO_GPU_CTRL_HDR.size);
const answerView = new DataView(answer.buffer);

/**
 * The bytes of a response to the request that had `request` as its header. A fence is echoed with its id and context,
 * in errors too; flags other than FENCE are not, as QEMU's devices do (a 2D device has no ring_idx). The bytes are good until the next call.
 */
export function encodeResponse(response: GpuResponse, request: GpuHeader): Uint8Array {
  const fenced = (request.flags & VIRTIO_GPU_FLAG_FENCE) !== 0;
  const hdr: GpuHeader = {
    type: VIRTIO_GPU_RESP[`VIRTIO_GPU_RESP_${response.name}`],
    flags: fenced ? VIRTIO_GPU_FLAG_FENCE : 0,
    fence_id: fenced ? request.fence_id : 0n,
    ctx_id: fenced ? request.ctx_id : 0,
    ring_idx: 0,
  };
  switch (response.name) {
    case 'OK_DISPLAY_INFO':
      return VIRTIO_GPU_RESP_DISPLAY_INFO.bytes({ hdr, pmodes: response.pmodes });
    case 'OK_EDID':
      return VIRTIO_GPU_RESP_EDID.bytes({ hdr, size: response.edid.length, edid: response.edid });
    case 'OK_RESOURCE_UUID':
      return VIRTIO_GPU_RESP_RESOURCE_UUID.bytes({ hdr, uuid: response.uuid });
    default:
      VIRTIO_GPU_CTRL_HDR.set(answerView, 0, hdr);
      return answer;
  }
}

/** What a driver finds in a response buffer. */
export type DecodedResponse = { readonly hdr: GpuHeader } & (
  | GpuResponse
  /** Shorter than its struct, or of no known type. */
  | { readonly name: 'INVALID' }
);

/** The response in `bytes`, of which only what the used length covers may be given. Never throws. */
export function decodeResponse(bytes: Uint8Array): DecodedResponse {
  if (bytes.length < VIRTIO_GPU_CTRL_HDR.size) return { name: 'INVALID', hdr: NO_HEADER };
  const hdr = VIRTIO_GPU_CTRL_HDR.decode(bytes);
  const name = RESPONSE_NAMES.get(hdr.type);
  switch (name) {
    case 'OK_DISPLAY_INFO':
      if (bytes.length < VIRTIO_GPU_RESP_DISPLAY_INFO.size) return { name: 'INVALID', hdr };
      return { name, hdr, pmodes: VIRTIO_GPU_RESP_DISPLAY_INFO.decode(bytes).pmodes };
    case 'OK_EDID': {
      if (bytes.length < VIRTIO_GPU_RESP_EDID.size) return { name: 'INVALID', hdr };
      const { size, edid } = VIRTIO_GPU_RESP_EDID.decode(bytes);
      if (size > VIRTIO_GPU_EDID_BYTES) return { name: 'INVALID', hdr };
      return { name, hdr, edid: edid.slice(0, size) };
    }
    case 'OK_RESOURCE_UUID':
      if (bytes.length < VIRTIO_GPU_RESP_RESOURCE_UUID.size) return { name: 'INVALID', hdr };
      return { name, hdr, uuid: VIRTIO_GPU_RESP_RESOURCE_UUID.decode(bytes).uuid.slice() };
    case 'OK_CAPSET_INFO':
    case 'OK_CAPSET':
    case 'OK_MAP_INFO':
    case undefined:
      return { name: 'INVALID', hdr };
    default:
      return { name, hdr };
  }
}

export function isGpuError(response: DecodedResponse): boolean {
  return response.name === 'INVALID' || response.hdr.type >= VIRTIO_GPU_RESP_ERR_FIRST;
}

/** Plain bytes as a source, where a request is whole already. */
export function bytesSource(bytes: Uint8Array): ByteSource {
  return {
    readableBytes: bytes.length,
    read(offset, target) {
      const part = bytes.subarray(offset, offset + target.length);
      target.set(part);
      return part.length;
    },
  };
}
