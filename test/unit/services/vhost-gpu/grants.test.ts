// A guest that names pages which it has not granted, or not any more, or for reading only: the device server's queue or
// command fails, and no byte of such a page goes in or out.

import t from 'tap';
import { dmaAddressOf, dmaWire, grantDmaAddress, grantRefOf } from '../../../../lib/core/dma-address.js';
import { GrantMemory } from '../../../../lib/core/grant-memory.js';
import { DOM0 } from '../../../../lib/core/ids.js';
import { NO_LOG } from '../../../../lib/core/log.js';
import { RegionMemory } from '../../../../lib/core/memory.js';
import { NO_PROBE } from '../../../../lib/core/probe.js';
import { GRANT_ENTRY_V1, GTF_permit_access, GTF_readonly } from '../../../../lib/layout/grant-table.js';
import { DriverQueue } from '../../../../lib/virtio/driver-queue.js';
import { ringPlace, type Segment } from '../../../../lib/virtio/driver-ring.js';
import {
  decodeResponse,
  encodeCommand,
  type GpuCommandName,
  type GpuFields,
} from '../../../../lib/virtio/gpu-codec.js';
import { DmaPools } from '../../../../services/guest/dma.js';
import { Pages } from '../../../../services/guest/pages.js';
import { GpuDevice } from '../../../../services/vhost-gpu/device.js';
import { SPLIT_FEATURES, testUuids } from '../../../../testkit/gpu-tester.js';

const PAGE = 4096;
/** Bytes of the guest that the device may not see. */
const SECRET = 0x5e;

async function stage() {
  const ram = new Uint8Array(8 << 20).fill(SECRET);
  const table = new Uint8Array(PAGE);
  const memory = new RegionMemory([{ base: 0, bytes: ram }]);
  const dma = await new DmaPools(new Pages(ram.length, NO_PROBE), async () => table, NO_PROBE).granted(DOM0);
  const granted = new GrantMemory({ ram: new RegionMemory([{ base: 0, bytes: ram }]), table, domid: 0 });
  const deferred: (() => void)[] = [];
  const errors: number[] = [];
  const device = new GpuDevice({
    ...{ name: 'test', log: NO_LOG, probe: NO_PROBE, displays: [{ width: 1280, height: 800 }] },
    clock: { nowNs: () => 1n, after: () => ({ cancel: () => {} }) },
    defer: (action) => deferred.push(action),
    makeUuid: testUuids(),
  });
  device.setFeatures(SPLIT_FEATURES);
  device.setMemory(granted);
  const run = (): void => {
    for (let action = deferred.shift(); action !== undefined; action = deferred.shift()) action();
  };
  /** Wire addresses that the driver puts into descriptors instead of true ones. */
  const lies = new Map<number, bigint>();
  const ring = dma.pages.contiguous(Math.ceil(ringPlace(0, 16).bytes / PAGE));
  const queue = new DriverQueue<number>({
    ...{ memory, tables: dma.tables, base: ring.addr, size: 16, features: SPLIT_FEATURES },
    dma: (addr) => lies.get(addr) ?? dma.address(addr),
  });
  const at = (addr: number): number => dmaAddressOf(dma.address(addr));
  const { desc, avail, used } = queue.place;
  const layout = { size: 16, base: 0, desc: at(desc), avail: at(avail), used: at(used) };
  const ends = { call: () => {}, error: () => errors.push(0) };
  const start = (where = layout): void => {
    device.startQueue(0, where, ends);
    run();
  };
  const [request, response] = [dma.pages.contiguous(1), dma.pages.contiguous(1)];
  /** The device's answer; undefined: it gave the queue up. */
  const exchange = (out: Segment[], into: Segment[]): string | undefined => {
    queue.add(out, into, 0);
    device.kick(0);
    run();
    const taken = queue.take();
    if (taken === undefined) return undefined;
    const bytes = new Uint8Array(taken.length);
    memory.read(response.addr, bytes);
    return decodeResponse(bytes).name;
  };
  const send = <N extends GpuCommandName>(name: N, fields: GpuFields<N>): string | undefined => {
    const bytes = encodeCommand(name, fields);
    memory.write(request.addr, bytes);
    return exchange([{ addr: request.addr, length: bytes.length }], [{ addr: response.addr, length: 1024 }]);
  };
  const refOf = (addr: number): number => grantRefOf(at(addr));
  const setFlags = (ref: number, flags: number): void => {
    new DataView(table.buffer).setUint16(ref * GRANT_ENTRY_V1.size, flags, true);
  };
  return {
    ram,
    memory,
    dma,
    device,
    queue,
    layout,
    start,
    send,
    exchange,
    request,
    response,
    errors,
    lies,
    setFlags,
    refOf,
  };
}

const RECT = { x: 0, y: 0, width: 32, height: 32 };

t.test('backing must be granted when it is attached, and still be at each transfer', async (t) => {
  const { dma, memory, device, start, send, setFlags, refOf } = await stage();
  start();
  const buffer = dma.pages.contiguous(1);
  memory.write(buffer.addr, new Uint8Array(PAGE).fill(7));
  const entries = [{ addr: dmaAddressOf(dma.address(buffer.addr)), length: PAGE }];
  const attach = (where: { addr: number; length: number }[]) =>
    send('RESOURCE_ATTACH_BACKING', { resource_id: 2, nr_entries: where.length, entries: where });
  t.equal(send('RESOURCE_CREATE_2D', { resource_id: 2, format: 2, width: 32, height: 32 }), 'OK_NODATA');
  t.equal(attach([{ addr: 0x200000, length: PAGE }]), 'ERR_UNSPEC', 'a plain address');
  t.equal(attach([{ addr: dmaAddressOf(grantDmaAddress(300, 0)), length: PAGE }]), 'ERR_UNSPEC', 'not granted');
  t.equal(attach([{ addr: entries[0]!.addr, length: 300 * PAGE }]), 'ERR_UNSPEC', 'more than is granted');
  t.equal(attach(entries), 'OK_NODATA');
  const transfer = () => send('TRANSFER_TO_HOST_2D', { resource_id: 2, r: RECT, offset: 0n });
  t.equal(transfer(), 'OK_NODATA');
  const { pixels } = device.resources.get(2)!;
  t.equal(pixels[0], 7);
  memory.write(buffer.addr, new Uint8Array(PAGE).fill(SECRET));
  setFlags(refOf(buffer.addr), 0);
  t.equal(transfer(), 'ERR_UNSPEC', 'revoked');
  t.notOk(pixels.includes(SECRET), 'nothing of the page came in');
  setFlags(refOf(buffer.addr), GTF_permit_access | GTF_readonly);
  t.equal(transfer(), 'OK_NODATA', 'to be read is all that it needs');
  t.equal(pixels[0], SECRET);
});

t.test('a request in a page that is not granted stops the queue', async (t) => {
  const { start, exchange, request, response, errors, lies } = await stage();
  start();
  lies.set(request.addr, BigInt(request.addr));
  t.equal(exchange([{ addr: request.addr, length: 24 }], [{ addr: response.addr, length: 1024 }]), undefined);
  t.same(errors, [0]);
});

t.test('a response into a page granted for reading only stops the queue and changes nothing', async (t) => {
  const { ram, start, send, response, errors, setFlags, refOf } = await stage();
  start();
  setFlags(refOf(response.addr), GTF_permit_access | GTF_readonly);
  t.equal(send('GET_DISPLAY_INFO', {}), undefined);
  t.same(errors, [0]);
  t.ok(ram.subarray(response.addr, response.addr + 1024).every((byte) => byte === SECRET));
});

t.test('a ring that is not granted does not start; one that is revoked stops', async (t) => {
  const { device, layout, start, send, errors, setFlags } = await stage();
  t.throws(() => start({ ...layout, desc: 0x10000 }), { code: 'QUEUE_LAYOUT' });
  t.throws(() => start({ ...layout, used: dmaAddressOf(grantDmaAddress(400, 0)) }), { code: 'QUEUE_LAYOUT' });
  start();
  t.equal(send('GET_DISPLAY_INFO', {}), 'OK_DISPLAY_INFO');
  setFlags(grantRefOf(layout.used), 0);
  t.equal(send('GET_DISPLAY_INFO', {}), undefined);
  t.same(errors, [0]);
  device.stopQueue(0);
});

t.test('pages taken back while a viewer is asked stop the queue when it answers', async (t) => {
  for (const revoked of ['response', 'used ring']) {
    const { device, layout, start, send, response, errors, setFlags, refOf } = await stage();
    let answer: () => void = () => {};
    const nothing = (): void => {};
    device.setViewer({
      ...{ scanout: nothing, flush: nothing, cursor: nothing },
      ask: (_command, done) => {
        answer = () => done(undefined);
      },
    });
    start();
    t.equal(send('GET_DISPLAY_INFO', {}), undefined, 'not answered yet');
    t.same(errors, []);
    setFlags(revoked === 'response' ? refOf(response.addr) : grantRefOf(layout.used), 0);
    answer();
    t.same(errors, [0], revoked);
  }
});

t.test('addresses that are neither plain nor granted are as bad as others', async (t) => {
  const { start, send, errors } = await stage();
  start();
  t.equal(send('RESOURCE_CREATE_2D', { resource_id: 2, format: 2, width: 32, height: 32 }), 'OK_NODATA');
  for (const wire of [1n << 52n, (1n << 64n) - 4096n, (1n << 63n) | (1n << 52n), (1n << 63n) - 1n]) {
    const entries = [{ addr: dmaAddressOf(wire), length: 64 }];
    t.equal(send('RESOURCE_ATTACH_BACKING', { resource_id: 2, nr_entries: 1, entries }), 'ERR_UNSPEC', `${wire}`);
    t.ok(dmaWire(entries[0]!.addr) >= 1n << 53n);
  }
  t.same(errors, [], 'a bad command is no bad ring');
});
