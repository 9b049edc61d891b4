// The cursor of an animated guest, in a lab of processes: its image and its place as the device server has them, again after the
// server was killed and in the mode of another size, and in a screenshot that is asked for it.
import { join } from 'node:path';
import t from 'tap';
import { openRunningSession } from '../../lab/session.js';
import { cursorPath } from '../../lib/core/cursor-path.js';
import { DeadlineError, ErrnoError, PeerDiedError } from '../../lib/core/errors.js';
import { overBlack } from '../../lib/core/picture.js';
import type { DisplayCursor } from '../../lib/core/proto-types.js';
import { readPng } from '../../lib/node/files/png.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { lookAgain } from '../../lib/node/process/wait.js';
import { ARROW_CURSOR } from '../../services/guest/cursor-image.js';
import { processNamed, startXenwire, temporaryLabDir, xenwire } from '../fixtures/lab.js';

const CARD = readPng(join(PACKAGE_ROOT, 'examples', 'test-card.png'));
const { width, height } = CARD;
const FPS = 20;
/** Rows at the top and at the bottom that have numbers in them. */
const STAMP_ROWS = 8;
const LOOK_MS = 50;
const DEADLINE_MS = 30_000;
/** More frames than a test draws. */
const FRAMES = 10_000;

const pathOf = (cursor: DisplayCursor, mode = { width, height }): boolean =>
  Array.from({ length: FRAMES }, (_, frame) => cursorPath(frame, mode.width, mode.height)).some(
    ({ x, y }) => x === cursor.x + cursor.hot_x && y === cursor.y + cursor.hot_y,
  );

/** Pixels between the numbers that are other than the card's. */
function otherPixels(path: string): number {
  const [card, shot] = [overBlack(CARD).rgba, readPng(path).rgba];
  let count = 0;
  for (let at = STAMP_ROWS * width * 4; at < (height - STAMP_ROWS) * width * 4; at += 4)
    if (card[at] !== shot[at] || card[at + 1] !== shot[at + 1] || card[at + 2] !== shot[at + 2]) count++;
  return count;
}

async function until<T>(look: () => Promise<T | undefined>, what: string): Promise<T> {
  const found = await lookAgain(look, LOOK_MS, AbortSignal.timeout(DEADLINE_MS));
  if (found === undefined) throw new DeadlineError(`${what}: not within ${DEADLINE_MS} ms`);
  return found;
}

t.test(
  'an animated guest has a cursor on its path, again after its device server died and in another mode',
  { timeout: 90_000 },
  async (t) => {
    const runDir = temporaryLabDir(t);
    const lab = startXenwire(t, ['up', '--animate', String(FPS), '--run-dir', runDir]);
    await lab.line(/until Ctrl-C/, DEADLINE_MS);
    const session = await openRunningSession(runDir);
    t.teardown(() => session.close());
    const shown = async (): Promise<DisplayCursor> => {
      const look = async (): Promise<DisplayCursor | undefined> => {
        try {
          const display = await session.connect('vhost-gpu');
          try {
            const cursor = await display.remote('Display').cursor({ name: '1/0', scanout: 0 });
            return cursor.visible ? cursor : undefined;
          } finally {
            await display.close();
          }
        } catch (error) {
          if (error instanceof PeerDiedError || (error instanceof ErrnoError && error.code === 'ENOENT'))
            return undefined;
          throw error;
        }
      };
      return until(look, 'a cursor');
    };

    const before = await shown();
    t.same(new Uint8Array(before.image), new Uint8Array(ARROW_CURSOR.argb.buffer));
    t.ok(pathOf(before), `on the path: ${before.x}, ${before.y}`);
    const [plain, composed] = [join(runDir, 'plain.png'), join(runDir, 'composed.png')];
    t.equal((await xenwire(t, ['screenshot', '1', '-o', plain, '--run-dir', runDir])).status, 0);
    t.equal(otherPixels(plain), 0, 'a screenshot has no cursor');
    const withCursor = async (): Promise<number | undefined> => {
      const { status } = await xenwire(t, ['screenshot', '1', '--cursor', '-o', composed, '--run-dir', runDir]);
      return status === 0 ? otherPixels(composed) || undefined : undefined; // its tip may be at the bottom
    };
    const arrow = ARROW_CURSOR.argb.filter((pixel) => pixel !== 0).length;
    const pixels = await until(withCursor, 'a screenshot with a cursor');
    t.ok(pixels <= arrow, `${pixels} pixels of an arrow that has ${arrow}`);

    const { pid } = processNamed(runDir, 'vhost-gpu');
    process.kill(pid, 'SIGKILL');
    const again = async (): Promise<true | undefined> => {
      const found = await shown();
      return processNamed(runDir, 'vhost-gpu').pid !== pid && pathOf(found) ? true : undefined;
    };
    t.ok(await until(again, 'the cursor at the next server'));
    t.same((await shown()).image, before.image, 'the same arrow');

    const size = { width: 800, height: 600 };
    const display = await session.connect('vhost-gpu');
    await display.remote('Display').resize({ name: '1/0', scanout: 0, ...size });
    await display.close();
    const resized = async (): Promise<true | undefined> => {
      const run = await xenwire(t, ['screenshot', '1', '-o', plain, '--run-dir', runDir]);
      return run.status === 0 && readPng(plain).width === size.width ? true : undefined;
    };
    t.ok(await until(resized, 'the mode of the new size'));
    const { width: seen, height: rows, rgba } = readPng(plain);
    t.equal(rows, size.height);
    const wrong = (): number => {
      const card = overBlack(CARD).rgba;
      let count = 0;
      for (let y = STAMP_ROWS; y < rows - STAMP_ROWS; y++)
        for (let at = 0; at < seen * 4; at++) if (rgba[y * seen * 4 + at] !== card[y * width * 4 + at]) count++;
      return count;
    };
    t.equal(wrong(), 0, 'the picture, cut off');
    const path = async (): Promise<true | undefined> => (pathOf(await shown(), size) ? true : undefined);
    t.ok(await until(path, 'the cursor on the path of the new mode'));
    lab.child.kill('SIGINT');
    t.equal(await lab.ended(), 0, lab.stderr);
  },
);
