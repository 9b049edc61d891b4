// Records of inflight chains as a hostile front-end may bring them, fuzzed: whatever is in one, its ring is served inside of
// memory and comes to an end, or is given up with a typed error. How many inputs: testkit/fuzz-test.ts.
import t from 'tap';
import { RegionMemory } from '../../../lib/core/memory.js';
import { inflightBytes, SplitInflight } from '../../../lib/vhost-user/inflight.js';
import { PackedInflight } from '../../../lib/vhost-user/inflight-packed.js';
import { Chain, VirtqError } from '../../../lib/virtio/chain.js';
import type { QueueLayout } from '../../../lib/virtio/device-ring.js';
import { openDeviceRing } from '../../../lib/virtio/open-ring.js';
import { GPU_FEATURES } from '../../../services/vhost-gpu/device.js';
import { fuzzTest } from '../../../testkit/fuzz-test.js';
import type { FuzzTarget } from '../../../testkit/fuzzer.js';
import { SPLIT_FEATURES } from '../../../testkit/gpu-tester.js';
import { PackedDriver } from '../../../testkit/packed-driver.js';
import { RingDriver } from '../../../testkit/ring-driver.js';

const RAM_BYTES = 1 << 16;

/** A front-end's record of inflight chains, of either layout: the first byte says which, and how many chains are in the ring. */
function recordTarget(): FuzzTarget {
  const SIZE = 8;
  const ram = new Uint8Array(RAM_BYTES);
  const memory = new RegionMemory([{ base: 0, bytes: ram }]);
  const rings = [() => new RingDriver(memory, { size: SIZE }), () => new PackedDriver(memory, { size: SIZE })] as const;
  const recorded = (packed: boolean, region: Uint8Array): Partial<QueueLayout> =>
    packed ? { packedInflight: new PackedInflight(region, SIZE) } : { inflight: new SplitInflight(region, SIZE) };
  const features = (packed: boolean): bigint => (packed ? GPU_FEATURES : SPLIT_FEATURES);
  const region = (packed: boolean): Uint8Array => new Uint8Array(inflightBytes(SIZE, packed));
  const lay = (packed: boolean, chains: number): QueueLayout => {
    ram.fill(0);
    const ring = rings[packed ? 1 : 0]();
    for (let count = 0; count < chains; count++) ring.add([{ addr: 0x1000, len: 8 }]);
    return ring.layout;
  };
  /** As a server leaves it that took three chains and gave the second one back. */
  const seed = (packed: boolean): Uint8Array => {
    const record = region(packed);
    const queue = openDeviceRing(memory, { ...lay(packed, 4), ...recorded(packed, record) }, features(packed));
    const chain = new Chain();
    const heads = [0, 1, 2].map(() => (queue.pop(chain) ? chain.head : 0));
    queue.pushUsed(heads[1]!, 0);
    return Uint8Array.from([(packed ? 1 : 0) | (4 << 1), ...record]);
  };
  return {
    name: 'records of inflight chains',
    files: /lib\/virtio\/|lib\/vhost-user\/inflight/,
    seeds: [seed(false), seed(true)],
    bytesMax: 1 + inflightBytes(SIZE, true),
    run(input) {
      const packed = ((input[0] ?? 0) & 1) === 1;
      const record = region(packed);
      record.set(input.subarray(1, 1 + record.length));
      const layout = lay(packed, ((input[0] ?? 0) >> 1) % SIZE);
      try {
        const queue = openDeviceRing(memory, { ...layout, ...recorded(packed, record) }, features(packed));
        const chain = new Chain();
        let taken = 0;
        for (; queue.pop(chain); taken++) queue.pushUsed(chain.head, 0);
        // A ring's worth that the record says, and one that is in the ring.
        if (taken > 2 * SIZE) throw new Error(`${taken} chains of a ring of ${SIZE}`);
      } catch (error) {
        if (!(error instanceof VirtqError)) throw error;
      }
    },
  };
}

fuzzTest(t, recordTarget());
