// The device alone: a frame through a GpuDevice in this process, against memcpy of the same bytes, in turns. Guest memory is
// a shared file, as between processes; memcpy is libc's memmove, reached through TypedArray.set between page-aligned
// mappings (within 3 % of calling memcpy from C), piece by piece where the frame lies in pieces. How the bytes lie matters
// more than who copies them: single pages, scattered, cost C twice what one piece costs, so that is told beside it.

import { RegionMemory } from '../../lib/core/memory.js';
import type { Probe } from '../../lib/core/probe.js';
import type { Mapping } from '../../lib/core/shared.js';
import { VIRTIO_GPU_QUEUE_CONTROL } from '../../lib/layout/virtio-gpu.js';
import { pageAlignedBytes } from '../../lib/node/files/libc.js';
import { REAL_CLOCK } from '../../lib/node/process/clock.js';
import { encodeCommand } from '../../lib/virtio/gpu-codec.js';
import { GpuTester } from '../../testkit/gpu-tester.js';
import {
  checkPicture,
  type Entry,
  FRAME_BYTES,
  HEIGHT,
  LAYOUTS,
  type Percentiles,
  percentiles,
  RAM_BYTES,
  RECT,
  ratio,
  timed,
  WIDTH,
  writePicture,
} from './frame.js';

const REQUESTS_AT = 0xe000;
const RESPONSES_AT = 0xf000;
const ENTRIES_AT = 0x80000;
/** V8 has compiled what runs often by then, as it has after a second of a guest. */
const WARM_UP = 500;

export interface DeviceResult {
  readonly backing: string;
  readonly pieces: number;
  readonly frameUs: Percentiles;
  /** Of the same pieces. */
  readonly memcpyUs: Percentiles;
  /** Of as many bytes in one piece, done twice a round: warmer caches. */
  readonly contiguousMemcpyUs: Percentiles;
  readonly ratio: number;
  readonly equal: boolean;
}

export interface DeviceBench {
  /** RAM_BYTES. */
  readonly ram: Mapping;
  /** FRAME_BYTES to copy to. */
  readonly copy: Mapping;
  readonly probe: Probe;
  readonly rounds: number;
  /** Rounds before the first that counts. */
  readonly warmUp?: number;
}

export function measureDevice(bench: DeviceBench): DeviceResult[] {
  return Object.entries(LAYOUTS).map(([name, entries]) => measure(name, entries(), bench));
}

function measure(name: string, entries: Entry[], bench: DeviceBench): DeviceResult {
  const { ram, copy, probe, rounds, warmUp = WARM_UP } = bench;
  const memory = new RegionMemory([{ base: 0, bytes: ram.bytes }]);
  const gpu = new GpuTester({ memory, probe, clock: REAL_CLOCK, allocate: pageAlignedBytes });
  gpu.expect('RESOURCE_CREATE_2D', { resource_id: 1, format: 2, width: WIDTH, height: HEIGHT });
  attachInMemory(gpu, entries);
  gpu.expect('SET_SCANOUT', { scanout_id: 0, resource_id: 1, r: RECT });
  const chains = frameCommands(gpu);
  const frame = (): void => {
    for (const chain of chains) gpu.control.add(chain);
    gpu.control.usedEvent = gpu.control.usedSeen;
    gpu.device.kick(VIRTIO_GPU_QUEUE_CONTROL);
    gpu.run();
    if (gpu.control.collect().length !== chains.length) throw new Error('a command was not answered');
  };
  const pieces = entries.map(({ addr, length }) => ram.bytes.subarray(addr, addr + length));
  const memcpy = (): void => {
    let at = 0;
    for (const piece of pieces) {
      copy.bytes.set(piece, at);
      at += piece.length;
    }
  };
  const whole = ram.bytes.subarray(RAM_BYTES - FRAME_BYTES);
  const elsewhere = pageAlignedBytes(FRAME_BYTES);
  const contiguous = (): void => elsewhere.set(whole);
  writePicture(ram.bytes, entries);
  // The copy from elsewhere comes between the two, so that neither finds its source in the cache because of the other.
  const ways = [frame, contiguous, memcpy, contiguous];
  const times: number[][] = [[], [], [], []];
  for (let round = 0; round < rounds + warmUp; round++) {
    for (const [index, way] of ways.entries()) {
      const took = timed(way);
      if (round >= warmUp) times[index]!.push(took);
    }
  }
  const shown = gpu.device.scanouts.get(0)!.shown!.surface.pixels;
  const [frameUs, contiguousMemcpyUs, memcpyUs] = times.map(percentiles) as [Percentiles, Percentiles, Percentiles];
  return {
    backing: name,
    pieces: entries.length,
    frameUs,
    memcpyUs,
    contiguousMemcpyUs,
    ratio: ratio(memcpyUs, frameUs),
    equal: checkPicture(shown),
  };
}

/** The two commands of a frame as chains, their bytes in place. */
function frameCommands(gpu: GpuTester): { addr: number; len: number; write?: boolean }[][] {
  const requests = [
    encodeCommand('TRANSFER_TO_HOST_2D', { resource_id: 1, r: RECT, offset: 0n }, { fence: 1n }),
    encodeCommand('RESOURCE_FLUSH', { resource_id: 1, r: RECT }, { fence: 2n }),
  ];
  return requests.map((bytes, index) => {
    const addr = REQUESTS_AT + index * 64;
    gpu.memory.write(addr, bytes);
    return [
      { addr, len: bytes.length },
      { addr: RESPONSES_AT + index * 64, len: 24, write: true },
    ];
  });
}

/** ATTACH_BACKING with its entries behind the queues, too long for the tester's own buffer. */
function attachInMemory(gpu: GpuTester, entries: Entry[]): void {
  const bytes = encodeCommand('RESOURCE_ATTACH_BACKING', { resource_id: 1, nr_entries: entries.length, entries });
  gpu.memory.write(ENTRIES_AT, bytes);
  gpu.control.add([
    { addr: ENTRIES_AT, len: bytes.length },
    { addr: RESPONSES_AT, len: 24, write: true },
  ]);
  gpu.device.kick(VIRTIO_GPU_QUEUE_CONTROL);
  gpu.control.collect();
  if (gpu.device.resources.get(1)?.backing === undefined) throw new Error('the backing was refused');
}
