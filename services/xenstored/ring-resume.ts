// The connection of a guest on its ring that a killed xenstored left, put into the store again from what the journal keeps of
// it. Transactions come back as ones that cannot commit: their versions of nodes were never written down, and EAGAIN at the
// end is what every client of a store must expect; ENOENT for their number, which the C daemon would answer, is not. Leaves
// the page, and how much of a message is in it, to ring-session.ts.
import { latin1Bytes, latin1Text } from '../../lib/core/bytes.js';
import { encodeMessage } from '../../lib/xenstore/framing.js';
import type { Connection } from './connection.js';
import type { LiveConnection, LiveWatch } from './live-state.js';
import { isRelative } from './path.js';
import type { KeptRing } from './ring-kept.js';
import type { StoreState } from './state.js';

/** A guest's connection of before; its watches and the messages that wait for it are there already. */
export interface CarriedRing {
  readonly connection: Connection;
  readonly live: Pick<LiveConnection, 'input' | 'output' | 'begun'>;
  /** Where the streams stood, when the program before us was killed; undefined: it handed over by itself. */
  readonly stood: StreamsStood | undefined;
  /** The connection's hooks; a session that takes it over sets its own. */
  onOutput: () => void;
  onDropped: () => void;
}

/** Indexes of the page's streams: the page's own may lie behind `consumed`, and between `at` and the end of `bytes`. */
export interface StreamsStood {
  readonly consumed: number;
  /** The message whose sending began. */
  readonly begun: { readonly at: number; readonly bytes: Uint8Array } | undefined;
}

export function carriedRing(
  store: StoreState,
  domid: number,
  live: CarriedRing['live'],
  stood: StreamsStood | undefined,
): CarriedRing {
  const connection = store.connectGuest(domid, {
    name: `ring-${domid}`,
    outlivesProgram: true,
    onOutput: () => carried.onOutput(),
    onDropped: () => carried.onDropped(),
    keep: (change) => store.journal.ring(domid, change),
  });
  const carried: CarriedRing = { connection, live, stood, onOutput: () => {}, onDropped: () => {} };
  return carried;
}

/** Puts a kept ring's connection into the store; the journal says of it from here on what it is now. */
export function resumeKept(store: StoreState, domid: number, kept: KeptRing): CarriedRing {
  const { consumed, input, begun } = kept;
  const bytes =
    begun === undefined ? undefined : 'bytes' in begun ? latin1Bytes(begun.bytes) : encodeMessage(begun.message);
  const stood = { consumed, begun: begun === undefined || bytes === undefined ? undefined : { at: begun.at, bytes } };
  const live = { input: latin1Bytes(input), output: new Uint8Array(0), begun: 0 };
  const carried = carriedRing(store, domid, live, stood);
  keepStreams(carried.connection, { consumed, input, begun: stood.begun });
  for (const message of kept.queued.values()) carried.connection.outbox.carry(message);
  for (const watch of kept.watches.values()) addWatch(store, carried.connection, watch);
  for (const txId of kept.transactions) store.openLostTransaction(carried.connection, txId);
  return carried;
}

/** Begins what is kept of a ring anew: where its streams stand, `input` as a byte string. */
export function keepStreams({ keep }: Connection, stands: StreamsStood & { readonly input: string }): void {
  const { consumed, input, begun } = stands;
  keep?.({ kind: 'begin', consumed });
  if (input !== '') keep?.({ kind: 'input', consumed, bytes: input });
  if (begun !== undefined) keep?.({ kind: 'sending', at: begun.at, bytes: latin1Text(begun.bytes) });
}

export function addWatch(store: StoreState, connection: Connection, { path, token, depth }: LiveWatch): void {
  const cut = isRelative(path) ? connection.home.length + 1 : 0;
  store.addWatch(connection, { path: cut === 0 ? path : `${connection.home}/${path}`, token, depth, cut });
}
