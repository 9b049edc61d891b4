// 4K at 60 Hz as it is, not by calculation: our server in a process of its own is given a whole frame every sixtieth of a
// second (TRANSFER_TO_HOST_2D, RESOURCE_FLUSH), and its processor time is read from the kernel. Leaves the connection to servers.ts.
import { readFileSync } from 'node:fs';
import { setTimeout as until } from 'node:timers/promises';
import type { GpuCommandName, GpuFields } from '../../lib/virtio/gpu-codec.js';
import { PIXELS_AT } from '../../testkit/gpu-tester.js';
import { round3 } from './frame.js';

const RECT = { x: 0, y: 0, width: 3840, height: 2160 };
const BYTES = RECT.width * RECT.height * 4;
const HZ = 60;
const WARM_UP_FRAMES = 30;
/** Of the clock that /proc counts in (USER_HZ), the same on all architectures here. */
const TICKS_PER_SECOND = 100;

/** A server, by what is asked of it here. */
export interface PacedServer {
  readonly pid: number;
  /** Writes a word of guest memory, so that a frame is none that was seen before. */
  touch(at: number, value: number): void;
  /** Returns once it is answered; throws unless it is answered OK. */
  command<N extends GpuCommandName>(name: N, fields: GpuFields<N>): void;
}

export interface PacedResult {
  readonly frames: number;
  /** Frames that were not done when the next one was due. */
  readonly late: number;
  /** Of one core: user and system time of all processes of the server for sixty frames. */
  readonly core: number;
}

/** `seconds` of it. The server's scanout 0 shows nothing afterwards. */
export async function measurePaced(server: PacedServer, seconds: number): Promise<PacedResult> {
  server.command('RESOURCE_CREATE_2D', { resource_id: 1, format: 2, width: RECT.width, height: RECT.height });
  const entries = [{ addr: PIXELS_AT, length: BYTES }];
  server.command('RESOURCE_ATTACH_BACKING', { resource_id: 1, nr_entries: 1, entries });
  server.command('SET_SCANOUT', { scanout_id: 0, resource_id: 1, r: RECT });
  const frames = seconds * HZ;
  let late = 0;
  let before = 0;
  const start = performance.now();
  for (let frame = -WARM_UP_FRAMES; frame < frames; frame++) {
    const due = start + ((frame + WARM_UP_FRAMES) * 1000) / HZ;
    if (performance.now() < due) await until(due - performance.now());
    if (frame === 0) before = ticks(server.pid);
    server.touch(PIXELS_AT, frame);
    server.command('TRANSFER_TO_HOST_2D', { resource_id: 1, r: RECT, offset: 0n });
    server.command('RESOURCE_FLUSH', { resource_id: 1, r: RECT });
    if (frame >= 0 && performance.now() >= due + 1000 / HZ) late++;
  }
  const busySeconds = (ticks(server.pid) - before) / TICKS_PER_SECOND;
  // By the frame and not by the time that passed: on a busy machine frames come late.
  const core = round3((busySeconds / frames) * HZ);
  server.command('RESOURCE_UNREF', { resource_id: 1 });
  return { frames, late, core };
}

/** Processor time of a process and its children that run. */
function ticks(pid: number): number {
  // After the name, which may hold anything but ends with the last bracket: field 14 and 15 of proc(5), utime and stime.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  return children.reduce((sum, child) => sum + ticks(child), Number(fields[11]) + Number(fields[12]));
}
