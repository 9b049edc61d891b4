// What one front-end of the GPU server does wrong, or merely unlike others, harms that one only: a bystander draws on, and
// where the front-end asks for acknowledgements it is told and goes on too.
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { GRANT_DMA_BASE } from '../../lib/core/dma-address.js';
import { GPU_FRONT_ENDS_MAX } from '../../lib/core/limits.js';
import { makeEventFd } from '../../lib/node/files/event-fds.js';
import type { OwnedFd } from '../../lib/node/files/owned-fd.js';
import { connectUnix, socketPair } from '../../lib/node/files/unix-fds.js';
import { mismatches, picture } from '../../testkit/gpu-pictures.js';
import { longTest } from '../../testkit/tier.js';
import {
  datagramSockets,
  epoll,
  memfd,
  opened,
  pipe,
  semaphore,
  truncate,
  unconnectedSocket,
} from '../fixtures/descriptors.js';
import { busOf, type GpuServer, socketFrontEnd, startGpuServer } from '../fixtures/socket-front-end.js';

/** Sixteen processes start at once, on a machine that may be busy. */
const MANY_PROCESSES_MS = 60_000;
const GIB = 2 ** 30;

/** A front-end that has drawn once; draws() does it again. */
async function bystander(t: Test, { path }: GpuServer) {
  const { front } = socketFrontEnd(t, await connectUnix(path));
  await front.connect();
  await front.start();
  let id = 0;
  const draws = () => front.draw(++id, 20, 20, picture(20, 20, id));
  await draws();
  return draws;
}

t.test('a wrong descriptor is refused where it comes', async (t) => {
  const server = await startGpuServer(t);
  const draws = await bystander(t, server);
  const { front, tell, ask, kicks } = socketFrontEnd(t, await connectUnix(server.path));
  const owned: OwnedFd[] = [];
  t.teardown(() => {
    for (const fd of owned) fd.close();
  });
  const own = (fd: OwnedFd): OwnedFd => {
    owned.push(fd);
    return fd;
  };
  const [reading, writing] = pipe().map(own) as [OwnedFd, OwnedFd];
  const [datagram] = datagramSockets().map(own) as [OwnedFd, OwnedFd];
  const wrong: Record<string, OwnedFd> = {
    memfd: own(memfd(4096)),
    'sealed memfd': own(memfd(4096, true)),
    '/dev/full': own(opened('/dev/full', 'r+')),
    '/dev/null': own(opened('/dev/null', 'r+')),
    epoll: own(epoll()),
    'unconnected socket': own(unconnectedSocket()),
    directory: own(opened('/tmp', 'r')),
    'datagram socket': datagram,
  };
  await front.connect();
  await front.start();
  const ring = { index: 0, polled: false };
  for (const [name, fd] of Object.entries(wrong)) {
    t.equal(await tell('SET_VRING_CALL', ring, [fd]), 1n, `call: ${name}`);
    t.equal(await tell('SET_VRING_ERR', ring, [fd]), 1n, `error: ${name}`);
    t.equal(await tell('SET_VRING_KICK', ring, [fd]), 1n, `kick: ${name}`);
    t.equal(await tell('GPU_SET_SOCKET', {}, [fd]), 1n, `display: ${name}`);
  }
  t.equal(await tell('GPU_SET_SOCKET', {}, [kicks[0]!]), 1n, 'display: eventfd');
  t.equal(await tell('SET_VRING_CALL', ring, [reading]), 1n, 'call: reading end of a pipe');
  t.equal(await tell('SET_VRING_KICK', ring, [writing]), 1n, 'kick: writing end of a pipe');
  t.equal(await tell('SET_VRING_ERR', ring, [writing]), 0n, 'error: writing end of a pipe');
  const region = { guestAddr: BigInt(GIB), size: 8192n, userAddr: BigInt(GIB), mmapOffset: 0n };
  for (const [name, fd] of Object.entries(wrong))
    t.equal(await tell('ADD_MEM_REG', { region }, [fd]), 1n, `memory: ${name}`);
  t.equal(await tell('ADD_MEM_REG', { region: { ...region, size: 0n } }, [wrong['memfd']!]), 1n, 'no bytes');
  // Of a domain (XEN_MMAP): its memory by any file, its granted pages by a gntdev file of the lab only.
  const { value } = await ask('GET_PROTOCOL_FEATURES', {});
  await tell('SET_PROTOCOL_FEATURES', { value });
  const xen = (kind: 'foreign' | 'grant', guestAddr: bigint) => ({
    region: { ...region, size: 4096n, guestAddr, userAddr: BigInt(GIB), xen: { kind, domid: 1 } },
  });
  const granted = xen('grant', GRANT_DMA_BASE);
  for (const [name, fd] of [...Object.entries(wrong), ['stream socket', own(socketPair()[0])] as const])
    t.equal(await tell('ADD_MEM_REG', granted, [fd]), 1n, `granted pages: ${name}`);
  t.equal(
    await tell('ADD_MEM_REG', xen('foreign', 16n * BigInt(GIB)), [own(memfd(17 * GIB))]),
    0n,
    'foreign memory: a file',
  );
  await t.resolves(front.draw(1, 20, 20, picture(20, 20, 9)), 'it goes on itself');
  await t.resolves(draws());
});

t.test('memory that shrinks after it was mapped ends the process of its front-end', async (t) => {
  const server = await startGpuServer(t);
  const draws = await bystander(t, server);
  const bad = socketFrontEnd(t, await connectUnix(server.path));
  await bad.front.connect();
  await bad.front.start();
  await bad.front.draw(1, 20, 20, picture(20, 20, 1));
  truncate(bad.ram, 0);
  bad.socket.send({ request: 12, flags: 1, payload: new Uint8Array(8), handles: [makeEventFd()] });
  await t.resolves(bad.ended());
  await server.server.logged(/was killed by SIGBUS/);
  await t.resolves(draws());
  const next = socketFrontEnd(t, await connectUnix(server.path));
  await t.resolves(next.front.connect(), 'its place is free again');
});

t.test('guests of 6, 12 and 64 GiB draw from their last bytes', longTest(), async (t) => {
  const server = await startGpuServer(t);
  for (const [turn, gib] of [6, 12, 64].entries()) {
    const ramBytes = gib * GIB;
    const { front, socket } = socketFrontEnd(t, await connectUnix(server.path), { ramBytes });
    await front.connect();
    await front.start();
    const pixels = picture(64, 32, gib);
    // In two pieces around a window's border, and at the very end.
    for (const [id, at] of [5 * GIB - 100, ramBytes - pixels.length].entries()) {
      await front.draw(id + 1, 64, 32, pixels, at);
      const client = await busOf(t, server.runDir, `gpu-${server.server.pid}-1`);
      const shot = `${server.runDir}/shot-${gib}-${id}.png`;
      await client.remote('Display').screenshot({ name: 'socket-1', scanout: 0, path: shot });
      t.equal(mismatches(shot, 64, 32, pixels), 0, `${gib} GiB, at 0x${at.toString(16)}`);
      client.close();
    }
    socket.close();
    const gone = new RegExp(`(front-end gone[^]*){${turn + 1}}`);
    await server.server.logged(gone);
  }
});

t.test('memory at an offset of its file is the part that was announced', async (t) => {
  const server = await startGpuServer(t);
  const { front, tell } = socketFrontEnd(t, await connectUnix(server.path));
  const high = memfd(6 * GIB);
  t.teardown(() => high.close());
  await front.connect();
  await front.start();
  const region = { guestAddr: BigInt(GIB), size: 8192n, userAddr: BigInt(GIB), mmapOffset: BigInt(5 * GIB + 4096) };
  t.equal(await tell('ADD_MEM_REG', { region }, [high]), 0n);
  t.equal(
    await tell(
      'ADD_MEM_REG',
      { region: { ...region, guestAddr: 2n ** 40n, userAddr: 2n ** 40n, mmapOffset: BigInt(6 * GIB) } },
      [high],
    ),
    1n,
    'past the end of the file',
  );
  await t.resolves(front.draw(1, 20, 20, picture(20, 20, 1)));
});

t.test(
  'with few descriptors left the next front-ends are refused, and those that are there go on',
  { ...longTest(), timeout: 2 * MANY_PROCESSES_MS },
  async (t) => {
    const server = await startGpuServer(t, [], 'ulimit -n 64');
    const draws = await bystander(t, server);
    const more = [];
    for (let count = 0; count < GPU_FRONT_ENDS_MAX + 4; count++) {
      const connection = await connectUnix(server.path).catch(() => undefined);
      if (connection !== undefined) more.push(socketFrontEnd(t, connection, { ramBytes: 1 << 20 }));
    }
    const served = await Promise.allSettled(more.map(({ front }) => front.connect()));
    t.ok(
      served.some(({ status }) => status === 'rejected'),
      'some are refused',
    );
    await server.server.logged(/front-end refused/);
    t.equal([...server.server.stderr.matchAll(/front-end refused/g)].length, 1, 'said once');
    await t.resolves(draws());
    for (const { socket } of more) socket.close();
    // Each process sees it once it has begun; all but the bystander's end.
    const begun = [...server.server.stderr.matchAll(/front-end connected/g)].length - 1;
    await server.server.logged(new RegExp(`(front-end gone[^]*){${begun}}`), MANY_PROCESSES_MS);
  },
);

t.test('a flood of messages of one, and a kick that is never empty, leave the others their turn', async (t) => {
  const server = await startGpuServer(t);
  const draws = await bystander(t, server);
  const bad = socketFrontEnd(t, await connectUnix(server.path));
  await bad.front.connect();
  await bad.front.start();
  const endless = semaphore(0xffffffff);
  t.teardown(() => endless.close());
  t.equal(await bad.tell('SET_VRING_KICK', { index: 0, polled: false }, [endless]), 0n);
  const flooding = setInterval(() => {
    for (let count = 0; count < 50; count++)
      bad.socket.send({ request: 3, flags: 1, payload: new Uint8Array(0), handles: [] });
  }, 1);
  t.teardown(() => clearInterval(flooding));
  const began = process.hrtime.bigint();
  for (let count = 0; count < 10; count++) await draws();
  t.ok(process.hrtime.bigint() - began < 2_000_000_000n);
  clearInterval(flooding);
});

t.test('the server ends its front-ends, and they end when it is killed', async (t) => {
  const orderly = await startGpuServer(t);
  const one = socketFrontEnd(t, await connectUnix(orderly.path));
  await one.front.connect();
  orderly.server.child.kill('SIGTERM');
  t.equal(await orderly.server.ended(), 0);
  await t.resolves(one.ended());
  const killed = await startGpuServer(t);
  const other = socketFrontEnd(t, await connectUnix(killed.path));
  await other.front.connect();
  killed.server.child.kill('SIGKILL');
  await once(killed.server.child, 'exit');
  await t.resolves(other.ended());
});
