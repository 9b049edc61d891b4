import fc from 'fast-check';
import t from 'tap';
import { GPU_MEM_ENTRIES_MAX } from '../../../lib/core/limits.js';
import { VIRTIO_GPU_CMD, VIRTIO_GPU_MAX_SCANOUTS, VIRTIO_GPU_RESP } from '../../../lib/layout/virtio-gpu.js';
import {
  bytesSource,
  decodeCommand,
  decodeResponse,
  encodeCommand,
  encodeResponse,
  GPU_COMMANDS,
  type GpuCommandName,
  type GpuFields,
  type GpuHeader,
  isGpuError,
} from '../../../lib/virtio/gpu-codec.js';

const u32 = fc.integer({ min: 0, max: 0xffffffff });
const u64 = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });
const rect = fc.record({ x: u32, y: u32, width: u32, height: u32 });
const cursor = fc.record({
  pos: fc.record({ scanout_id: u32, x: u32, y: u32 }),
  resource_id: u32,
  hot_x: u32,
  hot_y: u32,
});
const planes = fc.array(u32, { minLength: 4, maxLength: 4 });
const entries = fc.array(fc.record({ addr: fc.maxSafeNat(), length: u32 }), { maxLength: 40 });
const fields: { [N in GpuCommandName]: fc.Arbitrary<GpuFields<N>> } = {
  GET_DISPLAY_INFO: fc.constant({}),
  RESOURCE_CREATE_2D: fc.record({ resource_id: u32, format: u32, width: u32, height: u32 }),
  RESOURCE_UNREF: fc.record({ resource_id: u32 }),
  SET_SCANOUT: fc.record({ r: rect, scanout_id: u32, resource_id: u32 }),
  RESOURCE_FLUSH: fc.record({ r: rect, resource_id: u32 }),
  TRANSFER_TO_HOST_2D: fc.record({ r: rect, offset: u64, resource_id: u32 }),
  RESOURCE_ATTACH_BACKING: fc
    .record({ resource_id: u32, entries })
    .map((value) => ({ ...value, nr_entries: value.entries.length })),
  RESOURCE_DETACH_BACKING: fc.record({ resource_id: u32 }),
  GET_EDID: fc.record({ scanout: u32 }),
  RESOURCE_ASSIGN_UUID: fc.record({ resource_id: u32 }),
  RESOURCE_CREATE_BLOB: fc
    .record({ resource_id: u32, blob_mem: u32, blob_flags: u32, blob_id: u64, size: u64, entries })
    .map((value) => ({ ...value, nr_entries: value.entries.length })),
  SET_SCANOUT_BLOB: fc.record({
    ...{ r: rect, scanout_id: u32, resource_id: u32, width: u32, height: u32, format: u32 },
    ...{ strides: planes, offsets: planes },
  }),
  UPDATE_CURSOR: cursor,
  MOVE_CURSOR: cursor,
};
const names = Object.keys(GPU_COMMANDS) as GpuCommandName[];
const command = fc.constantFrom(...names).chain((name) =>
  fc.record({
    name: fc.constant(name),
    value: fields[name] as fc.Arbitrary<object>,
    fence: fc.option(u64, { nil: undefined }),
  }),
);
const encode = ({ name, value, fence }: { name: GpuCommandName; value: object; fence: bigint | undefined }) =>
  encodeCommand(name, value as never, fence === undefined ? {} : { fence });

t.test('every command survives encoding and decoding, whatever is behind it', async (t) => {
  fc.assert(
    fc.property(command, fc.uint8Array({ maxLength: 9 }), (sent, tail) => {
      const bytes = encode(sent);
      const got = decodeCommand(bytesSource(Uint8Array.of(...bytes, ...tail)));
      const { name, hdr, ...rest } = got;
      t.equal(name, sent.name);
      t.equal(hdr.fence_id, sent.fence ?? 0n);
      t.equal(hdr.flags, sent.fence === undefined ? 0 : 1);
      t.same(rest, sent.value);
    }),
    { numRuns: 300 },
  );
});

t.test('a request cut anywhere is refused as too short and keeps its fence', async () => {
  fc.assert(
    fc.property(command, (sent) => {
      const bytes = encode(sent);
      const { size } = GPU_COMMANDS[sent.name];
      for (let length = 0; length < size; length++) {
        const got = decodeCommand(bytesSource(bytes.subarray(0, length)));
        if (got.name !== 'INVALID' || got.error !== 'ERR_INVALID_PARAMETER')
          throw new Error(`${sent.name} of ${length}`);
        if (length >= 24 && got.hdr.fence_id !== (sent.fence ?? 0n)) throw new Error('the fence is lost');
      }
    }),
    { numRuns: 50 },
  );
});

t.test('a known code with nothing implemented behind it, and an unknown one, are UNSPEC', async (t) => {
  const implemented = new Set<string>(names.map((name) => `VIRTIO_GPU_CMD_${name}`));
  const others = Object.entries(VIRTIO_GPU_CMD).filter(([name]) => !implemented.has(name));
  t.ok(others.length >= 10);
  for (const code of [0, 1, 0x0fff, 0x1100, 0xffffffff, ...others.map(([, code]) => code)]) {
    const bytes = new Uint8Array(96);
    new DataView(bytes.buffer).setUint32(0, code, true);
    t.match(decodeCommand(bytesSource(bytes)), { name: 'INVALID', error: 'ERR_UNSPEC', hdr: { type: code } });
  }
});

t.test(
  'backing entries that are too many or not there are told apart from none, and nothing is allocated for them',
  async (t) => {
    const bytes = encodeCommand('RESOURCE_ATTACH_BACKING', { resource_id: 1, nr_entries: 3, entries: [] });
    t.match(decodeCommand(bytesSource(bytes)), { entries: undefined, nr_entries: 3 });
    const none = encodeCommand('RESOURCE_ATTACH_BACKING', { resource_id: 1, nr_entries: 0, entries: [] });
    t.match(decodeCommand(bytesSource(none)), { entries: [] });
    const many = encodeCommand('RESOURCE_ATTACH_BACKING', { resource_id: 1, nr_entries: 0xffffffff, entries: [] });
    let readMax = 0;
    const endless = {
      readableBytes: 2 ** 40,
      read(offset: number, target: Uint8Array) {
        readMax = Math.max(readMax, target.length);
        target.set(many.subarray(offset, offset + target.length));
        return target.length;
      },
    };
    t.match(decodeCommand(endless), { entries: undefined });
    t.ok(readMax < 100);
    const edge = Array.from({ length: GPU_MEM_ENTRIES_MAX }, (_, index) => ({ addr: index * 4096, length: 4096 }));
    const full = { resource_id: 1, nr_entries: edge.length, entries: edge };
    t.match(decodeCommand(bytesSource(encodeCommand('RESOURCE_ATTACH_BACKING', full))), { entries: edge });
    const over = { ...full, nr_entries: edge.length + 1, entries: [...edge, { addr: 0, length: 1 }] };
    t.match(decodeCommand(bytesSource(encodeCommand('RESOURCE_ATTACH_BACKING', over))), { entries: undefined });
  },
);

t.test('responses echo a fence, in errors too, and nothing else of the request', async (t) => {
  const request: GpuHeader = {
    type: 0x0104,
    flags: 0xffffffff,
    fence_id: 0x1234_5678_9abc_def0n,
    ctx_id: 7,
    ring_idx: 9,
  };
  for (const name of ['OK_NODATA', 'ERR_UNSPEC', 'ERR_INVALID_SCANOUT_ID'] as const) {
    const bytes = encodeResponse({ name }, request);
    t.equal(bytes.length, 24);
    t.strictSame(decodeResponse(bytes), {
      name,
      hdr: {
        type: VIRTIO_GPU_RESP[`VIRTIO_GPU_RESP_${name}`],
        flags: 1,
        fence_id: request.fence_id,
        ctx_id: 7,
        ring_idx: 0,
      },
    });
    const bare = decodeResponse(encodeResponse({ name }, { ...request, flags: 2 }));
    t.match(bare.hdr, { flags: 0, fence_id: 0n, ctx_id: 0, ring_idx: 0 });
    t.equal(isGpuError(bare), name !== 'OK_NODATA');
  }
});

t.test('display info, EDID and UUID survive; cut short they are invalid', async (t) => {
  const hdr: GpuHeader = { type: 0, flags: 0, fence_id: 0n, ctx_id: 0, ring_idx: 0 };
  const pmodes = Array.from({ length: VIRTIO_GPU_MAX_SCANOUTS }, (_, index) => ({
    r: { x: 0, y: 0, width: index * 10, height: index },
    enabled: index & 1,
    flags: 0,
  }));
  const info = encodeResponse({ name: 'OK_DISPLAY_INFO', pmodes }, hdr);
  t.equal(info.length, 408);
  t.match(decodeResponse(info), { name: 'OK_DISPLAY_INFO', pmodes });
  const edid = Uint8Array.from({ length: 256 }, (_, index) => index);
  const answer = encodeResponse({ name: 'OK_EDID', edid }, hdr);
  t.equal(answer.length, 1056);
  const decoded = decodeResponse(answer);
  t.same(decoded.name === 'OK_EDID' && decoded.edid, edid);
  const uuid = Uint8Array.from({ length: 16 }, (_, index) => 255 - index);
  const named = encodeResponse({ name: 'OK_RESOURCE_UUID', uuid }, hdr);
  t.equal(named.length, 40);
  t.match(decodeResponse(named), { name: 'OK_RESOURCE_UUID', uuid });
  for (const bytes of [info, answer, named]) {
    for (const length of [0, 23, 24, bytes.length - 1]) {
      const cut = decodeResponse(bytes.subarray(0, length));
      t.equal(cut.name, 'INVALID');
      t.ok(isGpuError(cut));
    }
  }
  new DataView(answer.buffer).setUint32(24, 1025, true);
  t.equal(decodeResponse(answer).name, 'INVALID', 'a size past the array');
});

t.test('any bytes decode to something', async () => {
  const start = fc.oneof(fc.constantFrom(...Object.values(VIRTIO_GPU_CMD), ...Object.values(VIRTIO_GPU_RESP)), u32);
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 1200 }), (code, tail) => {
      const bytes = Uint8Array.of(0, 0, 0, 0, ...tail);
      new DataView(bytes.buffer).setUint32(0, code, true);
      decodeCommand(bytesSource(bytes));
      decodeResponse(bytes);
    }),
    { numRuns: 2000 },
  );
});
