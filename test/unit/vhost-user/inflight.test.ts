// Inflight tracking under death: a server is killed between any two of its steps, as often as it takes, and each chain is
// given back once, none twice, those that were taken before in their order.
import fc from 'fast-check';
import t from 'tap';
import { inflightBytes, SplitInflight } from '../../../lib/vhost-user/inflight.js';
import { Chain } from '../../../lib/virtio/chain.js';
import { DeviceQueue } from '../../../lib/virtio/device-queue.js';
import type { InflightLog } from '../../../lib/virtio/device-ring.js';
import { plainMemory, RingDriver } from '../../../testkit/ring-driver.js';

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
    { numRuns: 400 },
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
