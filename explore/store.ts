// The store as explore sees it: nodes, watches and transactions as one immutable value, so that a search can keep millions of
// them. It does what services/xenstored does (a differential test holds it to that) but for permissions, quotas and limits,
// which no step of a search comes near. Leaves the queues of events to the world, which decides when an event is taken.

/** Path to value. Parents are nodes too; their values are ''. */
export type Nodes = Readonly<Record<string, string>>;

/** What a transaction has touched of a node. */
interface Touched {
  /** As it found the node; undefined: there was none. */
  readonly before: string | undefined;
  readonly now: string | undefined;
  /** Names of its children, as it found and changed them. */
  readonly names: readonly string[];
  readonly modified?: true;
  readonly fires?: 'exact' | 'subtree';
  /** Somebody else changed the node, or its list of children, since. */
  readonly stale?: true;
}

interface Transaction {
  readonly client: string;
  /** In the order of first touch. */
  readonly touched: Readonly<Record<string, Touched>>;
}

export interface Watch {
  readonly client: string;
  readonly path: string;
  readonly token: string;
}

export interface StoreState {
  readonly nodes: Nodes;
  readonly watches: readonly Watch[];
  /** By `<client>:<number>`; numbers count from 1 among a client's open ones. */
  readonly transactions: Readonly<Record<string, Transaction>>;
}

export interface StoreEvent {
  readonly client: string;
  readonly path: string;
  readonly token: string;
}

/** One request, as a client of the store sends it; `tx` is what `begin` answered. */
export type StoreRequest =
  | { readonly op: 'read' | 'rm' | 'mkdir' | 'exists' | 'directory'; readonly path: string; readonly tx?: string }
  | { readonly op: 'write'; readonly path: string; readonly value: string; readonly tx?: string }
  | { readonly op: 'watch' | 'unwatch'; readonly path: string; readonly token: string }
  | { readonly op: 'begin' }
  | { readonly op: 'commit' | 'abort'; readonly tx: string };

export type StoreCode = 'ENOENT' | 'EEXIST' | 'EAGAIN' | 'EINVAL' | 'EIO' | 'EACCES';
export type StoreAnswer = { readonly ok: string } | { readonly error: StoreCode };

export interface StoreOutcome {
  readonly store: StoreState;
  readonly answer: StoreAnswer;
  readonly events: readonly StoreEvent[];
}

export const EMPTY_STORE: StoreState = { nodes: { '/': '' }, watches: [], transactions: {} };

export function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash <= 0 ? '/' : path.slice(0, slash);
}

function baseOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

export function childrenOf(nodes: Nodes, path: string): string[] {
  const prefix = path === '/' ? '/' : `${path}/`;
  return Object.keys(nodes)
    .filter((node) => node.startsWith(prefix) && node !== path && !node.includes('/', prefix.length))
    .map((node) => node.slice(prefix.length));
}

class Refused extends Error {
  readonly code: StoreCode;
  constructor(code: StoreCode) {
    super(code);
    this.code = code;
  }
}

/** How a request sees and changes nodes: directly, or through its transaction. */
interface View {
  /** Its lists of children may be older than its nodes. */
  readonly frozen: boolean;
  read(path: string): string | undefined;
  put(path: string, value: string | undefined): void;
  /** A node got or lost a child: a new version of the node. */
  relist(path: string, child: string, there: boolean): void;
  children(path: string): string[];
  fire(path: string, match: 'exact' | 'subtree'): void;
}

/** Performs one request of `client`. Never throws for what a client can do wrong. */
export function perform(store: StoreState, client: string, request: StoreRequest): StoreOutcome {
  try {
    return run(store, client, request);
  } catch (error) {
    return { store, answer: refusal(error), events: [] };
  }
}

function answered(ask: () => StoreAnswer): StoreAnswer {
  try {
    return ask();
  } catch (error) {
    return refusal(error);
  }
}

function refusal(error: unknown): StoreAnswer {
  if (!(error instanceof Refused)) throw error;
  return { error: error.code };
}

function run(store: StoreState, client: string, request: StoreRequest): StoreOutcome {
  switch (request.op) {
    case 'watch':
      return addWatch(store, { client, path: request.path, token: request.token });
    case 'unwatch': {
      const rest = store.watches.filter((watch) => !sameWatch(watch, { ...request, client }));
      if (rest.length === store.watches.length) throw new Refused('ENOENT');
      return { store: { ...store, watches: rest }, answer: OK, events: [] };
    }
    case 'begin': {
      let number = 1;
      while (`${client}:${number}` in store.transactions) number++;
      const tx = `${client}:${number}`;
      const transactions = { ...store.transactions, [tx]: { client, touched: {} } };
      return { store: { ...store, transactions }, answer: { ok: tx }, events: [] };
    }
    case 'abort':
      transactionOf(store, request.tx);
      return { store: without(store, request.tx), answer: OK, events: [] };
    case 'commit':
      return commit(store, request.tx);
    default: {
      const view = request.tx === undefined ? new Direct(store) : new Inside(store, request.tx);
      // What a transaction looked at in vain counts as seen, too.
      const answer = answered(() => onNodes(view, request));
      const { store: after, events } = view.result();
      return { store: after, answer, events };
    }
  }
}

const OK: StoreAnswer = { ok: '' };

function sameWatch(a: Watch, b: Watch): boolean {
  return a.client === b.client && a.path === b.path && a.token === b.token;
}

function addWatch(store: StoreState, watch: Watch): StoreOutcome {
  if (store.watches.some((known) => sameWatch(known, watch))) throw new Refused('EEXIST');
  // Once up front: the client's first look and its later ones are the same.
  return { store: { ...store, watches: [...store.watches, watch] }, answer: OK, events: [watch] };
}

function transactionOf(store: StoreState, tx: string): Transaction {
  const found = store.transactions[tx];
  if (found === undefined) throw new Refused('ENOENT');
  return found;
}

function without(store: StoreState, tx: string): StoreState {
  const { [tx]: _ended, ...transactions } = store.transactions;
  return { ...store, transactions };
}

type NodeRequest = Extract<StoreRequest, { op: 'read' | 'write' | 'rm' | 'mkdir' | 'exists' | 'directory' }>;

/** The handlers of services/xenstored/node-commands.ts, for a client that may do everything. */
function onNodes(view: View, request: NodeRequest): StoreAnswer {
  const { path } = request;
  switch (request.op) {
    case 'read':
    case 'exists':
    case 'directory': {
      const value = find(view, path);
      if (value === undefined) throw new Refused('ENOENT');
      if (request.op === 'read') return { ok: value };
      return { ok: request.op === 'exists' ? '' : view.children(path).join('\0') };
    }
    case 'write':
    case 'mkdir':
      if (find(view, path) === undefined) create(view, path, request.op === 'write' ? request.value : '');
      else if (request.op === 'write') view.put(path, request.value);
      else return OK;
      view.fire(path, 'subtree');
      return OK;
    case 'rm':
      if (find(view, path) === undefined) {
        if (view.read(parentOf(path)) === undefined) throw new Refused('ENOENT');
        return OK;
      }
      if (path === '/') throw new Refused('EINVAL');
      removeTree(view, path);
      return OK;
  }
}

/** As findNode there: a missing node touches its ancestors up to the first that is there. */
function find(view: View, path: string): string | undefined {
  const value = view.read(path);
  for (let at = path; value === undefined && at !== '/'; ) {
    at = parentOf(at);
    if (view.read(at) !== undefined) break;
  }
  return value;
}

function create(view: View, path: string, value: string): void {
  const missing = [path];
  let at = parentOf(path);
  for (; view.read(at) === undefined; at = parentOf(at)) missing.push(at);
  for (const [index, name] of missing.entries()) {
    view.put(name, index === 0 ? value : '');
    if (index > 0) view.relist(name, baseOf(missing[index - 1] as string), true);
  }
  view.relist(at, baseOf(missing.at(-1) as string), true);
}

/** Deepest first, as the daemon tells it. */
function removeTree(view: View, root: string): void {
  // A transaction that has seen no parent before one was made sees none now.
  if (view.read(parentOf(root)) === undefined) throw new Refused('EINVAL');
  const visit = (path: string): void => {
    if (view.read(path) === undefined) throw new Refused('EIO');
    for (const name of view.children(path)) visit(path === '/' ? `/${name}` : `${path}/${name}`);
    view.put(path, undefined);
    view.fire(path, path === root ? 'subtree' : 'exact');
  };
  visit(root);
  if (!view.children(parentOf(root)).includes(baseOf(root)) && view.frozen) throw new Refused('EIO');
  view.relist(parentOf(root), baseOf(root), false);
}

/** Changes that are everybody's at once. */
class Direct implements View {
  readonly frozen = false;
  readonly #watches: readonly Watch[];
  readonly #events: StoreEvent[] = [];
  #store: StoreState;
  #nodes: Record<string, string>;
  #own = false;

  constructor(store: StoreState) {
    this.#store = store;
    this.#watches = store.watches;
    this.#nodes = store.nodes as Record<string, string>;
  }
  read(path: string): string | undefined {
    return this.#nodes[path];
  }
  put(path: string, value: string | undefined): void {
    if (!this.#own) {
      this.#nodes = { ...this.#nodes };
      this.#own = true;
    }
    if (value === undefined) delete this.#nodes[path];
    else this.#nodes[path] = value;
    this.#outdate(path);
  }
  relist(path: string): void {
    this.#outdate(path);
  }
  #outdate(path: string): void {
    for (const [tx, transaction] of Object.entries(this.#store.transactions)) {
      const touched = transaction.touched[path];
      if (touched === undefined || touched.stale || touched.before === undefined) continue;
      const stale = {
        ...transaction,
        touched: { ...transaction.touched, [path]: { ...touched, stale: true as const } },
      };
      this.#store = { ...this.#store, transactions: { ...this.#store.transactions, [tx]: stale } };
    }
  }
  children(path: string): string[] {
    return childrenOf(this.#nodes, path);
  }
  fire(path: string, match: 'exact' | 'subtree'): void {
    for (const { client, path: watched, token } of this.#watches) {
      const hit = watched === path || (match === 'subtree' && (watched === '/' || path.startsWith(`${watched}/`)));
      if (hit) this.#events.push({ client, path, token });
    }
  }
  result(): { store: StoreState; events: readonly StoreEvent[] } {
    return { store: this.#own ? { ...this.#store, nodes: this.#nodes } : this.#store, events: this.#events };
  }
}

/** Changes that wait for the commit (services/xenstored/transaction.ts). */
class Inside implements View {
  readonly frozen = true;
  readonly #store: StoreState;
  readonly #tx: string;
  #touched: Readonly<Record<string, Touched>>;

  constructor(store: StoreState, tx: string) {
    this.#store = store;
    this.#tx = tx;
    this.#touched = transactionOf(store, tx).touched;
  }
  #touch(path: string): Touched {
    const known = this.#touched[path];
    if (known !== undefined) return known;
    const found = this.#store.nodes[path];
    const names = found === undefined ? [] : childrenOf(this.#store.nodes, path);
    const touched = { before: found, now: found, names };
    this.#touched = { ...this.#touched, [path]: touched };
    return touched;
  }
  read(path: string): string | undefined {
    return this.#touch(path).now;
  }
  put(path: string, value: string | undefined): void {
    // One that is made again inside has none of the children that it had.
    this.#change(path, value === undefined ? { now: value, names: [] } : { now: value });
  }
  /** Its own version of the parent: written at the commit, so that others conflict. */
  relist(path: string, child: string, there: boolean): void {
    const others = this.#touch(path).names.filter((name) => name !== child);
    this.#change(path, { names: there ? [...others, child] : others });
  }
  #change(path: string, change: Partial<Touched>): void {
    this.#touched = { ...this.#touched, [path]: { ...this.#touch(path), ...change, modified: true } };
  }
  children(path: string): string[] {
    return [...this.#touch(path).names];
  }
  fire(path: string, match: 'exact' | 'subtree'): void {
    const touched = this.#touch(path);
    if (touched.fires === undefined || match === 'subtree')
      this.#touched = { ...this.#touched, [path]: { ...touched, fires: match } };
  }
  result(): { store: StoreState; events: readonly StoreEvent[] } {
    const { transactions } = this.#store;
    const mine = { ...(transactions[this.#tx] as Transaction), touched: this.#touched };
    return { store: { ...this.#store, transactions: { ...transactions, [this.#tx]: mine } }, events: [] };
  }
}

/** EAGAIN when a node that it touched is not what it found any more, rewritten with the same value included. */
function commit(store: StoreState, tx: string): StoreOutcome {
  const { touched } = transactionOf(store, tx);
  const ended = without(store, tx);
  const entries = Object.entries(touched);
  const outdated = ([path, { before, stale }]: [string, Touched]): boolean =>
    stale === true || (before === undefined && store.nodes[path] !== undefined);
  if (entries.some(outdated)) return { store: ended, answer: { error: 'EAGAIN' }, events: [] };
  const view = new Direct(ended);
  for (const [path, { before, now, modified, fires }] of entries) {
    if (!modified) continue;
    // A node that came and went inside was never there for others: no watch tells of it.
    if (now === undefined && before === undefined) continue;
    view.put(path, now);
    if (fires !== undefined) view.fire(path, fires);
  }
  return { ...view.result(), answer: OK };
}

/** What ends with a client's connection. */
export function disconnect(store: StoreState, client: string): StoreState {
  const open = Object.entries(store.transactions).filter(([, transaction]) => transaction.client !== client);
  const watches = store.watches.filter((watch) => watch.client !== client);
  return { ...store, watches, transactions: Object.fromEntries(open) };
}
