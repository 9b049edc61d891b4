// All floors of one run, to print beside what the stack does: total, floor, difference.
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildC, type EventfdFloor, eventfdFloor, libzmqFloor } from './c-programs.js';
import type { Figures } from './figures.js';
import { spinFloor, zeromqJsCallsFloor, zeromqJsFloor } from './js-programs.js';

interface OneWay {
  readonly oneWayNs: Figures;
}

export interface Floors {
  /** Absent where no C compiler is installed. */
  readonly eventfdC?: EventfdFloor;
  readonly zeromqJs: OneWay;
  /** One hop of it where each message is a call that has its reply. */
  readonly zeromqJsCalls: OneWay;
  /** Absent without a compiler or libzmq's headers. */
  readonly libzmqC?: OneWay;
  readonly sharedMemorySpin: OneWay;
}

export async function measureFloors(rounds = 20_000): Promise<Floors> {
  const dir = mkdtempSync(join(tmpdir(), 'xw-floor-'));
  try {
    const eventfd = await buildC('measure/floor/c/eventfd-pingpong.c', dir);
    const libzmq = await buildC('measure/floor/c/libzmq-pingpong.c', dir, ['zmq']);
    return {
      ...(eventfd && { eventfdC: await eventfdFloor(eventfd, availableParallelism(), rounds) }),
      zeromqJs: { oneWayNs: await zeromqJsFloor(join(dir, 'zeromq-js'), rounds) },
      zeromqJsCalls: { oneWayNs: await zeromqJsCallsFloor(join(dir, 'zeromq-js-hub'), rounds) },
      ...(libzmq && { libzmqC: { oneWayNs: await libzmqFloor(libzmq, join(dir, 'libzmq'), rounds) } }),
      sharedMemorySpin: { oneWayNs: await spinFloor(join(dir, 'spin'), rounds) },
    };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
