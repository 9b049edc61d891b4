// Clients that watch what scanouts show: one event for the flushes of a turn, with the beginning of the first and of the
// last row as they are then. Leaves which devices there are, and when they flush, to server.ts.
import type { Peer } from '../../lib/core/bus.js';
import type { Clock } from '../../lib/core/clock.js';
import { ErrnoError } from '../../lib/core/errors.js';
import { DISPLAY_ROW_BYTES_MAX, DISPLAY_WATCHES_MAX } from '../../lib/core/limits.js';
import type { DisplayWatch } from '../../lib/core/proto-types.js';
import { VIRTIO_GPU_BYTES_PER_PIXEL } from '../../lib/layout/virtio-gpu.js';
import { writeBgrx } from './pixels.js';
import type { Scanout } from './scanouts.js';

interface Watcher {
  readonly peer: Peer;
  readonly wanted: DisplayWatch;
}

export class Watchers {
  readonly #clock: Clock;
  readonly #defer: (action: () => void) => void;
  readonly #watchers: Watcher[] = [];
  /** Flushed in this turn and not told yet. */
  readonly #due = new Map<Scanout, string>();

  constructor(clock: Clock, defer: (action: () => void) => void) {
    this.#clock = clock;
    this.#defer = defer;
  }

  /** Throws EINVAL, ENOSPC. */
  add(wanted: DisplayWatch, peer: Peer): void {
    if (wanted.row_bytes > DISPLAY_ROW_BYTES_MAX)
      throw new ErrnoError('EINVAL', `of a row at most ${DISPLAY_ROW_BYTES_MAX} bytes are told`);
    if (this.#watchers.length >= DISPLAY_WATCHES_MAX) throw new ErrnoError('ENOSPC', 'too many watch the displays');
    this.#watchers.push({ wanted, peer });
  }

  /** A client ended. */
  drop(peer: Peer): void {
    for (let at = this.#watchers.length - 1; at >= 0; at--)
      if (this.#watchers[at]!.peer === peer) this.#watchers.splice(at, 1);
  }

  /** `name`: of the device that the scanout belongs to. */
  flushed(name: string, scanout: Scanout): void {
    if (this.#watchers.length === 0) return;
    if (this.#due.size === 0) this.#defer(() => this.#tell());
    this.#due.set(scanout, name);
  }

  #tell(): void {
    for (const [scanout, name] of this.#due)
      for (const { peer, wanted } of this.#watchers)
        if (wanted.name === name && wanted.scanout === scanout.index) this.#tellOne(peer, wanted, scanout);
    this.#due.clear();
  }

  #tellOne(peer: Peer, { name, row_bytes }: DisplayWatch, scanout: Scanout): void {
    const { shown } = scanout;
    if (shown === undefined) return; // dark again within the turn
    const { width, height } = shown.rect;
    const pixels = Math.min(Math.floor(row_bytes / VIRTIO_GPU_BYTES_PER_PIXEL), width);
    const row = (y: number): Uint8Array => {
      const bytes = new Uint8Array(pixels * VIRTIO_GPU_BYTES_PER_PIXEL);
      writeBgrx(shown.surface, { x: shown.rect.x, y: shown.rect.y + y, width: pixels, height: 1 }, bytes, 0);
      return bytes;
    };
    peer.emit('DisplayEvents', 'flushed', {
      ...{
        name,
        scanout: scanout.index,
        flush_count: scanout.flushCount,
        ns: Number(this.#clock.nowNs()),
        width,
        height,
      },
      ...{ top: row(0), bottom: row(height - 1) },
    });
  }
}
