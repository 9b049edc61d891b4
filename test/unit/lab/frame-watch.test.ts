// What frames with numbers tell of a screen: which are right, how long it stood, and whether one was torn or came back.
import t from 'tap';
import { countFrame, seenFrame, type ViewedFrames } from '../../../lab/frame-watch.js';
import { drawStamp, stampBlock } from '../../../lib/core/frame-stamp.js';
import type { DisplayFrame } from '../../../lib/core/proto-types.js';

const [width, height] = [256, 32];
const START: ViewedFrames = {
  ...{ count: 0, lastNumber: undefined, lastNs: undefined, tornCount: 0, backwardsCount: 0, gapMsMax: 0 },
};

function row(number: number): Uint8Array {
  const bytes = new Uint8Array(width * 4);
  drawStamp(number, { width, height, block: stampBlock(width, height)! }, (first, count, white) => {
    if (first < width) bytes.fill(white ? 0xff : 0, first * 4, (first + count) * 4);
  });
  return bytes;
}

const event = (top: number, bottom: number, ms: number): DisplayFrame => ({
  ...{ name: '1/0', scanout: 0, flush_count: 1, ns: ms * 1e6, width, height },
  ...{ top: row(top), bottom: row(bottom) },
});

t.test('frames are counted by their numbers, with the longest time between two', async (t) => {
  const events = [event(1, 1, 100), event(2, 2, 116), event(3, 3, 616), event(4, 4, 632)];
  const viewed = events.map(seenFrame).reduce(countFrame, START);
  t.match(viewed, { count: 4, lastNumber: 4, lastNs: 632_000_000n, tornCount: 0, backwardsCount: 0, gapMsMax: 500 });
});

t.test('a frame whose ends differ is torn, and one that comes back goes backwards', async (t) => {
  const viewed = [event(5, 5, 1), event(6, 5, 2), event(4, 4, 3)].map(seenFrame).reduce(countFrame, START);
  t.match(viewed, { count: 2, tornCount: 1, backwardsCount: 1, lastNumber: 4 });
});

t.test('a picture without a number is no frame, and its time counts to the gap', async (t) => {
  const plain = { ...event(1, 1, 50), top: new Uint8Array(1024), bottom: new Uint8Array(1024) };
  const viewed = [event(1, 1, 0), plain, event(2, 2, 80)].map((one) => seenFrame(one)).reduce(countFrame, START);
  t.match(viewed, { count: 2, gapMsMax: 80, tornCount: 0 });
});
