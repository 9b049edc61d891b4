// What a foreign GPU server shows: its display socket, and PNG files of its scanouts when asked for. Leaves the protocol to
// lib/vhost-user/gpu-viewer.ts.
import { Socket } from 'node:net';
import { join } from 'node:path';
import { errorMessage, ProtocolError } from '../../../lib/core/errors.js';
import type { Log } from '../../../lib/core/log.js';
import type { Picture } from '../../../lib/core/picture.js';
import type { Probe } from '../../../lib/core/probe.js';
import type { OwnedFd } from '../../../lib/node/files/owned-fd.js';
import { writePng } from '../../../lib/node/files/png.js';
import { socketPair } from '../../../lib/node/files/unix-fds.js';
import { POINT } from '../../../lib/trace/points.js';
import { GpuViewer, type GpuViewerHooks, type ViewedScanout } from '../../../lib/vhost-user/gpu-viewer.js';

/** At trace points. */
const DESCRIPTOR = 'display';

/** What a guest is offered to show on: QEMU's own default. */
const DISPLAYS = [{ width: 1280, height: 800 }];

export interface DisplaySocket {
  /** The server's end. */
  readonly theirs: OwnedFd;
  close(): void;
}

/** Opens a display; `files`: folder and name that its pictures are written to after each change. */
export function openDisplay(
  files: { dir: string; name: string } | undefined,
  { log, probe }: { log: Log; probe: Probe },
): DisplaySocket {
  const [ours, theirs] = socketPair();
  const own = ours.duplicate(); // Node closes what it is given
  ours.close();
  theirs.recordedAs("the server's display", probe);
  probe.at(POINT['descriptor.take'], DESCRIPTOR, own.fd);
  const socket = new Socket({ fd: own.fd, readable: true, writable: true });
  const writer = files === undefined ? undefined : new FrameWriter(files.dir, files.name, log);
  const hooks: GpuViewerHooks = {
    // A server that asks without reading the answers is not read either, until it has read them.
    send: (bytes) => {
      if (!socket.write(bytes)) socket.pause();
    },
    onFrame: (index, shown) => writer?.write(index, shown),
  };
  const viewer = new GpuViewer(DISPLAYS, hooks, probe);
  socket.on('drain', () => socket.resume());
  socket.on('data', (bytes: Buffer) => {
    try {
      viewer.receive(bytes);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      log.warn(`display: ${error.message}`);
      socket.destroy();
    }
  });
  socket.on('close', () => probe.at(POINT['descriptor.give'], DESCRIPTOR, own.fd));
  socket.on('error', (error) => log.debug(`display: ${error.message}`));
  return {
    theirs,
    close: () => {
      socket.destroy();
      theirs.close();
    },
  };
}

/** Writes the newest picture of each scanout, one at a time: those in between are passed over. */
class FrameWriter {
  readonly #dir: string;
  readonly #name: string;
  readonly #log: Log;
  readonly #latest = new Map<number, ViewedScanout>();
  #writing = false;

  constructor(dir: string, name: string, log: Log) {
    this.#dir = dir;
    this.#name = name;
    this.#log = log;
  }

  write(index: number, shown: ViewedScanout): void {
    this.#latest.set(index, shown);
    if (!this.#writing) void this.#drain();
  }

  async #drain(): Promise<void> {
    this.#writing = true;
    for (let next = this.#take(); next !== undefined; next = this.#take()) {
      const [index, shown] = next;
      const path = join(this.#dir, `${this.#name}-${index}.png`);
      try {
        await writePng(path, toPicture(shown));
      } catch (error) {
        this.#log.warn(errorMessage(error));
      }
    }
    this.#writing = false;
  }

  #take(): [number, ViewedScanout] | undefined {
    const [next] = this.#latest;
    if (next !== undefined) this.#latest.delete(next[0]);
    return next;
  }
}

/** A copy, B G R x turned to R G B A. */
function toPicture({ width, height, pixels }: ViewedScanout): Picture {
  const rgba = new Uint8Array(pixels.length);
  for (let at = 0; at < pixels.length; at += 4) {
    rgba[at] = pixels[at + 2]!;
    rgba[at + 1] = pixels[at + 1]!;
    rgba[at + 2] = pixels[at]!;
    rgba[at + 3] = 0xff;
  }
  return { width, height, rgba };
}
