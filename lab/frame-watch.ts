// Looks at a guest's screen for the lab: its device server tells of each flush, and the numbers that an animated guest draws into
// its frames (lib/core/frame-stamp.ts) say whether a frame is whole and which one it is. Looks on when the server is
// started again. Leaves asking the guest to draw to the caller of animate().
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { DeadlineError, PeerDiedError } from '../lib/core/errors.js';
import { readStamp, STAMP_ROW_BYTES_MAX, stampBlock } from '../lib/core/frame-stamp.js';
import type { DisplayFrame } from '../lib/core/proto-types.js';
import type { BusClient } from '../lib/core/service.js';
import { DATA_KEY, homePath } from '../lib/layout/xenbus.js';
import type { Toolstack } from '../toolstack/toolstack.js';

export interface ViewedFrames {
  /** Frames with a number, whole. */
  readonly count: number;
  readonly lastNumber: number | undefined;
  /** CLOCK_MONOTONIC of the last one. */
  readonly lastNs: bigint | undefined;
  /** Frames whose first and last rows carry different numbers. */
  readonly tornCount: number;
  /** Numbers that were lower than the one before. */
  readonly backwardsCount: number;
  /** Longest time between two right frames, ms. */
  readonly gapMsMax: number;
}

/** A frame as it was seen: `number` undefined without a stamp. */
export interface SeenFrame {
  readonly ns: bigint;
  readonly number: number | undefined;
  readonly torn: boolean;
}

const NOTHING: ViewedFrames = {
  count: 0,
  lastNumber: undefined,
  lastNs: undefined,
  tornCount: 0,
  backwardsCount: 0,
  gapMsMax: 0,
};

/** What one more frame makes of the figures. Numbers start anew at 0 (FRAME_NUMBERS) far from any that is expected here. */
export function countFrame(viewed: ViewedFrames, { ns, number, torn }: SeenFrame): ViewedFrames {
  if (torn) return { ...viewed, tornCount: viewed.tornCount + 1 };
  if (number === undefined) return viewed;
  const gapMs = viewed.lastNs === undefined ? 0 : Number(ns - viewed.lastNs) / 1e6;
  return {
    ...viewed,
    count: viewed.count + 1,
    lastNumber: number,
    lastNs: ns,
    backwardsCount: viewed.backwardsCount + (viewed.lastNumber !== undefined && number < viewed.lastNumber ? 1 : 0),
    gapMsMax: Math.max(viewed.gapMsMax, gapMs),
  };
}

/** The numbers in the rows that a device server told of. */
export function seenFrame({ ns, width, height, top, bottom }: DisplayFrame): SeenFrame {
  const block = stampBlock(width, height);
  const [first, last] = block === undefined ? [] : [readStamp(top, block), readStamp(bottom, block)];
  return { ns: BigInt(ns), number: first === last ? first : undefined, torn: first !== last };
}

export class FrameWatch {
  readonly #connect: () => Promise<BusClient>;
  readonly #device: string;
  #viewed = NOTHING;
  #waiting: { readonly after: bigint; readonly resolve: (frame: SeenFrame) => void }[] = [];
  #client: BusClient | undefined;
  #closed = false;

  /** `device`: "domid/devid". `connect` waits until its server is there; its connections are closed here. */
  constructor(connect: () => Promise<BusClient>, device: string) {
    this.#connect = connect;
    this.#device = device;
  }

  get viewed(): ViewedFrames {
    return this.#viewed;
  }

  /** Resolves once the server tells of frames. */
  async start(): Promise<void> {
    const client = await this.#connect();
    if (this.#closed) {
      await client.close();
      return;
    }
    this.#client = client;
    client.on('DisplayEvents', 'flushed', (frame) => this.#saw(frame));
    client.onLost(() => this.#again());
    try {
      await client.remote('Display').watch({ name: this.#device, scanout: 0, row_bytes: STAMP_ROW_BYTES_MAX });
    } catch (error) {
      if (!(error instanceof PeerDiedError)) throw error; // ended at once: #again follows
    }
  }

  #again(): void {
    void this.#client?.close();
    this.#client = undefined;
    if (this.#closed) return;
    this.start().catch((error: unknown) => {
      // The lab ends, and its servers with it.
      if (!(error instanceof PeerDiedError)) throw error;
    });
  }

  #saw(event: DisplayFrame): void {
    const frame = seenFrame(event);
    this.#viewed = countFrame(this.#viewed, frame);
    if (frame.torn || frame.number === undefined) return;
    const due = this.#waiting.filter(({ after }) => frame.ns > after);
    this.#waiting = this.#waiting.filter(({ after }) => frame.ns <= after);
    for (const { resolve } of due) resolve(frame);
  }

  /** The next right frame that was shown later than `after` (CLOCK_MONOTONIC, ns). Rejects with DeadlineError. */
  async next(after: bigint, deadlineMs: number = DEADLINE_MS.firstFrame): Promise<SeenFrame> {
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<SeenFrame>((resolve, reject) => {
        const late = () => reject(new DeadlineError(`${this.#device} shows no right frame within ${deadlineMs} ms`));
        timer = setTimeout(late, deadlineMs);
        this.#waiting.push({ after, resolve });
      });
    } finally {
      clearTimeout(timer);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#client?.close();
    this.#client = undefined;
  }
}

/** Asks a guest for so many frames a second; 0: for none, its picture alone. */
export async function animate(toolstack: Toolstack, domid: number, fps: number): Promise<void> {
  await toolstack.store.write(`${homePath(domid)}/${DATA_KEY.animate}`, String(fps));
}
