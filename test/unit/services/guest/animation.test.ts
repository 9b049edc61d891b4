// The load of numbered frames, on a display whose fences complete when the test says so.
import t, { type Test } from 'tap';
import { cursorPath } from '../../../../lib/core/cursor-path.js';
import { NO_LOG } from '../../../../lib/core/log.js';
import { Animation, type AnimationParts } from '../../../../services/guest/animation.js';
import type { Framebuffer } from '../../../../services/guest/framebuffer.js';
import type { CursorState } from '../../../../services/guest/gpu-cursor.js';
import type { VirtioGpu } from '../../../../services/guest/virtio-gpu.js';
import { plainMemory } from '../../../../testkit/ring-driver.js';

const [WIDTH, HEIGHT] = [64, 16];

/** Everything that the load awaits comes at once; what is left to do is done by the next turn of the event loop. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function display(t: Test) {
  let updates = 0;
  const cursors: ([x: number, y: number] | undefined)[] = [];
  let rate = '0';
  let asked: () => void = () => {};
  let complete: () => void = () => {};
  let tick: () => void = () => {};
  const gpu = {
    removed: false,
    allocateFramebuffer: (width: number, height: number) => ({ resourceId: 2, width, height, runs: [] }),
    createResource: async () => {},
    knows: () => true,
    setCursor: async (cursor: Framebuffer | undefined, place: CursorState) => {
      cursors.push(cursor === undefined ? undefined : [place.x + place.hotX, place.y + place.hotY]);
    },
    update: async () => {
      updates++;
      return { done: { wait: () => new Promise<void>((resolve) => (complete = resolve)) } };
    },
  };
  const parts = {
    vcpu: { run: (task: () => void) => task() },
    clock: { nowNs: () => 0n, after: (_ms: number, action: () => void) => (tick = action) },
    memory: plainMemory(),
    store: {
      watch: async (_path: string, _token: string, onEvent: () => void) => {
        asked = onEvent;
      },
      read: async () => rate,
    },
    picture: { width: WIDTH, height: HEIGHT, rgba: new Uint8Array(WIDTH * HEIGHT * 4) },
    log: NO_LOG,
    onFailure: (reason: string) => t.fail(reason),
  };
  const animation = new Animation(parts as unknown as AnimationParts);
  const framebuffer: Framebuffer = { resourceId: 1, width: WIDTH, height: HEIGHT, runs: [{ addr: 0, length: 4096 }] };
  return {
    animation,
    gpu: gpu as unknown as VirtioGpu & { removed: boolean },
    framebuffer,
    updates: () => updates,
    cursors,
    setRate: async (fps: number) => {
      rate = String(fps);
      asked();
      await settle();
    },
    completeFence: async () => {
      complete();
      await settle();
    },
    nextPeriod: async () => {
      tick();
      await settle();
    },
  };
}

t.test('a rate that comes while the picture is drawn that ends another one is followed', async (t) => {
  const shown = display(t);
  await shown.animation.start('token');
  shown.animation.use(shown.gpu, shown.framebuffer);
  await shown.setRate(50);
  t.equal(shown.updates(), 1, 'a numbered frame');
  await shown.setRate(0);
  await shown.completeFence();
  await shown.nextPeriod();
  t.equal(shown.updates(), 2, 'the picture alone');
  await shown.setRate(50);
  t.equal(shown.updates(), 2, 'which is not shown yet');
  await shown.completeFence();
  t.equal(shown.updates(), 3, 'a numbered frame again');
});

t.test('a display that was removed is not drawn on any more', async (t) => {
  const shown = display(t);
  await shown.animation.start('token');
  shown.animation.use(shown.gpu, shown.framebuffer);
  await shown.setRate(50);
  shown.gpu.removed = true;
  await shown.completeFence();
  await shown.nextPeriod();
  t.equal(shown.updates(), 1);
});

t.test("the cursor's tip is where the path is at each frame, and the picture alone has none", async (t) => {
  const shown = display(t);
  await shown.animation.start('token');
  shown.animation.use(shown.gpu, shown.framebuffer);
  await shown.setRate(50);
  for (let frame = 1; frame <= 40; frame++) {
    await shown.completeFence();
    await shown.nextPeriod();
  }
  const path = Array.from({ length: 40 }, (_, index) => cursorPath(index + 1, WIDTH, HEIGHT)).map(({ x, y }) => [x, y]);
  t.same(shown.cursors, path);
  t.ok(path.every(([x, y]) => x! >= 0 && x! < WIDTH && y! >= 0 && y! < HEIGHT));
  await shown.setRate(0);
  await shown.completeFence();
  await shown.nextPeriod();
  t.equal(shown.cursors.at(-1), undefined);
});
