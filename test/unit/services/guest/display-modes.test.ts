// A display that comes to prefer another size: the guest's mode follows, its old buffers are given back, and what cannot be followed
// leaves the mode as it is; on split and packed rings, copied and shared buffers, through resets and under an animation.
import t, { type Test } from 'tap';
import { cursorPath } from '../../../../lib/core/cursor-path.js';
import { overBlack, type Picture } from '../../../../lib/core/picture.js';
import { NO_PROBE, type Probe } from '../../../../lib/core/probe.js';
import { DATA_KEY } from '../../../../lib/layout/xenbus.js';
import { POINT } from '../../../../lib/trace/points.js';
import { pictureOf } from '../../../../services/vhost-gpu/pixels.js';
import { DOMID, GuestMachine, type MachineOptions, testPicture } from '../../../../testkit/guest-machine.js';
import { longTest } from '../../../../testkit/tier.js';

const HOME = `/local/domain/${DOMID}`;
const SIZE = { width: 128, height: 64 };
const PICTURE = testPicture(SIZE.width, SIZE.height);

interface Size {
  readonly width: number;
  readonly height: number;
}

async function machineOf(options: MachineOptions = {}) {
  const commands: string[] = [];
  const at: Probe['at'] = (point, label) => {
    if (point === POINT['gpu.execute']) commands.push(label ?? '');
  };
  const machine = new GuestMachine({ picture: PICTURE, probe: { ...NO_PROBE, at }, ...options });
  await machine.connect();
  const tell = (size: Size | undefined): void => {
    machine.gpu.displays.set(0, size);
    machine.performAll(machine.registers!.configChanged(machine.gpu.displays.readConfig(0, 16)!));
  };
  const prefer = async (size: Size | undefined): Promise<void> => {
    tell(size);
    await machine.settle();
  };
  const { gpu } = machine;
  const scanout = gpu.scanouts.get(0)!;
  return { machine, commands, tell, prefer, scanout, shown: () => pictureOf(scanout) };
}

/** The picture from the top left corner, black beside it, cut off at the edges. */
function fitted({ width, height }: Size): Picture {
  const rgba = new Uint8Array(width * height * 4);
  const { rgba: from } = overBlack(PICTURE);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let channel = 0; channel < 4; channel++)
        rgba[(y * width + x) * 4 + channel] =
          channel === 3 ? 255 : x < SIZE.width && y < SIZE.height ? from[(y * SIZE.width + x) * 4 + channel]! : 0;
  return { width, height, rgba };
}

function showsFitted(t: Test, shown: Picture | undefined, size: Size): void {
  const expected = fitted(size);
  t.same({ width: shown?.width, height: shown?.height }, { width: size.width, height: size.height });
  t.ok(shown !== undefined && Buffer.compare(shown.rgba, expected.rgba) === 0, 'the picture');
}

const SETUPS: readonly MachineOptions[] = [
  { buffers: 'copied', rings: 'split' },
  { buffers: 'copied', rings: 'packed' },
  { buffers: 'shared', rings: 'split' },
];
for (const options of SETUPS)
  t.test(
    `the mode follows the size that the display prefers (${options.buffers}, ${options.rings})`,
    longTest(),
    async (t) => {
      const { machine, commands, prefer, shown } = await machineOf(options);
      const resources = machine.gpu.resources.count;
      const pages = machine.kernel.pages.taken;
      showsFitted(t, shown(), SIZE);
      for (const size of [
        { width: 200, height: 100 },
        { width: 100, height: 50 },
        { width: 77, height: 90 },
        { width: 300, height: 33 },
      ]) {
        commands.length = 0;
        await prefer(size);
        showsFitted(t, shown(), size);
        t.ok(commands.indexOf('RESOURCE_UNREF') > commands.lastIndexOf('RESOURCE_FLUSH'), 'the old one last');
        t.equal(machine.gpu.resources.count, resources);
      }
      await prefer(SIZE);
      showsFitted(t, shown(), SIZE);
      t.equal(machine.kernel.pages.taken, pages, 'all old buffers are back');
      commands.length = 0;
      await prefer(SIZE);
      t.notOk(commands.includes('SET_SCANOUT'), 'the same size is no change');
    },
  );

t.test('a size that there is no memory for, or none, leaves the mode', async (t) => {
  const { machine, prefer, shown } = await machineOf();
  const pages = machine.kernel.pages.taken;
  for (const size of [
    { width: 8192, height: 8192 },
    { width: 0xffffffff, height: 0xffffffff },
  ]) {
    await prefer(size);
    showsFitted(t, shown(), SIZE);
    t.equal(machine.kernel.pages.taken, pages);
  }
  await prefer({ width: 90, height: 70 });
  showsFitted(t, shown(), { width: 90, height: 70 });
});

t.test('a display that comes back with another size shows the picture in that', async (t) => {
  const { prefer, shown } = await machineOf();
  await prefer(undefined);
  t.equal(shown(), undefined);
  await prefer({ width: 140, height: 80 });
  showsFitted(t, shown(), { width: 140, height: 80 });
});

t.test(
  'a device that is lost in the middle of a change shows the new mode when it is back, whenever that is',
  longTest(),
  async (t) => {
    for (let turns = 0; turns < 40; turns += 3) {
      const { machine, tell, shown } = await machineOf();
      const resources = machine.gpu.resources.count;
      tell({ width: 150, height: 70 });
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
      machine.loseDevice(); // and with it the event
      await machine.settle();
      showsFitted(t, shown(), { width: 150, height: 70 });
      t.equal(machine.gpu.resources.count, resources, `lost after ${turns} turns`);
    }
  },
);

t.test('an animation goes on in the new mode, its cursor with it', async (t) => {
  const { machine, prefer, scanout, shown } = await machineOf();
  machine.write(`${HOME}/${DATA_KEY.animate}`, '50');
  await machine.settle();
  let frame = 1;
  const draw = async (): Promise<void> => {
    machine.clock.advance(20);
    await machine.settle();
    frame++;
  };
  await draw();
  const resources = machine.gpu.resources.count;
  const size = { width: 160, height: 90 };
  await prefer(size);
  await draw(); // the frame that was waited for is not drawn
  await draw();
  t.same({ width: shown()?.width, height: shown()?.height }, size);
  const { x, y, hotX, hotY, visible } = scanout.cursor;
  t.ok(visible);
  const at = { x: (x + hotX) >>> 0, y: (y + hotY) >>> 0 };
  const paths = [frame - 2, frame - 1, frame, frame + 1].map((each) => cursorPath(each, size.width, size.height));
  t.ok(
    paths.some((each) => each.x === at.x && each.y === at.y),
    `${at.x}, ${at.y}`,
  );
  t.equal(machine.gpu.resources.count, resources, 'the cursor is the same');
  machine.write(`${HOME}/${DATA_KEY.animate}`, '0');
  await machine.settle();
  machine.clock.advance(20);
  await machine.settle();
  showsFitted(t, shown(), size);
  machine.setBack(5);
  await machine.settle();
  machine.backendLetsGo();
  await machine.settle();
  t.same(machine.kernel.held(), []);
});
