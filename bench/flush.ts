// `npm run bench:flush`: a 1080p frame from guest memory to the scanout (TRANSFER_TO_HOST_2D of the whole picture and
// RESOURCE_FLUSH, two commands through the control queue), against memcpy of the same bytes, in turns within one run.
// Guest memory is a shared file, as between processes; memcpy is libc's memmove, reached through TypedArray.set between two
// page-aligned mappings (measured within 3 % of calling memcpy from C). Says for each way the backing may lie in memory.
// Prints JSON; exit status 1 when the picture is wrong or a ratio under the bar. Arguments: [rounds].
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { RegionMemory } from '../lib/core/memory.js';
import { VIRTIO_GPU_QUEUE_CONTROL } from '../lib/layout/virtio-gpu.js';
import { REAL_CLOCK } from '../lib/node/clock.js';
import { createHistory } from '../lib/node/history.js';
import { pageAlignedBytes } from '../lib/node/libc.js';
import { sharedFiles } from '../lib/node/shm.js';
import { encodeCommand } from '../lib/virtio/gpu-codec.js';
import { GpuTester, PIXELS_AT } from '../test/fixtures/gpu-tester.js';

const WIDTH = 1920;
const HEIGHT = 1080;
const FRAME_BYTES = WIDTH * HEIGHT * 4;
const PAGE = 4096;
const RAM_BYTES = 64 << 20;
const BAR = 0.7;
const WARM_UP = 500;
const RECT = { x: 0, y: 0, width: WIDTH, height: HEIGHT };
const REQUESTS_AT = 0xe000;
const RESPONSES_AT = 0xf000;

/** Ways the frame may lie in guest memory: pieces in order, 8-byte addresses and lengths. */
const LAYOUTS: Record<string, () => { addr: number; length: number }[]> = {
  'one piece': () => [{ addr: PIXELS_AT, length: FRAME_BYTES }],
  'pieces of 64 KiB, scattered': () => scattered(16 * PAGE),
  'pages, scattered': () => scattered(PAGE),
};

/** Pieces that never follow each other in memory. */
function scattered(size: number): { addr: number; length: number }[] {
  const slots = Math.floor((RAM_BYTES - 0x100000) / size);
  const count = Math.ceil(FRAME_BYTES / size);
  // An odd stride over the slots visits each once before it repeats.
  const stride = (Math.floor(slots / 3) * 2 + 1) | 1;
  return Array.from({ length: count }, (_, index) => ({
    addr: 0x100000 + ((index * stride) % slots) * size,
    length: Math.min(size, FRAME_BYTES - index * size),
  }));
}

const rounds = Number(process.argv[2] ?? 400);
const dir = mkdtempSync(join(process.platform === 'linux' ? '/dev/shm' : tmpdir(), 'xenwire-bench-'));
const files = sharedFiles(dir);
const ram = files.create('ram', RAM_BYTES);
const copy = files.create('copy', FRAME_BYTES);
const history = createHistory(join(dir, 'history'), 'bench', 1, []);

function measure(name: string, entries: { addr: number; length: number }[]) {
  const gpu = new GpuTester({
    memory: new RegionMemory([{ base: 0, bytes: ram.bytes }]),
    history,
    clock: REAL_CLOCK,
    allocate: pageAlignedBytes,
  });
  gpu.expect('RESOURCE_CREATE_2D', { resource_id: 1, format: 2, width: WIDTH, height: HEIGHT });
  attachInMemory(gpu, entries);
  gpu.expect('SET_SCANOUT', { scanout_id: 0, resource_id: 1, r: RECT });
  const requests = [
    encodeCommand('TRANSFER_TO_HOST_2D', { resource_id: 1, r: RECT, offset: 0n }, { fence: 1n }),
    encodeCommand('RESOURCE_FLUSH', { resource_id: 1, r: RECT }, { fence: 2n }),
  ];
  let at = REQUESTS_AT;
  const chains = requests.map((bytes, index) => {
    gpu.memory.write(at, bytes);
    const chain = [
      { addr: at, len: bytes.length },
      { addr: RESPONSES_AT + index * 64, len: 24, write: true },
    ];
    at += bytes.length;
    return chain;
  });
  const frame = (): void => {
    for (const chain of chains) gpu.control.add(chain);
    gpu.control.usedEvent = gpu.control.usedSeen;
    gpu.device.kick(VIRTIO_GPU_QUEUE_CONTROL);
    gpu.run();
    if (gpu.control.collect().length !== chains.length) throw new Error('a command was not answered');
  };
  const pieces = entries.map(({ addr, length }) => ram.bytes.subarray(addr, addr + length));
  const whole = ram.bytes.subarray(PIXELS_AT, PIXELS_AT + FRAME_BYTES);
  const memcpy = (): void => copy.bytes.set(whole);

  const picture = Uint8Array.from({ length: FRAME_BYTES }, (_, index) => (index * 31) >>> 4);
  let filled = 0;
  for (const piece of pieces) {
    piece.set(picture.subarray(filled, filled + piece.length));
    filled += piece.length;
  }
  const frames: number[] = [];
  const copies: number[] = [];
  for (let round = 0; round < rounds + WARM_UP; round++) {
    const took = [frame, memcpy].map(timed);
    if (round < WARM_UP) continue;
    frames.push(took[0]!);
    copies.push(took[1]!);
  }
  const shown = gpu.device.scanouts.get(0)!.shown!.resource.pixels;
  const equal = Buffer.compare(shown, picture) === 0;
  const [framesUs, copiesUs] = [percentiles(frames), percentiles(copies)];
  return {
    backing: name,
    pieces: entries.length,
    frameUs: framesUs,
    memcpyUs: copiesUs,
    ratio: round3(copiesUs.p50 / framesUs.p50),
    equal,
  };
}

/** ATTACH_BACKING with its entries behind the queues, too long for the tester's own buffer. */
function attachInMemory(gpu: GpuTester, entries: { addr: number; length: number }[]): void {
  const bytes = encodeCommand('RESOURCE_ATTACH_BACKING', { resource_id: 1, nr_entries: entries.length, entries });
  gpu.memory.write(0x80000, bytes);
  gpu.control.add([
    { addr: 0x80000, len: bytes.length },
    { addr: RESPONSES_AT, len: 24, write: true },
  ]);
  gpu.device.kick(VIRTIO_GPU_QUEUE_CONTROL);
  gpu.control.collect();
  if (gpu.device.resources.get(1)?.backing === undefined) throw new Error('the backing was refused');
}

function timed(action: () => void): number {
  const start = process.hrtime.bigint();
  action();
  return Number(process.hrtime.bigint() - start) / 1000;
}

function percentiles(values: number[]): { p50: number; p99: number; min: number } {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (fraction: number): number => round3(sorted[Math.floor(fraction * (sorted.length - 1))]!);
  return { p50: at(0.5), p99: at(0.99), min: at(0) };
}

function round3(value: number): number {
  return Math.round(value * 1000) / 1000;
}

try {
  const results = Object.entries(LAYOUTS).map(([name, entries]) => measure(name, entries()));
  const ok = results.every(({ equal, ratio }) => equal && ratio >= BAR);
  const machine = { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version };
  process.stdout.write(`${JSON.stringify({ ok, bar: BAR, bytes: FRAME_BYTES, rounds, machine, results }, null, 2)}\n`);
  process.exitCode = ok ? 0 : 1;
} finally {
  history.close();
  copy.remove();
  ram.remove();
  rmSync(dir, { recursive: true, force: true });
}
