// The toolstack's devices when xenstored dies at the worst moment.
import t from 'tap';
import { backendPath } from '../../../lib/layout/xenbus.js';
import type { StoreClient } from '../../../lib/xenstore/api.js';
import { addVirtioDevice, virtioDeviceId } from '../../../toolstack/device.js';
import { createGuest } from '../../../toolstack/domain.js';
import type { GuestConfig } from '../../../toolstack/guest-config.js';
import { FakeHost } from '../../fixtures/toolstack.js';

const ID = virtioDeviceId(1, 0, 0);
const DEVICE = { type: 'virtio,device10', transport: 'mmio', backend: '0' } as const;
const BARE: GuestConfig = {
  ...{ name: 'gpu', memoryMib: 64, vcpus: 1 },
  ...{ onPoweroff: 'destroy', onReboot: 'restart', onCrash: 'destroy' },
  virtio: [],
};
const STATE = `${backendPath(ID)}/state`;

t.test('a device whose making was committed and not acknowledged is not made again under its backend', async (t) => {
  const host = new FakeHost();
  const toolstack = host.toolstack();
  await createGuest(toolstack, BARE);
  const backend = host.client('backend');
  // lib/xenstore/reconnecting-channel.ts answers EAGAIN when xenstored ends before it has answered a commit.
  const transaction: StoreClient['transaction'] = async (body) => {
    await toolstack.store.transaction(body);
    await backend.write(STATE, '2');
    return toolstack.store.transaction(body);
  };
  const store = new Proxy(toolstack.store, {
    get: (target, key) => {
      if (key === 'transaction') return transaction;
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  await addVirtioDevice({ ...toolstack, store }, ID, DEVICE);
  t.equal(await backend.read(STATE), '2');
});

t.test('an attempt that was not committed is made again', async (t) => {
  const host = new FakeHost();
  let disturbed = true;
  const other = host.client('other');
  const toolstack = host.toolstack((request) => {
    if (!request.startsWith('TRANSACTION_END') || disturbed) return;
    disturbed = true;
    void other.write(`${backendPath(ID)}/noise`, '1');
  });
  await createGuest(toolstack, BARE);
  host.asked.length = 0;
  disturbed = false;
  await addVirtioDevice(toolstack, ID, DEVICE);
  t.equal(host.asked.filter((request) => request.startsWith('TRANSACTION_START')).length, 2);
  t.equal(await other.read(STATE), '1');
});
