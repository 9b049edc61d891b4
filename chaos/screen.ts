// A guest's screen as a case looks at it: the next numbered frame after a moment proves that everything from the guest's driver
// to the device server works, and the picture after it must be the given one, pixel by pixel. One Screen is one look: it
// ends when vhost-gpu does.

import { type SeenFrame, seenFrame } from '../lab/frame-watch.js';
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { DeadlineError, GuestFailedError, PeerDiedError } from '../lib/core/errors.js';
import { STAMP_ROW_BYTES_MAX } from '../lib/core/frame-stamp.js';
import type { BusClient } from '../lib/core/service.js';
import { DATA_KEY, homePath } from '../lib/layout/xenbus.js';
import type { StoreClient } from '../lib/xenstore/api.js';
import { readNode, unless } from '../toolstack/toolstack.js';
import { GUEST_PROCESS } from './case.js';

/**
 * Resolves once the guest says that its first frame is shown. Rejects with GuestFailedError when it says that it cannot,
 * PeerDiedError when its process ends, or DeadlineError. Leaves no watch: other waits of the toolstack end with a domain, and
 * a process can end before its domain knows it.
 */
export async function shownFirst(store: StoreClient, domid: number, ended: Promise<unknown>): Promise<void> {
  const home = homePath(domid);
  const folder = `${home}/${DATA_KEY.frame.slice(0, DATA_KEY.frame.lastIndexOf('/'))}`;
  let wake: () => void = () => {};
  let gone = false;
  let changes = 0;
  void ended.then(() => {
    gone = true;
    wake();
  });
  await store.watch(folder, WATCH_TOKEN, () => {
    changes++;
    wake();
  });
  try {
    const end = performance.now() + DEADLINE_MS.chaosPicture;
    for (let seen = -1; ; ) {
      if (gone) throw new PeerDiedError(GUEST_PROCESS);
      if (seen !== changes) {
        seen = changes;
        const failure = await readNode(store, `${home}/${DATA_KEY.failure}`);
        if (failure !== undefined) throw new GuestFailedError(failure);
        if ((await readNode(store, `${home}/${DATA_KEY.frame}`)) === '1') return;
        continue;
      }
      const left = end - performance.now();
      if (left <= 0) throw new DeadlineError(`no first frame within ${DEADLINE_MS.chaosPicture} ms`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  } finally {
    await unless(store.unwatch(folder, WATCH_TOKEN), 'ENOENT');
  }
}

const WATCH_TOKEN = 'chaos-first-frame';

export class Screen {
  readonly #client: BusClient;
  readonly #device: string;
  readonly #frames: SeenFrame[] = [];
  #wake: () => void = () => {};
  #lost = false;

  private constructor(client: BusClient, device: string) {
    this.#client = client;
    this.#device = device;
    client.on('DisplayEvents', 'flushed', (event) => {
      this.#frames.push(seenFrame(event));
      this.#wake();
    });
    client.onLost(() => {
      this.#lost = true;
      this.#wake();
    });
  }

  /** `device`: "domid/devid". The connection is the caller's to close. Rejects with PeerDiedError. */
  static async open(client: BusClient, device: string): Promise<Screen> {
    const screen = new Screen(client, device);
    await client.remote('Display').watch({ name: device, scanout: 0, row_bytes: STAMP_ROW_BYTES_MAX });
    return screen;
  }

  /** The next frame that is wanted among those not looked at yet. Rejects with DeadlineError, or PeerDiedError with vhost-gpu. */
  async next(wanted: (frame: SeenFrame) => boolean, deadlineMs: number, what: string): Promise<SeenFrame> {
    const end = performance.now() + deadlineMs;
    for (;;) {
      for (let frame = this.#frames.shift(); frame !== undefined; frame = this.#frames.shift()) {
        if (wanted(frame)) return frame;
      }
      if (this.#lost) throw new PeerDiedError('vhost-gpu');
      const left = end - performance.now();
      if (left <= 0) throw new DeadlineError(`${this.#device} shows no ${what} within ${deadlineMs} ms`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  get client(): BusClient {
    return this.#client;
  }
}
