// Killed in the middle of many streams of writes, xenstored comes back with everything it acknowledged.
// XENWIRE_XS_STREAMS and XENWIRE_XS_KILLS make it longer.
import { join } from 'node:path';
import t from 'tap';
import { XS } from '../../lib/layout/xs-wire.js';
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
