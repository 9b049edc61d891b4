// Clauses of the GPU device, checked by commands on its control queue. Each on a connection of its own, whose rings run.
import { VIRTIO_GPU_MAX_SCANOUTS } from '../../lib/layout/virtio-gpu.js';
import type { GpuCommandName, GpuFields, MemEntry } from '../../lib/virtio/gpu-codec.js';
import { all, fail, PASS, same, skip, type Verdict } from '../outcome.js';
import { AT, RAM_BYTES, type ServerEnd } from '../server-end.js';

type Check = (end: ServerEnd) => Promise<Verdict>;
const r = { x: 0, y: 0, width: 8, height: 8 };
const ENTRY: MemEntry = { addr: AT.pixels, length: 256 };

/** What each of some commands answers, in order. */
async function answers(
  end: ServerEnd,
  ...commands: readonly { [N in GpuCommandName]: readonly [N, GpuFields<N>, string] }[GpuCommandName][]
): Promise<Verdict> {
  for (const [name, fields, wanted] of commands) {
    const { name: found } = await end.command(name, fields as never);
    const verdict = same(found, wanted, name);
    if (verdict.outcome !== 'PASS') return verdict;
  }
  return PASS;
}
const create = (resource_id = 1, format = 2) => ({ resource_id, format, width: 8, height: 8 });
const attach = (resource_id = 1, entries = [ENTRY]) => ({ resource_id, nr_entries: entries.length, entries });
const OK = 'OK_NODATA';
const NO_RESOURCE = 'ERR_INVALID_RESOURCE_ID';
const BAD = 'ERR_INVALID_PARAMETER';

export const GPU_CHECKS: Readonly<Record<string, Check>> = {
  'GPU-DISPLAY-INFO': async (end) => {
    const info = await end.command('GET_DISPLAY_INFO', {});
    if (info.name !== 'OK_DISPLAY_INFO') return fail(info.name);
    const { pmodes } = info;
    return all(same(pmodes.length, VIRTIO_GPU_MAX_SCANOUTS), same(pmodes[0]?.enabled !== 0, true, 'the first is on'));
  },
  'GPU-EDID-FEATURE': async (end) => answers(end, ['GET_EDID', { scanout: 0 }, 'ERR_UNSPEC']),
  'GPU-FORMATS': async (end) =>
    answers(
      end,
      ...[1, 2, 3, 4, 67, 68, 121, 134].map((format) => ['RESOURCE_CREATE_2D', create(format, format), OK] as const),
      ['RESOURCE_CREATE_2D', create(200, 5), BAD],
    ),
  'GPU-CREATE-ID': async (end) =>
    answers(
      end,
      ['RESOURCE_CREATE_2D', create(0), NO_RESOURCE],
      ['RESOURCE_CREATE_2D', create(1), OK],
      ['RESOURCE_CREATE_2D', create(1), NO_RESOURCE],
      ['RESOURCE_UNREF', { resource_id: 1 }, OK],
      ['RESOURCE_CREATE_2D', create(1), OK],
    ),
  'GPU-UNREF': async (end) => answers(end, ['RESOURCE_UNREF', { resource_id: 77 }, NO_RESOURCE]),
  'GPU-ATTACH': async (end) =>
    answers(
      end,
      ['RESOURCE_ATTACH_BACKING', attach(1), NO_RESOURCE],
      ['RESOURCE_CREATE_2D', create(1), OK],
      ['RESOURCE_ATTACH_BACKING', attach(1, [{ addr: RAM_BYTES * 2, length: 256 }]), 'ERR_UNSPEC'],
      ['RESOURCE_ATTACH_BACKING', attach(1), OK],
      ['RESOURCE_ATTACH_BACKING', attach(1), 'ERR_UNSPEC'],
      ['RESOURCE_DETACH_BACKING', { resource_id: 1 }, OK],
      ['RESOURCE_DETACH_BACKING', { resource_id: 1 }, NO_RESOURCE],
    ),
  'GPU-TRANSFER': async (end) =>
    answers(
      end,
      ['RESOURCE_CREATE_2D', create(1), OK],
      ['TRANSFER_TO_HOST_2D', { resource_id: 1, r, offset: 0n }, NO_RESOURCE],
      ['RESOURCE_ATTACH_BACKING', attach(1), OK],
      ['TRANSFER_TO_HOST_2D', { resource_id: 1, r: { ...r, x: 1 }, offset: 0n }, BAD],
      ['TRANSFER_TO_HOST_2D', { resource_id: 1, r: { ...r, y: 0xffffffff }, offset: 0n }, BAD],
      ['TRANSFER_TO_HOST_2D', { resource_id: 1, r, offset: 0n }, OK],
    ),
  'GPU-SCANOUT': async (end) =>
    answers(
      end,
      ['RESOURCE_CREATE_2D', create(1), OK],
      ['SET_SCANOUT', { scanout_id: 99, resource_id: 1, r }, 'ERR_INVALID_SCANOUT_ID'],
      ['SET_SCANOUT', { scanout_id: 0, resource_id: 9, r }, NO_RESOURCE],
      ['SET_SCANOUT', { scanout_id: 0, resource_id: 1, r: { ...r, width: 9 } }, BAD],
      ['SET_SCANOUT', { scanout_id: 0, resource_id: 1, r }, OK],
      ['SET_SCANOUT', { scanout_id: 0, resource_id: 0, r }, OK],
    ),
  'GPU-FLUSH': async (end) =>
    answers(
      end,
      ['RESOURCE_FLUSH', { resource_id: 1, r }, NO_RESOURCE],
      ['RESOURCE_CREATE_2D', create(1), OK],
      ['RESOURCE_FLUSH', { resource_id: 1, r: { ...r, height: 9 } }, BAD],
      ['RESOURCE_FLUSH', { resource_id: 1, r }, OK],
    ),
  'GPU-FENCE': async (end) => {
    const { hdr, name } = await end.command('RESOURCE_UNREF', { resource_id: 5 }, 0x1234_5678_9abcn);
    const found = { name, fence: hdr.fence_id, flags: hdr.flags };
    return same(found, { name: NO_RESOURCE, fence: 0x1234_5678_9abcn, flags: 1 });
  },
  'GPU-NO-FENCE': async (end) => same((await end.command('RESOURCE_UNREF', { resource_id: 5 })).hdr.flags, 0),
  'GPU-UNKNOWN': async (end) => {
    const request = new Uint8Array(64);
    const found: string[] = [];
    for (const type of [0, 0x01ff, 0x0207, 0x0300]) {
      new DataView(request.buffer).setUint32(0, type, true);
      found.push((await end.bytes(request)).name);
    }
    return same(found, Array(4).fill('ERR_UNSPEC'));
  },
  'GPU-SHORT': async (end) => {
    const request = new Uint8Array(39);
    new DataView(request.buffer).setUint32(0, 0x0101, true);
    return same((await end.bytes(request)).name, BAD);
  },
  'GPU-SPLIT-REQUEST': async (end) => {
    const [request, response] = end.segments(new Uint8Array(24));
    end.memory.writeU32(AT.request, 0x0100);
    end.ring.add([{ ...request!, len: 3 }, { addr: AT.request + 3, len: 21 }, response!]);
    return same(await end.kicked(), 'used');
  },
  'GPU-BLOB-FEATURE': async (end) => {
    const entries = [ENTRY];
    const blob = { resource_id: 1, blob_mem: 1, blob_flags: 2, blob_id: 0n, size: 256n, nr_entries: 1, entries };
    const { name } = await end.command('RESOURCE_CREATE_BLOB', blob);
    return name.startsWith('ERR_') ? PASS : fail(name);
  },
  'GPU-UUID-FEATURE': async (end) => answers(end, ['RESOURCE_ASSIGN_UUID', { resource_id: 1 }, 'ERR_UNSPEC']),
  'GPU-RESET': async (end) => {
    if (!end.has('RESET_DEVICE')) return skip('no RESET_DEVICE');
    await end.command('RESOURCE_CREATE_2D', create(1));
    const not = await end.serves();
    if (not !== undefined) return { outcome: 'WEDGED', detail: not };
    return answers(end, ['RESOURCE_CREATE_2D', create(1), OK]);
  },
  'GPU-STOP-KEEPS': async (end) => {
    await end.command('RESOURCE_CREATE_2D', create(1));
    const { ring } = end;
    const { num } = await end.ask('GET_VRING_BASE', { index: 0, num: 0 });
    if (num !== 1) return fail(`it stopped at ${num}, not 1`);
    await end.resume(num);
    if (end.ring !== ring) return fail('another ring');
    return answers(end, ['RESOURCE_UNREF', { resource_id: 1 }, OK]);
  },
};
