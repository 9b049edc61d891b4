// Watches: registered by path, found by walking up from the changed path, told in xenstored's order (connections by age,
// then registration). Finding costs the depth of the path, not the number of watches. Leaves sending to outbox.ts.
import type { LiveWatch } from './live-state.js';
import type { StoreNode } from './node.js';
import type { Outbox, Outstanding } from './outbox.js';
import { levelsBelow, parentPath } from './path.js';
import { grantedTo, PERM_READ, type Perm, type Subject } from './perms.js';

/** The holder of watches: its rights decide what it is told, its number when, and its events wait in its outbox. */
export interface Watcher extends Subject {
  readonly seq: number;
  readonly watches: Map<string, Watch>;
  readonly outbox: Outbox;
}

export interface Watch {
  readonly connection: Watcher;
  readonly path: string;
  readonly token: string;
  /** Levels below `path` that count; undefined: all. */
  readonly depth: number | undefined;
  /** Characters cut off event paths: the home of a connection that spelled the path relative. */
  readonly cut: number;
  readonly seq: number;
}

/** Which watches a change tells. */
export type Match =
  /** Those on the changed node only: a descendant of a removed node. */
  | 'exact'
  /** Those on the node and on all above it. */
  | 'subtree'
  /** Special node with a domid: those on exactly it, and those above with a depth of at least 1. */
  | 'depth'
  /** Special node: those on exactly it without a depth. */
  | 'no-depth';

/** What the receiver filter looks at: the node (undefined: it is gone), its parent, the permissions it had before. */
export interface Visible {
  readonly node: StoreNode | undefined;
  readonly parent: StoreNode | undefined;
  readonly oldPerms?: readonly Perm[] | undefined;
}

export class Watches {
  readonly #byPath = new Map<string, Set<Watch>>();
  readonly #cause: () => Outstanding | undefined;
  #seq = 0;

  /** `cause`: the request that events are to be counted against. */
  constructor(cause: () => Outstanding | undefined = () => undefined) {
    this.#cause = cause;
  }

  static key(path: string, token: string): string {
    return `${path}\0${token}`;
  }

  add(fields: Omit<Watch, 'seq'>): Watch {
    const watch: Watch = { ...fields, seq: ++this.#seq };
    const there = this.#byPath.get(watch.path);
    if (there === undefined) this.#byPath.set(watch.path, new Set([watch]));
    else there.add(watch);
    watch.connection.watches.set(Watches.key(watch.path, watch.token), watch);
    return watch;
  }

  remove(watch: Watch): void {
    const there = this.#byPath.get(watch.path);
    there?.delete(watch);
    if (there?.size === 0) this.#byPath.delete(watch.path);
    watch.connection.watches.delete(Watches.key(watch.path, watch.token));
  }

  /** Queues an event at every connection that watches and may see the change. */
  fire(path: string, match: Match, visible: Visible): void {
    if (this.#byPath.size === 0) return;
    const watches = this.#matching(path, match);
    let connection: Watcher | undefined;
    let allowed = false;
    const cause = this.#cause();
    for (const watch of watches) {
      if (watch.connection !== connection) {
        connection = watch.connection;
        allowed = maySee(connection, visible);
      }
      if (allowed) connection.outbox.event(watch.cut === 0 ? path : path.slice(watch.cut), watch.token, cause);
    }
  }

  #matching(path: string, match: Match): Watch[] {
    const found: Watch[] = [];
    if (match === 'exact' || match === 'no-depth') {
      for (const watch of this.#byPath.get(path) ?? []) {
        if (match === 'exact' || watch.depth === undefined) found.push(watch);
      }
    } else {
      for (let at = path; ; at = parentPath(at)) {
        for (const watch of this.#byPath.get(at) ?? []) {
          const levels = at === path || watch.depth === undefined ? 0 : levelsBelow(path, at);
          if (match === 'subtree' && levels > (watch.depth ?? 0)) continue;
          if (match === 'depth' && at !== path && (watch.depth === undefined || levels > watch.depth)) continue;
          found.push(watch);
        }
        if (at === '/' || (at.charCodeAt(0) === 0x40 && !at.includes('/'))) break;
      }
    }
    return sorted(found);
  }
}

/** As its client named it: relative to its home or absolute. */
export function asSpelled({ path, token, depth, cut }: Omit<Watch, 'seq' | 'connection'>): LiveWatch {
  return { path: path.slice(cut), token, depth };
}

function before(a: Watch, b: Watch): number {
  return a.connection.seq - b.connection.seq || a.seq - b.seq;
}

/** Sorts only when needed: watches of one path already stand in order when a single client made them. */
function sorted(watches: Watch[]): Watch[] {
  for (let index = 1; index < watches.length; index++) {
    if (before(watches[index - 1] as Watch, watches[index] as Watch) > 0) return watches.sort(before);
  }
  return watches;
}

/** May the receiver read the node or its parent? What it could read before a change, or before a removal, counts too. */
function maySee(connection: Watcher, visible: Visible): boolean {
  const canRead = (perms: readonly Perm[]): boolean => (grantedTo(connection, perms) & PERM_READ) !== 0;
  if (visible.oldPerms !== undefined && canRead(visible.oldPerms)) return true;
  if (visible.node === undefined) return false;
  return canRead(visible.node.perms) || (visible.parent !== undefined && canRead(visible.parent.perms));
}
