import t from 'tap';
import type { Peer } from '../../../../lib/core/bus.js';
import { latin1Bytes } from '../../../../lib/core/bytes.js';
import {
  STORE_BUS_REQUESTS_MAX,
  STORE_BUS_WINDOW,
  STORE_OUTBOX_BYTES_MAX,
  STORE_OUTBOX_BYTES_PAUSE,
} from '../../../../lib/core/limits.js';
import type { StoreMessage, StoreTaken } from '../../../../lib/core/proto-types.js';
import type { BusClient } from '../../../../lib/core/service.js';
import { XENSTORE_PAYLOAD_MAX, XS } from '../../../../lib/layout/xs-wire.js';
import { busStoreChannel } from '../../../../lib/xenstore/bus-client.js';
import { fromBusMessage, messageBytes } from '../../../../lib/xenstore/bus-stream.js';
import { BusSession } from '../../../../services/xenstored/bus-session.js';
import { formatMessage, StoreLab } from '../../../../testkit/store-lab.js';

/** One peer and its session, without a bus between them. */
class Client {
  readonly lab = new StoreLab();
  readonly session: BusSession;
  /** What the session sent and was not taken here. */
  readonly sent: StoreMessage[] = [];
  dropped: string | undefined;
  readonly #later: BusSession[] = [];

  constructor(domid = 0) {
    if (domid !== 0) this.lab.hostDomains.set(domid, '1');
    const peer: Peer = {
      name: 'peer',
      domid,
      incarnation: 1,
      pid: 1,
      emit: (_service, _method, body) => void this.sent.push(body as unknown as StoreMessage),
      drop: (reason) => {
        this.dropped = reason;
        this.session.end();
      },
      onClose: () => {},
    };
    this.session = new BusSession(peer, {
      store: this.lab.store,
      beforeSend: () => {},
      onOutput: () => {},
      later: (session) => void this.#later.push(session),
    });
  }

  ask(type: number, text: string, reqId = 1): void {
    this.session.receive({ type, req_id: reqId, tx_id: 0, payload: latin1Bytes(text.replaceAll('|', '\0')) });
  }

  /** Takes all that came. */
  heard(): string[] {
    const messages = this.sent.splice(0).map(fromBusMessage);
    this.session.taken(messages.reduce((sum, message) => sum + messageBytes(message), 0));
    return messages.map(formatMessage);
  }

  turns(): void {
    for (const session of this.#later.splice(0)) session.turn();
  }
}

t.test('replies and events leave in one order, whichever client caused them', async (t) => {
  const client = new Client();
  client.ask(XS.XS_WATCH, '/a|t|');
  client.ask(XS.XS_WRITE, '/a/b|1');
  client.lab.expectOk('dom0', 'RM', '/a/b|');
  client.ask(XS.XS_READ, '/a/b|');
  t.same(client.heard(), ['WATCH OK|', 'EVENT /a t', 'EVENT /a/b t', 'WRITE OK|', 'EVENT /a/b t', 'ERROR ENOENT|']);
});

t.test(
  'a client that takes nothing has a window ahead of it, the rest waits in the store until it takes',
  async (t) => {
    const client = new Client();
    client.ask(XS.XS_WATCH, '/w|t|');
    const count = 20_000;
    for (let index = 0; index < count; index++) client.lab.expectOk('dom0', 'WRITE', `/w/${index}|v`);
    client.session.flush();
    const bytes = client.sent.reduce((sum, message) => sum + messageBytes(fromBusMessage(message)), 0);
    t.ok(bytes >= STORE_BUS_WINDOW && bytes < STORE_BUS_WINDOW + XENSTORE_PAYLOAD_MAX, `${bytes} bytes left`);
    const heard: string[] = [];
    while (client.sent.length > 0) heard.push(...client.heard());
    t.equal(heard.length, count + 2);
    t.equal(heard.at(-1), `EVENT /w/${count - 1} t`);
    t.end();
  },
);

t.test('its requests wait while too much waits for it, and are done once it takes', async (t) => {
  const client = new Client();
  const value = 'v'.repeat(4000);
  client.lab.expectOk('dom0', 'WRITE', `/big|${value}`);
  const asked = Math.ceil((STORE_BUS_WINDOW + 2 * STORE_OUTBOX_BYTES_PAUSE) / value.length);
  for (let index = 0; index < asked; index++) client.ask(XS.XS_READ, '/big|', index);
  const waits = client.lab.store.connections;
  const outbox = Math.max(...[...waits].map(({ outbox: { bytes } }) => bytes));
  t.ok(outbox < STORE_OUTBOX_BYTES_PAUSE + XENSTORE_PAYLOAD_MAX, `${outbox} bytes wait`);
  let heard = 0;
  while (client.sent.length > 0) {
    heard += client.heard().length;
    client.turns();
  }
  t.equal(heard, asked);
  t.equal(client.dropped, undefined);
  t.end();
});

t.test('a client that lets too much pile up is dropped, and what it held goes with it', async (t) => {
  const client = new Client();
  client.ask(XS.XS_WATCH, '/w|t|');
  const long = 'n'.repeat(1000);
  const needed = Math.ceil(STORE_OUTBOX_BYTES_MAX / long.length) + 300;
  // Identical events merge: only other names pile up.
  for (let index = 0; client.dropped === undefined && index < needed; index++) {
    client.lab.connection('dom0').outbox.take();
    client.lab.send('dom0', 'MKDIR', `/w/${index}/${long}|`);
    client.lab.send('dom0', 'RM', `/w/${index}|`);
    client.session.flush();
  }
  t.equal(client.dropped, 'it does not read');
  t.same(client.lab.store.audit(), []);
  t.end();
});

t.test('a client that breaks the rules of the stream is dropped', async (t) => {
  const long = new Client();
  long.ask(XS.XS_READ, `/${'x'.repeat(XENSTORE_PAYLOAD_MAX)}`);
  t.match(long.dropped, /4097 bytes of payload/);
  const liar = new Client();
  liar.ask(XS.XS_READ, '/tool|');
  liar.session.taken(1 << 20);
  t.match(liar.dropped, /says that it took/);
  // A guest's requests wait for its introduction.
  const hasty = new Client(5);
  for (let index = 0; index < STORE_BUS_REQUESTS_MAX; index++) hasty.ask(XS.XS_READ, 'x|');
  t.equal(hasty.dropped, undefined);
  hasty.ask(XS.XS_READ, 'x|');
  t.match(hasty.dropped, /more than 1024 requests/);
  t.end();
});

t.test('a guest whose domain is released has its requests answered, and may ask anew', async (t) => {
  const client = new Client(5);
  client.ask(XS.XS_READ, 'x|', 7);
  client.ask(XS.XS_READ, 'y|', 8);
  t.same(client.heard(), [], 'not introduced yet');
  client.lab.expectOk('dom0', 'INTRODUCE', '5|1|7|');
  client.session.flush();
  t.same(client.heard(), ['ERROR EACCES|', 'ERROR EACCES|']);
  client.lab.answersAtOnce = false;
  client.lab.store.connectionsOf(5)[0]!.stall = 'introduce';
  client.ask(XS.XS_READ, 'z|', 9);
  client.lab.expectOk('dom0', 'RELEASE', '5|');
  t.same(
    client.sent.map(({ req_id }) => req_id),
    [9],
  );
  t.same(client.heard(), ['ERROR EIO|']);
  client.ask(XS.XS_READ, 'x|', 10);
  t.same(client.heard(), [], 'waits for the next introduction');
  t.equal(client.dropped, undefined);
  t.end();
});

t.test('the client keeps to its bound, and says what it took', async (t) => {
  const client = new Client();
  const { lab, session, sent } = client;
  const requests: StoreMessage[] = [];
  let deliver: (body: StoreMessage) => void = () => {};
  let told = 0;
  const bus = {
    emit(_service: string, method: string, body: object) {
      if (method === 'taken') told += (body as StoreTaken).bytes;
      else requests.push(body as StoreMessage);
    },
    on: (_service: string, _method: string, action: (body: StoreMessage) => void) => {
      deliver = action;
    },
    onLost: () => {},
  } as unknown as BusClient;
  const channel = busStoreChannel(bus);
  const heard: number[] = [];
  channel.onMessage(({ reqId }) => heard.push(reqId));
  lab.expectOk('dom0', 'WRITE', `/n|${'v'.repeat(1000)}`);
  const count = 3 * STORE_BUS_REQUESTS_MAX;
  for (let reqId = 1; reqId <= count; reqId++) channel.send({ type: XS.XS_READ, reqId, txId: 0, payload: '/n\0' });
  t.equal(requests.length, STORE_BUS_REQUESTS_MAX);
  while (requests.length > 0 || sent.length > 0) {
    const before = told;
    for (const request of requests.splice(0)) session.receive(request);
    client.turns();
    for (const message of sent.splice(0)) deliver(message);
    session.taken(told - before);
  }
  t.same(
    heard,
    Array.from({ length: count }, (_, index) => index + 1),
  );
  t.ok(told > count * 1000 - STORE_BUS_WINDOW, `${told} bytes told`);
  t.end();
});
