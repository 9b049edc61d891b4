// Killed in the middle of many streams of writes, xenstored comes back with everything it acknowledged.
// XENWIRE_XS_STREAMS and XENWIRE_XS_KILLS make it longer.
import { join } from 'node:path';
import t from 'tap';
import { PeerDiedError } from '../../lib/core/errors.js';
import { NO_HISTORY } from '../../lib/core/history.js';
import { NO_LOG } from '../../lib/core/log.js';
import { XS } from '../../lib/layout/xs-wire.js';
import { ZmqBusClient } from '../../lib/node/bus-client.js';
import { lastingStoreClient } from '../../lib/xenstore/bus-client.js';
import { startNode, temporaryRunDir } from '../fixtures/processes.js';
import { XsSocket } from '../peers/xs-socket.js';

const MAIN = new URL('../../services/xenstored/main.js', import.meta.url);
const STREAMS = Number(process.env['XENWIRE_XS_STREAMS'] ?? 100);
const KILLS = Number(process.env['XENWIRE_XS_KILLS'] ?? 3);
/** Requests of one stream on their way at once. */
const AHEAD = 8;

/** Writes 1, 2, 3, ... to one key, some ahead of their acknowledgements, until the server is gone. */
async function stream(socket: string, key: string, onAcknowledged: () => void): Promise<number> {
  const client = await XsSocket.open(socket);
  let sent = 0;
  let acknowledged = 0;
  const send = (): void => {
    sent++;
    client.send({ type: XS.XS_WRITE, reqId: sent, txId: 0, payload: `${key}\0${sent}` });
  };
  while (sent < AHEAD) send();
  for (;;) {
    const [reply] = await client.until(acknowledged + 1);
    if (reply === undefined) return acknowledged;
    if (reply.type !== XS.XS_WRITE) throw new Error(`WRITE answered ${reply.payload}`);
    acknowledged++;
    onAcknowledged();
    send();
  }
}

t.test(`${KILLS} kills amid ${STREAMS} streams lose nothing acknowledged`, async (t) => {
  t.setTimeout(30_000 + KILLS * STREAMS * 50);
  const runDir = temporaryRunDir(t);
  const socket = join(runDir, 'xenstored.socket');
  const start = async () => {
    const server = startNode(t, MAIN, ['--alone', '--run-dir', runDir]);
    await server.logged(/"ready"/);
    return server;
  };
  let server = await start();
  for (let round = 0; round < KILLS; round++) {
    let total = 0;
    // Somewhere in the middle, another place each time.
    const killAt = STREAMS * (7 + 5 * round) + round;
    const keys = Array.from({ length: STREAMS }, (_, index) => `/streams/${round}/${index}`);
    const acknowledged = await Promise.all(
      keys.map((key) =>
        stream(socket, key, () => {
          if (++total === killAt) server.child.kill('SIGKILL');
        }),
      ),
    );
    t.equal(await server.ended(), 'SIGKILL');
    server = await start();
    const client = await XsSocket.open(socket);
    let lost = 0;
    for (const [index, key] of keys.entries()) {
      client.send({ type: XS.XS_READ, reqId: index, txId: 0, payload: `${key}\0` });
      const reply = (await client.until(index)).at(-1);
      const kept = reply?.type === XS.XS_READ ? Number(reply.payload) : 0;
      if (kept < (acknowledged[index] as number)) lost++;
    }
    client.send({ type: XS.XS_CONTROL, reqId: 1, txId: 0, payload: 'check\0' });
    t.equal((await client.until(1)).at(-1)?.payload, 'OK\0');
    client.close();
    t.equal(lost, 0, `round ${round}: ${total} acknowledged`);
  }
});

t.test('clients on the bus go on with the next xenstored', async (t) => {
  const runDir = temporaryRunDir(t);
  const start = () => startNode(t, MAIN, ['--alone', '--run-dir', runDir]);
  let server = start();
  const ending = new AbortController();
  const client = lastingStoreClient(async () => {
    const bus = await ZmqBusClient.connect({
      runDir,
      server: 'xenstored',
      name: 'lasting',
      incarnation: Date.now() * 4096,
      token: async () => '',
      log: NO_LOG,
      history: NO_HISTORY,
      onActivity: () => {},
      signal: ending.signal,
    });
    if (bus === undefined) throw new PeerDiedError('xenstored');
    return bus;
  });
  t.teardown(() => {
    ending.abort();
    client.close();
  });
  let events = 0;
  await client.watch('/w', 'token', () => events++);
  for (let life = 0; life < 3; life++) {
    await client.write(`/w/${life}`, 'before');
    const writing = Array.from({ length: 50 }, (_, index) => client.write(`/many/${index}`, String(life)));
    let runs = 0;
    const counted = client.transaction(async (tx) => {
      const count = Number(await tx.read('/count').catch(() => '0'));
      if (++runs === 1) {
        server.child.kill('SIGKILL');
        await server.ended();
        server = start();
      }
      await tx.write('/count', String(count + 1));
    });
    await Promise.all([...writing, counted]);
    t.equal(await client.read('/count'), String(life + 1));
    for (let index = 0; index < 50; index++) t.equal(await client.read(`/many/${index}`), String(life));
    const before = events;
    await client.write('/w/after', String(life));
    await client.read('/');
    t.ok(events > before, 'the watch lives on');
  }
});
