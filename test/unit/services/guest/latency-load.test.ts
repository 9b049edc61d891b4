// The guest's load: one after the other in a closed loop; in an open one each at its own time, whatever is under way.
import t from 'tap';
import type { Clock } from '../../../../lib/core/clock.js';
import { RegionMemory } from '../../../../lib/core/memory.js';
import type { Probe } from '../../../../lib/core/probe.js';
import { NO_PROBE } from '../../../../lib/core/probe.js';
import { VIRTIO_GPU_CMD, VIRTIO_GPU_UPDATE_CURSOR } from '../../../../lib/layout/virtio-gpu.js';
import {
  formatRun,
  LATENCY_KEY,
  type LatencyRun,
  LOAD_RECORD,
  parseAnswer,
} from '../../../../lib/trace/latency-run.js';
import { Chain } from '../../../../lib/virtio/chain.js';
import { DeviceQueue } from '../../../../lib/virtio/device-queue.js';
import { DriverQueue } from '../../../../lib/virtio/driver-queue.js';
import { CursorQueue } from '../../../../services/guest/cursor-queue.js';
import type { GuestStore } from '../../../../services/guest/guest-store.js';
import { Heap } from '../../../../services/guest/heap.js';
import { intendedNs, LatencyLoad } from '../../../../services/guest/latency-load.js';
import { Pages } from '../../../../services/guest/pages.js';
import { Vcpu } from '../../../../services/guest/vcpu.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A clock that goes on by `stepNs` at each look, and whose timers fire when that passes them. */
class SteppingClock implements Clock {
  ns = 0n;
  stepNs = 1000n;
  readonly #timers = new Set<{ due: bigint; action: () => void }>();
  nowNs(): bigint {
    this.ns += this.stepNs;
    return this.ns;
  }
  after(delayMs: number, action: () => void): { cancel(): void } {
    const timer = { due: this.ns + BigInt(Math.round(delayMs * 1e6)), action };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }
  /** Fires the earliest timer, as if nothing else happened until then. */
  fire(): boolean {
    const next = [...this.#timers].sort((a, b) => Number(a.due - b.due))[0];
    if (next === undefined) return false;
    this.#timers.delete(next);
    if (next.due > this.ns) this.ns = next.due;
    next.action();
    return true;
  }
}

function rig(size = 16) {
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
  const queue = new DriverQueue<never>({ memory, tables, base: ring.addr, size, features: 0n });
  const device = new DeviceQueue(memory, { size, ...queue.place, base: 0 }, 0n);
  const chain = new Chain();
  const executed: number[] = [];
  let kicks = 0;
  const cursor = new CursorQueue({ queue, memory, heap, probe: NO_PROBE, kick: async () => void kicks++ });
  /** The device takes one command and gives it back; false: there was none. */
  const serve = (): boolean => {
    if (!device.pop(chain)) return false;
    const bytes = new Uint8Array(VIRTIO_GPU_UPDATE_CURSOR.size);
    t.equal(chain.readableBytes, bytes.length);
    chain.read(0, bytes);
    const command = VIRTIO_GPU_UPDATE_CURSOR.decode(bytes);
    t.equal(command.hdr.type, VIRTIO_GPU_CMD.VIRTIO_GPU_CMD_MOVE_CURSOR);
    executed.push(command.resource_id);
    device.pushUsed(chain.head, 0);
    cursor.onUsed();
    return true;
  };
  const records: { name: string; a: number; b: number }[] = [];
  const probe: Probe = { ...NO_PROBE, at: ({ name }, _label, a = 0, b = 0) => void records.push({ name, a, b }) };
  const written = new Map<string, string>();
  let changed = (): void => {};
  const store = {
    read: async (path: string) => written.get(path) ?? '',
    write: async (path: string, value: string) => void written.set(path, value),
    watch: async (_path: string, _token: string, onEvent: () => void) => {
      changed = () => vcpu.run(onEvent);
    },
  } as unknown as GuestStore;
  const clock = new SteppingClock();
  let present: CursorQueue | undefined = cursor;
  const load = new LatencyLoad({ vcpu, clock, probe, store, cursor: () => present });
  const ask = async (run: Partial<LatencyRun>): Promise<void> => {
    const whole: LatencyRun = { id: 1, first: 1, count: 5, load: 'closed', rate: 0, gapUs: 0, ...run };
    written.set(LATENCY_KEY.run, formatRun(whole));
    changed();
    await turn();
  };
  const answer = () => parseAnswer(written.get(LATENCY_KEY.done) ?? '');
  return {
    ...{ load, ask, answer, serve, cursor, clock, records, executed, pages, written },
    kicks: () => kicks,
    remove: () => {
      present = undefined;
    },
  };
}

t.test('a closed loop has one request under way, and ends with its own figures', async (t) => {
  const { load, ask, answer, serve, records, executed, kicks, pages, cursor } = rig();
  await load.start('token');
  await ask({ count: 5, first: 100 });
  for (let served = 0; served < 5; served++) {
    while (!serve()) await turn();
    t.equal(serve(), false, 'nothing else is published before the guest has seen it');
    await turn();
  }
  while (answer() === undefined) await turn();
  t.same(executed, [100, 101, 102, 103, 104]);
  t.match(answer(), { id: 1, ok: true, kicks: 5 });
  t.equal(kicks(), 5);
  const names = records.map(({ name }) => name);
  t.same(names.slice(0, 4), [
    LOAD_RECORD.request.point.name,
    LOAD_RECORD.used.point.name,
    LOAD_RECORD.request.point.name,
    LOAD_RECORD.used.point.name,
  ]);
  cursor.close();
  t.equal(pages.taken, 4, 'the ring; every buffer went back');
});

t.test('an open loop starts each request at its time though none is answered, and counts from then', async (t) => {
  const { load, ask, answer, serve, records, clock } = rig(16);
  await load.start('token');
  await ask({ count: 10, load: 'open', rate: 100_000 });
  const made = (): number => records.filter(({ name }) => name === LOAD_RECORD.request.point.name).length;
  while (made() < 10) await turn();
  t.equal(records.filter(({ name }) => name === LOAD_RECORD.used.point.name).length, 0, 'all went out unanswered');
  clock.ns += 1_000_000n; // the device is slow
  while (serve()) await turn();
  while (answer() === undefined) await turn();
  const found = answer();
  t.ok(found?.ok && found.figures.p50 >= 1_000_000, 'the wait counts');
  t.end();
});

t.test('requests that start late say by how much: no coordinated omission', async (t) => {
  const { load, ask, serve, records, clock } = rig(4);
  await load.start('token');
  await ask({ count: 8, load: 'open', rate: 100_000 });
  const made = () => records.filter(({ name }) => name === LOAD_RECORD.request.point.name);
  while (made().length < 4) await turn();
  for (let turns = 0; turns < 20; turns++) await turn();
  t.equal(made().length, 4, 'the ring is full');
  clock.ns += 5_000_000n;
  while (serve()) await turn();
  while (made().length < 8) {
    await turn();
    serve();
  }
  const late = made().map(({ b }) => b);
  t.ok(late[4]! >= 4_900_000, `the fifth was due five milliseconds before: ${late[4]}`);
  t.ok(late[7]! >= late[4]! - 4 * intendedNs(1, 100_000), 'and the others keep their times');
});

t.test('long waits sleep, the last of them is spent at the clock', async (t) => {
  const { load, ask, serve, records, clock } = rig();
  clock.stepNs = 100_000n;
  await load.start('token');
  await ask({ count: 2, load: 'open', rate: 100 });
  const made = () => records.filter(({ name }) => name === LOAD_RECORD.request.point.name);
  const before = clock.ns;
  for (let turns = 0; made().length < 2; turns++) {
    await turn();
    serve();
    if (turns % 50 === 49) clock.fire();
  }
  t.ok(clock.ns - before >= 10_000_000n, 'ten milliseconds apart');
  t.ok(made()[1]!.b < 5_000_000, `and not much later: ${made()[1]!.b}`);
});

t.test('a device that never answers, goes away, or is not there ends the run with a reason', async (t) => {
  const stuck = rig();
  await stuck.load.start('token');
  await stuck.ask({});
  for (let fired = 0; stuck.answer() === undefined && fired < 10; fired++) {
    stuck.clock.fire();
    await turn();
    await turn();
  }
  t.match(stuck.answer(), { ok: false, reason: /5 requests were not answered/ });
  const gone = rig();
  await gone.load.start('token');
  await gone.ask({});
  gone.cursor.close();
  while (gone.answer() === undefined) await turn();
  t.match(gone.answer(), { ok: false, reason: /reset or removed/ });
  const absent = rig();
  absent.remove();
  await absent.load.start('token');
  await absent.ask({});
  while (absent.answer() === undefined) await turn();
  t.match(absent.answer(), { ok: false, reason: 'there is no device' });
});

t.test('what is no run, or the last one again, is left alone', async (t) => {
  const { load, ask, written, executed, serve } = rig();
  await load.start('token');
  t.equal(written.get(LATENCY_KEY.done), '', 'the word that runs can be asked for');
  await ask({ count: 0 });
  await turn();
  t.equal(serve(), false);
  t.equal(written.get(LATENCY_KEY.done), '');
  t.same(executed, []);
});

t.test('intended times are even and do not drift', (t) => {
  t.equal(intendedNs(0, 3), 0);
  t.equal(intendedNs(3, 3), 1_000_000_000);
  t.equal(intendedNs(1, 1_000_000), 1000);
  t.end();
});
