// The guest's pages, small blocks, register ranges and frame buffers.
import * as fc from 'fast-check';
import t from 'tap';
import { ErrnoError } from '../../../../lib/core/errors.js';
import { RegionMemory } from '../../../../lib/core/memory.js';
import { NO_PROBE } from '../../../../lib/core/probe.js';
import { freeFramebuffer, makeFramebuffer } from '../../../../services/guest/framebuffer.js';
import { Heap } from '../../../../services/guest/heap.js';
import { MmioRanges } from '../../../../services/guest/mmio-ranges.js';
import { PAGE_SIZE, type PageRun, Pages } from '../../../../services/guest/pages.js';
import { draw } from '../../../../services/guest/workload.js';

const MIB = 1 << 20;

t.test('a frame buffer comes in several pieces that never adjoin upwards', async (t) => {
  const pages = new Pages(32 * MIB, NO_PROBE);
  const runs = pages.scattered(768);
  t.ok(runs.length > 20, `${runs.length} pieces`);
  t.equal(
    runs.reduce((sum, run) => sum + run.length, 0),
    768 * PAGE_SIZE,
  );
  for (let index = 1; index < runs.length; index++) {
    t.not(runs[index]!.addr, runs[index - 1]!.addr + runs[index - 1]!.length);
  }
  for (const run of runs) pages.release(run);
  t.equal(pages.taken, 0);
  t.end();
});

t.test('memory that is not there is refused and nothing is taken', async (t) => {
  const pages = new Pages(4 * MIB, NO_PROBE);
  const { free } = pages;
  t.throws(() => pages.scattered(free + 1), { code: 'ENOMEM' });
  t.throws(() => pages.contiguous(free + 1), { code: 'ENOMEM' });
  t.equal(pages.taken, 0);
  const all = pages.scattered(free);
  t.throws(() => pages.contiguous(1), { code: 'ENOMEM' });
  for (const run of all) pages.release(run);
  t.throws(() => pages.release(all[0]!), { code: 'EINVAL' });
  t.throws(() => pages.release({ addr: 0, length: PAGE_SIZE }), { code: 'EINVAL' });
  t.end();
});

t.test('RAM beyond the hole is given first, the hole and the page of the store never', async (t) => {
  const GIB = 1024 * MIB;
  const ramBytes = 3840 * MIB + 16 * MIB;
  const pages = new Pages(ramBytes, NO_PROBE, { keepStorePage: true });
  t.equal(pages.free, ramBytes / PAGE_SIZE - 512 - 1, 'less what firmware and kernel take, and the page of the store');
  t.same(pages.contiguous(3), { addr: 4 * GIB, length: 3 * PAGE_SIZE });
  t.equal(pages.scattered(1)[0]!.addr, 4 * GIB + 16 * MIB - PAGE_SIZE);
  t.same(pages.contiguous(5000), { addr: 2 * MIB, length: 5000 * PAGE_SIZE }, 'more than there is above');
  const rest = pages.scattered(pages.free - 1000);
  t.equal(Math.max(...rest.map(({ addr, length }) => addr + length)), 4 * GIB + 16 * MIB - PAGE_SIZE);
  const below = rest.filter(({ addr }) => addr < 4 * GIB);
  t.equal(Math.max(...below.map(({ addr, length }) => addr + length)), 0xf0000000 - PAGE_SIZE, 'the page of the store');
});

t.test('pages are backed before they are out, a chunk once; where there is no room nothing is taken', async (t) => {
  const asked: [number, number][] = [];
  let room = 3;
  const back = (addr: number, bytes: number): void => {
    if (room-- === 0) throw new ErrnoError('ENOSPC', 'full');
    asked.push([addr, bytes]);
  };
  const pages = new Pages(9 * MIB, NO_PROBE, { back });
  const [run] = pages.scattered(1);
  t.same(asked, [[8 * MIB, MIB]], 'no further than memory goes');
  pages.release(run!);
  pages.contiguous(513);
  t.same(asked.slice(1), [
    [2 * MIB, 2 * MIB],
    [4 * MIB, 2 * MIB],
  ]);
  const { taken } = pages;
  t.throws(() => pages.scattered(1000), { code: 'ENOMEM' });
  t.equal(pages.taken, taken);
});

t.test('no page is out twice, and all come back, over random allocations', async (t) => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('contiguous' as const), count: fc.integer({ min: 1, max: 40 }) }),
    fc.record({ kind: fc.constant('scattered' as const), count: fc.integer({ min: 1, max: 200 }) }),
    fc.record({ kind: fc.constant('release' as const), count: fc.nat() }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const pages = new Pages(4 * MIB, NO_PROBE);
      const { free } = pages;
      const out = new Set<number>();
      const runs: PageRun[] = [];
      const take = (run: PageRun): void => {
        runs.push(run);
        for (let at = run.addr; at < run.addr + run.length; at += PAGE_SIZE) {
          if (out.has(at) || at >= 4 * MIB) throw new Error(`page ${at} is out twice or does not exist`);
          out.add(at);
        }
      };
      for (const { kind, count } of steps) {
        try {
          if (kind === 'contiguous') take(pages.contiguous(count));
          else if (kind === 'scattered') pages.scattered(count).forEach(take);
          else if (runs.length > 0) {
            const [run] = runs.splice(count % runs.length, 1);
            for (let at = run!.addr; at < run!.addr + run!.length; at += PAGE_SIZE) out.delete(at);
            pages.release(run!);
          }
        } catch (error) {
          if ((error as { code?: string }).code !== 'ENOMEM') throw error;
        }
        if (pages.taken !== out.size || pages.free !== free - out.size) return false;
      }
      return true;
    }),
    { numRuns: 200 },
  );
  t.end();
});

t.test('small blocks share pages without overlapping, and empty pages go back', async (t) => {
  const pages = new Pages(4 * MIB, NO_PROBE);
  const heap = new Heap(pages);
  const sizes = [1, 24, 64, 65, 408, 1056, 2048, 2049, 4096, 5000, 32, 56];
  const blocks = [...sizes, ...sizes, ...sizes].map((size) => heap.alloc(size));
  const spans = blocks.map(({ addr, length }) => [addr, addr + length] as const).sort((a, b) => a[0] - b[0]);
  for (let index = 1; index < spans.length; index++) t.ok(spans[index]![0] >= spans[index - 1]![1]);
  for (const block of blocks) heap.release(block);
  t.equal(pages.taken, 0);
  t.throws(() => heap.release(blocks[0]!), { code: 'EINVAL' });
  const [first, second] = [heap.alloc(64), heap.alloc(64)];
  heap.release(first);
  t.throws(() => heap.release(first), { code: 'EINVAL' });
  heap.release(second);
  t.end();
});

t.test('register ranges are the lowest free pages of the window', async (t) => {
  const ranges = new MmioRanges(NO_PROBE);
  t.equal(ranges.claim(0x200), 0xf0000000);
  t.equal(ranges.claim(0x1001), 0xf0001000);
  t.equal(ranges.claim(0x200), 0xf0003000);
  ranges.release(0xf0001000);
  t.equal(ranges.claim(0x3000), 0xf0004000, 'too large for the hole');
  t.equal(ranges.claim(0x2000), 0xf0001000);
  t.throws(() => ranges.release(0xf0002000), { code: 'EINVAL' });
  t.throws(() => ranges.claim(0xc000000), { code: 'ENOSPC' });
  t.equal(ranges.count, 4);
  t.end();
});

t.test('a picture is drawn as B G R X over black, across the pieces of its buffer', async (t) => {
  const memory = new RegionMemory([{ base: 0, bytes: new Uint8Array(8 * MIB) }]);
  const pages = new Pages(memory.size, NO_PROBE);
  const [width, height] = [257, 129];
  const framebuffer = makeFramebuffer(pages, 2, width, height);
  const rgba = Uint8Array.from({ length: width * height * 4 }, (_, index) => (index * 7 + (index >> 8)) & 255);
  rgba.set([255, 128, 1, 255, 10, 20, 30, 0, 255, 255, 255, 127], 0);
  draw(memory, framebuffer, { width, height, rgba });
  const flat = new Uint8Array(width * height * 4);
  let at = 0;
  for (const run of framebuffer.runs) {
    const piece = memory.view(run.addr, Math.min(run.length, flat.length - at));
    flat.set(piece, at);
    at += piece.length;
  }
  t.same([...flat.subarray(0, 12)], [1, 128, 255, 0, 0, 0, 0, 0, 127, 127, 127, 0]);
  let wrong = 0;
  for (let pixel = 0; pixel < width * height; pixel++) {
    const alpha = rgba[pixel * 4 + 3]!;
    for (let channel = 0; channel < 3; channel++) {
      if (flat[pixel * 4 + 2 - channel] !== Math.round((rgba[pixel * 4 + channel]! * alpha) / 255)) wrong++;
    }
  }
  t.equal(wrong, 0);
  freeFramebuffer(pages, framebuffer);
  t.equal(pages.taken, 0);
  t.end();
});
