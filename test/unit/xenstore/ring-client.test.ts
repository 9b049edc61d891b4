import t from 'tap';
import { XENSTORE_DOMAIN_INTERFACE } from '../../../lib/layout/xs-ring.js';
import { XS } from '../../../lib/layout/xs-wire.js';
import { encodeMessage } from '../../../lib/xenstore/framing.js';
import { ReconnectingChannel } from '../../../lib/xenstore/reconnecting-channel.js';
import { ringStoreChannel } from '../../../lib/xenstore/ring-client.js';
import { RingEnd } from '../../../lib/xenstore/ring-stream.js';

function setUp() {
  const page = new Uint8Array(4096);
  const [guest, server] = [new RingEnd(page, 'guest'), new RingEnd(page, 'server')];
  const lost: unknown[] = [];
  const channel = ringStoreChannel(guest, () => {});
  channel.onLost((error) => lost.push(error));
  const words = new Uint32Array(page.buffer);
  return { channel, server, lost, words };
}

t.test('a server whose index is too far ahead ends the channel', async (t) => {
  const { channel, lost, words } = setUp();
  words[XENSTORE_DOMAIN_INTERFACE.offset.rsp_prod / 4] = 5000;
  channel.poll();
  t.match(lost, [{ name: 'ProtocolError', code: 'ring-index' }]);
});

t.test('a server that sets the error word ends the channel', async (t) => {
  const { channel, server, lost } = setUp();
  server.error = 1;
  channel.poll();
  t.match(lost, [{ name: 'ProtocolError', code: 'ring-error' }]);
});

t.test('what the user of the channel throws is no error of the server', async (t) => {
  const { channel, server, lost } = setUp();
  channel.onMessage(() => {
    throw new TypeError('a bug');
  });
  server.write(encodeMessage({ type: XS.XS_READ, reqId: 1, txId: 0, payload: 'x' }));
  t.throws(() => channel.poll(), { name: 'TypeError' });
  t.same(lost, []);
});

t.test('a bug in making the next connection is thrown, and not told as a lost server', async (t) => {
  const thrown = new Promise<Error>((resolve) =>
    process.once('unhandledRejection', (error) => resolve(error as Error)),
  );
  const lost: Error[] = [];
  const channel = new ReconnectingChannel(() => Promise.reject(new TypeError('a bug')));
  channel.onLost((error) => lost.push(error));
  t.match(await thrown, { name: 'TypeError' });
  t.same(lost, []);
});
