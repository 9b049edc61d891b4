// Bugs of ours inside the backend: none of its catch clauses takes one for a peer's doing.
import t from 'tap';
import * as M from '../../../../lib/layout/virtio-mmio.js';
import { VirtioMmioDevice } from '../../../../lib/virtio/mmio-device.js';
import { BASE, drive } from '../../../../testkit/dom0-driver.js';
import { Dom0Lab } from '../../../../testkit/dom0-lab.js';

const NAME = '1/0';

t.test('a bug of ours is no answer to a peer: it is a failure of this process', async (t) => {
  const bug = new TypeError('a bug');
  const broken = (): never => {
    throw bug;
  };
  const failed = async (lab: Dom0Lab, what: string): Promise<void> => {
    const deadline = Date.now() + 5000;
    while (lab.failures.length === 0 && Date.now() < deadline)
      await new Promise<void>((resolve) => setImmediate(resolve));
    t.same(lab.failures, [bug], what);
  };
  const opening = await new Dom0Lab().start();
  opening.guest();
  opening.server.refuses = bug;
  await opening.create(1);
  await failed(opening, 'an effect of the backend machine (device.ts)');
  t.equal(await opening.back(1), '1');
  t.equal(await opening.error(1), '');

  const listing = new Dom0Lab();
  listing.guest();
  await listing.create(1);
  listing.backendStore = (store) =>
    new Proxy(store, {
      get: (target, name: keyof typeof store) =>
        name === 'directory' ? () => Promise.reject(bug) : target[name].bind(target),
    });
  await listing.start();
  await failed(listing, 'a look at the store (devices.ts)');

  for (const where of ['a register access', 'an effect of one']) {
    const lab = await new Dom0Lab().start();
    const { domain, vcpu } = lab.guest();
    await lab.connect(domain);
    await drive(lab, vcpu);
    const device = lab.server.devices.get(NAME)!;
    const { read } = VirtioMmioDevice.prototype;
    if (where === 'a register access') VirtioMmioDevice.prototype.read = broken;
    else device.writeConfig = broken;
    const before = vcpu.state;
    const answer =
      where === 'a register access'
        ? vcpu.read(BASE + M.VIRTIO_MMIO_STATUS)
        : vcpu.write(BASE + M.VIRTIO_MMIO_CONFIG + 4, 1);
    VirtioMmioDevice.prototype.read = read;
    await failed(lab, `${where} (ioreq-client.ts)`);
    t.equal(answer ?? vcpu.answer(), undefined, `the vCPU is not told anything, ${before}`);
  }
});
