// A guest on its ring page, both ends in one process.
import fc from 'fast-check';
import t from 'tap';
import { concatBytes } from '../../../../lib/core/bytes.js';
import {
  XENSTORE_DOMAIN_INTERFACE,
  XENSTORE_ERROR_COMM,
  XENSTORE_ERROR_NONE,
  XENSTORE_ERROR_PROTO,
  XENSTORE_ERROR_RINGIDX,
} from '../../../../lib/layout/xs-ring.js';
import { XENSTORE_SERVER_FEATURE, XS, type XsMessage } from '../../../../lib/layout/xs-wire.js';
import { encodeMessage, MessageReader } from '../../../../lib/xenstore/framing.js';
import { RingEnd } from '../../../../lib/xenstore/ring-stream.js';
import { RingSession } from '../../../../services/xenstored/ring-session.js';
import { formatMessage, StoreLab } from '../../../../testkit/store-lab.js';

class Guest {
  readonly lab = new StoreLab();
  readonly page = new Uint8Array(4096);
  readonly ring = new RingEnd(this.page, 'guest');
  readonly session: RingSession;
  readonly #reader = new MessageReader();
  readonly heard: XsMessage[] = [];
  signals = 0;

  readonly domid = 5;

  constructor() {
    const { domid } = this;
    this.lab.hostDomains.set(domid, '1');
    this.session = new RingSession(
      domid,
      `ring-${domid}`,
      {
        store: this.lab.store,
        ring: new RingEnd(this.page, 'server'),
        notify: () => this.signals++,
        beforeSend: () => {},
      },
      () => {},
      () => {},
    );
    this.introduce();
  }

  introduce(): void {
    this.lab.expectOk('dom0', 'INTRODUCE', `${this.domid}|1|7|`);
    this.session.introduced();
  }

  /** Sends as the ring has room; both sides take turns until nothing moves. */
  exchange(bytes: Uint8Array, read = true): void {
    let rest = bytes;
    for (let moved = true; moved; ) {
      const written = this.ring.write(rest);
      rest = rest.subarray(written);
      const served = this.session.turn();
      const chunk = read ? this.ring.read() : new Uint8Array(0);
      this.#reader.push(chunk, (message) => this.heard.push(message));
      moved = written > 0 || served || chunk.length > 0;
    }
  }

  ask(type: number, payload: string): string[] {
    this.heard.length = 0;
    this.exchange(encodeMessage({ type, reqId: 1, txId: 0, payload: payload.replaceAll('|', '\0') }));
    return this.heard.map(formatMessage);
  }
}

t.test('messages longer than the ring pass in pieces, with a signal for each', async (t) => {
  const guest = new Guest();
  guest.lab.expectOk('dom0', 'WRITE', '/local/domain/5|');
  guest.lab.expectOk('dom0', 'SET_PERMS', '/local/domain/5|n5|');
  const value = 'v'.repeat(1900);
  t.same(guest.ask(XS.XS_WRITE, `x|${value}`), ['WRITE OK|']);
  const before = guest.signals;
  t.same(guest.ask(XS.XS_READ, 'x|'), [`READ ${value}`]);
  t.ok(guest.signals - before >= 3, 'one for what was read, one for each piece written');
  t.same(guest.ask(XS.XS_WATCH, 'x|token|'), ['WATCH OK|', 'EVENT x token']);
  guest.lab.expectOk('dom0', 'WRITE', '/local/domain/5/x|new');
  t.same(guest.ask(XS.XS_READ, 'x|'), ['EVENT x token', 'READ new']);
});

t.test('pipelined requests are answered in order, however slowly the guest reads', async () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 1200 }), { maxLength: 12 }), (sizes) => {
      const guest = new Guest();
      guest.lab.expectOk('dom0', 'WRITE', '/local/domain/5|');
      guest.lab.expectOk('dom0', 'SET_PERMS', '/local/domain/5|n5|');
      const requests = sizes.flatMap((size, index): XsMessage[] => [
        { type: XS.XS_WRITE, reqId: index * 2, txId: 0, payload: `k${index}\0${'x'.repeat(size)}` },
        { type: XS.XS_READ, reqId: index * 2 + 1, txId: 0, payload: `k${index}\0` },
      ]);
      for (const request of requests) guest.exchange(encodeMessage(request), false);
      guest.exchange(new Uint8Array(0));
      // What found no room while the guest did not read was never sent; all that was is answered in order.
      const ids = guest.heard.map(({ reqId }) => reqId);
      return ids.every((id, index) => id === index);
    }),
    { numRuns: 50 },
  );
});

t.test('a guest that breaks the rules is told why and ignored until it is introduced anew', async (t) => {
  const { offset } = XENSTORE_DOMAIN_INTERFACE;
  const breaks: [string, (guest: Guest) => void, number][] = [
    [
      'a payload of 4097 bytes',
      (guest) => {
        const bytes = encodeMessage({ type: XS.XS_READ, reqId: 1, txId: 0, payload: '' });
        new DataView(bytes.buffer).setUint32(12, 4097, true);
        guest.exchange(bytes);
      },
      XENSTORE_ERROR_PROTO,
    ],
    [
      'an index past the ring',
      (guest) => {
        const view = new DataView(guest.page.buffer);
        view.setUint32(offset.req_prod, view.getUint32(offset.req_cons, true) + 1025, true);
        guest.session.turn();
      },
      XENSTORE_ERROR_RINGIDX,
    ],
  ];
  for (const [what, breakIt, code] of breaks) {
    const guest = new Guest();
    guest.ask(XS.XS_WATCH, '/a|t|');
    guest.ask(XS.XS_TRANSACTION_START, '|');
    t.equal(guest.lab.store.audit().length, 2);
    breakIt(guest);
    t.equal(guest.ring.error, code, what);
    t.same(guest.lab.store.audit(), [], `${what}: what it held is dropped`);
    t.equal(guest.session.turn(), false, `${what}: not heard`);
    t.equal(guest.lab.reply('dom0', 'IS_DOMAIN_INTRODUCED', '5|'), 'T', `${what}: still introduced`);
  }
});

t.test('INTRODUCE again empties the rings and answers a guest that waits for it', async (t) => {
  const guest = new Guest();
  guest.ask(XS.XS_WATCH, '/a|t|');
  guest.ring.write(encodeMessage({ type: XS.XS_READ, reqId: 9, txId: 0, payload: '/a\0' }).subarray(0, 7));
  guest.ring.askReconnect();
  const before = guest.signals;
  guest.introduce();
  t.equal(guest.ring.wantsReconnect, false);
  t.equal(guest.signals, before + 1);
  t.equal(guest.ring.features, 14);
  t.same(guest.lab.store.audit(), []);
  t.same(guest.ask(XS.XS_GET_DOMAIN_PATH, '5|'), ['GET_DOMAIN_PATH /local/domain/5|']);
});

t.test('a guest with too many requests under way is not served until it reads', async (t) => {
  const guest = new Guest();
  guest.lab.expectOk('dom0', 'SET_QUOTA', '5|outstanding|3|');
  const request = encodeMessage({ type: XS.XS_GET_DOMAIN_PATH, reqId: 0, txId: 0, payload: `${'1'.repeat(1)}\0` });
  // Replies that fill the response ring: after that each one more is under way.
  for (let count = 0; count < 100; count++) guest.exchange(request, false);
  const { account } = guest.session.connection.domain!;
  t.equal(account.used('outstanding'), 3);
  guest.exchange(new Uint8Array(0));
  t.equal(account.used('outstanding'), 0);
  t.ok(guest.heard.length > 30, 'all that it could send is answered');
});

t.test('what came before a broken message is done and answered, what comes after it is not', async (t) => {
  const guest = new Guest();
  const write = (path: string): Uint8Array =>
    encodeMessage({ type: XS.XS_WRITE, reqId: 1, txId: 0, payload: `${path}\0v` });
  guest.lab.expectOk('dom0', 'MKDIR', '/local/domain/5|');
  guest.lab.expectOk('dom0', 'SET_PERMS', '/local/domain/5|n5|');
  const broken = encodeMessage({ type: XS.XS_READ, reqId: 2, txId: 0, payload: '' });
  new DataView(broken.buffer, broken.byteOffset).setUint32(12, 5000, true);
  // More than may be under way at once, in front of it.
  const before = Array.from({ length: 25 }, (_, index) => write(String(index)));
  guest.exchange(concatBytes([...before, broken, write('after')]));
  t.equal(guest.heard.length, 25);
  t.equal(guest.ring.error, XENSTORE_ERROR_PROTO);
  t.equal(guest.lab.reply('dom0', 'READ', '/local/domain/5/24|'), 'v');
  t.equal(guest.lab.reply('dom0', 'READ', '/local/domain/5/after|'), 'ENOENT');
});

t.test('a server that follows a dead one says so, and makes a new connection when asked', async (t) => {
  const { XENSTORE_SERVER_FEATURE_RECONNECTION: reconnection } = XENSTORE_SERVER_FEATURE;
  const read = encodeMessage({ type: XS.XS_READ, reqId: 7, txId: 0, payload: '/tool\0' });
  const guest = new Guest();
  t.equal(guest.ring.features & reconnection, 0, 'as the C daemon');
  guest.session.beginAfterLoss();
  t.equal(guest.ring.error, XENSTORE_ERROR_COMM);
  t.ok(guest.ring.offersReconnect);
  t.ok(guest.signals > 0);

  // Half a message, a watch and a transaction: nothing of it counts after the reconnection.
  guest.exchange(encodeMessage({ type: XS.XS_WATCH, reqId: 1, txId: 0, payload: '/tool\0t\0' }));
  guest.exchange(encodeMessage({ type: XS.XS_TRANSACTION_START, reqId: 2, txId: 0, payload: '\0' }));
  guest.exchange(read.subarray(0, 10));
  t.equal(guest.lab.store.audit().length, 2);
  guest.ring.askReconnect();
  guest.session.turn();
  t.equal(guest.ring.wantsReconnect, false);
  t.equal(guest.ring.error, XENSTORE_ERROR_NONE);
  t.same(guest.lab.store.audit(), []);
  guest.heard.length = 0;
  guest.exchange(read);
  t.same(guest.heard.map(formatMessage), ['ERROR EACCES|']);

  // Also where the guest broke the rules since.
  const broken = read.slice();
  new DataView(broken.buffer).setUint32(12, 5000, true);
  guest.exchange(broken);
  t.equal(guest.ring.error, XENSTORE_ERROR_PROTO);
  guest.ring.askReconnect();
  guest.session.turn();
  guest.heard.length = 0;
  guest.exchange(read);
  t.same(guest.heard.map(formatMessage), ['ERROR EACCES|']);
});

t.test('a guest that asks before it is told, or whose server died again while it waited, is answered', async (t) => {
  const guest = new Guest();
  guest.ring.askReconnect();
  guest.session.beginAfterLoss();
  t.equal(guest.ring.wantsReconnect, false);
  t.equal(guest.ring.error, XENSTORE_ERROR_NONE);
  t.equal(guest.ring.readable + guest.ring.writable, 1024, 'both streams are empty');
});
