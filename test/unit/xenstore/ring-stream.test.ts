import fc from 'fast-check';
import t from 'tap';
import { XENSTORE_DOMAIN_INTERFACE } from '../../../lib/layout/xs-ring.js';
import { RingEnd } from '../../../lib/xenstore/ring-stream.js';

function pair(start = 0): {
  page: Uint8Array;
  guest: RingEnd;
  server: RingEnd;
  set: (field: number, value: number) => void;
} {
  const page = new Uint8Array(4096);
  const view = new DataView(page.buffer);
  const set = (field: number, value: number): void => view.setUint32(field, value, true);
  const { offset } = XENSTORE_DOMAIN_INTERFACE;
  for (const field of [offset.req_cons, offset.req_prod, offset.rsp_cons, offset.rsp_prod]) set(field, start);
  return { page, guest: new RingEnd(page, 'guest'), server: new RingEnd(page, 'server'), set };
}

t.test('bytes come out in order, whatever the sizes and wherever the indexes stand', async () => {
  const chunk = fc.oneof(
    fc.record({ write: fc.uint8Array({ maxLength: 1500 }) }),
    fc.record({ read: fc.constant(true) }),
  );
  const start = fc.constantFrom(0, 1, 1000, 0xfffffffe, 0xfffffc01);
  fc.assert(
    fc.property(start, fc.array(chunk, { maxLength: 60 }), fc.boolean(), (at, steps, down) => {
      const { guest, server } = pair(at);
      const [from, to] = down ? [server, guest] : [guest, server];
      const sent: number[] = [];
      const received: number[] = [];
      for (const step of steps) {
        if ('read' in step) received.push(...to.read());
        else {
          const count = from.write(step.write);
          if (count === 0 && step.write.length > 0 && from.writable > 0) throw new Error('room, but nothing written');
          sent.push(...step.write.subarray(0, count));
        }
        if (to.readable + from.writable !== 1024) throw new Error('the ring does not add up');
      }
      while (to.readable > 0) received.push(...to.read());
      return JSON.stringify(received) === JSON.stringify(sent);
    }),
  );
});

t.test('an index too far ahead is refused by the end that meets it', async (t) => {
  const { offset } = XENSTORE_DOMAIN_INTERFACE;
  const { server, guest, set } = pair();
  set(offset.req_prod, 1024);
  t.equal(server.readable, 1024, 'a full ring is right');
  set(offset.req_prod, 1025);
  t.throws(() => server.read(), { name: 'RingIndexError' });
  t.throws(() => guest.write(Uint8Array.of(1)), { name: 'RingIndexError' });
  set(offset.rsp_cons, 1);
  t.throws(() => server.writable, { name: 'RingIndexError' }, 'also backwards');
  server.reset();
  t.equal(server.readable, 0);
  t.equal(server.writable, 1024);
});

t.test('the words beside the rings', async (t) => {
  const { server, guest, set } = pair();
  server.features = 14;
  server.error = 3;
  t.equal(guest.features, 14);
  t.equal(guest.error, 3);
  set(XENSTORE_DOMAIN_INTERFACE.offset.evtchn_port, 9);
  t.equal(server.eventChannel, 9);
  t.equal(server.wantsReconnect, false);
  guest.askReconnect();
  t.equal(server.wantsReconnect, true);
  server.confirmConnected();
  t.equal(guest.wantsReconnect, false);
});
