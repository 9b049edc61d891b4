// vhost-user messages: bytes to a closed union or a ProtocolError, and back. What a message may contain is the table
// below; whether it may come now is for the sessions. Handles (file descriptors on a unix socket, doorbells and files on
// the bus) are opaque: `H`. When decoding throws, the handles stay the caller's.
import {
  VHOST_MEMORY_XEN_NREGIONS,
  VHOST_USER_BACKEND_REQUEST,
  VHOST_USER_FDS_MAX,
  VHOST_USER_FLAGS_MASK,
  VHOST_USER_NEED_REPLY_MASK,
  VHOST_USER_PAYLOAD_SIZE_MAX,
  type VHOST_USER_PROTOCOL_F,
  VHOST_USER_REPLY_MASK,
  VHOST_USER_REQUEST,
  VHOST_USER_VERSION,
  VHOST_USER_VERSION_MASK,
} from '../layout/vhost-user.js';
import { bad, decoders, encoders, type PayloadKind, type Payloads } from './payloads.js';

/** A message as a transport carries it, the header taken apart. */
export interface RawMessage<H> {
  readonly request: number;
  readonly flags: number;
  readonly payload: Uint8Array;
  readonly handles: readonly H[];
}

/** Handles that ride with the message: a count, one a region, or one unless the ring is polled. */
type HandleRule = 0 | 1 | 'optional' | 'regions' | 'unless-polled';

interface MessageRule {
  readonly number: number;
  readonly payload: PayloadKind;
  readonly handles: HandleRule;
  /** Payload of its own reply; undefined: only an acknowledgement on request (REPLY_ACK). */
  readonly reply?: PayloadKind;
  /** Protocol feature that must be negotiated first. */
  readonly needs?: keyof typeof VHOST_USER_PROTOCOL_F;
}

const R = VHOST_USER_REQUEST;
/** Front-end to back-end: every request that our back-ends know. The others are refused as unknown. */
export const REQUESTS = {
  GET_FEATURES: { number: R.VHOST_USER_GET_FEATURES, payload: 'none', handles: 0, reply: 'u64' },
  SET_FEATURES: { number: R.VHOST_USER_SET_FEATURES, payload: 'u64', handles: 0 },
  SET_OWNER: { number: R.VHOST_USER_SET_OWNER, payload: 'none', handles: 0 },
  RESET_OWNER: { number: R.VHOST_USER_RESET_OWNER, payload: 'none', handles: 0 },
  SET_MEM_TABLE: { number: R.VHOST_USER_SET_MEM_TABLE, payload: 'table', handles: 'regions' },
  SET_LOG_BASE: { number: R.VHOST_USER_SET_LOG_BASE, payload: 'log', handles: 1, reply: 'u64', needs: 'LOG_SHMFD' },
  SET_LOG_FD: { number: R.VHOST_USER_SET_LOG_FD, payload: 'none', handles: 1 },
  SET_VRING_NUM: { number: R.VHOST_USER_SET_VRING_NUM, payload: 'state', handles: 0 },
  SET_VRING_ADDR: { number: R.VHOST_USER_SET_VRING_ADDR, payload: 'addr', handles: 0 },
  SET_VRING_BASE: { number: R.VHOST_USER_SET_VRING_BASE, payload: 'state', handles: 0 },
  GET_VRING_BASE: { number: R.VHOST_USER_GET_VRING_BASE, payload: 'state', handles: 0, reply: 'state' },
  SET_VRING_KICK: { number: R.VHOST_USER_SET_VRING_KICK, payload: 'vring', handles: 'unless-polled' },
  SET_VRING_CALL: { number: R.VHOST_USER_SET_VRING_CALL, payload: 'vring', handles: 'unless-polled' },
  SET_VRING_ERR: { number: R.VHOST_USER_SET_VRING_ERR, payload: 'vring', handles: 'unless-polled' },
  GET_PROTOCOL_FEATURES: { number: R.VHOST_USER_GET_PROTOCOL_FEATURES, payload: 'none', handles: 0, reply: 'u64' },
  SET_PROTOCOL_FEATURES: { number: R.VHOST_USER_SET_PROTOCOL_FEATURES, payload: 'u64', handles: 0 },
  GET_QUEUE_NUM: { number: R.VHOST_USER_GET_QUEUE_NUM, payload: 'none', handles: 0, reply: 'u64', needs: 'MQ' },
  SET_VRING_ENABLE: { number: R.VHOST_USER_SET_VRING_ENABLE, payload: 'state', handles: 0 },
  SET_BACKEND_REQ_FD: {
    number: R.VHOST_USER_SET_BACKEND_REQ_FD,
    payload: 'none',
    handles: 1,
    needs: 'BACKEND_REQ',
  },
  GET_CONFIG: { number: R.VHOST_USER_GET_CONFIG, payload: 'config', handles: 0, reply: 'configReply', needs: 'CONFIG' },
  SET_CONFIG: { number: R.VHOST_USER_SET_CONFIG, payload: 'config', handles: 0, needs: 'CONFIG' },
  GET_INFLIGHT_FD: {
    number: R.VHOST_USER_GET_INFLIGHT_FD,
    payload: 'inflight',
    handles: 0,
    reply: 'inflight',
    needs: 'INFLIGHT_SHMFD',
  },
  SET_INFLIGHT_FD: { number: R.VHOST_USER_SET_INFLIGHT_FD, payload: 'inflight', handles: 1, needs: 'INFLIGHT_SHMFD' },
  GPU_SET_SOCKET: { number: R.VHOST_USER_GPU_SET_SOCKET, payload: 'none', handles: 1 },
  RESET_DEVICE: { number: R.VHOST_USER_RESET_DEVICE, payload: 'none', handles: 0, needs: 'RESET_DEVICE' },
  GET_MAX_MEM_SLOTS: {
    number: R.VHOST_USER_GET_MAX_MEM_SLOTS,
    payload: 'none',
    handles: 0,
    reply: 'u64',
    needs: 'CONFIGURE_MEM_SLOTS',
  },
  ADD_MEM_REG: { number: R.VHOST_USER_ADD_MEM_REG, payload: 'region', handles: 1, needs: 'CONFIGURE_MEM_SLOTS' },
  // Old front-ends send a descriptor along; the receiver closes it.
  REM_MEM_REG: {
    number: R.VHOST_USER_REM_MEM_REG,
    payload: 'region',
    handles: 'optional',
    needs: 'CONFIGURE_MEM_SLOTS',
  },
  SET_STATUS: { number: R.VHOST_USER_SET_STATUS, payload: 'u64', handles: 0, needs: 'STATUS' },
  GET_STATUS: { number: R.VHOST_USER_GET_STATUS, payload: 'none', handles: 0, reply: 'u64', needs: 'STATUS' },
} as const satisfies Record<string, MessageRule>;
export type RequestType = keyof typeof REQUESTS;

const B = VHOST_USER_BACKEND_REQUEST;
/** Back-end to front-end. */
export const BACKEND_REQUESTS = {
  CONFIG_CHANGE_MSG: { number: B.VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, payload: 'none', handles: 0 },
  VRING_CALL: { number: B.VHOST_USER_BACKEND_VRING_CALL, payload: 'state', handles: 0 },
  VRING_ERR: { number: B.VHOST_USER_BACKEND_VRING_ERR, payload: 'state', handles: 0 },
} as const satisfies Record<string, MessageRule>;
export type BackendRequestType = keyof typeof BACKEND_REQUESTS;

type Rules = { readonly [type: string]: MessageRule };
type MessageOf<Table extends Rules, H> = {
  [T in keyof Table]: {
    readonly type: T;
    readonly needReply: boolean;
    readonly handles: readonly H[];
  } & Payloads[Table[T]['payload']];
}[keyof Table];
export type Request<H> = MessageOf<typeof REQUESTS, H>;
export type BackendRequest<H> = MessageOf<typeof BACKEND_REQUESTS, H>;
export type BodyOf<T extends RequestType> = Payloads[(typeof REQUESTS)[T]['payload']];
export type ReplyOf<T extends RequestType> = (typeof REQUESTS)[T] extends { reply: infer P extends PayloadKind }
  ? Payloads[P]
  : undefined;

const byNumber = (table: Rules): ReadonlyMap<number, string> =>
  new Map(Object.entries(table).map(([type, rule]) => [rule.number, type]));
const REQUEST_TYPES = byNumber(REQUESTS);
const BACKEND_REQUEST_TYPES = byNumber(BACKEND_REQUESTS);

/** Throws unless the header's own fields are sound; before anything is allocated for the payload. */
export function checkHeader(header: { request: number; flags: number; size: number }): void {
  if ((header.flags & VHOST_USER_VERSION_MASK) !== VHOST_USER_VERSION)
    throw bad('version', `flags 0x${header.flags.toString(16)} are not version 1`);
  if (header.size > VHOST_USER_PAYLOAD_SIZE_MAX)
    throw bad('size', `request ${header.request} announces ${header.size} bytes, over ${VHOST_USER_PAYLOAD_SIZE_MAX}`);
}

function decode(table: Rules, types: ReadonlyMap<number, string>, raw: RawMessage<unknown>): unknown {
  checkHeader({ request: raw.request, flags: raw.flags, size: raw.payload.length });
  const type = types.get(raw.request);
  if (type === undefined) throw bad('request', `request ${raw.request} is not known here`);
  const rule = table[type]!;
  if (raw.flags & VHOST_USER_REPLY_MASK) throw bad('flags', `${type} carries the reply flag`);
  if (raw.flags & ~VHOST_USER_FLAGS_MASK) throw bad('flags', `${type} has flags 0x${raw.flags.toString(16)}`);
  const handlesMax = rule.handles === 'regions' ? VHOST_MEMORY_XEN_NREGIONS : VHOST_USER_FDS_MAX;
  if (raw.handles.length > handlesMax) throw bad('handles', `${type} brings ${raw.handles.length} handles`);
  const body = decoders[rule.payload](type, raw.payload);
  const want = handleCount(rule.handles, body, raw.handles.length);
  if (raw.handles.length !== want) throw bad('handles', `${type} brings ${raw.handles.length} handles, not ${want}`);
  return { type, needReply: (raw.flags & VHOST_USER_NEED_REPLY_MASK) !== 0, handles: raw.handles, ...body };
}

function handleCount(rule: HandleRule, body: Payloads[PayloadKind], given: number): number {
  switch (rule) {
    case 'optional':
      return Math.min(given, 1);
    case 'regions':
      return (body as Payloads['table']).regions.length;
    case 'unless-polled':
      return (body as Payloads['vring']).polled ? 0 : 1;
    default:
      return rule;
  }
}

/** A front-end's message, checked in itself. Throws ProtocolError. */
export function decodeRequest<H>(raw: RawMessage<H>): Request<H> {
  return decode(REQUESTS, REQUEST_TYPES, raw) as Request<H>;
}

/** A back-end's message to the front-end. Throws ProtocolError. */
export function decodeBackendRequest<H>(raw: RawMessage<H>): BackendRequest<H> {
  return decode(BACKEND_REQUESTS, BACKEND_REQUEST_TYPES, raw) as BackendRequest<H>;
}

export interface EncodeOptions<H> {
  readonly handles?: readonly H[];
  readonly needReply?: boolean;
}

function encode<H>(rule: MessageRule, body: Payloads[PayloadKind], options: EncodeOptions<H>): RawMessage<H> {
  return {
    request: rule.number,
    flags: VHOST_USER_VERSION | (options.needReply ? VHOST_USER_NEED_REPLY_MASK : 0),
    payload: encoders[rule.payload](body as never),
    handles: options.handles ?? [],
  };
}

export function encodeRequest<T extends RequestType, H>(
  type: T,
  body: BodyOf<T>,
  options: EncodeOptions<H> = {},
): RawMessage<H> {
  return encode(REQUESTS[type], body, options);
}

export function encodeBackendRequest<T extends BackendRequestType, H>(
  type: T,
  body: Payloads[(typeof BACKEND_REQUESTS)[T]['payload']],
  options: EncodeOptions<H> = {},
): RawMessage<H> {
  return encode(BACKEND_REQUESTS[type], body, options);
}

const reply = <H>(request: number, payload: Uint8Array, handles: readonly H[]): RawMessage<H> => ({
  request,
  flags: VHOST_USER_VERSION | VHOST_USER_REPLY_MASK,
  payload,
  handles,
});

/** A request's own reply. */
export function encodeReply<T extends RequestType, H = never>(
  type: T,
  body: ReplyOf<T>,
  handles: readonly H[] = [],
): RawMessage<H> {
  const rule: MessageRule = REQUESTS[type];
  if (rule.reply === undefined) throw new Error(`${type} has no reply of its own`);
  return reply(rule.number, encoders[rule.reply](body as never), handles);
}

/** Whether a request, by its number, has a reply of its own, and so no acknowledgement. */
export function replies(request: number): boolean {
  const type = REQUEST_TYPES.get(request);
  return type !== undefined && 'reply' in REQUESTS[type as RequestType];
}

/** REPLY_ACK's answer to a request, by its name or number: 0 for success. */
export function encodeAck(request: RequestType | number, status: bigint): RawMessage<never> {
  const number = typeof request === 'number' ? request : REQUESTS[request].number;
  return reply(number, encoders.u64({ value: status }), []);
}

function checkReply(type: RequestType, raw: RawMessage<unknown>): void {
  // libvhost-user echoes NEED_REPLY in explicit replies, so the flag is not looked at.
  const mask = VHOST_USER_VERSION_MASK | VHOST_USER_REPLY_MASK;
  if (raw.request !== REQUESTS[type].number || (raw.flags & mask) !== (VHOST_USER_VERSION | VHOST_USER_REPLY_MASK))
    throw bad('reply', `${type} was answered by request ${raw.request}, flags 0x${raw.flags.toString(16)}`);
  const most = type === 'GET_INFLIGHT_FD' ? 1 : 0;
  if (raw.handles.length > most) throw bad('handles', `the reply to ${type} brings ${raw.handles.length} handles`);
}

/** The reply to a request of ours. Throws ProtocolError when it is not one to `type`, or not of its shape. */
export function decodeReply<T extends RequestType>(type: T, raw: RawMessage<unknown>): ReplyOf<T> {
  checkReply(type, raw);
  const rule: MessageRule = REQUESTS[type];
  if (rule.reply === undefined) throw new Error(`${type} has no reply of its own`);
  return decoders[rule.reply](`the reply to ${type}`, raw.payload) as ReplyOf<T>;
}

/** The acknowledgement of a request of ours: 0 for success. */
export function decodeAck(type: RequestType, raw: RawMessage<unknown>): bigint {
  checkReply(type, raw);
  return decoders.u64(`the acknowledgement of ${type}`, raw.payload).value;
}
