import fc from 'fast-check';
import t from 'tap';
import { ProtocolError } from '../../../lib/core/errors.js';
import { VHOST_USER_FDS_MAX, VHOST_USER_MAX_CONFIG_SIZE, VHOST_USER_REQUEST } from '../../../lib/layout/vhost-user.js';
import {
  BACKEND_REQUESTS,
  decodeAck,
  decodeBackendRequest,
  decodeReply,
  decodeRequest,
  encodeAck,
  encodeBackendRequest,
  encodeReply,
  encodeRequest,
  REQUESTS,
  type RequestType,
} from '../../../lib/vhost-user/messages.js';

const u32 = fc.nat({ max: 0xffffffff });
const u16 = fc.nat({ max: 0xffff });
const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const region = fc
  .record({ guestAddr: u64, userAddr: u64, mmapOffset: u64, size: fc.bigInt({ min: 1n, max: (1n << 64n) - 1n }) })
  .filter((r) => [r.guestAddr, r.userAddr, r.mmapOffset].every((at) => at + r.size <= 1n << 64n));
const config = fc
  .uint8Array({ maxLength: VHOST_USER_MAX_CONFIG_SIZE })
  .chain((data) => fc.record({ offset: u32, flags: u32, size: fc.constant(data.length), data: fc.constant(data) }));
const bodies = {
  none: fc.constant({}),
  u64: fc.record({ value: u64 }),
  state: fc.record({ index: u32, num: u32 }),
  addr: fc.record({ index: u32, flags: u32, desc: u64, used: u64, avail: u64, log: u64 }),
  table: fc.record({ regions: fc.array(region, { minLength: 1, maxLength: 8 }) }),
  region: fc.record({ region }),
  config,
  log: fc.record({ size: u64, offset: u64 }),
  inflight: fc.record({ size: u64, offset: u64, queueCount: u16, queueSize: u16 }),
  vring: fc.record({ index: fc.nat({ max: 255 }), polled: fc.boolean() }),
};
const types = Object.keys(REQUESTS) as RequestType[];

/** A request with as many handles as its rule wants. */
const request = fc.constantFrom(...types).chain((type) => {
  const rule = REQUESTS[type];
  return fc
    .tuple(bodies[rule.payload] as fc.Arbitrary<Record<string, unknown>>, fc.boolean())
    .map(([body, needReply]) => {
      const regions = (body as { regions?: unknown[] }).regions?.length ?? 0;
      const polled = (body as { polled?: boolean }).polled ? 0 : 1;
      const count =
        rule.handles === 'regions'
          ? regions
          : rule.handles === 'unless-polled'
            ? polled
            : rule.handles === 'optional'
              ? 1
              : rule.handles;
      return { type, body, needReply, handles: Array.from({ length: count }, (_, i) => `handle ${i}`) };
    });
});

t.test('every request survives encoding and decoding', async (t) => {
  fc.assert(
    fc.property(request, ({ type, body, needReply, handles }) => {
      const raw = encodeRequest(type, body as never, { needReply, handles });
      t.same(decodeRequest(raw), { type, needReply, handles, ...body });
    }),
    { numRuns: 300 },
  );
});

t.test('cut or lengthened by a byte, no request is taken', async (t) => {
  fc.assert(
    fc.property(request, fc.boolean(), ({ type, body, handles }, longer) => {
      const raw = encodeRequest(type, body as never, { handles });
      const length = raw.payload.length + (longer ? 1 : -1);
      if (length < 0) return;
      const payload = new Uint8Array(length);
      payload.set(raw.payload.subarray(0, length));
      t.throws(() => decodeRequest({ ...raw, payload }), { code: 'size' });
    }),
  );
});

t.test('arbitrary bytes end in a request or in a ProtocolError', async (t) => {
  const raw = fc.record({
    request: fc.oneof(fc.nat({ max: 50 }), u32),
    flags: fc.oneof(fc.constantFrom(1, 9, 5, 0, 2), u32),
    payload: fc.uint8Array({ maxLength: 400 }),
    handles: fc.array(fc.nat(), { maxLength: 12 }),
  });
  fc.assert(
    fc.property(raw, (message) => {
      for (const decode of [decodeRequest, decodeBackendRequest]) {
        try {
          const { type } = decode(message);
          t.ok(type in REQUESTS || type in BACKEND_REQUESTS);
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
        }
      }
    }),
    { numRuns: 3000 },
  );
});

t.test('handles must be as many as the message says', async (t) => {
  const table = encodeRequest('SET_MEM_TABLE', {
    regions: [{ guestAddr: 0n, size: 4096n, userAddr: 0n, mmapOffset: 0n }],
  });
  t.throws(() => decodeRequest(table), { code: 'handles' });
  t.throws(() => decodeRequest({ ...table, handles: [1, 2] }), { code: 'handles' });
  const kick = encodeRequest('SET_VRING_KICK', { index: 0, polled: true }, { handles: [1] });
  t.throws(() => decodeRequest(kick), { code: 'handles' });
  const features = encodeRequest('GET_FEATURES', {}, { handles: Array.from({ length: VHOST_USER_FDS_MAX + 1 }) });
  t.throws(() => decodeRequest(features), { code: 'handles' });
});

t.test('headers that no front-end sends are refused', async (t) => {
  const good = encodeRequest('GET_FEATURES', {});
  t.throws(() => decodeRequest({ ...good, flags: 2 }), { code: 'version' });
  t.throws(() => decodeRequest({ ...good, flags: 5 }), { code: 'flags' }, 'a reply');
  t.throws(() => decodeRequest({ ...good, flags: 0x11 }), { code: 'flags' }, 'reserved bits');
  t.throws(() => decodeRequest({ ...good, payload: new Uint8Array(4097) }), { code: 'size' });
  const unknown = { ...good, request: VHOST_USER_REQUEST.VHOST_USER_CREATE_CRYPTO_SESSION };
  t.throws(() => decodeRequest(unknown), { code: 'request' });
});

t.test("a domain's memory has two words more a region, and kinds that exclude each other are refused", async (t) => {
  const plain = { guestAddr: 0x40000000n, size: 4096n, userAddr: 0n, mmapOffset: 0n };
  const foreign = { ...plain, xen: { kind: 'foreign', domid: 7 } } as const;
  const grant = { ...plain, guestAddr: 1n << 63n, xen: { kind: 'grant', domid: 7 } } as const;
  const table = encodeRequest('SET_MEM_TABLE', { regions: [foreign, plain, grant] }, { handles: [1, 2, 3] });
  t.equal(table.payload.length, 8 + 3 * 40);
  t.match(decodeRequest(table), { regions: [foreign, plain, grant] });
  const one = encodeRequest('ADD_MEM_REG', { region: foreign }, { handles: [1] });
  t.equal(one.payload.length, 48);
  t.match(decodeRequest(one), { region: foreign });
  const flagged = (flags: number, domid = 7) => {
    const payload = one.payload.slice();
    const view = new DataView(payload.buffer);
    view.setUint32(40, flags, true);
    view.setUint32(44, domid, true);
    return { ...one, payload };
  };
  t.match(decodeRequest(flagged(0)), { region: plain });
  t.notOk('xen' in (decodeRequest(flagged(0)) as { region: object }).region, 'a file');
  for (const noAdvance of [0x100, 0x8])
    t.match(decodeRequest(flagged(2 | noAdvance)), { region: { xen: { kind: 'grant', onDemand: true } } });
  t.notOk('onDemand' in (decodeRequest(flagged(2)) as { region: { xen: object } }).region.xen);
  const many = new Array(32).fill(grant);
  const whole = encodeRequest('SET_MEM_TABLE', { regions: many }, { handles: [...many.keys()] });
  t.match(decodeRequest(whole), { regions: many }, 'as many as rust-vmm sends');
  const more = [...many, grant];
  t.throws(() => decodeRequest(encodeRequest('SET_MEM_TABLE', { regions: more }, { handles: [1] })), {
    code: 'regions',
  });
  const plains = new Array(9).fill(plain);
  t.throws(() => decodeRequest(encodeRequest('SET_MEM_TABLE', { regions: plains }, { handles: [1] })), {
    code: 'regions',
  });
  for (const wrong of [3, 0x101, 0x9, 4, 0x80000002])
    t.throws(() => decodeRequest(flagged(wrong)), { code: 'regions' }, `0x${wrong.toString(16)}`);
  t.throws(() => decodeRequest(flagged(1, 0x10000)), { code: 'regions' }, 'no domain');
});

t.test('regions that are empty or wrap are refused', async (t) => {
  const bad = [
    { guestAddr: 0n, size: 0n, userAddr: 0n, mmapOffset: 0n },
    { guestAddr: (1n << 64n) - 4096n, size: 8192n, userAddr: 0n, mmapOffset: 0n },
    { guestAddr: 0n, size: 8192n, userAddr: (1n << 64n) - 4096n, mmapOffset: 0n },
    { guestAddr: 0n, size: 8192n, userAddr: 0n, mmapOffset: (1n << 64n) - 4096n },
  ];
  for (const region of bad) {
    const raw = encodeRequest('ADD_MEM_REG', { region }, { handles: [1] });
    t.throws(() => decodeRequest(raw), { code: 'regions' });
  }
  const nine = Array.from({ length: 9 }, (_, i) => ({ ...bad[0]!, size: 1n, guestAddr: BigInt(i) }));
  t.throws(() => decodeRequest(encodeRequest('SET_MEM_TABLE', { regions: nine }, { handles: [] })), {
    code: 'regions',
  });
});

t.test('replies are matched with their request', async (t) => {
  t.same(decodeReply('GET_FEATURES', encodeReply('GET_FEATURES', { value: 7n })), { value: 7n });
  t.same(decodeReply('GET_VRING_BASE', encodeReply('GET_VRING_BASE', { index: 1, num: 70 })), { index: 1, num: 70 });
  t.throws(() => decodeReply('GET_QUEUE_NUM', encodeReply('GET_FEATURES', { value: 7n })), { code: 'reply' });
  t.throws(() => decodeReply('GET_FEATURES', encodeRequest('GET_FEATURES', {})), { code: 'reply' });
  t.equal(decodeAck('SET_OWNER', encodeAck('SET_OWNER', 1n)), 1n);
  const echoed = { ...encodeReply('GET_FEATURES', { value: 7n }), flags: 0xd };
  t.same(decodeReply('GET_FEATURES', echoed), { value: 7n }, 'libvhost-user echoes NEED_REPLY');
});

t.test('a config reply without bytes says that there is no such space', async (t) => {
  const data = Uint8Array.of(1, 2, 3, 4);
  t.same(decodeReply('GET_CONFIG', encodeReply('GET_CONFIG', { offset: 0, flags: 0, data })).data, data);
  const none = encodeReply('GET_CONFIG', { offset: 8, flags: 0, data: undefined });
  t.equal(none.payload.length, 0);
  t.equal(decodeReply('GET_CONFIG', none).data, undefined);
});

t.test('back-end requests have a table of their own', async (t) => {
  t.match(decodeBackendRequest(encodeBackendRequest('CONFIG_CHANGE_MSG', {})), { type: 'CONFIG_CHANGE_MSG' });
  t.match(decodeBackendRequest(encodeBackendRequest('VRING_ERR', { index: 1, num: 0 })), {
    type: 'VRING_ERR',
    index: 1,
  });
});

t.test('on the wire: the bytes of a real front-end', async (t) => {
  // QEMU 7.2's SET_VRING_ADDR as seen on the wire: descriptors, used, available, log.
  const raw = encodeRequest('SET_VRING_ADDR', {
    index: 0,
    flags: 0,
    desc: 0x7fe405a3f000n,
    used: 0x7fe405a44000n,
    avail: 0x7fe405a43000n,
    log: 0x11a45000n,
  });
  const hex = Buffer.from(raw.payload).toString('hex');
  t.equal(hex, '0000000000000000' + '00f0a305e47f0000' + '0040a405e47f0000' + '0030a405e47f0000' + '0050a41100000000');
  t.equal(raw.flags, 1);
  t.equal(raw.request, 9);
});
