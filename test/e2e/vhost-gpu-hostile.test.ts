// Bytes that no vhost-user front-end sends, to the GPU server's socket: refused in silence, the server alive, and a bystander
// served throughout. What comes in whole messages, and in rings, is fuzzed in test/unit/hostile.
import t from 'tap';
import { concatBytes } from '../../lib/core/bytes.js';
import { VHOST_USER_HDR } from '../../lib/layout/vhost-user.js';
import type { OwnedFd } from '../../lib/node/files/owned-fd.js';
import { connectUnix, FdSocket } from '../../lib/node/files/unix-fds.js';
import { withDeadline } from '../../lib/node/process/wait.js';
import { picture } from '../../testkit/gpu-pictures.js';
import { longTest } from '../../testkit/tier.js';
import { memfd } from '../fixtures/descriptors.js';
import { DEADLINE_MS, socketFrontEnd, startGpuServer } from '../fixtures/socket-front-end.js';

const header = (request: number, size: number, flags = 1): Uint8Array => VHOST_USER_HDR.bytes({ request, flags, size });
const GET_FEATURES = header(1, 0);

interface Wire {
  send(bytes: Uint8Array, fds?: readonly OwnedFd[]): void;
}

/** What is sent, and whether the server closes the connection for it; else it is left open, and nothing follows. */
const CASES: Readonly<
  Record<string, { readonly play: (wire: Wire, file: OwnedFd) => void; readonly closed: boolean }>
> = {
  'a header that never ends': { closed: false, play: (wire) => wire.send(GET_FEATURES.subarray(0, 7)) },
  'a payload that never ends': { closed: false, play: (wire) => wire.send(header(5, 264)) },
  'more payload than any message has': { closed: true, play: (wire) => wire.send(header(5, 0xffffffff)) },
  'another version': { closed: true, play: (wire) => wire.send(header(1, 0, 2)) },
  'a reply': { closed: true, play: (wire) => wire.send(header(1, 0, 5)) },
  'a request that is not known': { closed: true, play: (wire) => wire.send(header(0xdeadbeef, 0)) },
  'a message inside another': {
    closed: true,
    play: (wire) => wire.send(concatBytes([header(2, 8), GET_FEATURES.subarray(0, 8), header(0x77777777, 3)])),
  },
  'a region without its descriptor': {
    closed: true,
    play: (wire) => wire.send(concatBytes([header(5, 40), Uint8Array.of(1), new Uint8Array(39).fill(1)])),
  },
  'a descriptor too many': { closed: true, play: (wire, file) => wire.send(GET_FEATURES, [file]) },
  'as many descriptors as one send carries, and more than one read takes': {
    closed: true,
    play: (wire, file) => wire.send(GET_FEATURES, new Array(64).fill(file)),
  },
  'descriptors with every byte of a header, 320 in all': {
    closed: true,
    play: (wire, file) => {
      for (let at = 0; at < 10; at++) wire.send(GET_FEATURES.subarray(at, at + 1), new Array(32).fill(file));
    },
  },
};

t.test('bytes that no front-end sends', async (t) => {
  const { server, path, frontEndPid } = await startGpuServer(t);
  const { front } = socketFrontEnd(t, await connectUnix(path));
  await front.connect();
  await front.start();
  await frontEndPid(1);
  const file = memfd(4096);
  t.teardown(() => file.close());
  let id = 0;
  for (const [title, { play, closed }] of Object.entries(CASES)) {
    let ended = (): void => {};
    const end = new Promise<void>((resolve) => {
      ended = resolve;
    });
    const target = new Uint8Array(4096);
    let heard = 0;
    const socket: FdSocket = new FdSocket(await connectUnix(path), {
      onReady: () => {
        for (let got = socket.read(target); got !== undefined; got = socket.read(target)) {
          if (got === 'end') return ended();
          heard += got.count;
        }
      },
    });
    play(
      {
        send: (bytes, fds = []) =>
          void socket.write(
            bytes,
            fds.map(({ fd }) => fd),
          ),
      },
      file,
    );
    if (closed) await withDeadline(end, DEADLINE_MS, `${title}: the end of the connection`);
    t.equal(heard, 0, `${title}: silence`);
    await t.resolves(front.draw(++id, 20, 20, picture(20, 20, id)), `${title}: the bystander draws`);
    socket.close();
  }
  t.equal(server.child.exitCode, null);
  t.notMatch(server.stderr, /internal error|was killed/);
});

t.test('a front-end that never reads its answers is given up', longTest(), async (t) => {
  const { server, path } = await startGpuServer(t);
  const socket = new FdSocket(await connectUnix(path), { onReady: () => {} });
  t.teardown(() => socket.close());
  const many = concatBytes(new Array(1000).fill(GET_FEATURES));
  const flooding = setInterval(() => void socket.write(many), 1);
  t.teardown(() => clearInterval(flooding));
  await server.logged(/the peer does not read/, 30_000);
});
