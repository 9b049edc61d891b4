// The bus between real processes: calls, events, refusals, and what happens when a peer is killed or paused.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { closeConnections } from '../../lib/node/files/other-process.js';
import { runPaths } from '../../lib/node/process/run-dir.js';
import { type Owner, startNode, type TestProcess, temporaryRunDir } from '../../testkit/processes.js';
import { longTest } from '../../testkit/tier.js';

const SERVER = new URL('../fixtures/echo-server.js', import.meta.url);
const CLIENT = new URL('../fixtures/echo-client.js', import.meta.url);

async function server(test: Owner, runDir: string): Promise<TestProcess> {
  const running = startNode(test, SERVER, ['--run-dir', runDir]);
  await running.line(/^ready/);
  return running;
}

function clientOf(test: Owner, runDir: string, ...args: string[]): TestProcess {
  return startNode(test, CLIENT, ['--run-dir', runDir, ...args]);
}

async function client(test: Owner, runDir: string, ...args: string[]): Promise<TestProcess> {
  const running = clientOf(test, runDir, ...args);
  await running.line(/^ready/);
  return running;
}

const msSince = (ns: bigint): number => Number(process.hrtime.bigint() - ns) / 1e6;
const lastNumber = (line: string): bigint => BigInt(line.split(' ').at(-1)!);

t.test('a call is answered, an error keeps its number, an unknown method is ENOSYS', async (t) => {
  const runDir = temporaryRunDir(t);
  await server(t, runDir);
  const one = await client(t, runDir);
  one.say('add 2 3');
  t.equal(await one.line(/^add/), 'add {"port":5}');
  one.say('close');
  t.equal(await one.line(/^close/), 'close ErrnoError EINVAL port is free');
  one.say('nothing');
  t.match(await one.line(/^nothing/), /ENOSYS/);
});

t.test(
  "a bug in a handler ends the server with its reason and answers no client; the world's failure is EIO",
  async (t) => {
    for (const verb of ['bug', 'later']) {
      const runDir = temporaryRunDir(t);
      const host = await server(t, runDir);
      const one = await client(t, runDir);
      one.say('world');
      t.equal(await one.line(/^world/), 'world ErrnoError EIO no space');
      one.say(verb);
      t.equal(await host.ended(), 1);
      t.match(host.stderr, /internal error: TypeError: a bug in a handler/);
      t.match(await one.line(new RegExp(`^${verb}`)), /PeerDiedError/);
    }
  },
);

t.test('a client that starts first waits for its server', async (t) => {
  const runDir = temporaryRunDir(t);
  const early = clientOf(t, runDir);
  await server(t, runDir);
  t.equal(await early.line(/^ready/), 'ready 0');
});

t.test('the token decides which domain a client is; a wrong one is refused and ends the client', async (t) => {
  const runDir = temporaryRunDir(t);
  const host = await server(t, runDir);
  const guest = clientOf(t, runDir, '--as', 'guest', '--token', 'guest');
  t.equal(await guest.line(/^ready/), 'ready 7');
  t.match(await host.line(/^came guest/), /^came guest 7 /);
  const forger = clientOf(t, runDir, '--as', 'forger', '--token', 'wrong');
  t.equal(await forger.ended(), 1);
  t.match(forger.stderr, /wrong token/);
});

t.test('events arrive in order, before the reply that follows them', async (t) => {
  const runDir = temporaryRunDir(t);
  const host = await server(t, runDir);
  const one = await client(t, runDir);
  one.say('hold');
  one.say('add 1 1');
  await one.line(/^add/); // the held request has reached the server
  host.say('emit client 500');
  host.say('release');
  await one.line(/^hold/);
  const events = one.lines.filter((line) => line.startsWith('event')).map((line) => Number(line.split(' ')[1]));
  t.same(
    events,
    Array.from({ length: 500 }, (_, index) => index),
  );
  t.ok(one.lines.indexOf('hold {}') > one.lines.indexOf('event 499'));
});

t.test('a killed server is learnt of from the kernel, before any time-out, and calls under way fail', async (t) => {
  const runDir = temporaryRunDir(t);
  const host = await server(t, runDir);
  const one = await client(t, runDir);
  one.say('hang');
  one.say('add 1 1');
  await one.line(/^add/);
  const killed = process.hrtime.bigint();
  process.kill(host.pid, 'SIGKILL');
  const lost = lastNumber(await one.line(/^lost/));
  t.ok(Number(lost - killed) / 1e6 < DEADLINE_MS.heartbeat, `learnt after ${Number(lost - killed) / 1e6} ms`);
  t.match(one.lines.find((line) => line.startsWith('hang')) ?? (await one.line(/^hang/)), /PeerDiedError/);
  one.say('add 1 2');
  t.match(await one.line(/^add/), /PeerDiedError/);
});

for (const others of [0, 2]) {
  t.test(
    `a killed client (beside ${others} others) is learnt of from the kernel, before any time-out, and does not stop the server`,
    others > 0 ? {} : longTest(),
    async (t) => {
      const runDir = temporaryRunDir(t);
      const host = await server(t, runDir);
      const bystanders: TestProcess[] = [];
      for (let i = 0; i < others; i++) bystanders.push(await client(t, runDir, '--as', `other-${i}`));
      const victim = await client(t, runDir, '--as', 'victim');
      const killed = process.hrtime.bigint();
      process.kill(victim.pid, 'SIGKILL');
      host.say('emit victim 1000'); // some of these meet a peer that is dead but not yet known to be
      const gone = lastNumber(await host.line(/^gone victim/));
      t.ok(Number(gone - killed) / 1e6 < DEADLINE_MS.heartbeat, `learnt after ${Number(gone - killed) / 1e6} ms`);
      for (const bystander of bystanders) {
        bystander.say('add 4 4');
        t.equal(await bystander.line(/^add/), 'add {"port":8}');
      }
      const next = await client(t, runDir, '--as', 'victim');
      next.say('add 20 1');
      t.equal(await next.line(/^add/), 'add {"port":21}', 'a successor of the same name is served');
    },
  );
}

t.test(
  'a stream of messages that breaks ends the connection for both ends, with the calls under way on it',
  async (t) => {
    const runDir = temporaryRunDir(t);
    const host = await server(t, runDir);
    const one = await client(t, runDir);
    one.say('hang');
    one.say('add 1 1');
    await one.line(/^add/);
    const cut = closeConnections(one.pid, ({ path }) => path === runPaths.bus(runDir, 'hypervisor'));
    t.equal(cut.length, 1);
    await one.line(/^lost/);
    t.match(one.lines.find((line) => line.startsWith('hang')) ?? (await one.line(/^hang/)), /PeerDiedError/);
    await host.line(/^gone client/);
    const next = await client(t, runDir, '--as', 'next');
    next.say('add 1 2');
    t.equal(await next.line(/^add/), 'add {"port":3}', 'the server serves the next one');
  },
);

t.test('a paused client holds up no other; awake again it is still served', async (t) => {
  const runDir = temporaryRunDir(t);
  const host = await server(t, runDir);
  const sleeper = await client(t, runDir, '--as', 'sleeper');
  const other = await client(t, runDir, '--as', 'other');
  process.kill(sleeper.pid, 'SIGSTOP');
  host.say('emit sleeper 5000');
  await host.line(/^emitted/);
  other.say('add 1 1');
  t.equal(await other.line(/^add/), 'add {"port":2}');
  process.kill(sleeper.pid, 'SIGCONT');
  await sleeper.line(/^event 4999$/);
  sleeper.say('add 2 2');
  t.equal(await sleeper.line(/^add/), 'add {"port":4}');
});

t.test('a paused client that never reads is dropped at the bound, and only it', longTest(), async (t) => {
  const runDir = temporaryRunDir(t);
  const host = await server(t, runDir);
  const sleeper = await client(t, runDir, '--as', 'sleeper');
  const other = await client(t, runDir, '--as', 'other');
  process.kill(sleeper.pid, 'SIGSTOP');
  host.say('emit sleeper 40000');
  await host.line(/^gone sleeper/, 20_000);
  other.say('add 1 1');
  t.equal(await other.line(/^add/), 'add {"port":2}');
  process.kill(sleeper.pid, 'SIGCONT');
  await sleeper.line(/^lost/);
});

t.test('a process ends although messages to a paused server are undelivered', longTest(), async (t) => {
  const runDir = temporaryRunDir(t);
  const host = await server(t, runDir);
  const one = await client(t, runDir);
  process.kill(host.pid, 'SIGSTOP');
  one.say('flood 2000');
  await one.line(/^flooded/);
  const asked = process.hrtime.bigint();
  one.say('stop');
  t.equal(await one.ended(), 0);
  t.ok(msSince(asked) < 2000);
});

t.test('a second process of the same name is refused with one sentence and status 2; the first works on', async (t) => {
  const runDir = temporaryRunDir(t);
  await server(t, runDir);
  const one = await client(t, runDir);
  const second = startNode(t, SERVER, ['--run-dir', runDir]);
  t.equal(await second.ended(), 2);
  t.match(second.stderr, /^xenwire hypervisor: hypervisor is already running in \S+\n$/);
  one.say('add 1 1');
  t.equal(await one.line(/^add/), 'add {"port":2}');
});

t.test('more requests in flight than the bound answer EBUSY', async (t) => {
  const runDir = temporaryRunDir(t);
  await server(t, runDir);
  const one = await client(t, runDir);
  one.say('flood 1024');
  one.say('hang');
  t.match(await one.line(/^hang/), /EBUSY/);
});

t.test('a run directory too long for a socket, and an unknown flag, are one sentence and status 2', async (t) => {
  const long = join(temporaryRunDir(t), 'x'.repeat(100));
  mkdirSync(long);
  const running = startNode(t, SERVER, ['--run-dir', long]);
  t.equal(await running.ended(), 2);
  t.match(
    running.stderr,
    /^xenwire hypervisor: run directory \S+ is too long for the sockets in it: \d+ bytes, at most \d+\n$/,
  );
  const mistyped = startNode(t, SERVER, ['--rundir', 'x']);
  t.equal(await mistyped.ended(), 2);
  t.match(mistyped.stderr, /^xenwire hypervisor: unknown option '--rundir'.*\n$/);
});
