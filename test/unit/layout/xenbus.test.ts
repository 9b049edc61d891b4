import t from 'tap';
import { backendPath, frontendPath, parseDeviceKey } from '../../../lib/layout/xenbus.js';

t.test('a path of a key says of which device it is, and of which end', async (t) => {
  const id = { kind: 'virtio-mmio', domid: 12, devid: 3, backDomid: 1 };
  const { backDomid: _backDomid, ...device } = id;
  t.same(parseDeviceKey(`${frontendPath(id)}/queue-0/event-channel`), {
    ...device,
    side: 'front',
    dir: frontendPath(id),
    key: 'queue-0/event-channel',
  });
  t.same(parseDeviceKey(`${backendPath(id)}/state`), { ...device, side: 'back', dir: backendPath(id), key: 'state' });
  const others = [
    '',
    '/',
    frontendPath(id),
    `${frontendPath(id)}/`,
    '/libxl/12/device/virtio-mmio/3/state',
    '/local/domain/12/state',
  ];
  for (const path of others) t.equal(parseDeviceKey(path), undefined, path);
});
