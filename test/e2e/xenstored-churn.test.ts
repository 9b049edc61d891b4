// Many socket clients that come, hold things, and go without a word: the process keeps no descriptor and no memory of them.
// XENWIRE_XS_CLIENTS makes it longer.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { XS } from '../../lib/layout/xs-wire.js';
import { startNode, temporaryRunDir } from '../../testkit/processes.js';
import { XsSocket } from '../peers/xs-socket.js';

const MAIN = new URL('../../services/xenstored/main.js', import.meta.url);
const CLIENTS = Number(process.env['XENWIRE_XS_CLIENTS'] ?? 600);
const AT_ONCE = 50;
const REQUESTS = 20;
/** What a process may take more than after its first clients: the engine's heap, whose size is its own affair. */
const GROWTH_KIB = 96 << 10;

const CHECK = 1_000_000;

/** Asks many things ahead, reads some of what comes, and is gone with watches, a transaction and requests open. */
async function visit(socket: string, name: string): Promise<void> {
  const client = await XsSocket.open(socket);
  const send = (reqId: number, type: number, payload: string): void => client.send({ type, reqId, txId: 0, payload });
  send(1, XS.XS_WATCH, `/visits\0${name}\0`);
  send(2, XS.XS_TRANSACTION_START, '\0');
  for (let reqId = 3; reqId < REQUESTS; reqId++) send(reqId, XS.XS_WRITE, `/visits/${reqId}\0${name}`);
  await client.until(REQUESTS - 1);
  send(REQUESTS, XS.XS_READ, '/visits/3\0');
  client.close();
}

t.test(`${CLIENTS} clients that come and go leave the process as it was`, async (t) => {
  t.setTimeout(30_000 + CLIENTS * 20);
  const runDir = temporaryRunDir(t);
  const server = startNode(t, MAIN, ['--alone', '--run-dir', runDir]);
  await server.logged(/"ready"/);
  const socket = join(runDir, 'xenstored.socket');
  const descriptors = (): number => readdirSync(`/proc/${server.pid}/fd`).length;
  const memoryKib = (): number =>
    Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1]);

  const admin = await XsSocket.open(socket);
  t.teardown(() => admin.close());
  const ask = async (type: number, payload: string): Promise<string> => {
    admin.send({ type, reqId: CHECK, txId: 0, payload });
    return (await admin.until(CHECK)).at(-1)?.payload ?? '';
  };
  /** Once the daemon has seen all of them end. */
  const gone = async (): Promise<void> => {
    // The process's own limit on the test is the deadline.
    while (descriptors() > before) await ask(XS.XS_READ, '/\0');
  };
  await ask(XS.XS_READ, '/\0');
  const before = descriptors();
  let memory = 0;
  for (let done = 0; done < CLIENTS; done += AT_ONCE) {
    const batch = Array.from({ length: AT_ONCE }, (_, index) => visit(socket, `visitor-${done + index}`));
    await Promise.all(batch);
    await gone();
    if (done === 0) memory = memoryKib();
  }
  t.equal(descriptors(), before);
  const grown = memoryKib() - memory;
  t.comment(`${CLIENTS} clients, ${CLIENTS * REQUESTS} requests: ${memory} KiB, grown by ${grown} KiB`);
  t.ok(grown < GROWTH_KIB, `it grew by ${grown} KiB`);
  const report = join(runDir, 'report');
  t.equal(await ask(XS.XS_CONTROL, `memreport\0${report}\0`), 'OK\0');
  t.match(readFileSync(report, 'utf8'), /^connections 1\n(?!.*(watch|transaction) )/ms);
  t.equal(await ask(XS.XS_CONTROL, 'check\0'), 'OK\0');
});
