// The guest's cursor: which commands follow from what is wanted, and what the project's own device makes of them; through full
// rings, unplugged displays and resets of the device, on split and packed rings, copied and shared buffers.
import fc from 'fast-check';
import t from 'tap';
import { cursorPath } from '../../../../lib/core/cursor-path.js';
import { NO_PROBE, type Probe } from '../../../../lib/core/probe.js';
import { DATA_KEY } from '../../../../lib/layout/xenbus.js';
import { POINT } from '../../../../lib/trace/points.js';
import { ARROW_CURSOR } from '../../../../services/guest/cursor-image.js';
import type { CursorCommand, CursorQueue } from '../../../../services/guest/cursor-queue.js';
import { type CursorState, cursorCommand, GpuCursor, NO_CURSOR } from '../../../../services/guest/gpu-cursor.js';
import type { Vcpu } from '../../../../services/guest/vcpu.js';
import { DOMID, GuestMachine, type MachineOptions, testPicture } from '../../../../testkit/guest-machine.js';
import { longTest } from '../../../../testkit/tier.js';

const HOME = `/local/domain/${DOMID}`;
const SIZE = { width: 128, height: 64 };

/** What a device shows, by the rules of its commands alone. */
class Device {
  shown = NO_CURSOR;
  readonly names: string[] = [];

  take({ name, fields: { pos, resource_id, hot_x, hot_y } }: CursorCommand): void {
    this.names.push(name);
    const place = { x: pos.x | 0, y: pos.y | 0, resourceId: resource_id };
    const hot = name === 'UPDATE_CURSOR' ? { hotX: hot_x, hotY: hot_y } : {};
    this.shown = { ...this.shown, ...hot, ...place };
  }
}

/** A ring of two entries that the device empties when the test says so. */
class ScriptedRing {
  device = new Device();
  room = 2;
  onRoom: () => void = () => {};

  send(command: CursorCommand): void {
    this.room--;
    this.device.take(command);
  }
  async notify(): Promise<boolean> {
    return true;
  }
  empty(): void {
    this.room = 2;
    this.onRoom();
  }
}

const HOTSPOTS = [1, 5, 9]; // an image has one
const wantedState: fc.Arbitrary<CursorState> = fc
  .tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: -64, max: 8192 }), fc.integer({ min: -64, max: 8192 }))
  .map(([resourceId, x, y]) =>
    resourceId === 0 ? NO_CURSOR : { resourceId, hotX: HOTSPOTS[resourceId - 1]!, hotY: resourceId, x, y },
  );
const sees = ({ resourceId, ...rest }: CursorState): unknown =>
  resourceId === 0 ? 'nothing' : { resourceId, ...rest };

t.test('a device that is told of every step shows what is wanted; an image is told once a change', async () => {
  fc.assert(
    fc.property(fc.array(wantedState), (states) => {
      const device = new Device();
      let told = NO_CURSOR;
      for (const wanted of states) {
        const command = cursorCommand(0, told, wanted);
        if (command !== undefined) device.take(command);
        if ((command?.name === 'UPDATE_CURSOR') !== (told.resourceId !== wanted.resourceId)) return false;
        told = wanted;
        if (JSON.stringify(sees(device.shown)) !== JSON.stringify(sees(wanted))) return false;
      }
      return true;
    }),
  );
});

t.test('whatever the ring has room for, the newest state is what is told in the end', async () => {
  type Step = CursorState | 'image' | 'room' | 'unplug' | 'plug' | 'reset';
  const step: fc.Arbitrary<Step> = fc.oneof(wantedState, fc.constantFrom('image', 'room', 'unplug', 'plug', 'reset'));
  await fc.assert(
    fc.asyncProperty(fc.array(step), async (steps) => {
      const ring = new ScriptedRing();
      const cursor = new GpuCursor(0, { run: (task: () => void) => task() } as unknown as Vcpu);
      const open = () => {
        ring.device = new Device();
        cursor.open(ring as unknown as CursorQueue);
      };
      open();
      let plugged = true;
      for (const each of steps) {
        if (typeof each === 'object') await cursor.want(each);
        if (each === 'image') await cursor.imageThere(cursor.wanted.resourceId);
        if (each === 'reset') open();
        if (each === 'room') ring.empty();
        if (each === 'unplug' || each === 'plug') {
          plugged = each === 'plug';
          await cursor.setPlugged(plugged);
        }
        if (!plugged && ring.room > 0 && ring.device.shown.resourceId !== 0) return false;
      }
      ring.empty();
      await cursor.imageThere(cursor.wanted.resourceId);
      await cursor.setPlugged(true);
      return JSON.stringify(sees(ring.device.shown)) === JSON.stringify(sees(cursor.wanted));
    }),
  );
});

/** An animated guest, with the cursor commands that its device takes. */
async function animated(options: MachineOptions = {}) {
  const commands: string[] = [];
  const at: Probe['at'] = (point, label) => {
    if (point === POINT['gpu.execute']) commands.push(label ?? '');
  };
  const picture = testPicture(SIZE.width, SIZE.height);
  const machine = new GuestMachine({ picture, probe: { ...NO_PROBE, at }, ...options });
  await machine.connect();
  let frame = 0;
  const draw = async (count: number) => {
    for (let drawn = 0; drawn < count; drawn++, frame++) {
      machine.clock.advance(20);
      await machine.settle();
    }
  };
  machine.write(`${HOME}/${DATA_KEY.animate}`, '50');
  await machine.settle();
  frame = 1;
  /** The pixel that the cursor points at; undefined: it is hidden. */
  const pointsAt = () => {
    const { x, y, hotX, hotY, visible } = machine.gpu.scanouts.get(0)!.cursor;
    return visible ? { x: (x + hotX) >>> 0, y: (y + hotY) >>> 0 } : undefined;
  };
  return { machine, commands, draw, pointsAt, path: () => cursorPath(frame, SIZE.width, SIZE.height) };
}

const isArrow = (machine: GuestMachine): boolean =>
  Buffer.from(ARROW_CURSOR.argb.buffer).equals(machine.gpu.scanouts.get(0)!.cursor.image);

const SETUPS: readonly MachineOptions[] = [
  { buffers: 'copied', rings: 'split' },
  { buffers: 'copied', rings: 'packed' },
  { buffers: 'shared', rings: 'packed' },
];
for (const options of SETUPS)
  t.test(
    `an animated guest (${options.buffers}, ${options.rings}) shows its cursor, and shows it again after a reset`,
    options.rings === 'packed' && options.buffers === 'copied' ? {} : longTest(),
    async (t) => {
      const { machine, commands, draw, pointsAt, path } = await animated(options);
      t.ok(isArrow(machine), 'the image, alpha included');
      t.same(pointsAt(), path());
      await draw(30);
      t.same(pointsAt(), path());
      t.same(commands.filter((name) => name === 'UPDATE_CURSOR').length, 1);
      t.equal(commands.filter((name) => name === 'MOVE_CURSOR').length, 30);

      machine.loseDevice();
      t.equal(pointsAt(), undefined);
      await machine.settle();
      t.ok(isArrow(machine), 'before another frame is drawn');
      t.same(pointsAt(), path());
      await draw(3);
      t.same(pointsAt(), path());
      t.equal(commands.filter((name) => name === 'UPDATE_CURSOR').length, 2);

      machine.write(`${HOME}/${DATA_KEY.animate}`, '0');
      await machine.settle();
      machine.clock.advance(20);
      await machine.settle();
      t.equal(pointsAt(), undefined, 'the picture alone');
    },
  );

t.test(
  'a display that is unplugged has no cursor, and one that is plugged in again has it where it is by then',
  async (t) => {
    const { machine, draw, pointsAt, path } = await animated();
    const resize = async (size: { width: number; height: number } | undefined) => {
      machine.gpu.displays.set(0, size);
      machine.performAll(machine.registers!.configChanged(machine.gpu.displays.readConfig(0, 16)!));
      await machine.settle();
    };
    await resize(undefined);
    t.equal(pointsAt(), undefined);
    await draw(5);
    t.equal(pointsAt(), undefined);
    await resize({ width: 1280, height: 800 });
    t.ok(isArrow(machine));
    t.same(pointsAt(), path());
  },
);

t.test('a guest that lets its device go in the middle of an animation holds nothing of the cursor', async (t) => {
  const { machine, draw } = await animated();
  await draw(2);
  machine.setBack(5);
  await machine.settle();
  machine.backendLetsGo();
  await machine.settle();
  t.same(machine.kernel.held(), []);
});
