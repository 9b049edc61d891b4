// What xenstored has, from every writer: each state that a device directory came to hold is a legal edge from the one before, for
// one of those who may write there, and no key of the backend changes in a state that has published it. Of a backend of others
// (xenwire chaos --backend-command) no record tells but these.
import {
  type DeviceKey,
  KIND_VIRTIO_MMIO,
  parseDeviceKey,
  XENBUS_KEY,
  XenbusState,
  xenbusStateName,
} from '../../lib/layout/xenbus.js';
import { POINT } from '../../lib/trace/points.js';
import { legalEdge, REVIEW_KEYS, type Side, type Writer } from '../../lib/xenbus/protocol.js';
import { COMPANION_DOMID } from '../case.js';
import type { Checker } from './checker.js';

const WRITERS: Readonly<Record<Side, readonly Writer[]>> = {
  front: ['frontend', 'core', 'toolstack'],
  back: ['backend', 'toolstack'],
};
const BACKEND_KEYS: ReadonlySet<string> = new Set(
  REVIEW_KEYS.filter(({ side, writers }) => side === 'back' && writers.length === 1 && writers[0] === 'backend').map(
    ({ key }) => key,
  ),
);

/** The directory and key that a path is of, at which end; undefined for any other path. */
function keyOf(path: string): DeviceKey | undefined {
  const found = parseDeviceKey(path);
  return found?.kind === KIND_VIRTIO_MMIO ? found : undefined;
}

export const committed: Checker = {
  name: 'committed',
  describe:
    'every state that the store came to hold is a legal edge, and no key of a backend changes once it is published',
  atRest: false,
  check({ records }) {
    const states = new Map<string, number>();
    // A transaction's changes are committed in no order of their own: a key is held against the state before its request.
    const published = new Map<string, number>();
    /** Directories whose backend has published its keys: a toolstack may remove a device before that. */
    const offered = new Set<string>();
    let firstLife: number | undefined;
    let life: number | undefined;
    return records.flatMap((record) => {
      const { point, label, a: removed, b: value, incarnation } = record;
      if (point === POINT['store.serve']) {
        for (const [dir, state] of states) published.set(dir, offered.has(dir) ? state : XenbusState.Unknown);
        return [];
      }
      if (point !== POINT['store.commit']) return [];
      firstLife ??= incarnation;
      // As a case begins there is no device. What a store that was killed wrote last may be in no record.
      if (incarnation !== life) for (const known of [states, published, offered]) known.clear();
      life = incarnation;
      const isFirst = life === firstLife;
      if (removed === 1) {
        for (const known of [states, published, offered])
          for (const dir of [...known.keys()]) if (`${dir}/`.startsWith(`${label}/`)) known.delete(dir);
        return [];
      }
      const found = keyOf(label);
      if (found === undefined) return [];
      const { side, dir, key, domid } = found;
      /** A guest that was there before the case. */
      const staysBeside = domid >= COMPANION_DOMID;
      if (side === 'back' && BACKEND_KEYS.has(key)) {
        const now = published.get(dir) ?? XenbusState.Unknown;
        if (now < XenbusState.InitWait || now === XenbusState.Closed) return [];
        return [{ what: `${label} was written in ${xenbusStateName(now)}, which has published it`, at: record }];
      }
      const before = states.get(dir) ?? (isFirst && !staysBeside ? XenbusState.Unknown : undefined);
      if (key !== XENBUS_KEY.state) return [];
      states.set(dir, value);
      if (value === XenbusState.InitWait || value === XenbusState.Connected) offered.add(dir);
      else if (value !== XenbusState.Closing) offered.delete(dir);
      if (before === undefined || before === value) return [];
      if (WRITERS[side].some((by) => legalEdge(side, before, value, by) !== undefined)) return [];
      return [{ what: `${label} went from ${xenbusStateName(before)} to ${xenbusStateName(value)}`, at: record }];
    });
  },
};
