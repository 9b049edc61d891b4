// The guest's driver on blobs: pictures shown without a transfer, a name for the buffer, frames in two buffers, and all of it
// back after a reset of the device.
import t from 'tap';
import { NO_PROBE, type Probe } from '../../../../lib/core/probe.js';
import { featureBits, VIRTIO_F_RING_PACKED, VIRTIO_F_VERSION_1 } from '../../../../lib/layout/virtio-ring.js';
import { DATA_KEY } from '../../../../lib/layout/xenbus.js';
import { POINT } from '../../../../lib/trace/points.js';
import { DOMID, GuestMachine, type MachineOptions, rgbOf, testPicture } from '../../../../testkit/guest-machine.js';

const HOME = `/local/domain/${DOMID}`;

/** With the commands that the device executes, by name. */
function machineOf(options: MachineOptions = {}) {
  const commands: string[] = [];
  const at: Probe['at'] = (point, label) => {
    if (point === POINT['gpu.execute']) commands.push(label ?? '');
  };
  const picture = testPicture(128, 64);
  const machine = new GuestMachine({ picture, buffers: 'shared', probe: { ...NO_PROBE, at }, ...options });
  return { machine, commands, picture };
}

t.test('a shared buffer is shown as it is: created once, never transferred, named', async (t) => {
  const { machine, commands, picture } = machineOf();
  await machine.connect();
  t.same(machine.shown()?.rgb, rgbOf(picture));
  t.notOk(commands.includes('TRANSFER_TO_HOST_2D'));
  t.ok(commands.includes('RESOURCE_CREATE_BLOB') && commands.includes('SET_SCANOUT_BLOB'));
  t.ok(commands.includes('RESOURCE_ASSIGN_UUID'));
});

t.test('frames are drawn in two buffers in turn', async (t) => {
  const { machine } = machineOf();
  await machine.connect();
  const shown = new Set<number>();
  machine.write(`${HOME}/${DATA_KEY.animate}`, '60');
  for (let frame = 0; frame < 4; frame++) {
    await machine.settle();
    shown.add(machine.gpu.scanouts.get(0)!.shown!.resource.id);
    machine.clock.advance(20);
  }
  t.equal(shown.size, 2);
  machine.write(`${HOME}/${DATA_KEY.animate}`, '0');
  await machine.settle();
});

t.test('a device that was reset shows the same picture again, from the same memory', async (t) => {
  const { machine } = machineOf();
  await machine.connect();
  const before = machine.shown();
  machine.loseDevice();
  t.equal(machine.shown(), undefined);
  await machine.settle();
  t.same(machine.shown(), before);
});

t.test('packed rings carry all of it, through a reset of the device too', async (t) => {
  const { machine, commands, picture } = machineOf({ rings: 'packed' });
  const packed = featureBits(VIRTIO_F_RING_PACKED);
  const written: bigint[] = [];
  const setFeatures = machine.gpu.setFeatures.bind(machine.gpu);
  machine.gpu.setFeatures = (features) => {
    written.push(features & packed);
    setFeatures(features);
  };
  await machine.connect();
  t.same(machine.shown()?.rgb, rgbOf(picture));
  machine.loseDevice();
  t.equal(machine.shown(), undefined);
  await machine.settle();
  t.same(machine.shown()?.rgb, rgbOf(picture));
  t.same(written, [packed, packed]);
  t.equal(commands.filter((name) => name === 'SET_SCANOUT_BLOB').length, 2);
});

t.test('a device without blobs is given copies', async (t) => {
  const { machine, commands } = machineOf({ features: featureBits(VIRTIO_F_VERSION_1) });
  await machine.connect();
  t.ok(machine.shown());
  t.ok(commands.includes('TRANSFER_TO_HOST_2D'));
  t.notOk(commands.includes('RESOURCE_ASSIGN_UUID'));
});
