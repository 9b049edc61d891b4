// Clients of the store's socket, in this process: what one client's end does to the others that have something to send.
import { connect } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { STORE_OUTBOX_BYTES_MAX, STORE_OUTBOX_BYTES_PAUSE } from '../../../../lib/core/limits.js';
import { NO_LOG } from '../../../../lib/core/log.js';
import { XS } from '../../../../lib/layout/xs-wire.js';
import { SocketTransport } from '../../../../services/xenstored/node/socket-transport.js';
import { temporaryRunDir } from '../../../../testkit/processes.js';
import { StoreLab } from '../../../../testkit/store-lab.js';
import { WireClient, wireBytes } from '../../../../testkit/store-wire-client.js';

/** Most of an event: few of them fill what may wait. */
const TOKEN = 'x'.repeat(3900);

t.test('a client that is told of something while the end of another flushes them all, hears it', async (t) => {
  const lab = new StoreLab();
  const path = join(temporaryRunDir(t), 'socket');
  let afterEnd = (): void => {};
  const transport = new SocketTransport({
    ...{ store: lab.store, path, log: NO_LOG, onActivity: () => {}, beforeSend: () => {} },
    afterRequests: () => {
      if ([...transport.clients].length === 1) afterEnd();
    },
  });
  await transport.listen();
  t.teardown(() => transport.close());
  let written = 0;
  const fill = (bytes: number): void => {
    for (const end = written + Math.ceil(bytes / TOKEN.length) + 1; written < end; written++)
      lab.send('dom0', 'WRITE', `/w/${written}|v`);
  };

  const deaf = connect(path);
  t.teardown(() => deaf.destroy());
  deaf.write(wireBytes({ type: XS.XS_WATCH, reqId: 1, txId: 0, payload: `/w\0${TOKEN}\0` }));
  await new Promise<void>((resolve) => deaf.once('data', () => resolve()));
  deaf.pause();
  const client = await WireClient.connect(path);
  t.teardown(() => client.destroy());
  await client.request(XS.XS_WATCH, '/told\0token\0');
  client.take();
  // More than the socket holds, then more than may wait.
  fill(STORE_OUTBOX_BYTES_PAUSE);
  transport.flush();
  fill(STORE_OUTBOX_BYTES_MAX);
  afterEnd = () => {
    afterEnd = () => {};
    lab.send('dom0', 'WRITE', '/told|v');
  };
  transport.flush();
  t.equal([...transport.clients].length, 1, 'the one that does not read is dropped');
  await client.barrier();
  t.match(client.take(), [{ type: XS.XS_WATCH_EVENT, payload: '/told\0token\0' }]);
});
