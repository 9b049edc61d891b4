// The file that keeps the store beyond its process: an append log. What changed since the last flush goes into one frame
// {length, checksum, records}, so that a transaction is kept whole or not at all; the frame is handed to the kernel in
// one write before any reply leaves that acknowledges it. A killed process loses nothing acknowledged; there is no
// fsync, since a store belongs to one boot of one host and means nothing to the next.
//
// The log is written anew when it has grown to a multiple of what it says. That goes on beside the service, in slices:
// nodes as they are when their slice comes, and every later change behind them. Records say how things are after a
// change, so the order of the two does not matter as long as a later state stands later.
import {
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
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
import type { Store } from '../store.js';

const { O_APPEND, O_CREAT, O_RDWR, O_NOFOLLOW, O_TRUNC } = constants;
const FRAME_HEADER = 8;
const LENGTH = 4;

/** FNV-1a, 32 bits: finds a frame that was cut or damaged; nobody forges files of the run directory. */
function checksum(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < bytes.length; at++) hash = Math.imul(hash ^ (bytes[at] as number), 0x01000193);
  return hash >>> 0;
}

/** Records of one frame: each with its length in front. */
class FrameBuffer {
  #bytes = Buffer.allocUnsafe(1 << 16);
  #end = FRAME_HEADER;

  add(record: string): void {
    const need = this.#end + LENGTH + record.length;
    if (need > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(need, this.#bytes.length * 2));
      this.#bytes.copy(larger, 0, 0, this.#end);
      this.#bytes = larger;
    }
    this.#bytes.writeUInt32LE(record.length, this.#end);
    this.#bytes.write(record, this.#end + LENGTH, 'latin1');
    this.#end = need;
  }

  get empty(): boolean {
    return this.#end === FRAME_HEADER;
  }

  /** Writes the frame; returns its bytes. */
  write(fd: number): number {
    if (this.empty) return 0;
    const size = this.#end;
    this.#bytes.writeUInt32LE(size - FRAME_HEADER, 0);
    this.#bytes.writeUInt32LE(checksum(this.#bytes.subarray(FRAME_HEADER, size)), LENGTH);
    for (let at = 0; at < size; ) at += writeSync(fd, this.#bytes, at, size - at);
    this.#end = FRAME_HEADER;
    return size;
  }
}

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
  #size: number;
  /** Size at which it is written anew. */
  #limit = STORE_JOURNAL_SMALL;
  #rewriting: Rewriting | undefined;
  #closed = false;

  private constructor(path: string, bootId: string, store: Store) {
    this.#path = path;
    this.#bootId = bootId;
    this.#store = store;
    this.#fd = openSync(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, 0o600);
    this.#size = fstatSync(this.#fd).size;
  }

  /**
   * Opens the file, puts what it keeps into the empty store (or plants a new one), and from then on writes down every
   * change. A file of another boot is begun anew; what cannot be read is set aside as PATH.bad and said in the log.
   */
  static open(path: string, bootId: string, store: Store, log: Log): JournalFile {
    const journal = new JournalFile(path, bootId, store);
    const restorer = new Restorer();
    const good = journal.#load(restorer, log);
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
    journal.#limit = Math.max(STORE_JOURNAL_SMALL, journal.#size * STORE_JOURNAL_GROWTH);
    journal.flush();
    return journal;
  }

  /** Reads frames up to the first that is damaged; returns the bytes that are good, 0 when the store begins empty. */
  #load(restorer: Restorer, log: Log): number {
    const bytes = readFileSync(this.#path);
    let at = 0;
    let ours = false;
    while (bytes.length - at >= FRAME_HEADER) {
      const end = at + FRAME_HEADER + bytes.readUInt32LE(at);
      if (end > bytes.length || checksum(bytes.subarray(at + FRAME_HEADER, end)) !== bytes.readUInt32LE(at + LENGTH))
        break;
      const records = readRecords(bytes.subarray(at + FRAME_HEADER, end));
      if (at === 0) {
        const header = records.shift() ?? '';
        if (isHeader(header) && !isHeaderOf(header, this.#bootId)) {
          log.info('the store of another boot is left behind');
          this.#restart();
          return 0;
        }
        ours = isHeaderOf(header, this.#bootId);
        if (!ours) break;
      }
      if (!records.every((record) => restorer.take(record))) break;
      at = end;
    }
    if (at < bytes.length) {
      const aside = `${this.#path}.bad`;
      copyFileSync(this.#path, aside);
      log.warn({ good: at, bad: bytes.length - at, aside }, 'the store file is damaged; its good part is kept');
      if (at === 0) this.#restart();
      else {
        ftruncateSync(this.#fd, at);
        this.#size = at;
      }
    }
    return at;
  }

  #restart(): void {
    ftruncateSync(this.#fd, 0);
    this.#size = 0;
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

  #add(record: string): void {
    this.#buffer.add(record);
    this.#rewriting?.buffer.add(record);
  }

  /** Hands everything recorded so far to the kernel: after this it may be acknowledged. Throws when it cannot. */
  flush(): void {
    if (this.#buffer.empty || this.#closed) return;
    this.#size += this.#buffer.write(this.#fd);
    if (this.#size > this.#limit && this.#rewriting === undefined) this.#rewrite();
  }

  #rewrite(): void {
    const fd = openSync(`${this.#path}.new`, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW, 0o600);
    const buffer = new FrameBuffer();
    buffer.add(headerRecord(this.#bootId));
    buffer.add(limitsRecord(this.#store.domains.limits));
    for (const domain of this.#store.domains.all()) buffer.add(domainRecord(domain));
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
    closeSync(this.#fd);
    this.#fd = rewriting.fd;
    this.#size = rewriting.size;
    this.#limit = Math.max(STORE_JOURNAL_SMALL, this.#size * STORE_JOURNAL_GROWTH);
    this.#rewriting = undefined;
  }

  close(): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    closeSync(this.#fd);
    if (this.#rewriting === undefined) return;
    closeSync(this.#rewriting.fd);
    this.#rewriting = undefined;
    rmSync(`${this.#path}.new`, { force: true });
  }
}

function readRecords(bytes: Buffer): string[] {
  const records: string[] = [];
  for (let at = 0; at + LENGTH <= bytes.length; ) {
    const end = at + LENGTH + bytes.readUInt32LE(at);
    records.push(bytes.toString('latin1', at + LENGTH, end));
    at = end;
  }
  return records;
}
