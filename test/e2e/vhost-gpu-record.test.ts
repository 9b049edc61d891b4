// What a front-end may keep of its device server on a unix socket: the record of chains that were taken, through the server's
// death; the log of written pages; and the channel on which the server tells it of displays.
import t from 'tap';
import { ServerEnd } from '../../conformance/server-end.js';
import { VIRTIO_GPU_RESP } from '../../lib/layout/virtio-gpu.js';
import { VIRTQ_AVAIL, VIRTQ_USED } from '../../lib/layout/virtio-ring.js';
import { mapFile } from '../../lib/node/files/libc.js';
import type { OwnedFd } from '../../lib/node/files/owned-fd.js';
import { connectUnix, socketPair } from '../../lib/node/files/unix-fds.js';
import { VhostUserSocket } from '../../lib/node/files/vhost-user-socket.js';
import { withDeadline } from '../../lib/node/process/wait.js';
import { decodeBackendRequest, decodeReply, encodeRequest, type RawMessage } from '../../lib/vhost-user/messages.js';
import { decodeResponse, encodeCommand, type GpuCommandName, type GpuFields } from '../../lib/virtio/gpu-codec.js';
import { longTest } from '../../testkit/tier.js';
import { memfd } from '../fixtures/descriptors.js';
import {
  busOf,
  DEADLINE_MS,
  type SocketFrontEnd,
  socketFrontEnd,
  startGpuServer,
} from '../fixtures/socket-front-end.js';

const RAM_BYTES = 4 << 20;
const bit = (number: number): bigint => 1n << BigInt(number);
/** LOG_SHMFD, REPLY_ACK, BACKEND_REQ, CONFIG, INFLIGHT_SHMFD, RESET_DEVICE, CONFIGURE_MEM_SLOTS. */
const PROTOCOL = [1, 3, 5, 9, 12, 13, 15].reduce((all, number) => all | bit(number), 0n);
const LOG_ALL = bit(26);
const PACKED = bit(34);

/** Greets the server by hand: our own front-end asks for none of this. */
async function greet({ front, ask, tell }: SocketFrontEnd): Promise<void> {
  await front.connect();
  const { value } = await ask('GET_PROTOCOL_FEATURES', {});
  t.equal(value & PROTOCOL, PROTOCOL, 'all of it is offered');
  t.equal(await tell('SET_PROTOCOL_FEATURES', { value: PROTOCOL }), 0n);
}

/** Commands in the control ring, each with buffers of its own, and the answers as they come. */
function commands({ front, ram }: SocketFrontEnd) {
  const raw = mapFile(ram.fd, RAM_BYTES, true);
  t.teardown(() => raw.unmap());
  const bytes = new Uint8Array(raw.buffer);
  const [ring] = front.rings;
  const heads = new Map<number, { readonly at: number; readonly name: GpuCommandName }>();
  let at = 0x100000;
  return {
    add<N extends GpuCommandName>(name: N, fields: GpuFields<N>): void {
      const request = encodeCommand(name, fields);
      bytes.set(request, at);
      const head = ring!.add([
        { addr: at, len: request.length },
        { addr: at + 4096, len: 2048, write: true },
      ]);
      heads.set(head, { at: at + 4096, name });
      at += 8192;
    },
    collect: () =>
      ring!.collect().map(({ id, len }) => {
        const chain = heads.get(id)!;
        heads.delete(id); // a second answer to it would find nothing
        return [chain.name, decodeResponse(bytes.slice(chain.at, chain.at + len)).hdr.type];
      }),
  };
}

t.test('chains that a killed server had taken are taken again, in order and once', async (t) => {
  const { path, frontEndPid } = await startGpuServer(t);
  const ram = memfd(RAM_BYTES);
  const first = socketFrontEnd(t, await connectUnix(path), { ram: ram.duplicate() });
  await greet(first);
  // A viewer that does not answer keeps a chain under way.
  const [mine, theirs] = socketPair();
  t.equal(await first.tell('GPU_SET_SOCKET', {}, [theirs]), 0n);
  theirs.close();
  const place = { size: 0n, offset: 0n, queueCount: 2, queueSize: 16 };
  const made = await first.exchange(encodeRequest<'GET_INFLIGHT_FD', OwnedFd>('GET_INFLIGHT_FD', place));
  const { size } = decodeReply('GET_INFLIGHT_FD', made);
  const record = made.handles[0]!;
  t.equal(await first.tell('SET_INFLIGHT_FD', { ...place, size }, [record]), 0n);
  await first.front.start();
  const one = commands(first);
  one.add('RESOURCE_CREATE_2D', { resource_id: 1, format: 2, width: 8, height: 8 });
  one.add('GET_DISPLAY_INFO', {});
  one.add('RESOURCE_UNREF', { resource_id: 1 });
  const answered = first.front.called(0);
  first.front.kick(0);
  await answered;
  t.same(one.collect(), [['RESOURCE_CREATE_2D', VIRTIO_GPU_RESP.VIRTIO_GPU_RESP_OK_NODATA]]);
  process.kill(await frontEndPid(1), 'SIGKILL');
  await first.ended();
  mine.close();

  // The next front-end's driver would begin anew in the same memory: this one goes on.
  const ring = first.front.rings[0]!;
  const { usedIdx } = ring;
  const second = socketFrontEnd(t, await connectUnix(path), { ram: ram.duplicate() });
  ram.close();
  await greet(second);
  t.equal(await second.tell('SET_INFLIGHT_FD', { ...place, size }, [record]), 0n);
  record.close();
  ring.memory.storeU16(ring.layout.avail + VIRTQ_AVAIL.offset.idx, ring.availIdx);
  ring.memory.storeU16(ring.layout.used + VIRTQ_USED.offset.idx, usedIdx);
  ring.usedEvent = 2;
  // What the record says counts, and not what the front-end believes of the ring.
  await second.front.start(undefined, [1, 0]);
  const seen: unknown[] = [];
  while (seen.length < 2) {
    seen.push(...one.collect());
    if (seen.length < 2) await withDeadline(second.front.called(0), DEADLINE_MS, 'answer');
  }
  t.same(seen, [
    ['GET_DISPLAY_INFO', VIRTIO_GPU_RESP.VIRTIO_GPU_RESP_OK_DISPLAY_INFO],
    ['RESOURCE_UNREF', VIRTIO_GPU_RESP.VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID],
  ]);
  t.equal(await second.front.frontend.stopRing(0), 3, 'nothing is left under way');
});

t.test('chains of a packed ring, too', longTest(), async (t) => {
  const { path, frontEndPid } = await startGpuServer(t);
  const connect = async (ram?: OwnedFd): Promise<ServerEnd> => {
    const end = await ServerEnd.connect(path, new AbortController().signal, ram);
    t.teardown(() => end.close());
    end.offered = (await end.ask('GET_FEATURES', {})).value;
    await end.tell('SET_PROTOCOL_FEATURES', { value: PROTOCOL });
    end.protocol = PROTOCOL;
    await end.bring(true);
    return end;
  };
  const first = await connect();
  const [mine, theirs] = socketPair();
  t.equal(await first.tell('GPU_SET_SOCKET', {}, [theirs]), 0n);
  theirs.close();
  const place = { size: 0n, offset: 0n, queueCount: 2, queueSize: 16 };
  const made = await first.raw(encodeRequest<'GET_INFLIGHT_FD', OwnedFd>('GET_INFLIGHT_FD', place), true);
  const { size } = decodeReply('GET_INFLIGHT_FD', made!);
  const record = made!.handles[0]!;
  t.equal(await first.tell('SET_INFLIGHT_FD', { ...place, size }, [record]), 0n);
  await first.startRing(true);
  const { ring, memory } = first;
  let at = 0x100000;
  const answerAt = new Map<number, number>();
  const add = <N extends GpuCommandName>(name: N, fields: GpuFields<N>): void => {
    const request = encodeCommand(name, fields);
    memory.write(at, request);
    const segments = [
      { addr: at, len: request.length },
      { addr: at + 4096, len: 2048, write: true },
    ];
    answerAt.set(ring.add(segments), at + 4096);
    at += 8192;
  };
  const collect = (): number[] =>
    ring.collect().map(({ id, len }) => decodeResponse(memory.view(answerAt.get(id)!, len).slice()).hdr.type);
  add('RESOURCE_CREATE_2D', { resource_id: 1, format: 2, width: 8, height: 8 });
  add('GET_DISPLAY_INFO', {});
  add('RESOURCE_UNREF', { resource_id: 1 });
  first.kick();
  const comeBack = async (end: ServerEnd, count: number): Promise<number[]> => {
    const types: number[] = [];
    const until = Date.now() + DEADLINE_MS;
    while (types.length < count && Date.now() < until) {
      types.push(...collect());
      if (types.length < count) await end.stirred();
    }
    return types;
  };
  t.same(await comeBack(first, 1), [VIRTIO_GPU_RESP.VIRTIO_GPU_RESP_OK_NODATA]);
  process.kill(await frontEndPid(1), 'SIGKILL');
  while (!first.ended) await first.stirred();
  mine.close();

  const second = await connect(first.ram);
  t.equal(await second.tell('SET_INFLIGHT_FD', { ...place, size }, [record]), 0n);
  record.close();
  second.ring = ring;
  // What the record says counts, and not what the front-end believes of the ring.
  await second.resume(ring.layout.base);
  t.same(await comeBack(second, 2), [
    VIRTIO_GPU_RESP.VIRTIO_GPU_RESP_OK_DISPLAY_INFO,
    VIRTIO_GPU_RESP.VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID,
  ]);
  // Three chains of two descriptors each: both positions are past them, in the first round.
  t.equal((await second.ask('GET_VRING_BASE', { index: 0, num: 0 })).num, 0x80068006, 'nothing is left under way');
});

t.test('while a front-end logs, pages that the device writes to are noted', async (t) => {
  const { path } = await startGpuServer(t);
  const end = socketFrontEnd(t, await connectUnix(path));
  await greet(end);
  const log = memfd(4096);
  const raw = mapFile(log.fd, 4096, true);
  t.teardown(() => raw.unmap());
  const bits = new Uint8Array(raw.buffer);
  const features = end.front.frontend.features & ~(LOG_ALL | PACKED);
  await end.front.start(features);
  await end.front.send('GET_DISPLAY_INFO', {});
  const base = { size: 4096n, offset: 0n };
  const answer = await end.exchange(encodeRequest<'SET_LOG_BASE', OwnedFd>('SET_LOG_BASE', base, { handles: [log] }));
  t.equal(decodeReply('SET_LOG_BASE', answer).value, 0n);
  log.close();
  await end.front.send('GET_DISPLAY_INFO', {});
  t.ok(
    bits.every((byte) => byte === 0),
    'nothing before it is asked for',
  );
  t.equal(await end.tell('SET_FEATURES', { value: features | LOG_ALL | bit(30) }), 0n);
  await end.front.send('GET_DISPLAY_INFO', {});
  const noted = [...bits].flatMap((byte, at) =>
    [...Array(8).keys()].filter((n) => byte & (1 << n)).map((n) => at * 8 + n),
  );
  // The used ring, and the response at 0xc000; the other queue's used ring lies in page 4.
  t.same(
    noted.filter((page) => page !== 4),
    [0, 12],
  );
  t.equal(await end.tell('SET_FEATURES', { value: features | bit(30) }), 0n);
  // Not before: the call for the last answer comes before the server's word where it wants the next kick (avail_event).
  bits.fill(0);
  await end.front.send('GET_DISPLAY_INFO', {});
  t.ok(
    bits.every((byte) => byte === 0),
    'and nothing after',
  );
});

t.test('a front-end that gives a channel is told of a display that changes', async (t) => {
  const { path, runDir, server } = await startGpuServer(t);
  const end = socketFrontEnd(t, await connectUnix(path));
  await greet(end);
  const client = await busOf(t, runDir, `gpu-${server.pid}-1`);
  const size = { width: 640, height: 480 };
  const resize = () => client.remote('Display').resize({ name: 'socket-1', scanout: 0, ...size });
  await t.rejects(resize(), { code: 'EOPNOTSUPP' });
  const [mine, theirs] = socketPair();
  t.equal(await end.tell('SET_BACKEND_REQ_FD', {}, [theirs]), 0n);
  theirs.close();
  let heard = (_message: RawMessage<OwnedFd>): void => {};
  const told = new Promise<RawMessage<OwnedFd>>((resolve) => (heard = resolve));
  const channel = new VhostUserSocket(mine, { onMessage: (message) => heard(message), onEnd: () => {} });
  t.teardown(() => channel.close());
  await resize();
  t.equal(decodeBackendRequest(await withDeadline(told, DEADLINE_MS, 'word of it')).type, 'CONFIG_CHANGE_MSG');
  const config = await end.ask('GET_CONFIG', { offset: 0, size: 16, flags: 0, data: new Uint8Array(16) });
  t.equal(config.data?.[0], 1, 'events_read');
  await end.front.start();
  t.match(await end.front.send('GET_DISPLAY_INFO', {}), { pmodes: { 0: { r: size, enabled: 1 } } });
});
