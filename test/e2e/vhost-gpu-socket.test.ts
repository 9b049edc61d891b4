// vhost-user on a unix socket: a front-end of no lab brings memory and eventfds as descriptors, and a display socket.
import { execFile } from 'node:child_process';
import { existsSync, openSync, readdirSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import { VHOST_USER_REQUEST } from '../../lib/layout/vhost-user.js';
import { OwnedFd } from '../../lib/node/files/owned-fd.js';
import { connectUnix, socketPair } from '../../lib/node/files/unix-fds.js';
import { withDeadline } from '../../lib/node/process/wait.js';
import { mismatches, picture } from '../../testkit/gpu-pictures.js';
import { startNode, temporaryRunDir } from '../../testkit/processes.js';
import { longTest } from '../../testkit/tier.js';
import {
  busOf,
  DEADLINE_MS,
  socketFrontEnd as frontEnd,
  GPU_SERVER as SERVER,
  startGpuServer as startServer,
} from '../fixtures/socket-front-end.js';

const RAM = 4 << 20;

t.test('a front-end with descriptors draws, stops, starts again and leaves nothing', async (t) => {
  const { server, runDir, path, frontEndPid } = await startServer(t);
  const descriptors = (pid: number) => readdirSync(`/proc/${pid}/fd`).length;
  const before = descriptors(server.pid);
  const { front, socket } = frontEnd(t, await connectUnix(path));
  await front.connect();
  await front.start();
  const pixels = picture(200, 100, 3);
  await front.draw(1, 200, 100, pixels);
  const pid = await frontEndPid(1);
  const client = await busOf(t, runDir, `gpu-${server.pid}-1`);
  const shot = join(runDir, 'shot.png');
  const shoot = () => client.remote('Display').screenshot({ name: 'socket-1', scanout: 0, path: shot });
  await shoot();
  t.equal(mismatches(shot, 200, 100, pixels), 0);
  await front.frontend.stop();
  const stopped = descriptors(pid);
  await shoot();
  t.equal(mismatches(shot, 200, 100, pixels), 0, 'a stopped device shows what it showed');
  await front.start();
  t.equal(descriptors(pid), stopped + 6, 'two kicks, what listens to them, and two calls come with the rings');
  await front.frontend.reset();
  await t.rejects(shoot(), { code: 'ENODATA' });
  const { held } = await client.remote('Control').audit({});
  t.same(held.map(({ kind }) => kind).sort(), ['descriptor', 'descriptor', 'mapping', 'session']);
  await front.start();
  await front.draw(1, 200, 100, pixels);
  const parent = await busOf(t, runDir, `vhost-gpu-${server.pid}`);
  t.match((await parent.remote('Control').audit({})).held, [{ kind: 'process', name: `gpu-${server.pid}-1` }]);
  socket.close();
  await server.logged(/front-end gone: its process ended with status 0/);
  t.same(await parent.remote('Control').audit({}), { held: [] });
  parent.close();
  server.child.kill('SIGTERM');
  t.equal(await server.ended(), 0);
  t.notOk(existsSync(path), 'the socket goes with the server');
  t.ok(before > 0);
});

t.test('a ring whose kick comes without a descriptor is polled', async (t) => {
  const { path } = await startServer(t);
  const { front, tell } = frontEnd(t, await connectUnix(path));
  await front.connect();
  await front.start();
  t.equal(await tell('SET_VRING_KICK', { index: 0, polled: true }), 0n);
  await t.resolves(front.draw(1, 20, 20, picture(20, 20, 1)), 'though nothing listens to its kick any more');
});

t.test('two front-ends at once; one that breaks the protocol loses its connection only', async (t) => {
  const { path } = await startServer(t);
  const good = frontEnd(t, await connectUnix(path));
  const bad = frontEnd(t, await connectUnix(path));
  await good.front.connect();
  await bad.front.connect();
  await bad.front.start();
  bad.socket.send({ request: 99, flags: 1, payload: new Uint8Array(0), handles: [] });
  await t.resolves(bad.ended());
  await good.front.start();
  await t.resolves(good.front.draw(1, 20, 20, picture(20, 20, 1)));
});

t.test('memory that is not what was announced is refused', async (t) => {
  const { path } = await startServer(t);
  const { front, socket, ended } = frontEnd(t, await connectUnix(path));
  await front.connect();
  const region = new Uint8Array(new BigUint64Array([0n, 0n, BigInt(RAM), 0n, 0n]).buffer);
  const short = new OwnedFd(openSync(join(temporaryRunDir(t), 'short'), 'w+'));
  t.teardown(() => short.close());
  socket.send({ request: VHOST_USER_REQUEST.VHOST_USER_ADD_MEM_REG, flags: 1, payload: region, handles: [short] });
  await t.resolves(ended());
});

t.test('the display socket is asked about displays and gets the picture', async (t) => {
  const { path } = await startServer(t);
  const { front, socket } = frontEnd(t, await connectUnix(path));
  await front.connect();
  const [mine, theirs] = socketPair();
  socket.send({
    request: VHOST_USER_REQUEST.VHOST_USER_GPU_SET_SOCKET,
    flags: 1,
    payload: new Uint8Array(0),
    handles: [theirs],
  });
  theirs.close();
  const viewer = new Socket({ fd: mine.fd });
  t.teardown(() => viewer.destroy());
  let bytes = Buffer.alloc(0);
  let wake = (): void => {};
  viewer.on('data', (more: Buffer) => {
    bytes = Buffer.concat([bytes, more]);
    wake();
  });
  const take = async (size: number): Promise<Buffer> => {
    while (bytes.length < size) {
      const more = new Promise<void>((resolve) => (wake = resolve));
      await withDeadline(more, DEADLINE_MS, 'display message');
    }
    const taken = bytes.subarray(0, size);
    bytes = bytes.subarray(size);
    return taken;
  };
  const next = async () => {
    const header = await take(12);
    return { request: header.readUInt32LE(0), payload: await take(header.readUInt32LE(8)) };
  };
  t.equal((await next()).request, 1);
  viewer.write(Uint8Array.of(1, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
  t.equal((await next()).request, 2);
  await front.start();
  const info = front.send('GET_DISPLAY_INFO', {});
  t.equal((await next()).request, 3);
  const reply = Buffer.alloc(12 + 408);
  for (const [at, value] of [
    [0, 3],
    [4, 4],
    [8, 408],
    [12 + 24 + 8, 555],
    [12 + 24 + 12, 333],
    [12 + 24 + 16, 1],
  ] as const)
    reply.writeUInt32LE(value, at);
  viewer.write(reply);
  t.match(await info, { name: 'OK_DISPLAY_INFO', pmodes: { 0: { r: { width: 555, height: 333 }, enabled: 1 } } });
  const pixels = picture(40, 30, 5);
  await front.draw(1, 40, 30, pixels);
  t.equal((await next()).request, 7);
  const update = await next();
  t.equal(update.request, 8);
  t.ok(update.payload.subarray(20).equals(pixels));
});

t.test('the conventions for back-end programs', longTest(), async (t) => {
  const run = promisify(execFile);
  const file = fileURLToPath(SERVER);
  const { stdout } = await run(process.execPath, [
    file,
    '--print-capabilities',
    '--socket-path',
    '/nowhere',
    '--bogus',
  ]);
  t.same(JSON.parse(stdout), { type: 'gpu', features: [] });

  const { path } = await startServer(t);
  const mistakes: [string[], RegExp][] = [
    [['--socket-path', path, '--fd', '3'], /cannot be used with/],
    [['--socket-path', path], /listens on .* already/],
    [['--socket-path', join('/no/such/folder', 'x')], /cannot listen on/],
    [['--socket-path', `/tmp/${'x'.repeat(110)}`], /longer than 107/],
    [['--fd', '77'], /77 is not open/],
  ];
  for (const [args, said] of mistakes) {
    const server = startNode(t, SERVER, ['--run-dir', temporaryRunDir(t), ...args]);
    t.equal(await server.ended(), 2, args.join(' '));
    t.match(server.stderr, said);
  }
});

t.test('an inherited connection is served, and the server ends with it', async (t) => {
  const [mine, theirs] = socketPair();
  const server = startNode(t, SERVER, ['--run-dir', temporaryRunDir(t), '--fd', '3'], {}, [theirs.fd]);
  theirs.close();
  const { front, socket } = frontEnd(t, mine);
  await front.connect();
  await front.start();
  await front.draw(1, 20, 20, picture(20, 20, 1));
  socket.close();
  t.equal(await server.ended(), 0);
});
