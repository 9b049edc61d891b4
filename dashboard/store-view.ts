// The store as the page shows it: every node with its value and permissions, read once, then again where a commit names it. The
// commits come from xenstored's own records, so that the page needs no watch and an idle store is not asked anything.
import { ErrnoError, PeerDiedError } from '../lib/core/errors.js';
import { POINT } from '../lib/trace/points.js';
import type { TraceRecord } from '../lib/trace/record.js';
import type { StoreOps } from '../lib/xenstore/api.js';

/** A store of a lab has some 60 nodes a guest; a page that shows more helps no person. */
const NODES_MAX = 20_000;
/** Nodes that are read anew at a time; the rest follow with the next look. */
const READS_A_LOOK = 64;

export interface StoreNode {
  readonly value: string;
  /** As xenstore-ls -p writes them: "n0", "r1". */
  readonly perms: readonly string[];
}

export interface StoreChange {
  readonly path: string;
  /** undefined: removed. */
  readonly node?: StoreNode;
}

export class StoreView {
  readonly nodes = new Map<string, StoreNode>();
  readonly #stale = new Set<string>();

  /** Told what xenstored has recorded. */
  take(records: readonly TraceRecord[]): void {
    for (const { point, label } of records) if (point === POINT['store.commit']) this.#stale.add(label);
  }

  /** Everything is to be read: at the start, and after another xenstored has begun. */
  all(): void {
    this.#stale.add('/');
  }

  /** Reads what has changed; tells what that is. Rejects as the store does when xenstored is gone. */
  async look(store: StoreOps): Promise<StoreChange[]> {
    const changes: StoreChange[] = [];
    const now = [...this.#stale].slice(0, READS_A_LOOK);
    for (const path of now) {
      this.#stale.delete(path);
      try {
        if (path === '/') await this.#read(store, '/', changes);
        else await this.#one(store, path, changes);
      } catch (error) {
        if (!(error instanceof PeerDiedError)) throw error;
        this.#stale.add(path);
        throw error;
      }
    }
    return changes;
  }

  async #one(store: StoreOps, path: string, changes: StoreChange[]): Promise<boolean> {
    try {
      const [value, perms] = await Promise.all([store.read(path), store.getPerms(path)]);
      const before = this.nodes.get(path);
      if (this.nodes.size >= NODES_MAX && before === undefined) return false;
      if (before?.value === value && before.perms.join() === perms.join()) return true;
      const node = { value, perms };
      this.nodes.set(path, node);
      changes.push({ path, node });
      return true;
    } catch (error) {
      if (!(error instanceof ErrnoError)) throw error;
      for (const known of [...this.nodes.keys()]) {
        if (known !== path && !known.startsWith(`${path}/`)) continue;
        this.nodes.delete(known);
        changes.push({ path: known });
      }
      return false;
    }
  }

  async #read(store: StoreOps, path: string, changes: StoreChange[]): Promise<void> {
    if (!(await this.#one(store, path, changes))) return;
    const names = await store.directory(path).catch((error: unknown) => {
      if (error instanceof ErrnoError) return [];
      throw error;
    });
    for (const name of names) await this.#read(store, path === '/' ? `/${name}` : `${path}/${name}`, changes);
  }
}
