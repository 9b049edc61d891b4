// xenstored as a process, over the bus.
import t from 'tap';
import { NO_LOG } from '../../lib/core/log.js';
import { NO_PROBE } from '../../lib/core/probe.js';
import { XS, xsName } from '../../lib/layout/xs-wire.js';
import { ZmqBusClient } from '../../lib/node/bus/client.js';
import { busStoreChannel, busStoreClient } from '../../lib/xenstore/bus-client.js';
import { type Owner, startNode, temporaryRunDir } from '../../testkit/processes.js';

const MAIN = new URL('../../services/xenstored/main.js', import.meta.url);

async function connect(t: Owner, runDir: string, name: string): Promise<ZmqBusClient> {
  const client = await ZmqBusClient.connect({
    runDir,
    server: 'xenstored',
    name,
    incarnation: Date.now() * 4096,
    token: async () => '',
    log: NO_LOG,
    probe: NO_PROBE,
    onActivity: () => {},
  });
  t.teardown(() => client?.close());
  return client!;
}

t.test('a store over the bus keeps the order of replies and events', async (t) => {
  const runDir = temporaryRunDir(t);
  const server = startNode(t, MAIN, ['--alone', '--run-dir', runDir]);
  const bus = await connect(t, runDir, 'raw');
  const heard: string[] = [];
  const waiting = new Set<() => void>();
  const channel = busStoreChannel(bus);
  channel.onMessage((message) => {
    heard.push(`${xsName(message.type)} ${message.payload.replaceAll('\0', '|')}`);
    for (const wake of waiting) wake();
  });
  let reqId = 0;
  const send = (type: number, text: string): void =>
    channel.send({ type, reqId: ++reqId, txId: 0, payload: text.replaceAll('|', '\0') });
  const until = async (count: number): Promise<void> => {
    while (heard.length < count) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          waiting.delete(wake);
          resolve();
        };
        waiting.add(wake);
      });
    }
  };
  // Sent without waiting for each other.
  send(XS.XS_WATCH, '/a|t|');
  send(XS.XS_WATCH, '/a/b|u|');
  send(XS.XS_WRITE, '/a/b|1');
  send(XS.XS_READ, '/a/b|');
  send(XS.XS_RM, '/a|');
  send(XS.XS_READ, '/a/b|');
  await until(12);
  t.same(heard, [
    'WATCH OK|',
    'WATCH_EVENT /a|t|',
    'WATCH OK|',
    'WATCH_EVENT /a/b|u|',
    'WATCH_EVENT /a/b|t|',
    'WATCH_EVENT /a/b|u|',
    'WRITE OK|',
    'READ 1',
    'WATCH_EVENT /a/b|u|',
    'WATCH_EVENT /a|t|',
    'RM OK|',
    'ERROR ENOENT|',
  ]);
  server.child.kill('SIGTERM');
  t.equal(await server.ended(), 0, 'ends in order');
});

t.test('what a client held goes with it, and a lost server is told', async (t) => {
  const runDir = temporaryRunDir(t);
  const server = startNode(t, MAIN, ['--alone', '--run-dir', runDir]);
  const [first, second] = [await connect(t, runDir, 'first'), await connect(t, runDir, 'second')];
  const [one, two] = [busStoreClient(first), busStoreClient(second)];
  await one.watch('/x', 'token', () => {});
  const audit = async (): Promise<string[]> =>
    (await second.remote('Control').audit({})).held.map(({ kind, name }) => `${kind} ${name}`);
  t.same(await audit(), ['watch first /x token']);
  await two.write('/x', '1');
  await first.close();
  // The kernel tells the server, at its own pace: asked until it is so.
  const deadline = Date.now() + 5000;
  while ((await audit()).some((line) => line.startsWith('watch first'))) {
    if (Date.now() > deadline) throw new Error('the watch of a closed client stays');
  }
  const lost = new Promise<void>((resolve) => second.onLost(resolve));
  server.child.kill('SIGKILL');
  await lost;
  await t.rejects(two.read('/x'), { name: 'PeerDiedError' });
});
