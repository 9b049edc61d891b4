// The records that keep the store beyond its process: their text, and putting a store back together from them. Each says
// how something is after a change, so that a record may come twice or late. Leaves files to node/journal-file.ts.
//
// A record is one byte string: a letter, then fields that end in NUL; a node's value comes last and may hold anything.
import { splitStrings } from '../../lib/xenstore/payload.js';
import type { Domain } from './domains.js';
import type { StoreNode } from './node.js';
import { formatPerm, type Perm, parsePerm } from './perms.js';
import type { Limits, QuotaKey } from './quota.js';
import { applyRingChange, type KeptRing } from './ring-kept.js';
import { parseRingRecord, RING_RECORD } from './ring-records.js';
import type { StoreState } from './state.js';

const FORMAT = 'xenwire-store-1';

const fields = (...texts: (string | number)[]): string => texts.map((text) => `${text}\0`).join('');

/** First of a file: which format, and which boot of which host the store belongs to. */
export const headerRecord = (bootId: string): string => `H${fields(FORMAT, bootId)}`;

/** True when a file begins with our header for this boot. */
export const isHeaderOf = (record: string, bootId: string): boolean => record === headerRecord(bootId);

/** True when a file begins with a header of ours at all. */
export const isHeader = (record: string): boolean => record.startsWith(`H${FORMAT}\0`);

/** Made for every write: put together without lists in between. */
export function nodeRecord(path: string, node: StoreNode): string {
  let perms = '';
  for (const perm of node.perms) perms += `${perms === '' ? '' : ' '}${perm.ignored ? '!' : ''}${formatPerm(perm)}`;
  return `N${path}\0${node.order}\0${perms}\0${node.value}`;
}

export const removedRecord = (path: string): string => `R${fields(path)}`;

export function domainRecord(domain: Domain): string {
  const limits = [...domain.account.limits].map(([name, value]) => `${name}=${value}`).join(' ');
  const { domid, uniqueId, features, introduced, shutdown, targetDomid, port } = domain;
  return `D${fields(domid, uniqueId, features, Number(introduced), Number(shutdown), targetDomid ?? '', port, limits)}`;
}

export const goneRecord = (domid: number): string => `G${fields(domid)}`;

export function limitsRecord(limits: Limits): string {
  return `L${fields([...limits].map(([name, value]) => `${name}=${value}`).join(' '))}`;
}

interface KeptNode {
  readonly value: string;
  readonly perms: readonly Perm[];
  readonly order: number;
  /** Which record of the file it was. */
  readonly seq: number;
}

/** Takes records in the order they were written; then puts what they amount to into an empty store. */
export class Restorer {
  readonly #nodes = new Map<string, KeptNode>();
  readonly #domains = new Map<number, { texts: string[]; readonly firstSeq: number }>();
  #limits: string | undefined;
  /** By domid. */
  readonly rings = new Map<number, KeptRing>();
  #seq = 0;

  /** False for a record that none of ours could be: node/journal-file.ts stops reading there. */
  take(record: string): boolean {
    this.#seq++;
    const kind = record.charAt(0);
    if (kind === 'N') return this.#takeNode(record.slice(1));
    if (kind === RING_RECORD) return this.#takeRing(record);
    const texts = splitStrings(record.slice(1));
    const [first] = texts;
    if (first === undefined) return false;
    if (kind === 'R') this.#nodes.delete(first);
    else if (kind === 'D' && texts.length === 8) this.#takeDomain(Number(first), texts);
    else if (kind === 'G') this.#domains.delete(Number(first));
    else if (kind === 'L') this.#limits = first;
    else return false;
    return true;
  }

  #takeRing(record: string): boolean {
    const parsed = parseRingRecord(record);
    if (parsed === undefined) return false;
    applyRingChange(this.rings, parsed.domid, parsed.change);
    return true;
  }

  #takeDomain(domid: number, texts: string[]): void {
    const known = this.#domains.get(domid);
    if (known === undefined) this.#domains.set(domid, { texts, firstSeq: this.#seq });
    else known.texts = texts;
  }

  #takeNode(text: string): boolean {
    const ends = [0, 0, 0];
    for (let index = 0, from = 0; index < ends.length; index++) {
      const end = text.indexOf('\0', from);
      if (end === -1) return false;
      ends[index] = end;
      from = end + 1;
    }
    const [pathEnd, orderEnd, permsEnd] = ends as [number, number, number];
    const perms = text
      .slice(orderEnd + 1, permsEnd)
      .split(' ')
      .map(parseKept);
    if (perms.some((perm) => perm === undefined)) return false;
    this.#nodes.set(text.slice(0, pathEnd), {
      order: Number(text.slice(pathEnd + 1, orderEnd)),
      seq: this.#seq,
      perms: perms as Perm[],
      value: text.slice(permsEnd + 1),
    });
    return true;
  }

  /** Fills the store; returns paths that had no parent and were left out. */
  restore(store: StoreState): string[] {
    for (const [name, value] of parseLimits(this.#limits ?? '')) store.domains.limits.set(name, value);
    // Generations as they follow from the file: a permission entry that is older than the domain of its number stays so.
    const nodes = [...this.#nodes].sort(([, a], [, b]) => a.seq - b.seq);
    const domains = [...this.#domains].sort(([, a], [, b]) => a.firstSeq - b.firstSeq);
    let older = 0;
    for (const [domid, { texts, firstSeq }] of domains) {
      while (older < nodes.length && (nodes[older] as [string, KeptNode])[1].seq < firstSeq) older++;
      const [, uniqueId, features, introduced, shutdown, target, port, limits] = texts as [string, ...string[]];
      const domain = store.domains.make(domid, uniqueId ?? '', older + 1);
      domain.features = Number(features);
      domain.introduced = introduced === '1';
      domain.shutdown = shutdown === '1';
      domain.targetDomid = target === '' ? undefined : Number(target);
      domain.port = Number(port);
      for (const [name, value] of parseLimits(limits ?? '')) domain.account.limits.set(name, value);
    }
    for (const [path, node] of nodes) store.tree.restore(path, node);
    const dropped = store.tree.attachChildren();
    store.recount();
    return dropped;
  }
}

function parseKept(text: string): Perm | undefined {
  const ignored = text.startsWith('!');
  const perm = parsePerm(ignored ? text.slice(1) : text);
  return perm === undefined ? undefined : { ...perm, ignored };
}

function parseLimits(text: string): [QuotaKey, number][] {
  const pairs = text.split(' ').filter((pair) => pair.includes('='));
  return pairs.map((pair) => {
    const [name, value] = pair.split('=') as [string, string];
    return [name as QuotaKey, Number(value)];
  });
}
