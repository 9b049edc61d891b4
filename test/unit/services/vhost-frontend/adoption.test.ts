// What waits in the ioreq server of a backend that was killed, and what the next backend does with it.
import t from 'tap';
import { ErrnoError } from '../../../../lib/core/errors.js';
import { VHOST_USER_REQUEST } from '../../../../lib/layout/vhost-user.js';
import * as M from '../../../../lib/layout/virtio-mmio.js';
import { access, BASE, drive } from '../../../../testkit/dom0-driver.js';
import { Dom0Lab } from '../../../../testkit/dom0-lab.js';
import type { FakeGuest } from '../../../../testkit/host-lab.js';

const status = (lab: Dom0Lab, vcpu: FakeGuest) => access(lab, vcpu, { offset: M.VIRTIO_MMIO_STATUS });

t.test('a killed backend: the next one answers what waits in its slots, and takes its server over', async (t) => {
  for (const died of ['before the claim', 'before the answer', 'before saying that it has answered']) {
    const lab = await new Dom0Lab().start();
    const { domain, vcpu } = lab.guest();
    await lab.connect(domain);
    await drive(lab, vcpu);
    const claimed = died !== 'before the claim';
    if (claimed) {
      lab.server.holding = VHOST_USER_REQUEST.VHOST_USER_GET_VRING_BASE;
      vcpu.write(BASE + M.VIRTIO_MMIO_STATUS, 0);
      await lab.until('the slot to be claimed', () => lab.server.heldCount === 2);
      lab.crash();
      // What is dead here still runs: it stores its answer, and no event tells of it.
      if (died === 'before saying that it has answered') lab.server.release();
      lab.server.holding = undefined;
    } else {
      lab.crash();
      t.equal(vcpu.read(BASE + M.VIRTIO_MMIO_STATUS), undefined, 'unanswered');
    }
    await lab.start();
    let answer = vcpu.answer();
    await lab.until('the answer', () => {
      answer ??= vcpu.answer();
      return answer !== undefined;
    });
    if (!claimed) t.equal(answer?.data, 0x40n, 'from a fresh register file');
    await lab.untilBack(5, 1);
    t.equal(await status(lab, vcpu), died === 'before the answer' ? 0 : 0x40, died);
    t.equal(lab.held.filter((what) => what.startsWith('ioreq server')).length, 1);
    await lab.front(1, { state: 6 });
    await lab.untilBack(6, 1);
    t.same(
      lab.ledger.held.filter(({ what }) => what !== 'watch'),
      [],
    );
    t.notOk(lab.held.some((what) => what.startsWith('ioreq server')));
    t.same(lab.failures, []);
  }
});

t.test(
  'a request that waits in an adopted server for no device is answered once all devices have claimed their ranges',
  async (t) => {
    const lab = await new Dom0Lab().start();
    const { domain, vcpu } = lab.guest();
    await lab.connect(domain);
    lab.crash();
    vcpu.read(BASE + M.VIRTIO_MMIO_MAGIC_VALUE);
    await lab.front(1, { base: '0xf0005000' });
    await lab.start();
    await lab.until('all ones', () => vcpu.answer()?.data === 0xffffffffn);
    await lab.untilBack(5, 1);
    t.same(lab.failures, []);
  },
);

t.test(
  'a request that waits in an adopted server waits for its device, however long the device server is away',
  async (t) => {
    const lab = await new Dom0Lab().start();
    const { domain, vcpu } = lab.guest();
    await lab.create(1, 1);
    await lab.connect(domain);
    lab.crash();
    lab.server.kill();
    t.equal(vcpu.read(BASE + M.VIRTIO_MMIO_STATUS), undefined);
    await lab.start();
    await lab.until('the adoption', () => lab.ledger.held.some(({ what }) => what === 'ioreq server'));
    for (let minute = 0; minute < 10; minute++) {
      lab.clock.advance(60_000);
      for (let turn = 0; turn < 50; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    }
    t.equal(vcpu.answer(), undefined, 'no device has said that the range is not its own');
    lab.server.start();
    let answer = vcpu.answer();
    await lab.until('the answer', () => {
      answer ??= vcpu.answer();
      return answer !== undefined;
    });
    t.equal(answer?.data, 0x40n, 'from a fresh register file');
    await lab.untilBack(5, 1);
    t.same(lab.failures, []);
  },
);

t.test(
  'a device server that refuses a device it had: the next backend answers its registers until the guest has let go',
  async (t) => {
    const lab = await new Dom0Lab().start();
    const { domain, vcpu } = lab.guest();
    await lab.connect(domain);
    await drive(lab, vcpu);
    lab.crash();
    vcpu.read(BASE + M.VIRTIO_MMIO_STATUS);
    lab.server.refuses = new ErrnoError('EINVAL', 'no such device');
    await lab.start();
    let answer = vcpu.answer();
    await lab.until('the answer', () => {
      answer ??= vcpu.answer();
      return answer !== undefined;
    });
    t.equal(answer?.data, 0x40n, 'from a fresh register file');
    await lab.untilBack(5, 1);
    await lab.front(1, { state: 6 });
    await lab.untilBack(6, 1);
    t.same(
      lab.ledger.held.filter(({ what }) => what !== 'watch'),
      [],
    );
    await lab.front(1, { state: 1 });
    await lab.until('the reason', async () => (await lab.error(1)).includes('no such device'));
    t.equal(await lab.back(1), '6', 'another connection cannot begin');
    t.same(lab.failures, []);
  },
);

t.test('a device that is removed while its server is awaited leaves no request in an adopted server', async (t) => {
  const lab = await new Dom0Lab().start();
  const { domain, vcpu } = lab.guest();
  await lab.connect(domain);
  lab.crash();
  lab.server.kill();
  vcpu.read(BASE + M.VIRTIO_MMIO_STATUS);
  await lab.start();
  await lab.until('the adoption', () => lab.ledger.held.some(({ what }) => what === 'ioreq server'));
  await lab.store.rm('/local/domain/0/backend/virtio-mmio/1');
  await lab.until('an answer', () => vcpu.answer() !== undefined);
  await lab.until('everything to be given back', () => lab.ledger.held.length === 0);
  t.same(lab.failures, []);
});
