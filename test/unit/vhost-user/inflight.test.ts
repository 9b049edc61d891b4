// Inflight tracking under death: a server is killed between any two of its steps, as often as it takes, and each chain is
// given back once, none twice, those that were taken before in their order. Of packed rings it is killed before any store.
import fc from 'fast-check';
import t from 'tap';
import { inflightBytes, SplitInflight } from '../../../lib/vhost-user/inflight.js';
import { PackedInflight } from '../../../lib/vhost-user/inflight-packed.js';
import { Chain, VirtqError } from '../../../lib/virtio/chain.js';
import { DeviceQueue } from '../../../lib/virtio/device-queue.js';
import type { InflightLog } from '../../../lib/virtio/device-ring.js';
import { PackedQueue } from '../../../lib/virtio/packed-queue.js';
import { PackedDriver } from '../../../testkit/packed-driver.js';
import { plainMemory, RingDriver } from '../../../testkit/ring-driver.js';
import { tries } from '../../../testkit/tier.js';

const SIZE = 8;
const CHAINS = 24;
class Killed extends Error {}

/** The record, and a death before one of its steps. */
function dying(log: InflightLog, step: () => void): InflightLog {
  const before =
    <A extends unknown[], R>(action: (...args: A) => R) =>
    (...args: A): R => {
      step();
      const result = action(...args);
      step();
      return result;
    };
  return {
    begin: before((usedIdx: number) => log.begin(usedIdx)),
    taken: before((head: number) => log.taken(head)),
    givingBack: before((head: number) => log.givingBack(head)),
    gaveBack: before((head: number, usedIdx: number) => log.gaveBack(head, usedIdx)),
  };
}

t.test('whenever a server is killed, each chain is given back exactly once', async (t) => {
  t.equal(inflightBytes(64), 1088, "libvhost-user's size");
  t.equal(inflightBytes(128), 2112);
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 12 }),
      fc.infiniteStream(fc.boolean()),
      fc.constantFrom(0, 0xfffc),
      (lives, choices, base) => {
        const memory = plainMemory(1 << 16);
        const driver = new RingDriver(memory, { size: SIZE, base });
        const region = new Uint8Array(inflightBytes(SIZE));
        const free = Array.from({ length: SIZE }, (_, head) => head);
        const out = new Set<number>();
        let sent = 0;
        const add = (): void => {
          for (; free.length > 0 && sent < CHAINS; sent++) {
            const head = free.shift()!;
            out.add(head);
            driver.desc(head, { addr: 0x8000, len: 4 });
            driver.publish(head);
          }
        };
        const collect = (): void => {
          for (const { id } of driver.collect()) {
            if (!out.delete(id)) throw new Error(`chain ${id} is given back, and the server has none such`);
            free.push(id);
          }
        };
        const serve = (stepsLeft: number): void => {
          let steps = stepsLeft;
          const step = (): void => {
            if (steps-- === 0) throw new Killed();
          };
          // A front-end whose server died without a word goes by the used index (vhost-user.rst).
          const start = driver.usedIdx;
          const inflight = dying(new SplitInflight(region, SIZE), step);
          const queue = new DeviceQueue(memory, { ...driver.layout, base: start, inflight }, 0n);
          const kept: number[] = [];
          for (let idle = 0; idle < 2; ) {
            const chain = new Chain();
            const more = queue.pop(chain);
            if (more) kept.push(chain.head);
            idle = more ? 0 : idle + 1;
            // Answers later, and in any order.
            while (kept.length > (more && choices.next().value ? 3 : 0)) {
              const at = choices.next().value ? 0 : kept.length - 1;
              queue.pushUsed(kept.splice(at, 1)[0]!, 0);
            }
          }
        };
        for (const steps of lives) {
          add();
          try {
            serve(steps);
          } catch (error) {
            if (!(error instanceof Killed)) throw error;
          }
          collect();
        }
        while (sent < CHAINS || out.size > 0) {
          const before = sent - out.size;
          add();
          serve(Number.POSITIVE_INFINITY);
          collect();
          if (sent - out.size === before) throw new Error(`chains ${[...out]} do not come back`);
        }
      },
    ),
    { numRuns: tries(100, 1000) },
  );
});

t.test('what was taken first is taken again first', async (t) => {
  const region = new Uint8Array(inflightBytes(SIZE));
  const log = new SplitInflight(region, SIZE);
  t.equal(log.begin(0), undefined, 'a fresh record says nothing');
  for (const head of [5, 2, 7]) log.taken(head);
  log.givingBack(2);
  log.gaveBack(2, 1);
  t.same(new SplitInflight(region, SIZE).begin(1), [5, 7]);
  const third = new SplitInflight(region, SIZE);
  third.begin(1);
  third.taken(0);
  t.same(new SplitInflight(region, SIZE).begin(1), [5, 7, 0], 'the count goes on');
});

t.test('a record full of nonsense gives heads of the ring only, and none twice', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 192, maxLength: 192 }), fc.nat({ max: 0xffff }), (bytes, usedIdx) => {
      const region = Uint8Array.from(bytes);
      region[8] = 1;
      region[9] = 0;
      const heads = new SplitInflight(region, SIZE).begin(usedIdx)!;
      if (heads.some((head) => head >= SIZE) || new Set(heads).size !== heads.length) throw new Error(String(heads));
    }),
  );
});

/** Runs `action`, and has it die before the store after the next `stores`, of a ring or of the record. */
function dyingAt(stores: number, action: () => void): void {
  let left = stores;
  const methods = ['setUint8', 'setUint16', 'setUint32', 'setBigUint64'] as const;
  const undo: (() => void)[] = [];
  const patch = <T extends object>(target: T, name: keyof T): void => {
    const real = target[name] as (...args: unknown[]) => unknown;
    const counted = function (this: unknown, ...args: unknown[]): unknown {
      if (left-- === 0) throw new Killed();
      return real.apply(this, args);
    };
    Object.assign(target, { [name]: counted });
    undo.push(() => Object.assign(target, { [name]: real }));
  };
  for (const name of methods) patch(DataView.prototype, name);
  patch(Atomics, 'store');
  try {
    action();
  } catch (error) {
    if (!(error instanceof Killed)) throw error;
  } finally {
    for (const action of undo) action();
  }
}

t.test('of a packed ring too, before whichever store a server is killed', async (t) => {
  t.equal(inflightBytes(64, true), 2112, "libvhost-user's and DPDK's size");
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 90 }), { maxLength: 14 }),
      fc.infiniteStream(fc.integer({ min: 0, max: 3 })),
      (lives, choices) => {
        const choice = (): number => choices.next().value as number;
        const memory = plainMemory(1 << 16);
        const driver = new PackedDriver(memory, { size: SIZE });
        const region = new Uint8Array(inflightBytes(SIZE, true));
        /** Chains that the driver waits for, by id: which one it was. */
        const out = new Map<number, number>();
        let sent = 0;
        const add = (): void => {
          for (; sent < CHAINS; sent++) {
            const slots = 1 + (choice() % 3);
            if (driver.out + slots > SIZE) return;
            out.set(driver.add(Array.from({ length: slots }, () => ({ addr: 0x8000, len: 4 }))), sent);
          }
        };
        const serve = (): void => {
          const packedInflight = new PackedInflight(region, SIZE);
          // A front-end whose server died without a word knows no positions.
          const queue = new PackedQueue(memory, { ...driver.layout, packedInflight }, 0n);
          const kept: number[] = [];
          let last = -1;
          for (let idle = 0; idle < 2; ) {
            const chain = new Chain();
            const more = queue.pop(chain);
            if (more) {
              const which = out.get(chain.head);
              if (which === undefined) throw new Error(`chain ${chain.head} was given back before`);
              if (which <= last) throw new Error(`chain number ${which} is taken after ${last}`);
              last = which;
              kept.push(chain.head);
            }
            idle = more ? 0 : idle + 1;
            // Answers later, and in any order.
            while (kept.length > (more && choice() > 0 ? 3 : 0))
              queue.pushUsed(kept.splice(choice() > 1 ? 0 : kept.length - 1, 1)[0]!, 0);
          }
        };
        // PackedDriver throws at a chain that comes back and is none of its own.
        const collect = (): void => {
          for (const { id } of driver.collect()) out.delete(id);
        };
        for (const stores of lives) {
          add();
          dyingAt(stores, serve);
          collect();
        }
        while (sent < CHAINS || out.size > 0) {
          const before = sent - out.size;
          add();
          serve();
          collect();
          if (sent - out.size === before) throw new Error(`chains ${[...out.values()]} do not come back`);
        }
      },
    ),
    { numRuns: tries(60, 2000) },
  );
});

t.test('a record of a packed ring that is nonsense ends that ring, or is served inside of memory', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 320, maxLength: 320 }), (bytes) => {
      const region = new Uint8Array(inflightBytes(SIZE, true));
      region.set(bytes);
      region.set([1, 0], 8);
      // Few that stand a chance: small numbers where entries and counts are.
      for (let at = 12; at < region.length; at++) if (bytes[at % 320]! % 3 === 0) region[at] = bytes[at % 320]! % 9;
      const memory = plainMemory(1 << 16);
      const driver = new PackedDriver(memory, { size: SIZE });
      try {
        const queue = new PackedQueue(
          memory,
          { ...driver.layout, packedInflight: new PackedInflight(region, SIZE) },
          0n,
        );
        const chain = new Chain();
        for (let count = 0; count <= SIZE && queue.pop(chain); count++) queue.pushUsed(chain.head, 0);
      } catch (error) {
        if (!(error instanceof VirtqError)) throw error;
      }
    }),
  );
});
