// A host inside one process, without files, doorbell pages or a bus: for `xenwire hypercall` and for tests. The same Host
// and KernelHalf as in the hypervisor process, over memory. Rings run at once, in the order they were made.

import type { Dom0Mode } from '../lib/core/dom0-modes.js';
import { ErrnoError } from '../lib/core/errors.js';
import { BELL_BITS } from '../lib/core/limits.js';
import { type Log, NO_LOG } from '../lib/core/log.js';
import type { BellNotifier, BoundBell, Doorbell, NotifyHandle } from '../lib/core/notify.js';
import { NO_PROBE } from '../lib/core/probe.js';
import type { FileRange, MadeFile, Mapping, SharedFiles } from '../lib/core/shared.js';
import { Host } from '../services/hypervisor/host.js';
import { KernelHalf } from '../services/hypervisor/kernel/kernel-half.js';

/** Files that are only memory; a path is free again once its file is removed. */
export class MemoryFiles implements SharedFiles {
  readonly #files = new Map<string, Uint8Array>();

  create(path: string, size: number): ReturnType<SharedFiles['create']> {
    if (this.#files.has(path)) throw new ErrnoError('EEXIST', path);
    const bytes = new Uint8Array(size);
    this.#files.set(path, bytes);
    return {
      bytes,
      handle: { path, size, offset: 0 },
      close: () => {},
      remove: () => void this.#files.delete(path),
    };
  }

  createSparse(path: string, size: number): MadeFile {
    const { handle, remove } = this.create(path, size);
    return { handle, remove };
  }

  back(): void {}

  map(handle: { path: string; size: number }, { offset, size }: FileRange = { offset: 0, size: handle.size }): Mapping {
    const bytes = this.#files.get(handle.path);
    if (bytes === undefined || bytes.length < handle.size) throw new ErrnoError('ENOENT', handle.path);
    return { bytes: bytes.subarray(offset, offset + size), close: () => {} };
  }

  get paths(): string[] {
    return [...this.#files.keys()];
  }
}

/** A doorbell whose rings run from a queue: no ring runs inside another. */
export class MemoryDoorbell implements Doorbell {
  readonly #actions = new Map<number, () => void>();
  readonly #pending = new Set<number>();
  #running = false;
  readonly name: string;

  constructor(name = 'sandbox') {
    this.name = name;
  }

  get boundCount(): number {
    return this.#actions.size;
  }

  bind(onRing: (index: number) => void, count = 1): BoundBell {
    let bit = 0;
    const free = (first: number) => {
      for (let index = 0; index < count; index++) if (this.#actions.has(first + index)) return false;
      return true;
    };
    while (bit + count <= BELL_BITS && !free(bit)) bit++;
    if (bit + count > BELL_BITS) throw new ErrnoError('ENOSPC', 'all bits are taken');
    for (let index = 0; index < count; index++) this.#actions.set(bit + index, () => onRing(index));
    return {
      handle: { bell: this.name, bit },
      release: () => {
        for (let index = 0; index < count; index++) this.#actions.delete(bit + index);
      },
    };
  }

  open(handle: NotifyHandle): BellNotifier {
    if (handle.bell !== this.name) throw new ErrnoError('ENOENT', `no doorbell ${handle.bell}`);
    if (!Number.isInteger(handle.bit) || handle.bit < 0 || handle.bit >= BELL_BITS)
      throw new ErrnoError('EINVAL', `bad doorbell bit ${handle.bit}`);
    const signal = (): void => this.ring(handle.bit);
    return { signal, insist: signal, close: () => {} };
  }

  ring(bit: number): void {
    this.#pending.add(bit);
    if (this.#running) return;
    this.#running = true;
    try {
      for (const next of this.#pending) {
        this.#pending.delete(next);
        this.#actions.get(next)?.();
      }
    } finally {
      this.#running = false;
    }
  }
}

export interface SandboxOptions {
  readonly dom0?: Dom0Mode;
  readonly evtchnRaise?: boolean;
  readonly log?: Log;
}

/** Ids and tokens count up from 1, so that a script gives the same answers each time. */
export function sandbox(options: SandboxOptions = {}): {
  host: Host;
  kernel: KernelHalf;
  files: MemoryFiles;
  doorbell: MemoryDoorbell;
} {
  const files = new MemoryFiles();
  const doorbell = new MemoryDoorbell();
  let tokens = 0;
  const host = new Host({
    files,
    doorbell,
    probe: NO_PROBE,
    log: options.log ?? NO_LOG,
    random: { token: () => `token-${tokens++}`, u64: () => 1n },
    evtchnRaise: options.evtchnRaise ?? false,
  });
  return { host, kernel: new KernelHalf(host, options.dom0 ?? 'fixed'), files, doorbell };
}
