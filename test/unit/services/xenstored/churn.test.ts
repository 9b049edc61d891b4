// Clients that come, ask anything, and go, guests among them: nothing of theirs stays, and what they held while they were
// there is bounded. XENWIRE_XS_CHURN makes it longer: how many requests.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { XS, type XsMessage } from '../../../../lib/layout/xs-wire.js';
import { checkStore } from '../../../../services/xenstored/check.js';
import type { Connection } from '../../../../services/xenstored/connection.js';
import type { Store } from '../../../../services/xenstored/store.js';
import { StoreClock } from '../../../../testkit/store-clock.js';
import { StoreLab } from '../../../../testkit/store-lab.js';
import { generateWithGuests } from '../../../peers/diff/generate.js';
import { DOMIDS, NO_TRANSACTION, type Script } from '../../../peers/diff/script.js';

const REQUESTS = Number(process.env['XENWIRE_XS_CHURN'] ?? 20_000);
/** What a heap may grow by, whatever was asked: code that was compiled meanwhile, and what the collector keeps. */
const GROWTH_BYTES = 4 << 20;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function heapBytes(): number {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

/** Runs scripts on one store, one connection of the store for each that they open. */
class Churn {
  readonly lab: StoreLab;
  readonly clock = new StoreClock();
  readonly #connections = new Map<number, Connection>();
  readonly #labels = new Map<string, number>();
  requests = 0;
  opened = 0;
  /** The most that waited for one client. */
  outboxMost = 0;

  constructor() {
    this.lab = new StoreLab(undefined, true, this.clock);
    for (const domid of DOMIDS) this.lab.hostDomains.set(domid, `${domid}`);
  }

  get store(): Store {
    return this.lab.store;
  }

  run({ steps }: Script): void {
    this.lab.expectOk('dom0', 'SET_PERMS', '/|b0|');
    for (const step of steps) {
      if (step.do === 'open') this.#open(step.conn, step.domid);
      else if (step.do === 'close') this.#close(step.conn);
      else {
        for (const { type, payload, tx, label } of step.requests) {
          const txId = typeof tx === 'string' ? (this.#labels.get(tx) ?? NO_TRANSACTION) : (tx ?? 0);
          this.#ask(step.conn, { type, reqId: 1, txId, payload }, label);
        }
      }
    }
    for (const conn of [...this.#connections.keys()]) this.#close(conn);
    this.#empty();
  }

  #open(conn: number, domid: number | undefined): void {
    this.#close(conn);
    this.opened++;
    const hooks = { name: `churn-${conn}`, onOutput: () => {}, onDropped: () => this.#connections.delete(conn) };
    if (domid === undefined) this.#connections.set(conn, this.store.connectPrivileged(hooks));
    else {
      this.#connections.set(conn, this.store.connectGuest(domid, hooks));
      this.lab.expectOk('dom0', 'INTRODUCE', `${domid}|1|7|`);
    }
  }

  #close(conn: number): void {
    const connection = this.#connections.get(conn);
    this.#connections.delete(conn);
    if (connection === undefined || connection.closed) return;
    if (connection.domain === undefined) this.store.close(connection);
    else this.lab.reply('dom0', 'RELEASE', `${connection.domid}|`);
  }

  #ask(conn: number, message: XsMessage, label: string | undefined): void {
    const connection = this.#connections.get(conn);
    if (connection === undefined) return;
    this.requests++;
    this.store.receive(connection, message);
    // Only the asker reads: the others are as slow as they may be, and some time passes.
    this.outboxMost = Math.max(this.outboxMost, connection.outbox.bytes);
    const reply = connection.outbox.take().find(({ type }) => type !== XS.XS_WATCH_EVENT);
    if (label !== undefined && reply?.type === XS.XS_TRANSACTION_START) {
      this.#labels.set(label, Number.parseInt(reply.payload, 10));
    }
    this.clock.advanceTo(this.clock.now + 0.01);
    this.store.resume();
  }

  #empty(): void {
    this.#labels.clear();
    for (const path of ['/', '@introduceDomain', '@releaseDomain'])
      this.lab.expectOk('dom0', 'SET_PERMS', `${path}|n0|`);
    for (const domid of DOMIDS) this.lab.reply('dom0', 'RELEASE', `${domid}|`);
    const names = this.store.tree.get('/')?.children ?? [];
    for (const name of [...names]) this.lab.expectOk('dom0', 'RM', `/${name}|`);
  }
}

t.test(`${REQUESTS} requests of clients that come and go leave nothing behind`, async (t) => {
  t.setTimeout(60_000 + REQUESTS);
  const churn = new Churn();
  let seed = 0;
  const until = (requests: number): void => {
    while (churn.requests < requests) churn.run(generateWithGuests(seed++));
  };
  // First what fills caches and tables of the engine.
  until(REQUESTS / 4);
  const before = heapBytes();
  until(REQUESTS + REQUESTS / 4);
  const grown = heapBytes() - before;
  t.comment(
    `${churn.requests} requests, ${churn.opened} clients: heap ${before >> 10} KiB, grown by ${grown >> 10} KiB`,
  );
  t.ok(churn.opened > churn.requests / 100, `${churn.opened} clients`);
  t.ok(grown < GROWTH_BYTES, `the heap grew by ${grown} bytes`);
  const { store } = churn;
  t.same(store.audit(), []);
  t.same(checkStore(store), []);
  t.equal(store.connections.size, 1, 'the one that cleans up');
  t.ok(store.tree.size <= 3, `${store.tree.size} nodes`);
  t.same(store.bounds.takeHeld(), []);
  churn.clock.advanceTo(churn.clock.now + 1000);
  t.equal(churn.clock.pending, 0, 'no timer');
  t.ok(churn.outboxMost < 1 << 20, `${churn.outboxMost} bytes waited for one client`);
  for (const domain of store.domains.all()) {
    for (const what of ['nodes', 'watches', 'transactions', 'outstanding'] as const) {
      if (domain.domid !== 0) t.equal(domain.account.used(what), 0, `${what} of domain ${domain.domid}`);
    }
  }
});
