// One program with the preloaded library: its calls, one after the other, and what the devices ask of its address space
// meanwhile. Leaves what an ioctl does to services/hypervisor/dev, the table of open files to dev-server.ts.
import { readFileSync, readlinkSync } from 'node:fs';
import { ERRNO, errnoName } from '../../../lib/core/errno.js';
import { ErrnoError, isOurBug } from '../../../lib/core/errors.js';
import { DEV_COPY_BYTES_MAX } from '../../../lib/core/limits.js';
import type { FileHandle } from '../../../lib/core/proto-types.js';
import { ioctlSize } from '../../../lib/layout/dev-ioctls.js';
import { DEV_FRAME, DEV_FRAME_PAYLOAD_MAX } from '../../../lib/layout/ours/dev-wire.js';
import { PAGE_SIZE } from '../../../lib/layout/page.js';
import { listenEventFd, setNonBlocking, signalEventFd } from '../../../lib/node/files/event-fds.js';
import type { OwnedFd } from '../../../lib/node/files/owned-fd.js';
import type { DeviceFile } from '../dev/device.js';
import type { UserEventFd, UserProcess, UserVma } from '../dev/user.js';
import type { Domain } from '../domain/domain.js';
import type { Frame, FrameSocket } from './frame-socket.js';

/** asm-generic/mman-common.h. */
const PROT_WRITE = 2n;

export interface DevConnectionEnvironment {
  /** An open file of the same domain; undefined when there is none. What programs wrote and closed before counts already. */
  file(id: bigint): DeviceFile | undefined;
  /** A descriptor of a file of the lab, for passing it on. */
  open(file: FileHandle): OwnedFd;
  /** A bug of ours: this process ends. */
  onFailure(error: unknown): void;
}

export class DevConnection implements UserProcess {
  readonly domain: Domain;
  readonly #socket: FrameSocket;
  readonly #env: DevConnectionEnvironment;
  /** Frames of the program's side that wait for their turn. */
  readonly #calls: Frame[] = [];
  #busy = false;
  #asked: { resolve(frame: Frame): void; reject(error: Error): void } | undefined;
  readonly #holds = new Map<bigint, () => void>();
  #nextHold = 1n;
  #ended = false;

  constructor(domain: Domain, socket: FrameSocket, env: DevConnectionEnvironment) {
    this.domain = domain;
    this.#socket = socket;
    this.#env = env;
  }

  onFrame(frame: Frame): void {
    if (frame.kind === DEV_FRAME.REPLY) {
      const asked = this.#asked;
      this.#asked = undefined;
      if (asked === undefined) for (const fd of frame.fds) fd.close();
      else asked.resolve(frame);
      return;
    }
    for (const fd of frame.fds) fd.close();
    if (frame.kind === DEV_FRAME.RELEASE) this.#release(frame.a);
    else {
      this.#calls.push(frame);
      if (!this.#busy) void this.#run().catch((error: unknown) => this.#env.onFailure(error));
    }
  }

  /** The process ended, or closed its connection. */
  end(): void {
    this.#ended = true;
    this.#asked?.reject(new ErrnoError('ESRCH', 'the program ended'));
    this.#asked = undefined;
    for (const id of [...this.#holds.keys()]) this.#release(id);
  }

  async #run(): Promise<void> {
    this.#busy = true;
    for (let call = this.#calls.shift(); call !== undefined && !this.#ended; call = this.#calls.shift()) {
      const answer = await this.#answer(call);
      const { fd, ...done } = answer;
      this.#socket.sendFrame({ kind: DEV_FRAME.DONE, ...done }, fd);
    }
    this.#busy = false;
  }

  async #answer(call: Frame): Promise<{ result: number; payload?: Uint8Array; fd?: OwnedFd }> {
    const file = this.#env.file(call.a);
    if (file === undefined) return { result: -ERRNO.EBADF };
    try {
      if (call.kind === DEV_FRAME.MMAP) {
        const length = Math.ceil(Number(call.c) / PAGE_SIZE) * PAGE_SIZE;
        const writable = (call.d & PROT_WRITE) !== 0n;
        return { result: await file.mmap(this, { address: call.b, length, writable, offset: call.e }) };
      }
      if (call.kind === DEV_FRAME.EXPORT) {
        const exported = file.exported?.(this);
        return exported === undefined ? { result: -ERRNO.EBADF } : { result: 0, fd: this.#env.open(exported) };
      }
      if (call.kind !== DEV_FRAME.IOCTL) return { result: -ERRNO.ENOSYS };
      const command = Number(call.b & 0xffffffffn);
      const argument = call.payload;
      if (argument.length < ioctlSize(command)) {
        // The argument could not be read; a device that does not know the command says so first.
        return { result: file.knows(command) ? -ERRNO.EFAULT : -file.unknown };
      }
      const before = argument.slice();
      const result = await file.ioctl(command, { argument, address: call.c, user: this });
      const changed = result >= 0 && before.some((byte, at) => byte !== argument[at]);
      return changed ? { result, payload: argument } : { result };
    } catch (error) {
      if (error instanceof ErrnoError) return { result: -error.errno };
      if (isOurBug(error)) throw error;
      return { result: -ERRNO.EIO };
    }
  }

  #ask(
    fields: { kind: number; a?: bigint; b?: bigint; c?: bigint; payload?: Uint8Array },
    fd?: OwnedFd,
  ): Promise<Frame> {
    if (this.#ended) {
      fd?.close();
      return Promise.reject(new ErrnoError('ESRCH', 'the program ended'));
    }
    return new Promise((resolve, reject) => {
      this.#asked = { resolve, reject };
      this.#socket.sendFrame(fields, fd);
    });
  }

  async #askOk(
    fields: { kind: number; a?: bigint; b?: bigint; c?: bigint; payload?: Uint8Array },
    fd?: OwnedFd,
  ): Promise<Frame> {
    const frame = await this.#ask(fields, fd);
    if (frame.result >= 0) return frame;
    for (const each of frame.fds) each.close();
    throw new ErrnoError(errnoName(-frame.result));
  }

  async copyIn(address: bigint, length: number): Promise<Uint8Array> {
    if (length > DEV_COPY_BYTES_MAX) throw new ErrnoError('ENOMEM', `${length} bytes`);
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at += DEV_FRAME_PAYLOAD_MAX) {
      const size = Math.min(DEV_FRAME_PAYLOAD_MAX, length - at);
      const a = BigInt.asUintN(64, address + BigInt(at));
      const { payload } = await this.#askOk({ kind: DEV_FRAME.READ, a, b: BigInt(size) });
      if (payload.length !== size) throw new ErrnoError('EFAULT');
      bytes.set(payload, at);
    }
    return bytes;
  }

  async copyOut(address: bigint, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += DEV_FRAME_PAYLOAD_MAX) {
      const payload = bytes.subarray(at, at + DEV_FRAME_PAYLOAD_MAX);
      await this.#askOk({ kind: DEV_FRAME.WRITE, a: BigInt.asUintN(64, address + BigInt(at)), payload });
    }
  }

  async vma(address: bigint): Promise<UserVma | undefined> {
    const { result, a, b, c, d, e } = await this.#ask({ kind: DEV_FRAME.VMA, a: address });
    return result < 0 ? undefined : { start: a, length: Number(b), file: c, held: d, pages: Number(e) };
  }

  async map(address: bigint, length: number, file: FileHandle, offset: number): Promise<void> {
    const fd = this.#env.open(file);
    await this.#askOk({ kind: DEV_FRAME.MAP, a: address, b: BigInt(length), c: BigInt(offset) }, fd);
  }

  async hold(address: bigint, giveBack: () => void): Promise<bigint> {
    const id = this.#nextHold++;
    this.#holds.set(id, giveBack);
    try {
      await this.#askOk({ kind: DEV_FRAME.HOLD, a: address, b: id });
    } catch (error) {
      this.#release(id);
      throw error;
    }
    return id;
  }

  async eventFd(number: number): Promise<UserEventFd> {
    const { fds } = await this.#askOk({ kind: DEV_FRAME.FD, a: BigInt(number >>> 0) });
    const [fd, ...others] = fds;
    for (const other of others) other.close();
    if (fd === undefined) throw new ErrnoError('EBADF', `descriptor ${number}`);
    const identity = eventFdIdentity(fd.fd);
    if (identity === undefined) {
      fd.close();
      throw new ErrnoError('EINVAL', `descriptor ${number} is no eventfd`);
    }
    setNonBlocking(fd.fd);
    let listener: { close(): void } | undefined;
    return {
      identity,
      signal: () => signalEventFd(fd.fd),
      listen: (onSignal) => {
        listener = listenEventFd(fd.fd, onSignal);
      },
      close: () => {
        listener?.close();
        fd.close();
      },
    };
  }

  #release(id: bigint): void {
    const giveBack = this.#holds.get(id);
    this.#holds.delete(id);
    giveBack?.();
  }
}

/** Undefined for what is no eventfd. Linux numbers them in fdinfo since 5.2. */
function eventFdIdentity(fd: number): string | undefined {
  if (readlinkSync(`/proc/self/fd/${fd}`) !== 'anon_inode:[eventfd]') return undefined;
  return /^eventfd-id:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? `${fd}`;
}
