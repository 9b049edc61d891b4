// The file that keeps the store beyond its process: an append log. What changed since the last flush goes into one frame
// {length, checksum, records}, so that a transaction is kept whole or not at all; the frame is in the kernel's hands
// before any reply leaves that acknowledges it (journal-frames.ts). A killed process loses nothing acknowledged; there is no
// fsync, since a store belongs to one boot of one host and means nothing to the next.
//
// The log is written anew when it has grown to a multiple of what it says. That goes on beside the service, in slices:
// nodes as they are when their slice comes, and every later change behind them. Records say how things are after a
// change, so the order of the two does not matter as long as a later state stands later. Guests' rings stand first, as
// they are when it begins, and each of their later changes once behind them.
import { closeSync, constants, copyFileSync, openSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { STORE_JOURNAL_GROWTH, STORE_JOURNAL_SLICE, STORE_JOURNAL_SMALL } from '../../../lib/core/limits.js';
import type { Log } from '../../../lib/core/log.js';
import type { Domain } from '../domains.js';
import type { Journal } from '../journal.js';
import {
  domainRecord,
  goneRecord,
  headerRecord,
  isHeader,
  isHeaderOf,
  limitsRecord,
  nodeRecord,
  Restorer,
  removedRecord,
} from '../journal-records.js';
import type { StoreNode } from '../node.js';
import type { Limits } from '../quota.js';
import { applyRingChange, changesOf, type KeptRing, type RingChange } from '../ring-kept.js';
import { ringRecord } from '../ring-records.js';
import type { Store } from '../store.js';
import { FrameBuffer, FrameFile, onlyZerosBehind, readFrames } from './journal-frames.js';

const { O_APPEND, O_CREAT, O_RDWR, O_NOFOLLOW, O_TRUNC } = constants;

interface Rewriting {
  readonly fd: number;
  readonly buffer: FrameBuffer;
  readonly nodes: IterableIterator<[string, StoreNode]>;
  size: number;
}

export class JournalFile implements Journal {
  readonly #path: string;
  readonly #bootId: string;
  readonly #store: Store;
  readonly #buffer = new FrameBuffer();
  #fd: number;
  #file: FrameFile;
  /** Size at which it is written anew. */
  #limit = STORE_JOURNAL_SMALL;
  #rewriting: Rewriting | undefined;
  /** What the file says of guests' rings, by domid. */
  readonly #rings: Map<number, KeptRing>;
  #closed = false;

  private constructor(path: string, bootId: string, store: Store, log: Log, restorer: Restorer) {
    this.#path = path;
    this.#bootId = bootId;
    this.#store = store;
    this.#rings = restorer.rings;
    this.#fd = openSync(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, 0o600);
    this.#file = new FrameFile(this.#fd, this.#load(restorer, log));
  }

  /**
   * Opens the file, puts what it keeps into the empty store (or plants a new one), and from then on writes down every
   * change. A file of another boot is begun anew; what cannot be read is set aside as PATH.bad and said in the log.
   */
  static open(path: string, bootId: string, store: Store, log: Log): JournalFile {
    const restorer = new Restorer();
    const journal = new JournalFile(path, bootId, store, log, restorer);
    const good = journal.#file.size;
    if (good > 0) {
      const dropped = restorer.restore(store);
      if (dropped.length > 0)
        log.warn({ dropped: dropped.length, first: dropped[0] }, 'nodes without a parent were dropped');
      log.info({ nodes: store.tree.size, bytes: good }, 'store restored');
      store.journal = journal;
    } else {
      journal.#buffer.add(headerRecord(bootId));
      store.journal = journal;
      store.plant();
      for (const domain of store.domains.all()) journal.domain(domain);
    }
    journal.#limit = Math.max(STORE_JOURNAL_SMALL, journal.#file.size * STORE_JOURNAL_GROWTH);
    journal.flush();
    return journal;
  }

  /** Reads frames up to the first that is damaged; returns the bytes that are good, 0 when the store begins empty. */
  #load(restorer: Restorer, log: Log): number {
    const bytes = readFileSync(this.#path);
    let good = 0;
    for (const { records, end } of readFrames(bytes)) {
      if (good === 0) {
        const header = records.shift() ?? '';
        if (isHeader(header) && !isHeaderOf(header, this.#bootId)) {
          log.info('the store of another boot is left behind');
          return 0;
        }
        if (!isHeader(header)) break;
      }
      if (!records.every((record) => restorer.take(record))) break;
      good = end;
    }
    if (!onlyZerosBehind(bytes, good)) {
      const aside = `${this.#path}.bad`;
      copyFileSync(this.#path, aside);
      log.warn({ good, bad: bytes.length - good, aside }, 'the store file is damaged; its good part is kept');
    }
    return good;
  }

  node(path: string, node: StoreNode | undefined): void {
    this.#add(node === undefined ? removedRecord(path) : nodeRecord(path, node));
  }
  domain(domain: Domain): void {
    this.#add(domainRecord(domain));
  }
  domainGone(domid: number): void {
    this.#add(goneRecord(domid));
  }
  limits(limits: Limits): void {
    this.#add(limitsRecord(limits));
  }

  ring(domid: number, change: RingChange): void {
    applyRingChange(this.#rings, domid, change);
    this.#add(ringRecord(domid, change));
  }

  /** What the file keeps of guests' rings, by domid: read it before anything goes on with them. */
  get rings(): ReadonlyMap<number, KeptRing> {
    return this.#rings;
  }

  #add(record: string): void {
    this.#buffer.add(record);
    this.#rewriting?.buffer.add(record);
  }

  /** Hands everything recorded so far to the kernel: after this it may be acknowledged. Throws when it cannot. */
  flush(): void {
    if (this.#buffer.empty || this.#closed) return;
    this.#file.append(this.#buffer.take());
    if (this.#file.size > this.#limit && this.#rewriting === undefined) this.#rewrite();
  }

  #rewrite(): void {
    const fd = openSync(`${this.#path}.new`, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW, 0o600);
    const buffer = new FrameBuffer();
    buffer.add(headerRecord(this.#bootId));
    buffer.add(limitsRecord(this.#store.domains.limits));
    for (const domain of this.#store.domains.all()) buffer.add(domainRecord(domain));
    for (const [domid, kept] of this.#rings) {
      for (const change of changesOf(kept)) buffer.add(ringRecord(domid, change));
    }
    this.#rewriting = { fd, buffer, nodes: this.#store.tree.entries(), size: 0 };
    setImmediate(() => this.#slice());
  }

  /** By the tree's own way of reading: it marks permission entries that are older than the domain of their number. */
  #nodeNow(path: string): string {
    const node = this.#store.tree.get(path);
    return node === undefined ? removedRecord(path) : nodeRecord(path, node);
  }

  #slice(): void {
    const rewriting = this.#rewriting;
    if (rewriting === undefined) return;
    // Changes since the last slice stand in the buffer already, before the nodes as they are now.
    let last = false;
    for (let count = 0; count < STORE_JOURNAL_SLICE && !last; count++) {
      const next = rewriting.nodes.next();
      if (next.done === true) last = true;
      else rewriting.buffer.add(this.#nodeNow(next.value[0]));
    }
    rewriting.size += rewriting.buffer.write(rewriting.fd);
    if (!last) {
      setImmediate(() => this.#slice());
      return;
    }
    this.flush();
    renameSync(`${this.#path}.new`, this.#path);
    this.#file.close();
    closeSync(this.#fd);
    this.#fd = rewriting.fd;
    this.#file = new FrameFile(rewriting.fd, rewriting.size);
    this.#limit = Math.max(STORE_JOURNAL_SMALL, this.#file.size * STORE_JOURNAL_GROWTH);
    this.#rewriting = undefined;
  }

  close(): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    this.#file.close();
    closeSync(this.#fd);
    if (this.#rewriting === undefined) return;
    closeSync(this.#rewriting.fd);
    this.#rewriting = undefined;
    rmSync(`${this.#path}.new`, { force: true });
  }
}
