// What a xenstored that replaces itself hands to the next that its store file does not keep: connections with what was
// half read and half sent, and their watches. In Xen's own stream (lib/layout/xs-state.ts), so that foreign tools can look
// at it; nodes, domains and quotas stand in the store file and come back from there, as after any end. Pure bytes: who
// collects them and who takes them up is in node/live-update.ts.
import { concatBytes, latin1Bytes, latin1Text } from '../../lib/core/bytes.js';
import { ProtocolError } from '../../lib/core/errors.js';
import { DOMID_INVALID } from '../../lib/core/ids.js';
import {
  XS_STATE_TYPE as TYPE,
  XENWIRE_STATE_MORE_INPUT,
  XENWIRE_STATE_TYPE_MORE_INPUT,
  XS_STATE_ALIGN,
  XS_STATE_CONN_FIELDS_UNIQ_ID,
  XS_STATE_CONN_TYPE_RING,
  XS_STATE_CONN_TYPE_SOCKET,
  XS_STATE_CONNECTION,
  XS_STATE_FLAGS,
  XS_STATE_GLOBAL,
  XS_STATE_IDENT,
  XS_STATE_PREAMBLE,
  XS_STATE_RECORD_HEADER,
  XS_STATE_VERSION,
  XS_STATE_WATCH,
  XS_STATE_WATCH_EXT,
} from '../../lib/layout/xs-state.js';

export interface LiveWatch {
  /** As the client spelled it: relative or absolute. */
  readonly path: string;
  readonly token: string;
  readonly depth: number | undefined;
}

/** Where a connection's bytes travel. */
export type LiveWire =
  | { readonly kind: 'socket'; readonly fd: number }
  | {
      readonly kind: 'ring';
      readonly domid: number;
      readonly targetDomid: number | undefined;
      /** The port that INTRODUCE named: the binding itself ends with the process, because the host's memory of it does. */
      readonly port: number;
      readonly uniqueId: bigint;
    };

export interface LiveConnection {
  readonly wire: LiveWire;
  /** Bytes read and not done: whole requests and at last part of one. */
  readonly input: Uint8Array;
  /** Bytes not sent. */
  readonly output: Uint8Array;
  /** How many of the output's bytes end a message that was begun. */
  readonly begun: number;
  readonly watches: readonly LiveWatch[];
}

export interface LiveState {
  readonly listeningFd: number;
  /** In the order they were made, which is the order in which they are told of events. */
  readonly connections: readonly LiveConnection[];
}

/** The most unfinished input that a connection's record holds: u16. */
const RECORD_INPUT_BYTES_MAX = 0xffff;
const U64 = 8;
const EMPTY = new Uint8Array(0);
const padded = (size: number): number => Math.ceil(size / XS_STATE_ALIGN) * XS_STATE_ALIGN;

function record(type: number, parts: readonly Uint8Array[]): Uint8Array {
  const body = concatBytes(parts);
  const fill = new Uint8Array(padded(body.length) - body.length);
  return concatBytes([XS_STATE_RECORD_HEADER.bytes({ type, length: body.length + fill.length }), body, fill]);
}

function connectionRecord(id: number, { wire, input, output, begun }: LiveConnection): Uint8Array {
  const isRing = wire.kind === 'ring';
  const head = XS_STATE_CONNECTION.bytes({
    conn_id: id,
    conn_type: isRing ? XS_STATE_CONN_TYPE_RING : XS_STATE_CONN_TYPE_SOCKET,
    fields: isRing ? XS_STATE_CONN_FIELDS_UNIQ_ID : 0,
    spec_low: isRing ? (wire.domid | ((wire.targetDomid ?? DOMID_INVALID) << 16)) >>> 0 : wire.fd,
    spec_high: isRing ? wire.port : 0,
    data_in_len: input.length,
    data_resp_len: begun,
    data_out_len: output.length,
  });
  const used = head.length + input.length + output.length;
  const parts = [head, input, output];
  if (isRing) {
    const unique = new Uint8Array(padded(used) - used + U64);
    new DataView(unique.buffer).setBigUint64(unique.length - U64, wire.uniqueId, true);
    parts.push(unique);
  }
  return record(TYPE.XS_STATE_TYPE_CONN, parts);
}

function watchRecord(connectionId: number, { path, token, depth }: LiveWatch): Uint8Array {
  const texts = latin1Bytes(`${path}\0${token}\0`);
  const fields = { conn_id: connectionId, path_length: path.length + 1, token_length: token.length + 1 };
  if (depth === undefined) return record(TYPE.XS_STATE_TYPE_WATCH, [XS_STATE_WATCH.bytes(fields), texts]);
  // More levels than a path can have are all the same.
  const limited = { ...fields, depth: Math.min(depth, 0xffff) };
  return record(TYPE.XS_STATE_TYPE_WATCH_EXT, [XS_STATE_WATCH_EXT.bytes(limited), texts]);
}

function moreInputRecord(connectionId: number, input: Uint8Array): Uint8Array {
  const head = XENWIRE_STATE_MORE_INPUT.bytes({ conn_id: connectionId, size: input.length });
  return record(XENWIRE_STATE_TYPE_MORE_INPUT, [head, input]);
}

/** The stream. */
export function encodeLiveState(state: LiveState): Uint8Array {
  const preamble = { ident: latin1Bytes(XS_STATE_IDENT), version: XS_STATE_VERSION, flags: XS_STATE_FLAGS };
  const parts = [
    XS_STATE_PREAMBLE.bytes(preamble),
    record(TYPE.XS_STATE_TYPE_GLOBAL, [XS_STATE_GLOBAL.bytes({ socket_fd: state.listeningFd, evtchn_fd: -1 })]),
  ];
  state.connections.forEach((connection, index) => {
    const id = index + 1;
    const { input } = connection;
    parts.push(connectionRecord(id, { ...connection, input: input.subarray(0, RECORD_INPUT_BYTES_MAX) }));
    if (input.length > RECORD_INPUT_BYTES_MAX) parts.push(moreInputRecord(id, input.subarray(RECORD_INPUT_BYTES_MAX)));
    for (const watch of connection.watches) parts.push(watchRecord(id, watch));
  });
  parts.push(record(TYPE.XS_STATE_TYPE_END, []));
  return concatBytes(parts);
}

function bad(what: string): never {
  throw new ProtocolError('live-state', `the state that was handed over cannot be read: ${what}`);
}

/** `count` bytes of a body at `at`. */
function slice(body: Uint8Array, at: number, count: number): Uint8Array {
  if (at + count > body.length) bad('a record is too short');
  return body.subarray(at, at + count);
}

type Decoded = { -readonly [K in keyof LiveConnection]: LiveConnection[K] } & { watches: LiveWatch[] };

function decodeConnection(body: Uint8Array): { id: number; connection: Decoded } {
  const head = XS_STATE_CONNECTION.decode(slice(body, 0, XS_STATE_CONNECTION.size));
  const input = slice(body, XS_STATE_CONNECTION.size, head.data_in_len);
  const outputAt = XS_STATE_CONNECTION.size + head.data_in_len;
  const output = slice(body, outputAt, head.data_out_len);
  if (head.data_resp_len > head.data_out_len) bad('more is begun than is to be sent');
  const rest = { input, output, begun: head.data_resp_len, watches: [] };
  if (head.conn_type === XS_STATE_CONN_TYPE_SOCKET) {
    return { id: head.conn_id, connection: { wire: { kind: 'socket', fd: head.spec_low }, ...rest } };
  }
  if (head.conn_type !== XS_STATE_CONN_TYPE_RING) bad(`a connection of type ${head.conn_type}`);
  const hasUnique = (head.fields & XS_STATE_CONN_FIELDS_UNIQ_ID) !== 0;
  const unique = hasUnique ? slice(body, padded(outputAt + head.data_out_len), U64) : EMPTY;
  const target = head.spec_low >>> 16;
  const wire: LiveWire = {
    kind: 'ring',
    domid: head.spec_low & 0xffff,
    targetDomid: target === DOMID_INVALID ? undefined : target,
    port: head.spec_high,
    uniqueId: hasUnique ? new DataView(unique.buffer, unique.byteOffset, U64).getBigUint64(0, true) : 0n,
  };
  return { id: head.conn_id, connection: { wire, ...rest } };
}

function decodeWatch(body: Uint8Array, extended: boolean): { id: number; watch: LiveWatch } {
  const layout = extended ? XS_STATE_WATCH_EXT : XS_STATE_WATCH;
  const head = layout.decode(slice(body, 0, layout.size));
  const texts = latin1Text(slice(body, layout.size, head.path_length + head.token_length));
  const path = texts.slice(0, head.path_length - 1);
  const token = texts.slice(head.path_length, -1);
  const depth = 'depth' in head ? (head.depth as number) : undefined;
  if (texts !== `${path}\0${token}\0` || path === '') bad('a watch without a path');
  return { id: head.conn_id, watch: { path, token, depth } };
}

/** Reads a stream; records of kinds that are not ours are passed over, as Xen does. Throws ProtocolError. */
export function decodeLiveState(bytes: Uint8Array): LiveState {
  const preamble = XS_STATE_PREAMBLE.decode(slice(bytes, 0, XS_STATE_PREAMBLE.size));
  if (latin1Text(preamble.ident) !== XS_STATE_IDENT) bad('it is something else');
  if (preamble.version < 1 || preamble.version > XS_STATE_VERSION) bad(`version ${preamble.version}`);
  if (preamble.flags !== XS_STATE_FLAGS) bad(`flags ${preamble.flags}`);
  const connections = new Map<number, Decoded>();
  let listeningFd = -1;
  for (let at = XS_STATE_PREAMBLE.size; ; ) {
    const { type, length } = XS_STATE_RECORD_HEADER.decode(slice(bytes, at, XS_STATE_RECORD_HEADER.size));
    const body = slice(bytes, at + XS_STATE_RECORD_HEADER.size, length);
    at += XS_STATE_RECORD_HEADER.size + length;
    if (type === TYPE.XS_STATE_TYPE_END) return { listeningFd, connections: [...connections.values()] };
    if (type === TYPE.XS_STATE_TYPE_GLOBAL) {
      listeningFd = XS_STATE_GLOBAL.decode(slice(body, 0, XS_STATE_GLOBAL.size)).socket_fd;
    } else if (type === TYPE.XS_STATE_TYPE_CONN) {
      const { id, connection } = decodeConnection(body);
      if (connections.has(id)) bad(`connection ${id} stands there twice`);
      connections.set(id, connection);
    } else if (type === TYPE.XS_STATE_TYPE_WATCH || type === TYPE.XS_STATE_TYPE_WATCH_EXT) {
      const { id, watch } = decodeWatch(body, type === TYPE.XS_STATE_TYPE_WATCH_EXT);
      (connections.get(id) ?? bad(`a watch of connection ${id}, which is not there`)).watches.push(watch);
    } else if (type === XENWIRE_STATE_TYPE_MORE_INPUT) {
      const { size } = XENWIRE_STATE_MORE_INPUT;
      const head = XENWIRE_STATE_MORE_INPUT.decode(slice(body, 0, size));
      const connection =
        connections.get(head.conn_id) ?? bad(`input of connection ${head.conn_id}, which is not there`);
      connection.input = concatBytes([connection.input, slice(body, size, head.size)]);
    }
  }
}
