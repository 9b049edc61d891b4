// What must hold whenever a key is written or read, whichever process does it: legal edges, who may write which key, nothing
// acted on before it is published. The rules themselves are the protocol's tables (lib/xenbus/protocol.ts).
import { VIRTIO_MMIO_KEY, XENBUS_KEY, XenbusState, xenbusStateName } from '../lib/layout/xenbus.js';
import { parseState } from '../lib/xenbus/keys.js';
import { type Side as End, legalEdge, type Protocol, type Writer } from '../lib/xenbus/protocol.js';
import { isPublished, keyRule } from '../lib/xenbus/rules.js';
import type { Nodes } from './store.js';
import type { Paths, Violation } from './world.js';

interface Place {
  readonly end: End;
  readonly key: string;
  /** The directory's own state. */
  readonly state: string;
}

function placeOf(paths: Paths, path: string): Place | undefined {
  if (path.startsWith(`${paths.front}/`))
    return { end: 'front', key: path.slice(paths.front.length + 1), state: paths.frontState };
  if (path.startsWith(`${paths.back}/`))
    return { end: 'back', key: path.slice(paths.back.length + 1), state: paths.backState };
  return undefined;
}

export interface Written {
  readonly by: Writer;
  readonly path: string;
  readonly before: string | undefined;
  readonly now: string;
  /** Before the write or the transaction. */
  readonly nodes: Nodes;
  readonly seen: number | undefined;
}

/** What is wrong with a write, if anything. */
export function judgeWrite(protocol: Protocol, paths: Paths, write: Written): Violation | undefined {
  const place = placeOf(paths, write.path);
  if (place === undefined) return undefined;
  const { by, before, now, nodes, seen } = write;
  const rule = keyRule(protocol, place.end, place.key);
  const what = `${by} writes ${place.end === 'front' ? 'frontend' : 'backend'}'s ${place.key}=${now}`;
  if (rule === undefined) return { property: 'key-ownership', text: `${what}, which the protocol does not know` };
  if (!rule.writers.includes(by === 'core' ? 'frontend' : by))
    return { property: 'key-ownership', text: `${what}, which is not its own` };
  if (place.key === XENBUS_KEY.state) {
    const from = before === undefined ? XenbusState.Unknown : parseState(before);
    const to = parseState(now);
    if (from === to) return undefined;
    if (legalEdge(place.end, from, to, by, seen, protocol.edges) !== undefined)
      return by === 'frontend' && isDetour(from, to, seen)
        ? { property: 'detour', text: 'the frontend closes at 1, and its backend has not begun' }
        : undefined;
    const other = seen === undefined ? '' : `, the other end at ${seen}`;
    return {
      property: 'legal-edges',
      text: `${by} moves from ${xenbusStateName(from)} to ${xenbusStateName(to)}${other}`,
    };
  }
  const queue = /^queue-([0-9]+)\//.exec(place.key)?.[1];
  const offered = Number(nodes[`${paths.back}/${VIRTIO_MMIO_KEY.featureQueueEvtchn}`] ?? 0);
  if (queue !== undefined && Number(queue) >= offered)
    return { property: 'publication', text: `${what}, which the backend did not offer` };
  // A process that was replaced publishes again what is published already.
  if (by === 'toolstack' || before === now) return undefined;
  const own = parseState(nodes[place.state] ?? '0');
  return !isPublished(rule, own) || own === XenbusState.Closing
    ? undefined
    : { property: 'publication', text: `${what} in state ${own}, after it was published` };
}

/** Legal, and of no use: the backend at 1 would have to begin anew. */
const isDetour = (from: number, to: number, seen: number | undefined): boolean =>
  from === XenbusState.Initialising && to === XenbusState.Closed && seen === XenbusState.Initialising;

/** What is wrong with acting on a key of the other end, whose state the reader saw as `seen`. */
export function judgeRead(
  protocol: Protocol,
  paths: Paths,
  read: { by: Writer; path: string; seen: number | undefined },
): Violation | undefined {
  const { by, path, seen } = read;
  const place = placeOf(paths, path);
  if (place === undefined || seen === undefined || place.key === XENBUS_KEY.state) return undefined;
  if ((by === 'backend') === (place.end === 'back')) return undefined;
  const rule = keyRule(protocol, place.end, place.key);
  if (rule === undefined)
    return { property: 'key-ownership', text: `${by} reads ${place.key}, which the protocol does not know` };
  if (isPublished(rule, seen)) return undefined;
  const text = `${by} acts on ${place.key} with the other end at ${seen}: published at ${rule.publishedAt}`;
  return { property: 'publication', text };
}
