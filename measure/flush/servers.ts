// Whole servers: a frame through a vhost-user-gpu server in a process of its own, on a unix socket without a display, from
// the kick to the second used buffer: ours, and QEMU's where it is installed, in turns on the same commands. The driver
// spins on the used ring, so that only the server's own waking is in the figure.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { DeadlineError } from '../../lib/core/errors.js';
import { type GuestMemory, RegionMemory } from '../../lib/core/memory.js';
import type { Mapping } from '../../lib/core/shared.js';
import {
  featureBits,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_INDIRECT_DESC,
  VIRTIO_F_VERSION_1,
} from '../../lib/layout/virtio-ring.js';
import { makeEventFd, signalEventFd } from '../../lib/node/files/event-fds.js';
import { OwnedFd } from '../../lib/node/files/owned-fd.js';
import { createPath } from '../../lib/node/files/shm.js';
import { connectUnix } from '../../lib/node/files/unix-fds.js';
import { VhostUserSocket } from '../../lib/node/files/vhost-user-socket.js';
import { retryOnChange, withDeadline } from '../../lib/node/process/wait.js';
import { FrontendSession } from '../../lib/vhost-user/frontend-session.js';
import type { RawMessage } from '../../lib/vhost-user/messages.js';
import { encodeCommand, type GpuCommandName, type GpuFields } from '../../lib/virtio/gpu-codec.js';
import { RingDriver } from '../../testkit/ring-driver.js';
import {
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
import { measurePaced, type PacedResult } from './paced.js';

const QEMU_SERVER = '/usr/lib/qemu/vhost-user-gpu';
const WARM_UP = 500;
const PACED_SECONDS_MAX = 5;
/** A request may be as long as an array of backing entries. */
const REQUESTS_AT = [0x80000, 0xe000];
const RESPONSES_AT = 0xf000;
const OK_NODATA = 0x1100;
const FEATURES = featureBits(VIRTIO_F_VERSION_1, VIRTIO_F_INDIRECT_DESC, VIRTIO_F_EVENT_IDX);

export interface ServersResult {
  readonly backing: string;
  readonly oursUs: Percentiles;
  readonly qemuUs: Percentiles | 'not installed';
  /** QEMU's time over ours; undefined without QEMU. */
  readonly ratio: number | undefined;
}

/** The smallest command there and back, from the kick to the used buffer: one that finds nothing to do. */
export interface SmallResult {
  readonly oursUs: Percentiles;
  readonly qemuUs: Percentiles | 'not installed';
}

/** `dir` is on a memory file system. */
export async function measureServers(
  dir: string,
  rounds: number,
): Promise<{ readonly frames: ServersResult[]; readonly small: SmallResult; readonly paced4k: PacedResult }> {
  const servers: Server[] = [];
  try {
    const ours = fileURLToPath(new URL('../services/vhost-gpu/main.js', import.meta.url));
    servers.push(await Server.start(dir, 'ours', process.execPath, [ours, '--run-dir', join(dir, 'run')]));
    if (existsSync(QEMU_SERVER)) servers.push(await Server.start(dir, 'qemu', QEMU_SERVER, []));
    const frames = Object.keys(LAYOUTS).map((backing) => measure(backing, servers, rounds));
    const paced4k = await measurePaced(servers[0]!, Math.max(1, Math.min(PACED_SECONDS_MAX, Math.round(rounds / 200))));
    return { frames, small: measureSmall(servers, rounds), paced4k };
  } finally {
    for (const server of servers) await server.close();
  }
}

function measureSmall(servers: readonly Server[], rounds: number): SmallResult {
  const r = { x: 0, y: 0, width: 0, height: 0 };
  for (const server of servers)
    server.command('RESOURCE_CREATE_2D', { resource_id: 1, format: 2, width: 1, height: 1 });
  const [ours, qemu] = timesOf(servers, rounds, (server) => server.command('RESOURCE_FLUSH', { resource_id: 1, r }));
  return { oursUs: ours!, qemuUs: qemu ?? 'not installed' };
}

/** Of an action at each server, in turns. */
function timesOf(servers: readonly Server[], rounds: number, action: (server: Server) => void): Percentiles[] {
  const times: number[][] = servers.map(() => []);
  for (let round = 0; round < rounds + WARM_UP; round++) {
    for (const [index, server] of servers.entries()) {
      const took = timed(() => action(server));
      if (round >= WARM_UP) times[index]!.push(took);
    }
  }
  return times.map(percentiles);
}

function measure(backing: string, servers: readonly Server[], rounds: number): ServersResult {
  for (const server of servers) server.show(backing);
  const [oursUs, qemuUs] = timesOf(servers, rounds, (server) => server.frame());
  for (const server of servers) server.command('RESOURCE_UNREF', { resource_id: 1 });
  if (qemuUs === undefined) return { backing, oursUs: oursUs!, qemuUs: 'not installed', ratio: undefined };
  return { backing, oursUs: oursUs!, qemuUs, ratio: ratio(qemuUs, oursUs!) };
}

interface Parts {
  readonly child: ChildProcess;
  readonly socket: VhostUserSocket;
  readonly ram: Mapping;
  readonly ring: RingDriver;
  readonly kick: OwnedFd;
  readonly fds: readonly OwnedFd[];
}

class Server {
  readonly #parts: Parts;
  readonly #memory: GuestMemory;
  readonly #frame: readonly Uint8Array[];

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.#memory = parts.ring.memory;
    this.#frame = [
      encodeCommand('TRANSFER_TO_HOST_2D', { resource_id: 1, r: RECT, offset: 0n }, { fence: 1n }),
      encodeCommand('RESOURCE_FLUSH', { resource_id: 1, r: RECT }, { fence: 2n }),
    ];
  }

  static async start(dir: string, name: string, program: string, args: readonly string[]): Promise<Server> {
    const path = join(dir, `${name}.sock`);
    const child = spawn(program, [...args, `--socket-path=${path}`], { stdio: 'ignore' });
    // The path is there a moment before the server listens on it.
    const listening = retryOnChange(path, () => connectUnix(path).catch(() => undefined));
    const connection = await withDeadline(listening, DEADLINE_MS.measuredStart, `start of ${program}`);
    const answers: ((message: RawMessage<OwnedFd>) => void)[] = [];
    const socket = new VhostUserSocket(connection!, {
      onMessage: (message) => answers.shift()?.(message),
      onEnd: (reason) => process.stderr.write(`${name}: ${reason}\n`),
    });
    const ramPath = join(dir, `${name}.ram`);
    const ram = createPath(ramPath, RAM_BYTES);
    const ramFd = new OwnedFd(openSync(ramPath, 'r+'));
    const memory = new RegionMemory([{ base: 0, bytes: ram.bytes }]);
    const rings = [0, 0x4000].map((at) => new RingDriver(memory, { size: 16, at }));
    const ends = rings.map(() => ({ kick: makeEventFd(), call: makeEventFd() }));
    const frontend = new FrontendSession<OwnedFd>({
      exchange: (message, answered) => {
        socket.send(message);
        if (!answered) return Promise.resolve(undefined);
        return withDeadline(
          new Promise((resolve) => answers.push(resolve)),
          DEADLINE_MS.measuredStart,
          `answer of ${name}`,
        );
      },
    });
    await frontend.connect(rings.length);
    await frontend.start({
      features: frontend.features & FEATURES,
      memory: [{ guestAddr: 0n, size: BigInt(RAM_BYTES), mmapOffset: 0n, handle: ramFd }],
      rings: rings.map(({ layout: { size, desc, avail, used } }, index) => ({
        index,
        size,
        desc: BigInt(desc),
        avail: BigInt(avail),
        used: BigInt(used),
        base: 0,
        ...ends[index]!,
      })),
    });
    const fds = [ramFd, ...ends.flatMap(({ kick, call }) => [kick, call])];
    return new Server({ child, socket, ram, ring: rings[0]!, kick: ends[0]!.kick, fds });
  }

  get pid(): number {
    return this.#parts.child.pid!;
  }

  touch(at: number, value: number): void {
    this.#memory.writeU32(at, value >>> 0);
  }

  /** A resource with the frame as its backing, on scanout 0. */
  show(backing: string): void {
    const entries = LAYOUTS[backing]!();
    writePicture(this.#parts.ram.bytes, entries);
    this.command('RESOURCE_CREATE_2D', { resource_id: 1, format: 2, width: WIDTH, height: HEIGHT });
    this.command('RESOURCE_ATTACH_BACKING', { resource_id: 1, nr_entries: entries.length, entries });
    this.command('SET_SCANOUT', { scanout_id: 0, resource_id: 1, r: RECT });
    for (const [index, bytes] of this.#frame.entries()) this.#memory.write(REQUESTS_AT[1]! + index * 64, bytes);
  }

  frame(): void {
    this.#run(this.#frame.map((bytes, index) => [REQUESTS_AT[1]! + index * 64, bytes.length]));
  }

  command<N extends GpuCommandName>(name: N, fields: GpuFields<N>): void {
    const bytes = encodeCommand(name, fields);
    this.#memory.write(REQUESTS_AT[0]!, bytes);
    this.#run([[REQUESTS_AT[0]!, bytes.length]]);
    const answer = this.#memory.readU32(RESPONSES_AT);
    if (answer !== OK_NODATA) throw new Error(`${name} was answered 0x${answer.toString(16)}`);
  }

  #run(requests: (readonly [addr: number, len: number])[]): void {
    const { ring, kick } = this.#parts;
    ring.usedEvent = (ring.usedSeen - 1) & 0xffff; // no calls: the used ring is watched
    for (const [index, [addr, len]] of requests.entries()) {
      ring.add([
        { addr, len },
        { addr: RESPONSES_AT + index * 64, len: 24, write: true },
      ]);
    }
    signalEventFd(kick.fd);
    const until = process.hrtime.bigint() + BigInt(DEADLINE_MS.measuredCommand) * 1_000_000n;
    for (let done = 0; done < requests.length; done += ring.collect().length) {
      if (process.hrtime.bigint() > until) throw new DeadlineError('the server did not answer a command');
    }
  }

  async close(): Promise<void> {
    const { child, socket, ram, fds } = this.#parts;
    socket.close();
    for (const fd of fds) fd.close();
    ram.close();
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    if (child.exitCode === null && child.signalCode === null)
      await withDeadline(ended, DEADLINE_MS.measuredStart, 'end of the server');
  }
}
