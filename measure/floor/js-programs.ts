// The floors in JavaScript: bare zeromq.js between two processes, and through a third with the replies that calls have; and two
// processes spinning on a word of shared memory.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import * as zmq from 'zeromq';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { createPath } from '../../lib/node/files/shm.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { withDeadline } from '../../lib/node/process/wait.js';
import { type Figures, figuresOf, nsHistogram } from './figures.js';

/** Words of the spin page, on cache lines of their own. */
export const SPIN_WORD = { PING: 0, PONG: 16 } as const;
const ROUND_MS = 1000n;

async function child(mode: string, path: string): Promise<ChildProcess> {
  const program = join(PACKAGE_ROOT, 'dist', 'measure', 'floor-child.js');
  const running = spawn(process.execPath, [program, mode, path], { stdio: ['pipe', 'pipe', 'inherit'] });
  await withDeadline(once(running.stdout!, 'data'), DEADLINE_MS.measuredStart, `start of ${mode} echo`);
  return running;
}

async function end(running: ChildProcess): Promise<void> {
  if (running.exitCode !== null) return;
  const exited = once(running, 'exit');
  running.kill('SIGKILL'); // it spins, or waits for messages: nothing to give back
  await exited;
}

/** One-way nanoseconds: half of each round trip of a small message over ipc. */
export async function zeromqJsFloor(socketPath: string, rounds: number): Promise<Figures> {
  const echo = await child('zeromq', socketPath);
  const dealer = new zmq.Dealer({ linger: 0, receiveTimeout: DEADLINE_MS.measuredStart });
  try {
    dealer.connect(`ipc://${socketPath}`);
    const histogram = nsHistogram();
    const body = Buffer.alloc(32);
    for (let round = -Math.ceil(rounds / 10); round < rounds; round++) {
      const start = process.hrtime.bigint();
      await dealer.send(body);
      await dealer.receive();
      if (round >= 0) histogram.recordValue(Number(process.hrtime.bigint() - start) / 2);
    }
    return figuresOf(histogram);
  } finally {
    dealer.close();
    await end(echo);
  }
}

/** What travels through the hub: a byte. */
export const HUB_MESSAGE = { HELLO: 0, WELCOME: 1, CALL: 2, REPLY: 3, EVENT: 4 } as const;
export const HUB_NAMES = ['caller', 'callee'] as const;
/** Caller to hub, hub to callee, and back. */
const HUB_HOPS = 4;

/**
 * Nanoseconds of one hop where each message is answered as well: a caller calls a hub, which replies and tells a callee, which calls the
 * hub, which replies and tells the caller. That is what a notification by messages is made of: an operation has a result. Replies
 * are on no hop's way, but want the same cores.
 */
export async function zeromqJsCallsFloor(socketPath: string, rounds: number): Promise<Figures> {
  const hub = await child('hub', socketPath);
  try {
    const callee = await child('callee', socketPath);
    const caller = new zmq.Dealer({ linger: 0, receiveTimeout: DEADLINE_MS.measuredStart, routingId: HUB_NAMES[0] });
    try {
      caller.connect(`ipc://${socketPath}`);
      await caller.send(Buffer.of(HUB_MESSAGE.HELLO));
      await caller.receive();
      const histogram = nsHistogram();
      for (let round = -Math.ceil(rounds / 10); round < rounds; round++) {
        const start = process.hrtime.bigint();
        await caller.send(Buffer.of(HUB_MESSAGE.CALL));
        for (let missing = 2; missing > 0; missing--) {
          const [message] = await caller.receive();
          if (message![0] === HUB_MESSAGE.EVENT && round >= 0)
            histogram.recordValue(Number(process.hrtime.bigint() - start) / HUB_HOPS);
        }
      }
      return figuresOf(histogram);
    } finally {
      caller.close();
      await end(callee);
    }
  } finally {
    await end(hub);
  }
}

/** One-way nanoseconds between two spinning processes: what shared memory costs while both look. */
export async function spinFloor(file: string, rounds: number): Promise<Figures> {
  const page = createPath(file, 4096);
  const echo = await child('spin', file);
  try {
    const words = new Uint32Array(page.bytes.buffer, 0, 64);
    const histogram = nsHistogram();
    for (let round = 1 - Math.ceil(rounds / 10); round <= rounds; round++) {
      const tag = round >>> 0;
      const start = process.hrtime.bigint();
      Atomics.store(words, SPIN_WORD.PING, tag);
      while (Atomics.load(words, SPIN_WORD.PONG) !== tag) {
        if (process.hrtime.bigint() - start > ROUND_MS * 1_000_000n)
          throw new Error('the spinning peer does not answer');
      }
      if (round > 0) histogram.recordValue(Math.max(1, Number(process.hrtime.bigint() - start) / 2));
    }
    return figuresOf(histogram);
  } finally {
    await end(echo);
    page.close();
  }
}
