// The guest kernel when its display is lost, reset or changed.
import t from 'tap';
import {
  VIRTIO_MMIO_DRIVER_FEATURES,
  VIRTIO_MMIO_SHM_SEL,
  VIRTIO_MMIO_STATUS,
} from '../../../../lib/layout/virtio-mmio.js';
import { DATA_KEY } from '../../../../lib/layout/xenbus.js';
import { DOMID, rgbOf, testPicture } from '../../../../testkit/guest-machine.js';
import { machineOf } from '../../../../testkit/kept-machine.js';

const HOME = `/local/domain/${DOMID}`;

t.test('a device that loses its state is reset and the picture is back', async (t) => {
  const picture = testPicture(200, 100);
  const { machine, nothingHeld } = machineOf({ picture });
  await machine.connect();
  machine.loseDevice();
  t.equal(machine.shown(), undefined);
  await machine.settle();
  t.equal(machine.registers?.needsReset, false);
  t.equal(Buffer.compare(Buffer.from(machine.shown()!.rgb), Buffer.from(rgbOf(picture))), 0);
  machine.setBack(5);
  await machine.settle();
  nothingHeld(t);
  t.end();
});

t.test('a device lost while the frame is under way shows it after its reset', async (t) => {
  const picture = testPicture(64, 64);
  const { machine } = machineOf({ picture });
  machine.provision();
  machine.boot();
  await machine.settle();
  machine.backendOffers();
  await machine.settle();
  machine.backendConnects();
  // Deaf from the frame on: display info has been answered then.
  machine.onStateWritten = (state) => {
    machine.gpuDeaf = state === 4;
  };
  await machine.settle();
  t.equal(machine.front, 4);
  t.equal(machine.read(`${HOME}/${DATA_KEY.frame}`), 'ENOENT');
  machine.gpuDeaf = false;
  machine.loseDevice();
  await machine.settle();
  t.equal(machine.read(`${HOME}/${DATA_KEY.frame}`), '1');
  t.equal(Buffer.compare(Buffer.from(machine.shown()!.rgb), Buffer.from(rgbOf(picture))), 0);
  t.end();
});

t.test('a device lost during its probe does not hold the handshake up', async (t) => {
  const picture = testPicture(64, 64);
  const { machine } = machineOf({ picture });
  machine.provision();
  machine.boot();
  await machine.settle();
  machine.backendOffers();
  await machine.settle();
  machine.backendConnects();
  machine.gpuDeaf = true;
  await machine.settle();
  t.equal(machine.front, 3, 'waits for display info');
  machine.gpuDeaf = false;
  machine.loseDevice();
  await machine.settle();
  t.equal(machine.front, 4);
  t.equal(machine.read(`${HOME}/${DATA_KEY.frame}`), '1');
  t.equal(Buffer.compare(Buffer.from(machine.shown()!.rgb), Buffer.from(rgbOf(picture))), 0);
  t.end();
});

t.test('a device whose server is away after its reset is reset again when it is back', async (t) => {
  const picture = testPicture(64, 64);
  const { machine, nothingHeld } = machineOf({ picture });
  await machine.connect();
  // DRIVER_OK finds no server: the driver is told when there is one.
  machine.onRegisterWrite = (offset) => {
    if (offset === VIRTIO_MMIO_STATUS && machine.registers!.live) machine.registers!.setNeedsReset();
  };
  machine.loseDevice();
  await machine.settle();
  t.equal(machine.registers?.needsReset, true);
  const tried = machine.trace.length;
  machine.clock.advance(60_000);
  await machine.settle();
  t.equal(machine.trace.length, tried, 'it waits without trying again, however long');
  t.equal(machine.read(`${HOME}/${DATA_KEY.failure}`), 'ENOENT');
  machine.onRegisterWrite = undefined;
  machine.loseDevice();
  await machine.settle();
  t.equal(machine.registers?.needsReset, false);
  t.equal(Buffer.compare(Buffer.from(machine.shown()!.rgb), Buffer.from(rgbOf(picture))), 0);
  machine.setBack(5);
  await machine.settle();
  nothingHeld(t);
  t.end();
});

t.test('a device lost again while it is restored is restored', async (t) => {
  const picture = testPicture(64, 64);
  const { machine } = machineOf({ picture });
  machine.provision();
  machine.boot();
  await machine.settle();
  machine.backendOffers();
  await machine.settle();
  machine.backendConnects();
  machine.gpuDeaf = true;
  await machine.settle();
  machine.loseDevice();
  await machine.settle();
  t.equal(machine.front, 4, 'connected without display info, which the restoring asks for');
  t.equal(machine.registers?.needsReset, false);
  machine.gpuDeaf = false;
  machine.loseDevice();
  await machine.settle();
  t.equal(machine.read(`${HOME}/${DATA_KEY.frame}`), '1', 'without a wait for the answer that was lost');
  t.equal(Buffer.compare(Buffer.from(machine.shown()!.rgb), Buffer.from(rgbOf(picture))), 0);
  t.end();
});

t.test(
  'a device whose registers forget it while it is restored shows its first frame after the next connection',
  async (t) => {
    const picture = testPicture(64, 64);
    const { machine, nothingHeld } = machineOf({ picture });
    machine.provision();
    machine.boot();
    await machine.settle();
    machine.backendOffers();
    await machine.settle();
    machine.backendConnects();
    machine.onStateWritten = (state) => {
      machine.gpuDeaf = state === 4;
    };
    await machine.settle();
    machine.onStateWritten = () => {};
    t.equal(machine.read(`${HOME}/${DATA_KEY.frame}`), 'ENOENT');
    machine.gpuDeaf = false;
    machine.onRegisterWrite = (offset) => {
      if (offset !== VIRTIO_MMIO_DRIVER_FEATURES) return;
      machine.onRegisterWrite = undefined;
      machine.backendReplaced();
    };
    machine.loseDevice();
    await machine.settle();
    t.equal(machine.registers?.needsReset, true);
    t.equal(machine.read(`${HOME}/${DATA_KEY.failure}`), 'ENOENT', 'it waits for what the backend does');
    machine.setBack(5);
    await machine.settle();
    t.equal(machine.front, 6);
    machine.backendLetsGo();
    await machine.settle();
    machine.backendOffers();
    await machine.settle();
    machine.backendConnects();
    await machine.settle();
    t.equal(machine.front, 4);
    t.equal(machine.read(`${HOME}/${DATA_KEY.frame}`), '1');
    t.equal(machine.read(`${HOME}/${DATA_KEY.failure}`), 'ENOENT');
    t.equal(Buffer.compare(Buffer.from(machine.shown()!.rgb), Buffer.from(rgbOf(picture))), 0);
    machine.setBack(5);
    await machine.settle();
    nothingHeld(t);
    t.end();
  },
);

t.test(
  'a probe whose registers forget it before there is a queue gives up, and another connection is made',
  async (t) => {
    const { machine } = machineOf();
    machine.provision();
    machine.boot();
    await machine.settle();
    machine.backendOffers();
    await machine.settle();
    // Between FEATURES_OK and the first queue, as by a backend that found the device half-way.
    machine.onRegisterWrite = (offset) => {
      if (offset !== VIRTIO_MMIO_SHM_SEL) return;
      machine.onRegisterWrite = undefined;
      machine.registers!.setNeedsReset();
      machine.performAll(machine.registers!.wake());
    };
    machine.backendConnects();
    await machine.settle();
    t.equal(machine.front, 6, 'without a wait for display info');
    t.match(machine.read(`${HOME}/error/device/virtio-mmio/0/error`), /the device was reset/);
    t.end();
  },
);

t.test("Linux's driver leaves a lost device lost", async (t) => {
  const { machine, nothingHeld } = machineOf({ personality: 'linux' });
  await machine.connect();
  machine.loseDevice();
  await machine.settle();
  t.equal(machine.shown(), undefined);
  t.equal(machine.registers?.needsReset, true);
  machine.setBack(5);
  await machine.settle();
  machine.clock.advance(250);
  await machine.settle();
  t.equal(machine.front, 6);
  nothingHeld(t);
  t.end();
});

t.test('a changed display is asked for again, and the event is cleared after that', async (t) => {
  const { machine } = machineOf();
  await machine.connect();
  const before = machine.trace.length;
  machine.gpu.displays.set(0, { width: 800, height: 600 });
  machine.performAll(machine.registers!.configChanged(machine.gpu.displays.readConfig(0, 16)!));
  await machine.settle();
  const seen = machine.trace.slice(before).filter((line) => /0x10[04]/.test(line));
  t.same(seen, ['R 0x100', 'W 0x104 0x1']);
  t.equal(machine.registers!.read(0x100, 4), 0);
  t.end();
});

t.test('a display that is unplugged goes dark, and shows its picture when it is plugged in again', async (t) => {
  const { machine } = machineOf();
  await machine.connect();
  const scanout = machine.gpu.scanouts.get(0)!;
  const resource = scanout.shown?.resource;
  t.ok(resource);
  const change = async (size: { width: number; height: number } | undefined): Promise<void> => {
    machine.gpu.displays.set(0, size);
    machine.performAll(machine.registers!.configChanged(machine.gpu.displays.readConfig(0, 16)!));
    await machine.settle();
  };
  await change(undefined);
  t.equal(scanout.shown, undefined);
  const flushed = scanout.flushCount;
  await change({ width: 1280, height: 800 });
  t.equal(scanout.shown?.resource, resource);
  t.equal(scanout.flushCount, flushed + 1);
  t.end();
});
