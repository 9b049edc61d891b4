// A guest's end of its ring page, as a wire for store-wire-client.ts: the page is a file of the daemon's folder, and a byte in the
// FIFO beside it makes the daemon look at its rings (xenstored-shim.c, ring-daemon.ts). No event tells this end of what comes,
// so it looks. Made before the domain is introduced; leaves that, and its release, to the user.
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { XENSTORE_DOMAIN_INTERFACE, XENSTORE_ERROR_NONE } from '../lib/layout/xs-ring.js';
import { createPath, mapPath } from '../lib/node/files/shm.js';
import { RingEnd } from '../lib/xenstore/ring-stream.js';
import { type Wire, WireClient } from './store-wire-client.js';

const PAGE_SIZE = 4096;
const BYTE = Buffer.of(1);

export const ringFile = (domid: number): string => `ring.${domid}`;
export const EVENTS_FIFO = 'events';

/** Makes the page that domain `domid` will be served on. */
export function makeRing(dir: string, domid: number): void {
  createPath(join(dir, ringFile(domid)), PAGE_SIZE).close();
}

/** The domain's end of its page, which holds nothing any more. `introduce` is asked for once it is empty. */
export function connectRing(dir: string, domid: number, introduce: () => Promise<void>): Promise<WireClient> {
  return WireClient.over(async (onBytes, onClosed) => {
    const page = mapPath(join(dir, ringFile(domid)), PAGE_SIZE, true);
    page.bytes.fill(0, 0, XENSTORE_DOMAIN_INTERFACE.size);
    const events = openSync(join(dir, EVENTS_FIFO), 'r+');
    const wire = ringWire(new RingEnd(page.bytes, 'guest'), () => writeSync(events, BYTE), onBytes, onClosed);
    await introduce();
    return {
      ...wire,
      destroy: () => {
        wire.destroy();
        page.close();
        closeSync(events);
      },
    };
  });
}

function ringWire(ring: RingEnd, tell: () => void, onBytes: (bytes: Buffer) => void, onClosed: () => void): Wire {
  let unsent: Buffer = Buffer.alloc(0);
  let open = true;
  /** Writes and reads what can be. True when something moved. */
  const look = (): boolean => {
    if (!open) return false;
    // Looked at first: what was answered before the error is in the ring.
    const ended = ring.error !== XENSTORE_ERROR_NONE;
    const written = ended || unsent.length === 0 ? 0 : ring.write(unsent);
    unsent = unsent.subarray(written);
    const chunk = ring.read();
    if (chunk.length > 0) onBytes(Buffer.from(chunk));
    const moved = written > 0 || chunk.length > 0;
    if (moved) tell();
    if (!ended || moved) return moved;
    open = false;
    onClosed();
    return true;
  };
  return {
    write(bytes) {
      unsent = unsent.length === 0 ? bytes : Buffer.concat([unsent, bytes]);
      look();
    },
    end() {
      open = false;
      onClosed();
    },
    destroy() {
      open = false;
    },
    async wait() {
      while (open && !look()) await new Promise((resolve) => setImmediate(resolve));
    },
  };
}
