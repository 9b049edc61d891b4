// QEMU's vhost-user-gpu and ours, driven by hand over their sockets by the same messages: what correct front-ends do, in the
// orders that theirs has and ours has not. What QEMU's answers is what ours must.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { VHOST_USER_F_PROTOCOL_FEATURES } from '../../lib/layout/vhost-user.js';
import { VIRTIO_GPU_CMD } from '../../lib/layout/virtio-gpu.js';
import { makeEventFd } from '../../lib/node/files/event-fds.js';
import type { OwnedFd } from '../../lib/node/files/owned-fd.js';
import { connectUnix } from '../../lib/node/files/unix-fds.js';
import { retryOnChange, withDeadline } from '../../lib/node/process/wait.js';
import { type BodyOf, encodeRequest, type RequestType } from '../../lib/vhost-user/messages.js';
import { encodeCommand, type GpuCommandName, type GpuFields } from '../../lib/virtio/gpu-codec.js';
import { FRONT_END_PIXELS_AT } from '../../testkit/gpu-front-end.js';
import { startNode, TestProcess, temporaryRunDir } from '../../testkit/processes.js';
import { missing } from '../../testkit/xenstored-peers.js';
import { DisplayRecorder, words } from '../fixtures/display-recorder.js';
import { GPU_SERVER, type SocketFrontEnd, socketFrontEnd } from '../fixtures/socket-front-end.js';

const QEMU_SERVER =
  ['/usr/lib/qemu/vhost-user-gpu', '/usr/libexec/vhost-user-gpu'].find(existsSync) ?? '/usr/lib/qemu/vhost-user-gpu';
const DEADLINE_MS = 10_000;
const REQUEST_AT = 0x8000;
const RESPONSE_AT = 0xc000;
const REGION = { guestAddr: 0n, size: 4n << 20n, userAddr: 0n, mmapOffset: 0n };

type Server = 'ours' | 'QEMU';

/** Connects to a fresh server of its own: QEMU's serves one connection. */
async function connect(t: Test, which: Server): Promise<OwnedFd> {
  const path = join(temporaryRunDir(t), 'gpu.sock');
  if (which === 'ours') {
    const server = startNode(t, GPU_SERVER, ['--run-dir', temporaryRunDir(t), '--socket-path', path]);
    await server.logged(/ready/);
    return connectUnix(path);
  }
  const server = new TestProcess(spawn(QEMU_SERVER, ['-s', path], { stdio: ['ignore', 'pipe', 'pipe'] }));
  t.teardown(async () => {
    if (server.child.exitCode === null && server.child.kill('SIGKILL')) await once(server.child, 'exit');
  });
  const attempt = () => connectUnix(path).catch(() => undefined);
  return (await retryOnChange(path, attempt, AbortSignal.timeout(DEADLINE_MS)))!;
}

/** A front-end and driver played by hand. */
class Hand {
  readonly display: DisplayRecorder;
  readonly #end: SocketFrontEnd;
  #features = 0n;

  constructor(t: Test, end: SocketFrontEnd) {
    this.#end = end;
    this.display = new DisplayRecorder(t);
  }

  get rings() {
    return this.#end.front.rings;
  }

  tell<T extends RequestType>(type: T, body: BodyOf<T>, handles: readonly OwnedFd[] = []): Promise<bigint> {
    return this.#end.tell(type, body, handles);
  }

  /** Without an acknowledgement. */
  say<T extends RequestType>(type: T, body: BodyOf<T>, handles: readonly OwnedFd[] = []): void {
    this.#end.socket.send(encodeRequest<T, OwnedFd>(type, body, { handles }));
  }

  /** Greets, brings its display, features and memory. */
  async begin(): Promise<void> {
    const { frontend } = this.#end.front;
    await this.#end.front.connect();
    this.say('GPU_SET_SOCKET', {}, [this.display.theirs]);
    this.display.theirs.close();
    // Every feature but event index: calls are then asked for by flags alone.
    this.#features = (frontend.features & ((1n << 28n) | (1n << 32n))) | (1n << BigInt(VHOST_USER_F_PROTOCOL_FEATURES));
    this.say('SET_FEATURES', { value: this.#features });
    await this.tell('ADD_MEM_REG', { region: REGION }, [this.#end.ram]);
    await this.display.until((messages) => messages.some(({ request }) => request === 2), 'greeting');
  }

  get features(): bigint {
    return this.#features;
  }

  /** What comes before a ring's kick. */
  layOut(index: number, base = 0): void {
    const { size, desc, avail, used } = this.rings[index]!.layout;
    const [d, a, u] = [BigInt(desc), BigInt(avail), BigInt(used)];
    this.say('SET_VRING_NUM', { index, num: size });
    this.say('SET_VRING_BASE', { index, num: base });
    this.say('SET_VRING_ADDR', { index, flags: 0, desc: d, avail: a, used: u, log: 0n });
  }

  kickWith(index: number): void {
    this.say('SET_VRING_KICK', { index, polled: false }, [this.#end.kicks[index]!]);
  }
  enable(index: number): void {
    this.say('SET_VRING_ENABLE', { index, num: 1 });
  }
  callWith(index: number, fd: OwnedFd): void {
    this.say('SET_VRING_CALL', { index, polled: false }, [fd]);
  }

  /** Stops a ring; answers where. */
  async base(index: number): Promise<number> {
    return (await this.#end.ask('GET_VRING_BASE', { index, num: 0 })).num;
  }

  /** Both rings in the order that every back-end takes. */
  start(call: OwnedFd, bases = [0, 0]): void {
    for (const index of [0, 1]) {
      this.callWith(index, call);
      this.layOut(index, bases[index]);
      this.kickWith(index);
      this.enable(index);
    }
  }

  /** Has the device execute a command; its response type once it is in the used ring, 0 where there is none. */
  async run<N extends GpuCommandName>(name: N, fields: GpuFields<N>, index = 0): Promise<number> {
    const { memory } = this.rings[index]!;
    const ring = this.rings[index]!;
    const request = encodeCommand(name, fields);
    memory.write(REQUEST_AT, request);
    memory.write(RESPONSE_AT, new Uint8Array(24));
    const segments = [{ addr: REQUEST_AT, len: request.length }];
    ring.add(index === 0 ? [...segments, { addr: RESPONSE_AT, len: 24, write: true }] : segments);
    this.kick(index);
    await this.#used(index);
    return index === 0 ? memory.readU32(RESPONSE_AT) : 0;
  }

  kick(index: number): void {
    this.#end.front.kick(index);
  }

  async #used(index: number): Promise<void> {
    const ring = this.rings[index]!;
    const look = async (): Promise<void> => {
      while (ring.collect().length === 0) await new Promise((resolve) => setImmediate(resolve));
    };
    await withDeadline(look(), DEADLINE_MS, 'used buffer');
  }

  create(resource_id: number, width = 64, height = 64): Promise<number> {
    return this.run('RESOURCE_CREATE_2D', { resource_id, format: 1, width, height });
  }
}

/** Whether an eventfd was signalled since it was last looked at; waits until a message later than the signal was answered. */
async function signalled(hand: Hand, fd: OwnedFd): Promise<boolean> {
  await hand.tell('SET_OWNER', {}).catch(() => {});
  try {
    return readSync(fd.fd, new Uint8Array(8)) === 8;
  } catch {
    return false;
  }
}

const rect = { x: 0, y: 0, width: 64, height: 64 };
const cursorAt = (resource_id: number, x: number) => ({
  ...{ pos: { scanout_id: 0, x, y: 7 }, resource_id },
  ...{ hot_x: 1, hot_y: 2 },
});

const CASES: { readonly [title: string]: (hand: Hand, call: OwnedFd, other: OwnedFd) => Promise<unknown> } = {
  'a call that comes after the kick is signalled for what is done after it': async (hand, call) => {
    hand.layOut(0);
    hand.kickWith(0);
    hand.callWith(0, call);
    hand.enable(0);
    const created = await hand.create(1);
    return { created, signalled: await signalled(hand, call) };
  },
  'a call that replaces another is signalled at once, and for what comes': async (hand, call, other) => {
    hand.start(call);
    const created = await hand.create(1);
    await signalled(hand, call);
    hand.callWith(0, other);
    const atOnce = await signalled(hand, other);
    const again = await hand.create(1);
    return { created, atOnce, again, old: await signalled(hand, call), fresh: await signalled(hand, other) };
  },
  'features of a running device are acknowledged, and its rings go on': async (hand, call) => {
    hand.start(call);
    const before = await hand.create(1);
    const ack = await hand.tell('SET_FEATURES', { value: hand.features });
    return { before, ack: Number(ack), after: await hand.create(2) };
  },
  'a device that was stopped goes on with its resources': async (hand, call) => {
    hand.start(call);
    const created = await hand.create(1);
    const scanout = await hand.run('SET_SCANOUT', { scanout_id: 0, resource_id: 1, r: rect });
    const bases = await Promise.all([0, 1].map((index) => hand.base(index)));
    hand.start(call, bases);
    hand.kick(0);
    return { created, scanout, bases, flushed: await hand.run('RESOURCE_FLUSH', { resource_id: 1, r: rect }) };
  },
  'a kick without a descriptor is taken': async (hand, call) => {
    hand.callWith(0, call);
    hand.layOut(0);
    return { ack: Number(await hand.tell('SET_VRING_KICK', { index: 0, polled: true })) };
  },
  'the cursor command decides whether the cursor is seen': async (hand, call) => {
    hand.start(call);
    const entries = [{ addr: FRONT_END_PIXELS_AT, length: 64 * 64 * 4 }];
    hand.rings[0]!.memory.write(FRONT_END_PIXELS_AT, new Uint8Array(64 * 64 * 4).fill(0x5a));
    await hand.create(1);
    await hand.run('RESOURCE_ATTACH_BACKING', { resource_id: 1, nr_entries: 1, entries });
    await hand.run('TRANSFER_TO_HOST_2D', { resource_id: 1, r: rect, offset: 0n });
    await hand.run('UPDATE_CURSOR', cursorAt(1, 10), 1);
    await hand.run('MOVE_CURSOR', cursorAt(0, 11), 1);
    await hand.run('MOVE_CURSOR', cursorAt(1, 12), 1);
    // UPDATE_CURSOR of resource 0 is left out: QEMU's server shows what its memory held, and the specification hides.
    await hand.run('MOVE_CURSOR', cursorAt(99, 13), 1);
    await hand.run('MOVE_CURSOR', cursorAt(0, 14), 1);
    const cursors = () => hand.display.messages.filter(({ request }) => [4, 5, 6].includes(request));
    await hand.display.until(() => cursors().length >= 5, 'cursor messages');
    return cursors().map((message) => words(message, 3));
  },
  'errors have the numbers that drivers know': async (hand, call) => {
    hand.start(call);
    const format = 1;
    const big = { ...rect, x: 1 };
    const answers: [GpuCommandName, number][] = [];
    const note = async <N extends GpuCommandName>(name: N, fields: GpuFields<N>): Promise<void> => {
      answers.push([name, await hand.run(name, fields)]);
    };
    await note('RESOURCE_CREATE_2D', { resource_id: 0, format, width: 8, height: 8 });
    await note('RESOURCE_CREATE_2D', { resource_id: 1, format: 99, width: 8, height: 8 });
    for (const one of [1, 2, 3, 4, 67, 68, 121, 134])
      await note('RESOURCE_CREATE_2D', { resource_id: one, format: one, width: 64, height: 64 });
    await note('RESOURCE_CREATE_2D', { resource_id: 1, format, width: 8, height: 8 });
    await note('RESOURCE_UNREF', { resource_id: 99 });
    await note('SET_SCANOUT', { scanout_id: 16, resource_id: 1, r: rect });
    await note('SET_SCANOUT', { scanout_id: 0, resource_id: 99, r: rect });
    await note('SET_SCANOUT', { scanout_id: 0, resource_id: 1, r: big });
    await note('SET_SCANOUT', { scanout_id: 0, resource_id: 0, r: rect });
    await note('RESOURCE_FLUSH', { resource_id: 0, r: rect });
    await note('RESOURCE_FLUSH', { resource_id: 1, r: big });
    await note('RESOURCE_FLUSH', { resource_id: 1, r: { ...rect, width: 0 } });
    await note('TRANSFER_TO_HOST_2D', { resource_id: 99, r: rect, offset: 0n });
    await note('TRANSFER_TO_HOST_2D', { resource_id: 1, r: rect, offset: 0n });
    await note('RESOURCE_DETACH_BACKING', { resource_id: 1 });
    const entries = [{ addr: FRONT_END_PIXELS_AT, length: 64 * 64 * 4 }];
    await note('RESOURCE_ATTACH_BACKING', { resource_id: 99, nr_entries: 1, entries });
    await note('RESOURCE_ATTACH_BACKING', { resource_id: 1, nr_entries: 1, entries: [{ addr: 2 ** 40, length: 4 }] });
    await note('RESOURCE_ATTACH_BACKING', { resource_id: 1, nr_entries: 1, entries });
    await note('RESOURCE_ATTACH_BACKING', { resource_id: 1, nr_entries: 1, entries });
    await note('TRANSFER_TO_HOST_2D', { resource_id: 1, r: big, offset: 0n });
    await note('TRANSFER_TO_HOST_2D', { resource_id: 1, r: { ...rect, y: 0xffffffff }, offset: 0n });
    // An offset past the backing is left out: QEMU's server ends on an assertion (iov_to_buf_full).
    await note('RESOURCE_DETACH_BACKING', { resource_id: 1 });
    await note('RESOURCE_UNREF', { resource_id: 1 });
    return answers.map(
      ([name, type]) => `${VIRTIO_GPU_CMD[`VIRTIO_GPU_CMD_${name}`].toString(16)} ${type.toString(16)}`,
    );
  },
  'what is shown is told as it is flushed': async (hand, call) => {
    hand.start(call);
    const entries = [{ addr: FRONT_END_PIXELS_AT, length: 64 * 64 * 4 }];
    hand.rings[0]!.memory.write(
      FRONT_END_PIXELS_AT,
      Uint8Array.from({ length: 64 * 64 * 4 }, (_, at) => at % 251),
    );
    await hand.create(1);
    await hand.run('RESOURCE_ATTACH_BACKING', { resource_id: 1, nr_entries: 1, entries });
    await hand.run('TRANSFER_TO_HOST_2D', { resource_id: 1, r: rect, offset: 0n });
    const part = { x: 8, y: 4, width: 16, height: 3 };
    await hand.run('TRANSFER_TO_HOST_2D', { resource_id: 1, r: part, offset: 13n });
    await hand.run('SET_SCANOUT', { scanout_id: 0, resource_id: 1, r: rect });
    await hand.run('RESOURCE_FLUSH', { resource_id: 1, r: rect });
    await hand.run('RESOURCE_FLUSH', { resource_id: 1, r: part });
    await hand.run('RESOURCE_UNREF', { resource_id: 1 });
    const shown = () => hand.display.messages.filter(({ request }) => [7, 8].includes(request));
    await hand.display.until(() => shown().length >= 4, 'four messages');
    return shown().map((message) => words(message, 10_000));
  },
};

for (const [title, play] of Object.entries(CASES)) {
  t.test(title, { skip: missing(QEMU_SERVER) }, async (t) => {
    const outcomes: unknown[] = [];
    for (const which of ['QEMU', 'ours'] as const) {
      const hand = new Hand(t, socketFrontEnd(t, await connect(t, which)));
      const eventFds = [makeEventFd(), makeEventFd()];
      t.teardown(() => {
        for (const fd of eventFds) fd.close();
      });
      await hand.begin();
      outcomes.push(await play(hand, eventFds[0]!, eventFds[1]!));
    }
    t.same(outcomes[1], outcomes[0]);
  });
}
