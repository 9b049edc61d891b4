// The GPU device server as a process: sessions over the bus, memory and doorbells shared for real, pictures as files.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { NO_LOG } from '../../lib/core/log.js';
import { RegionMemory } from '../../lib/core/memory.js';
import { NO_PROBE } from '../../lib/core/probe.js';
import type { VhostUserHandle, VhostUserMessage } from '../../lib/core/proto-types.js';
import { sharedDoorbell } from '../../lib/node/bell/bell.js';
import { Poller } from '../../lib/node/bell/poller.js';
import { ZmqBusClient } from '../../lib/node/bus/client.js';
import { sharedFiles } from '../../lib/node/files/shm.js';
import { runPaths } from '../../lib/node/process/run-dir.js';
import { bellHandles, busChannel, fileHandle } from '../../testkit/bus-channel.js';
import { GpuFrontEnd } from '../../testkit/gpu-front-end.js';
import { mismatches, picture } from '../../testkit/gpu-pictures.js';
import { type Owner, startNode, type TestProcess, temporaryRunDir } from '../../testkit/processes.js';

const SERVER = new URL('../../services/vhost-gpu/main.js', import.meta.url);
const CLIENT = new URL('../fixtures/gpu-client.js', import.meta.url);
const RAM = 4 << 20;

async function startServer(test: Owner, runDir: string): Promise<TestProcess> {
  const server = startNode(test, SERVER, ['--run-dir', runDir]);
  await server.logged(/ready/);
  // What a hypervisor puts there when it starts.
  writeFileSync(runPaths.dom0Token(runDir), 'secret', { mode: 0o600 });
  return server;
}

async function connect(test: Owner, runDir: string, name = 'front', token = 'secret'): Promise<ZmqBusClient> {
  const client = await ZmqBusClient.connect({
    runDir,
    server: 'vhost-gpu',
    name,
    incarnation: Date.now() * 4096,
    token: async () => token,
    log: NO_LOG,
    probe: NO_PROBE,
    onActivity: () => {},
  });
  test.teardown(() => client!.close());
  return client!;
}

/** A front-end whose doorbell and guest memory are this process's. */
async function frontEnd(test: Owner, runDir: string, client: ZmqBusClient, name: string) {
  const poller = new Poller();
  const bell = sharedDoorbell(runDir, `front.${name.replace('/', '-')}`, poller);
  const ram = sharedFiles(runDir).create(`shm/${name.replace('/', '-')}.ram`, RAM);
  test.teardown(() => {
    poller.stop();
    bell.close();
    ram.remove();
  });
  const server = client.remote('VhostUser');
  const { session, first_kick } = await server.open({ name, queue_count: 2 });
  const kicks = [0, 1].map((index) => bell.open({ bell: first_kick.bell, bit: first_kick.bit + index }));
  const calls = bell.bind((index) => front.onCall(index), 2);
  const front: GpuFrontEnd<VhostUserHandle> = new GpuFrontEnd({
    memory: new RegionMemory([{ base: 0, bytes: ram.bytes }]),
    file: { handle: fileHandle(ram.handle), size: RAM },
    channel: busChannel((message) => server.message({ session, ...message })),
    kicks: bellHandles(first_kick),
    calls: bellHandles(calls.handle),
    kick: (index) => kicks[index]!.signal(),
  });
  await front.connect();
  await front.start();
  return { front, session, kick: (index: number) => kicks[index]!.signal() };
}

t.test('two devices of one front-end draw beside each other, and the screenshots equal the pictures', async (t) => {
  const runDir = temporaryRunDir(t);
  await startServer(t, runDir);
  const client = await connect(t, runDir);
  const display = client.remote('Display');
  const names = ['1/0', '2/0'];
  const fronts = await Promise.all(names.map((name) => frontEnd(t, runDir, client, name)));
  const pictures = names.map((_, index) => picture(320, 200, index * 50));
  await Promise.all(fronts.map(({ front }, index) => front.draw(1, 320, 200, pictures[index]!)));
  for (const [index, name] of names.entries()) {
    const path = join(runDir, `${index}.png`);
    const before = process.hrtime.bigint();
    const shot = await display.screenshot({ name, scanout: 0, path });
    t.match(shot, { width: 320, height: 200, flush_count: 1 });
    t.ok(shot.first_flush_ns > 0 && BigInt(shot.first_flush_ns) < before, 'the clock that all processes share');
    t.equal(mismatches(path, 320, 200, pictures[index]!), 0);
  }
  await t.rejects(display.screenshot({ name: '3/0', scanout: 0, path: '/tmp/x.png' }), { code: 'ENOENT' });
  await t.rejects(display.screenshot({ name: '1/0', scanout: 1, path: '/tmp/x.png' }), { code: 'EINVAL' });
  await t.rejects(display.screenshot({ name: '1/0', scanout: 0, path: 'x.png' }), { code: 'EINVAL' });
  await t.rejects(display.screenshot({ name: '1/0', scanout: 0, path: join(runDir, 'no', 'x.png') }), { code: 'EIO' });
});

t.test('a guest that breaks its ring loses its queue, and no other guest loses anything', async (t) => {
  const runDir = temporaryRunDir(t);
  await startServer(t, runDir);
  const client = await connect(t, runDir);
  const failed = new Promise<Partial<VhostUserMessage>>((resolve) =>
    client.on('VhostUserEvents', 'backend_message', resolve),
  );
  const bad = await frontEnd(t, runDir, client, '1/0');
  const good = await frontEnd(t, runDir, client, '2/0');
  bad.front.rings[0]!.publish(1234);
  bad.kick(0);
  t.match(await failed, { session: bad.session, request: 5 });
  const pixels = picture(64, 64, 9);
  await good.front.draw(1, 64, 64, pixels);
  await client.remote('Display').screenshot({ name: '2/0', scanout: 0, path: join(runDir, 'good.png') });
  t.equal(mismatches(join(runDir, 'good.png'), 64, 64, pixels), 0);
  await t.rejects(client.remote('Display').screenshot({ name: '1/0', scanout: 0, path: join(runDir, 'bad.png') }), {
    code: 'ENODATA',
  });
});

t.test('sessions belong to who opened them, names to one session, and to dom0 only', async (t) => {
  const runDir = temporaryRunDir(t);
  await startServer(t, runDir);
  await t.rejects(connect(t, runDir, 'guest-1', 'another secret'), { message: /dom0 only/ });
  const one = await connect(t, runDir, 'one');
  const other = await connect(t, runDir, 'other');
  const { session } = await one.remote('VhostUser').open({ name: '1/0', queue_count: 2 });
  await t.rejects(one.remote('VhostUser').open({ name: '1/0', queue_count: 2 }), { code: 'EEXIST' });
  await t.rejects(one.remote('VhostUser').open({ name: '9/0', queue_count: 3 }), { code: 'EINVAL' });
  await t.rejects(one.remote('VhostUser').open({ name: 'a b', queue_count: 2 }), { code: 'EINVAL' });
  await t.rejects(other.remote('VhostUser').close({ session }), { code: 'EBADF' });
  await t.rejects(other.remote('VhostUser').message({ session, request: 1, flags: 1 }), { code: 'EBADF' });
  await one.remote('VhostUser').close({ session });
  t.same(await one.remote('Control').audit({}), { held: [] });
  const again = await one.remote('VhostUser').open({ name: '1/0', queue_count: 2 });
  await t.rejects(one.remote('VhostUser').message({ session: again.session, request: 77, flags: 1 }), {
    code: 'EINVAL',
  });
  t.same(await one.remote('Control').audit({}), { held: [] }, 'a front-end that breaks the protocol loses its session');
});

t.test('a front-end that is killed takes its sessions with it, and others stay', async (t) => {
  const runDir = temporaryRunDir(t);
  const server = await startServer(t, runDir);
  const client = await connect(t, runDir);
  const mine = await frontEnd(t, runDir, client, '2/0');
  const doomed = startNode(t, CLIENT, ['--run-dir', runDir, '--token', 'secret', '--device', '1/0']);
  await doomed.line(/^open/);
  const held = async () => (await client.remote('Control').audit({})).held.map(({ name }) => name.split(' ')[0]);
  t.ok((await held()).includes('1/0'));
  doomed.child.kill('SIGKILL');
  await server.logged(/session closed/);
  t.same([...new Set(await held())], ['2/0']);
  await mine.front.draw(1, 16, 16, picture(16, 16, 1));
  server.child.kill('SIGTERM');
  t.equal(await server.ended(), 0, 'and the server ends in order with a session open');
});

t.test('a mistyped option is one sentence and status 2', async (t) => {
  for (const [args, said] of [
    [['--displays', '10x'], /displays.*WIDTHxHEIGHT/],
    [['--displays', '9999x100'], /1 to 4095/],
    [['--max-hostmem', '0'], /whole number from 1 to/],
    [['--bogus'], /unknown option/],
  ] as const) {
    const server = startNode(t, SERVER, ['--run-dir', temporaryRunDir(t), ...args]);
    t.equal(await server.ended(), 2);
    t.match(server.stderr, said);
    t.equal(server.stderr.trim().split('\n').length, 1);
  }
});
