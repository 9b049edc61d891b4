// Clauses of split and packed rings, checked on a GPU server's control queue: what a driver must not do, and what becomes of
// the device then; and what a device owes a driver that does everything right.
import {
  VIRTQ_AVAIL,
  VIRTQ_AVAIL_F_NO_INTERRUPT,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_WRITE,
  VIRTQ_PACKED_DESC,
  VIRTQ_USED,
} from '../../lib/layout/virtio-ring.js';
import { encodeCommand } from '../../lib/virtio/gpu-codec.js';
import type { PackedDriver } from '../../testkit/packed-driver.js';
import type { RawDesc, RingDriver } from '../../testkit/ring-driver.js';
import { fail, PASS, same, type Verdict } from '../outcome.js';
import { AT, RAM_BYTES, RING_SIZE, type Seen, type ServerEnd } from '../server-end.js';

type Check = (end: ServerEnd) => Promise<Verdict>;
export interface RingCheck {
  readonly packed?: true;
  readonly check: Check;
}

/** Events that are waited for, one after another, until all of a full ring is back. */
const LOOKS = 4 * RING_SIZE;
const REQUEST = encodeCommand('RESOURCE_UNREF', { resource_id: 999 });
const { NEXT, WRITE, INDIRECT } = {
  NEXT: VIRTQ_DESC_F_NEXT,
  WRITE: VIRTQ_DESC_F_WRITE,
  INDIRECT: VIRTQ_DESC_F_INDIRECT,
};

/** What a driver did that it must not: it is answered or met with silence, and the device serves the next driver. */
async function broken(end: ServerEnd, packed: boolean): Promise<Verdict> {
  // A chain may come back under an id that was never given out: that is the driver's own doing here.
  const seen = await end.kicked().catch((): Seen => 'used');
  const not = await end.serves(packed);
  if (not !== undefined) return { outcome: 'WEDGED', detail: `${seen}; then ${not}` };
  return seen === 'used' ? PASS : { outcome: 'REJECT', detail: seen === 'error' ? 'the ring has stopped' : '' };
}

/** Descriptors 0, 1, 2 and so on of the split ring, and head 0 made available. */
const split =
  (lay: (end: ServerEnd, ring: RingDriver) => readonly RawDesc[] | undefined): Check =>
  async (end) => {
    const ring = end.ring as RingDriver;
    end.memory.write(AT.request, REQUEST);
    const descs = lay(end, ring);
    for (const [index, desc] of (descs ?? []).entries()) ring.desc(index, desc);
    if (descs !== undefined) ring.publish(0);
    return broken(end, false);
  };

const OUT: RawDesc = { addr: AT.request, len: REQUEST.length, flags: NEXT, next: 1 };
const IN: RawDesc = { addr: AT.response, len: 64, flags: WRITE };
/** One descriptor that refers to a table, whose entries are given. */
const table =
  (entries: readonly RawDesc[], more: Partial<RawDesc> = {}) =>
  (_end: ServerEnd, ring: RingDriver): RawDesc[] => {
    for (const [index, entry] of entries.entries()) ring.desc(index, entry, AT.table);
    return [{ addr: AT.table, len: 16 * entries.length, flags: INDIRECT, ...more }];
  };
const good = async (end: ServerEnd): Promise<Verdict> =>
  same((await end.command('RESOURCE_UNREF', { resource_id: 999 })).name, 'ERR_INVALID_RESOURCE_ID');
const refusedSize =
  (num: number): Check =>
  async (end) => {
    await end.ask('GET_VRING_BASE', { index: 0, num: 0 });
    const status = await end.tell('SET_VRING_NUM', { index: 0, num }).catch(() => 'ended');
    const not = await end.serves();
    if (not !== undefined) return { outcome: 'WEDGED', detail: not };
    return status === 0n ? fail('it was taken') : PASS;
  };
const refusedAddress =
  (place: Partial<Record<'desc' | 'avail' | 'used', bigint>>): Check =>
  async (end) => {
    await end.ask('GET_VRING_BASE', { index: 0, num: 0 });
    const at = { index: 0, flags: 0, desc: 0n, avail: 0x1000n, used: 0x2000n, log: 0n, ...place };
    await end.tell('SET_VRING_NUM', { index: 0, num: RING_SIZE }).catch(() => {});
    await end.tell('SET_VRING_ADDR', at).catch(() => {});
    return broken(end, false);
  };

const SPLIT: Readonly<Record<string, Check>> = {
  T0001: split(() => [
    { ...OUT, next: 1 },
    { addr: AT.request, len: 4, flags: NEXT, next: 0 },
  ]),
  T0003: split(() => [{ ...OUT, next: RING_SIZE }, IN]),
  T0004: split(() => [{ ...OUT, addr: 0 }, IN]),
  T0005: split(() => [{ ...OUT, addr: RAM_BYTES * 4 }, IN]),
  T0006: split(() => [{ ...OUT, len: 0 }, IN]),
  T0007: split(() => [{ ...OUT, len: 0x7fffffff }, IN]),
  T0008: split(() => [{ ...OUT, addr: RAM_BYTES - 16, len: 0xffffffff }, IN]),
  T0009: split(() => [{ ...OUT, flags: NEXT | WRITE }, IN]),
  T0014: split(() => [{ ...OUT, flags: 0, len: 24 }]),
  T0016: split(table([{ addr: AT.table, len: 16, flags: INDIRECT }])),
  T0017: split(table([OUT, IN], { flags: INDIRECT | NEXT, next: 1 })),
  T0018: split(table([OUT, IN], { len: 33 })),
  T0019: split(table([OUT, IN], { len: 0 })),
  T0020: split(table([OUT, IN], { addr: RAM_BYTES * 2 })),
  T0021: split(table([OUT, { ...OUT, next: 0 }])),
  T0022: split((_end, ring) => {
    ring.desc(0, OUT);
    ring.desc(1, IN);
    for (const head of [0, 0]) ring.publish(head);
    return undefined;
  }),
  T0023: split((end, ring) => {
    end.memory.storeU16(ring.layout.avail + VIRTQ_AVAIL.offset.idx, RING_SIZE + 5);
    return undefined;
  }),
  T0024: split((end, ring) => {
    end.memory.storeU16(ring.layout.avail + VIRTQ_AVAIL.offset.idx, 0xfff0);
    return undefined;
  }),
  T0025: split((_end, ring) => {
    ring.publish(RING_SIZE + 1);
    return undefined;
  }),
  T0026: split((_end, ring) => {
    ring.availFlags = 0xfffe;
    return [OUT, IN];
  }),
  T0028: split((end, ring) => {
    end.memory.storeU16(ring.layout.used + VIRTQ_USED.offset.idx, 7);
    return [OUT, IN];
  }),
  T0041: refusedSize(12),
  T0042: refusedSize(0),
  T0043: refusedSize(0x10000),
  T0044: refusedAddress({ desc: 8n }),
  T0045: refusedAddress({ avail: 0x1001n }),
  T0046: refusedAddress({ used: 0x2002n }),
  T0048: refusedAddress({ used: BigInt(RAM_BYTES) - 4n }),
  T0053: split(() => [OUT, { ...IN, flags: WRITE | NEXT, next: 2 }, { ...OUT, flags: 0 }]),
  T0054: split((_end, ring) => {
    for (let index = 0; index < RING_SIZE; index++)
      ring.desc(index, { addr: AT.request, len: 1, flags: NEXT, next: (index + 1) % RING_SIZE });
    ring.publish(0);
    return undefined;
  }),
  T0061: split(() => [{ ...OUT, addr: 0, len: 0 }, IN]),
  T0065: async (end) => {
    const ring = end.ring as RingDriver;
    end.memory.write(AT.request, REQUEST);
    for (let index = 0; index < RING_SIZE; index++) ring.add([{ addr: AT.request, len: REQUEST.length }]);
    end.kick();
    for (let looks = 0; ring.usedIdx < RING_SIZE && looks < LOOKS; looks++) await end.stirred();
    return same(ring.usedIdx, RING_SIZE, 'every chain of a full ring');
  },
  T0067: split(table([OUT, IN], { flags: INDIRECT | WRITE })),
  T0068: async (end) => {
    end.kick();
    end.kick();
    return good(end);
  },
  T0069: async (end) => {
    const first = await good(end);
    end.kick();
    return first.outcome === 'PASS' ? good(end) : first;
  },
  T0070: split((_end, ring) => [{ ...OUT, addr: ring.layout.desc, len: 256 }, IN]),
  T0073: split(() => [{ ...OUT, addr: RAM_BYTES - 8, len: 64 }, IN]),
  T0074: split((_end, ring) => {
    ring.desc(0, { ...OUT, flags: 0 });
    for (let count = 0; count < RING_SIZE; count++) ring.publish(0);
    return undefined;
  }),
  T0077: split(() => [
    { ...OUT, len: 0xffffffff },
    { ...IN, len: 0xffffffff },
  ]),
  T0082: split(() => [{ addr: 0xffff_ffff, len: 0xffffffff, flags: 0xffff, next: 0xffff }]),
  T0084: split((_end, ring) => {
    for (let count = 0; count < RING_SIZE; count++) ring.publish(0xffff);
    return undefined;
  }),
  T0093: async (end) => {
    const ring = end.ring as RingDriver;
    ring.availFlags = VIRTQ_AVAIL_F_NO_INTERRUPT;
    const before = end.calls;
    ring.add(end.segments(REQUEST));
    end.kick();
    for (let looks = 0; ring.usedIdx === 0 && looks < 10; looks++) await end.kicked();
    return same([ring.usedIdx, end.calls - before], [1, 0], 'used, and not called for');
  },
  T0100: split((_end, ring) => {
    for (const [index, entry] of [OUT, IN].entries()) ring.desc(index, entry, AT.table);
    const to = { addr: AT.table, len: 32 };
    return [
      { ...to, flags: INDIRECT | NEXT, next: 1 },
      { ...to, flags: INDIRECT },
    ];
  }),
};

/** Slots of a packed ring written by hand after one good chain was laid. */
const packed =
  (spoil: (end: ServerEnd, ring: PackedDriver, at: (slot: number) => number) => void): Check =>
  async (end) => {
    const ring = end.ring as PackedDriver;
    // A device that still polls may look before the kick: it sees nothing until all is spoilt.
    ring.add(end.segments(REQUEST), { held: true });
    ring.add(end.segments(REQUEST));
    spoil(end, ring, (slot) => ring.layout.desc + slot * VIRTQ_PACKED_DESC.size);
    ring.publish(0);
    return broken(end, true);
  };
const { addr: ADDR, len: LEN, id: BUFFER_ID, flags: FLAGS } = VIRTQ_PACKED_DESC.offset;
const flags = (end: ServerEnd, at: number, more: number): void =>
  end.memory.storeU16(at + FLAGS, end.memory.loadU16(at + FLAGS) | more);

const PACKED: Readonly<Record<string, Check>> = {
  P0003: packed((end, ring, at) => {
    for (let slot = 0; slot < RING_SIZE; slot++) {
      if (slot >= 4) ring.add([{ addr: AT.request, len: 1 }]);
      flags(end, at(slot), NEXT);
    }
  }),
  P0010: packed((end, _ring, at) => flags(end, at(0), WRITE)),
  P0012: packed((end, _ring, at) => end.memory.writeU16(at(1) + BUFFER_ID, 0xffff)),
  P0013: packed((end, _ring, at) => {
    for (const slot of [1, 3]) end.memory.writeU16(at(slot) + BUFFER_ID, 5);
  }),
  P0020: async (end) => {
    const ring = end.ring as PackedDriver;
    end.memory.write(AT.request, REQUEST);
    for (let slot = 0; slot < RING_SIZE; slot++) ring.add([{ addr: AT.request, len: REQUEST.length }]);
    for (let looks = 0; ring.out > 0 && looks < LOOKS; looks++) await end.kicked();
    return same(ring.out, 0, 'slots that the device still has');
  },
  P0026: packed((end, _ring, at) => flags(end, at(0), 0xffff)),
  P0028: async (end) => {
    for (let count = 0; count < 3 * RING_SIZE; count++) {
      const verdict = await good(end);
      if (verdict.outcome !== 'PASS') return verdict;
    }
    return PASS;
  },
  P0033: async (end) => {
    const ring = end.ring as PackedDriver;
    end.segments(REQUEST);
    const pieces = [...Array(4).keys()].map((at) => ({ addr: AT.request + 8 * at, len: 8 }));
    ring.add([...pieces, { addr: AT.response, len: 24, write: true }]);
    return same(await end.kicked(), 'used');
  },
  P0040: packed((end, _ring, at) => flags(end, at(0), INDIRECT | NEXT)),
  P0045: packed((end, _ring, at) => end.memory.writeU32(at(0) + LEN, 0)),
  P0046: packed((end, _ring, at) => end.memory.writeU32(at(0) + LEN, 0xffffffff)),
  P0047: packed((end, _ring, at) => end.memory.writeU64(at(0) + ADDR, 0n)),
  P0061: packed((end, _ring, at) => end.memory.writeU64(at(0) + ADDR, 0xffff_ffff_ffff_fff0n)),
  P0065: packed((end, _ring, at) => end.memory.writeU64(at(0) + ADDR, BigInt(RAM_BYTES) * 4n)),
  P0066: packed((end, _ring, at) => end.memory.writeU64(at(0) + ADDR, BigInt(RAM_BYTES) - 8n)),
  P0069: packed((end, _ring, at) => {
    flags(end, at(1), INDIRECT);
    end.memory.writeU32(at(1) + LEN, 0);
  }),
  P0082: packed((end, _ring, at) => {
    flags(end, at(1), INDIRECT);
    end.memory.writeU64(at(1) + ADDR, BigInt(RAM_BYTES) * 2n);
    end.memory.writeU32(at(1) + LEN, 32);
  }),
  P0083: packed((end, _ring, at) => {
    flags(end, at(1), INDIRECT);
    end.memory.writeU32(at(1) + LEN, 33);
  }),
};

export const RING_CHECKS: Readonly<Record<string, RingCheck>> = {
  ...Object.fromEntries(Object.entries(SPLIT).map(([id, check]) => [id, { check }])),
  ...Object.fromEntries(Object.entries(PACKED).map(([id, check]) => [id, { check, packed: true as const }])),
};
