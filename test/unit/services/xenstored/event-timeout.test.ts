// Events that their client does not take: a guest's are dropped in time, dom0's and all replies stay.
import t from 'tap';
import { XS } from '../../../../lib/layout/xs-wire.js';
import type { Connection } from '../../../../services/xenstored/connection.js';
import type { ControlHost } from '../../../../services/xenstored/control-host.js';
import { Store } from '../../../../services/xenstored/store.js';
import { StoreClock } from '../../../../testkit/store-clock.js';

function lab(): { clock: StoreClock; store: Store; guest: Connection; dom0: Connection; told: Connection[] } {
  const clock = new StoreClock();
  const store = new Store({ ask: () => {}, control: {} as ControlHost, time: clock });
  store.plant();
  const told: Connection[] = [];
  const hooks = { onOutput: (connection: Connection) => told.push(connection), onDropped: () => {} };
  const guest = store.connectGuest(5, { name: 'guest', ...hooks });
  const dom0 = store.connectPrivileged({ name: 'dom0', ...hooks });
  return { clock, store, guest, dom0, told };
}

const payloads = (connection: Connection): string[] => connection.outbox.waiting.map(({ payload }) => payload);

t.test('an event that a guest does not begin to take is dropped after 20 s, each in its time', async (t) => {
  const { clock, guest, told } = lab();
  guest.outbox.event('/a', 't');
  guest.outbox.reply({ type: XS.XS_READ, reqId: 1, txId: 0, payload: 'reply' });
  clock.advanceTo(5);
  guest.outbox.event('/b', 't');
  clock.advanceTo(19.9);
  t.same(payloads(guest), ['/a\0t\0', 'reply', '/b\0t\0']);
  told.length = 0;
  clock.advanceTo(20);
  t.same(payloads(guest), ['reply', '/b\0t\0']);
  t.same(told, [guest], 'its transport looks again');
  t.equal(guest.outbox.bytes, 'reply'.length + 5);
  t.ok(guest.outbox.event('/a', 't'), 'the same one is queued anew');
  clock.advanceTo(25);
  t.same(payloads(guest), ['reply', '/a\0t\0']);
  clock.advanceTo(1000);
  t.same(payloads(guest), ['reply']);
  t.equal(clock.pending, 0);
});

t.test('an event that was taken is not dropped, and dom0 is never hurried', async (t) => {
  const { clock, guest, dom0 } = lab();
  guest.outbox.event('/a', 't');
  t.equal(guest.outbox.takeFirst()?.message.payload, '/a\0t\0');
  dom0.outbox.event('/a', 't');
  clock.advanceTo(1000);
  t.same(payloads(dom0), ['/a\0t\0']);
  t.same(payloads(guest), []);
});

t.test('a request stops counting as outstanding with the event that it caused', async (t) => {
  const { clock, store, guest } = lab();
  const other = store.connectGuest(6, { name: 'other', onOutput: () => {}, onDropped: () => {} });
  other.stall = undefined;
  store.addWatch(guest, { path: '/local/domain/6', token: 't', depth: undefined, cut: 0 });
  const root = store.tree.get('/');
  if (root === undefined) throw new Error('no root');
  store.tree.set('/', root.withPerms([{ domid: 0, access: 3, ignored: false }], store.tree.nextGeneration()));
  store.receive(other, { type: XS.XS_WRITE, reqId: 1, txId: 0, payload: '/local/domain/6/x\0v' });
  t.same(payloads(guest), ['/local/domain/6/x\0t\0']);
  other.outbox.take();
  t.equal(other.domain?.account.used('outstanding'), 1);
  clock.advanceTo(20);
  t.equal(other.domain?.account.used('outstanding'), 0);
});

t.test('a guest that ends leaves no timer', async (t) => {
  const { clock, store, guest } = lab();
  guest.outbox.event('/a', 't');
  t.equal(clock.pending, 1);
  store.close(guest);
  t.equal(clock.pending, 0);
});
