// Hostile input: hypercalls, exit pages, ioreq slots and rings filled at random, by guests and emulators at once. Whatever
// they do, a call answers a number or an object, nothing throws, and another guest goes on. The count of calls can be
// raised: XENWIRE_FUZZ_CALLS=1000000.
import t from 'tap';
import { OPERATIONS } from '../../../../services/hypervisor/operations.js';
import { FakeEmulator, FakeGuest, makeLab } from '../../../../testkit/host-lab.js';
import { tries } from '../../../../testkit/tier.js';

const CALLS = Number(process.env['XENWIRE_FUZZ_CALLS'] ?? tries(10_000, 30_000));
const SEED = Number(process.env['XENWIRE_FUZZ_SEED'] ?? 1);

/** mulberry32: small, seeded, good enough to reach corners. */
function random(seed: number): (max: number) => number {
  let state = seed;
  return (max) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % max;
  };
}

const CORNERS = [0, 1, 2, 3, 7, 8, 63, 64, 255, 256, 1023, 1024, 4095, 4096, 0x7ff0, 0x7ff4, 0xffff, 0x10000];
const WILD = [
  0x7fffffff,
  0x80000000,
  0xffffffff,
  2 ** 32,
  2 ** 53,
  -1,
  1.5,
  'x',
  '0xffffffffffffffff',
  null,
  [],
  {},
  true,
];
/** Calls that end the stage or make ever more domains; they have tests of their own. */
const LEFT_OUT = new Set(['domctl.create', 'domctl.destroy', 'domctl.pause', 'dm.remote_shutdown']);

const timeout = 30_000 + CALLS;
t.setTimeout(timeout);

t.test(`${CALLS} random hypercalls and scribbles, seed ${SEED}`, { timeout }, async (t) => {
  const pick = random(SEED);
  const of = <T>(list: readonly T[]): T => list[pick(list.length)]!;
  const lab = makeLab({ evtchnRaise: true });
  const bystander = new FakeGuest(lab, lab.domain());
  const ops = [...OPERATIONS].filter(([name]) => !LEFT_OUT.has(name));
  let domain = lab.domain({ vcpus: 2 });
  let guest = new FakeGuest(lab, domain);
  let emulator = new FakeEmulator(lab, domain, [[0xf0000000, 0xf0000fff]]);
  let crashes = 0;
  for (let n = 0; n < CALLS; n++) {
    const kind = pick(16);
    if (kind === 0) {
      for (let word = 0; word < 40; word++) emulator.page[pick(64)] = pick(256);
    } else if (kind === 1) {
      emulator.user.words[pick(emulator.user.words.length)] = of([0, 1, 64, 0x40000001, 0xffffffff, pick(2 ** 32)]);
      emulator.user.ringCommands();
    } else if (kind === 2) {
      guest.exit({
        reason: pick(5),
        addr: BigInt(of([0, 0xf0000000 + pick(4096), 0xffffffff])),
        size: of([1, 2, 4, 8, 4, 3]),
      });
    } else if (kind === 3) {
      lab.doorbell.ring(pick(64));
    } else {
      const [name, { args }] = of(ops);
      const values: Record<string, unknown> = {};
      for (const arg of Object.keys(args)) {
        const near = arg === 'dom' || arg === 'domid' || arg === 'remote_dom' ? pick(4) : pick(12);
        values[arg] = of([near, near, near, of(CORNERS), of(WILD)]);
      }
      const result = lab.call(of([0, 0, domain.domid]), name, values);
      if (typeof result !== 'object' && !Number.isInteger(result)) t.fail(`${name} answered ${String(result)}`);
    }
    if (domain.shutdownReason !== undefined || n % 5000 === 4999) {
      crashes++;
      lab.call(0, 'domctl.destroy', { domid: domain.domid });
      guest.end(lab);
      emulator.user.end();
      domain = lab.domain({ vcpus: 2 });
      guest = new FakeGuest(lab, domain);
      emulator = new FakeEmulator(lab, domain, [[0xf0000000, 0xf0000fff]]);
    }
  }
  t.ok(crashes > 0, 'some of it was bad enough to end a guest');
  lab.call(0, 'evtchn.reset', { dom: 0x7ff0 });
  if (bystander.domain.pauseCount > 0) t.fail('the bystander was paused');
  t.same(bystander.read(0x10), { data: 0xffffffffn, rc: 0 }, 'the bystander runs');
  lab.kernel.close();
  lab.host.close();
  t.same(lab.files.paths, [], 'and nothing is left');
});
