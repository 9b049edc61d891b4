// The guest's GPU command channel: room, replies, fences, and its end.
import t from 'tap';
import { ErrnoError } from '../../../../lib/core/errors.js';
import { RegionMemory } from '../../../../lib/core/memory.js';
import { NO_PROBE } from '../../../../lib/core/probe.js';
import { VIRTIO_GPU_CTRL_HDR, VIRTIO_GPU_FLAG_FENCE } from '../../../../lib/layout/virtio-gpu.js';
import { Chain } from '../../../../lib/virtio/chain.js';
import { DeviceQueue } from '../../../../lib/virtio/device-queue.js';
import { DriverQueue } from '../../../../lib/virtio/driver-queue.js';
import { GpuChannel, type GpuFence, type GpuPending } from '../../../../services/guest/gpu-channel.js';
import { Heap } from '../../../../services/guest/heap.js';
import { Pages } from '../../../../services/guest/pages.js';
import { Vcpu } from '../../../../services/guest/vcpu.js';
import { Completion } from '../../../../services/guest/wait.js';

const turns = async (): Promise<void> => {
  for (let count = 0; count < 10; count++) await new Promise((resolve) => setImmediate(resolve));
};

function rig(size = 8) {
  const memory = new RegionMemory([{ base: 0, bytes: new Uint8Array(8 << 20) }]);
  const pages = new Pages(memory.size, NO_PROBE);
  const heap = new Heap(pages);
  const vcpu = new Vcpu({
    page: new Uint8Array(4096),
    signalExit: () => {},
    defer: (action) => setImmediate(action),
    probe: NO_PROBE,
  });
  const ring = pages.contiguous(4);
  const tables = { alloc: () => undefined, release: () => {} };
  const queue = new DriverQueue<GpuPending>({ memory, tables, base: ring.addr, size, features: 0n });
  const { desc, avail, used } = queue.place;
  const device = new DeviceQueue(memory, { size, desc, avail, used, base: 0 }, 0n);
  let kicks = 0;
  const kick = async (): Promise<void> => void kicks++;
  const channel = new GpuChannel({ queue, kick, vcpu, memory, heap, probe: NO_PROBE });
  const chain = new Chain();
  /** Answers the next command, echoing its fence unless told otherwise; false: there is none. */
  const answer = (type = 0x1100, echo = true): boolean => {
    if (!device.pop(chain)) return false;
    const request = new Uint8Array(VIRTIO_GPU_CTRL_HDR.size);
    chain.read(0, request);
    const { flags, fence_id } = VIRTIO_GPU_CTRL_HDR.decode(request);
    const hdr = { type, flags: echo ? flags : 0, fence_id: echo ? fence_id : 0n, ctx_id: 0, ring_idx: 0 };
    device.pushUsed(chain.head, type === 0 ? 0 : chain.write(0, VIRTIO_GPU_CTRL_HDR.bytes(hdr)));
    channel.onUsed();
    return true;
  };
  const fence = (id: bigint): GpuFence => ({ id, done: new Completion(vcpu) });
  return { channel, answer, pages, fence, kicks: () => kicks, chain, device, ringPages: 4 };
}

t.test('a command is read whole by the device, and its buffers come back with the reply', async (t) => {
  const { channel, device, chain, answer, pages, ringPages } = rig();
  const { reply } = await channel.submit('RESOURCE_ATTACH_BACKING', {
    ...{ resource_id: 7, nr_entries: 1 },
    entries: [{ addr: 0x300000, length: 8192 }],
  });
  device.pop(chain);
  t.equal(chain.readableBytes, 48);
  t.equal(chain.writableBytes, 24);
  const bytes = new Uint8Array(48);
  chain.read(0, bytes);
  const view = new DataView(bytes.buffer);
  t.same([view.getUint32(24, true), view.getUint32(28, true)], [7, 1]);
  t.same([view.getBigUint64(32, true), view.getUint32(40, true)], [0x300000n, 8192]);
  device.pushUsed(chain.head, 0);
  channel.onUsed();
  t.match(await reply.wait(), { name: 'INVALID', hdr: { type: 0 } }, 'the device wrote nothing');
  t.equal(pages.taken, ringPages);
  t.equal(answer(), false);
  t.end();
});

t.test('with a full ring the next command waits, the device is told, and goes on when there is room', async (t) => {
  const { channel, answer, kicks } = rig(4);
  await channel.submit('RESOURCE_UNREF', { resource_id: 1 });
  await channel.submit('RESOURCE_UNREF', { resource_id: 2 });
  let submitted = false;
  const third = channel.submit('RESOURCE_UNREF', { resource_id: 3 }).then(() => (submitted = true));
  await turns();
  t.equal(submitted, false);
  t.equal(kicks(), 1);
  answer();
  await third;
  t.equal(channel.outstanding, 2);
  t.end();
});

t.test('a fence completes with its command and takes all older ones along; without an echo it does not', async (t) => {
  const { channel, answer, fence } = rig();
  const fences = [fence(1n), fence(2n), fence(3n)];
  for (const one of fences) await channel.submit('RESOURCE_UNREF', { resource_id: 1 }, one);
  answer(0x1100, false);
  await turns();
  t.same(
    fences.map(({ done }) => done.done),
    [false, false, false],
  );
  answer();
  await turns();
  t.same(
    fences.map(({ done }) => done.done),
    [true, true, false],
  );
  answer(0x1200);
  await turns();
  t.equal(fences[2]!.done.done, true, 'an error reply carries its fence too');
  t.end();
});

t.test('fenced commands say so in their header, others do not', async (t) => {
  const { channel, device, chain, fence } = rig();
  await channel.submit('RESOURCE_UNREF', { resource_id: 1 }, fence(9n));
  await channel.submit('RESOURCE_UNREF', { resource_id: 2 });
  const header = (): ReturnType<typeof VIRTIO_GPU_CTRL_HDR.decode> => {
    device.pop(chain);
    const bytes = new Uint8Array(VIRTIO_GPU_CTRL_HDR.size);
    chain.read(0, bytes);
    return VIRTIO_GPU_CTRL_HDR.decode(bytes);
  };
  t.match(header(), { flags: VIRTIO_GPU_FLAG_FENCE, fence_id: 9n });
  t.match(header(), { flags: 0, fence_id: 0n });
  t.end();
});

t.test(
  'when it fails, everything under way fails once, waiters for room included, and later commands too',
  async (t) => {
    const { channel, answer, fence, pages, ringPages } = rig(4);
    const gone = new ErrnoError('ESTALE');
    const failures: string[] = [];
    const one = fence(1n);
    const first = await channel.submit('RESOURCE_UNREF', { resource_id: 1 }, one);
    await channel.submit('RESOURCE_UNREF', { resource_id: 2 });
    first.reply.wait().catch(() => failures.push('reply'));
    one.done.wait().catch(() => failures.push('fence'));
    channel.submit('RESOURCE_UNREF', { resource_id: 3 }).catch(() => failures.push('room'));
    await turns();
    channel.fail(gone);
    channel.fail(new ErrnoError('ENODEV'));
    await turns();
    t.same(failures.sort(), ['fence', 'reply', 'room']);
    await t.rejects(channel.submit('RESOURCE_UNREF', { resource_id: 4 }), { code: 'ESTALE' });
    answer();
    await turns();
    t.equal(channel.outstanding, 2, 'a late answer is not taken');
    channel.close();
    t.equal(pages.taken, ringPages, 'buffers come back when the device was reset, not before');
    t.end();
  },
);
