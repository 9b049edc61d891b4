// A device with `grant_usage` = 1 from the guest's vCPU to the device server's door: what is offered, refused, pinned and
// given back.
import t from 'tap';
import type { GrantHandle } from '../../../../lib/core/proto-types.js';
import {
  GRANT_ENTRY_V1,
  GRANT_FRAMES_MAX,
  GTF_permit_access,
  GTF_reading,
  GTF_readonly,
  GTF_writing,
} from '../../../../lib/layout/grant-table.js';
import * as M from '../../../../lib/layout/virtio-mmio.js';
import { access } from '../../../../testkit/dom0-driver.js';
import { Dom0Lab } from '../../../../testkit/dom0-lab.js';
import type { FakeGuest } from '../../../../testkit/host-lab.js';

const NAME = '1/0';
const HIGH = 0x80000000;
const PINNED = GTF_permit_access | GTF_reading | GTF_writing;

async function stage() {
  const lab = new Dom0Lab();
  const open = lab.server.open.bind(lab.server);
  Object.assign(lab.server, {
    grants: true,
    open: async (...args: Parameters<typeof open>) => ({
      ...(await open(...args)),
      grantHandle: (grants: GrantHandle) => ({ grants }),
    }),
  });
  await lab.start();
  const { domain, vcpu, process } = lab.guest();
  const before = lab.held;
  await lab.create(domain.domid, 0, { grant_usage: '1' });
  await lab.untilBack(2, domain.domid);
  await lab.front(domain.domid, { base: '0xf0000000', 'event-channel': lab.port(domain), state: 3 });
  await lab.untilBack(4, domain.domid);
  await lab.front(domain.domid, { state: 4 });
  const { file } = lab.lab.call(domain.domid, 'gnttab.setup_table', { dom: 0x7ff0, nr_frames: 1 }) as {
    file: GrantHandle['table'];
  };
  const { bytes } = lab.lab.files.map(file);
  const grant = (ref: number, flags = GTF_permit_access) =>
    GRANT_ENTRY_V1.encode({ flags, domid: 0, frame: ref }, bytes, ref * GRANT_ENTRY_V1.size);
  const flags = (ref: number) => GRANT_ENTRY_V1.decode(bytes, ref * GRANT_ENTRY_V1.size).flags;
  return { lab, domain, vcpu, process, before, grant, flags };
}

/** To FEATURES_OK with these bits of page 1; answers Status. */
async function negotiate(lab: Dom0Lab, vcpu: FakeGuest, high: number): Promise<number> {
  const w = (offset: number, value: number) => access(lab, vcpu, { offset, value });
  for (const status of [0, 1, 3]) await w(M.VIRTIO_MMIO_STATUS, status);
  await w(M.VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
  await w(M.VIRTIO_MMIO_DRIVER_FEATURES, high);
  await w(M.VIRTIO_MMIO_STATUS, 0xb);
  return access(lab, vcpu, { offset: M.VIRTIO_MMIO_STATUS });
}

/** One ring at granted references 8, 9 and 10, and DRIVER_OK; answers Status. */
async function startRing(lab: Dom0Lab, vcpu: FakeGuest, high = HIGH): Promise<number> {
  const w = (offset: number, value: number) => access(lab, vcpu, { offset, value });
  await w(M.VIRTIO_MMIO_QUEUE_SEL, 0);
  await w(M.VIRTIO_MMIO_QUEUE_NUM, 16);
  const areas: [number, number, number][] = [
    [M.VIRTIO_MMIO_QUEUE_DESC_LOW, M.VIRTIO_MMIO_QUEUE_DESC_HIGH, 0x8000],
    [M.VIRTIO_MMIO_QUEUE_AVAIL_LOW, M.VIRTIO_MMIO_QUEUE_AVAIL_HIGH, 0x9000],
    [M.VIRTIO_MMIO_QUEUE_USED_LOW, M.VIRTIO_MMIO_QUEUE_USED_HIGH, 0xa000],
  ];
  for (const [lowAt, highAt, addr] of areas) {
    await w(lowAt, addr);
    await w(highAt, high);
  }
  await w(M.VIRTIO_MMIO_QUEUE_READY, 1);
  await w(M.VIRTIO_MMIO_STATUS, 0xf);
  return access(lab, vcpu, { offset: M.VIRTIO_MMIO_STATUS });
}

t.test('the driver is offered ACCESS_PLATFORM, and not let through without it', async (t) => {
  const { lab, vcpu } = await stage();
  await access(lab, vcpu, { offset: M.VIRTIO_MMIO_DEVICE_FEATURES_SEL, value: 1 });
  t.equal(await access(lab, vcpu, { offset: M.VIRTIO_MMIO_DEVICE_FEATURES }), 0x103);
  t.equal(await negotiate(lab, vcpu, 1), 3, 'no FEATURES_OK');
  t.equal(await negotiate(lab, vcpu, 3), 0xb);
});

t.test('the guest is not mapped; rings are pinned while they run, and all is given back', async (t) => {
  const { lab, domain, vcpu, before, grant, flags } = await stage();
  const fresh = () => lab.held.filter((held) => !before.includes(held));
  t.ok(fresh().includes('gntdev 1'));
  t.notOk(fresh().some((held) => held.startsWith('mapping')));
  for (const ref of [8, 9, 10]) grant(ref);
  await negotiate(lab, vcpu, 3);
  t.equal(await startRing(lab, vcpu), 0xf);
  const device = lab.server.devices.get(NAME)!;
  const desc = (1n << 63n) | 0x8000n;
  t.match(device.running.get(0), { size: 16, desc, avail: desc + 0x1000n, used: desc + 0x2000n });
  t.match(device.memory, [{ guestAddr: 1n << 63n, size: BigInt(GRANT_FRAMES_MAX * 512 * 4096), mmapOffset: 0n }]);
  t.match(device.memory[0]!.handle, { grants: { ram: { size: 8 << 20 } } });
  t.equal(device.accepted & (1n << 33n), 0n, 'which addresses these are is told by the region');
  t.same([8, 9, 10].map(flags), [PINNED, PINNED, PINNED]);
  await access(lab, vcpu, { offset: M.VIRTIO_MMIO_STATUS, value: 0 });
  t.same([8, 9, 10].map(flags), [1, 1, 1], 'a reset unpins before it is answered');
  await negotiate(lab, vcpu, 3);
  t.equal(await startRing(lab, vcpu), 0xf, 'and again');
  lab.server.kill();
  t.equal(flags(8), PINNED, 'the device server died: the guest has not been told yet');
  lab.server.start();
  await access(lab, vcpu, { offset: M.VIRTIO_MMIO_STATUS, value: 0 });
  t.same([8, 9, 10].map(flags), [1, 1, 1]);
  await lab.store.write('/local/domain/0/backend/virtio-mmio/1/0/online', '0');
  await lab.store.write('/local/domain/0/backend/virtio-mmio/1/0/state', '5');
  await lab.front(domain.domid, { state: 6 });
  await lab.untilBack(6, domain.domid);
  t.same(fresh(), []);
  t.same(
    lab.ledger.held.filter(({ what }) => what !== 'watch'),
    [],
  );
  t.same(lab.failures, []);
});

t.test(
  'rings that are not granted, for writing too, end in NEEDS_RESET and never reach the device server',
  async (t) => {
    const { lab, vcpu, grant, flags } = await stage();
    const attempt = async (what: string, high = HIGH) => {
      await negotiate(lab, vcpu, 3);
      t.equal(await startRing(lab, vcpu, high), 0x4f, what);
      t.equal(lab.server.devices.get(NAME)!.running.size, 0, what);
      t.same(
        [8, 9, 10].map((ref) => flags(ref) & (GTF_reading | GTF_writing)),
        [0, 0, 0],
        what,
      );
    };
    await attempt('nothing granted');
    grant(8);
    grant(9);
    await attempt('one page missing');
    grant(10, GTF_permit_access | GTF_readonly);
    await attempt('a used ring for reading only');
    grant(10);
    await attempt('plain addresses', 0);
    await attempt('a reference past every table', HIGH | 0xfffff);
    await attempt('neither', HIGH | 0x7fffffff);
    await negotiate(lab, vcpu, 3);
    t.equal(await startRing(lab, vcpu), 0xf);
  },
);

t.test('a guest that dies, and a backend that dies, leave nothing pinned or held', async (t) => {
  const { lab, domain, vcpu, process, grant, flags } = await stage();
  for (const ref of [8, 9, 10]) grant(ref);
  await negotiate(lab, vcpu, 3);
  await startRing(lab, vcpu);
  lab.crash();
  t.same([8, 9, 10].map(flags), [1, 1, 1], 'the kernel unmaps what a dead process had mapped');
  t.notOk(
    lab.held.some((held) => /^(grant|gntdev|mapping)/.test(held)),
    lab.held.join(),
  );
  await lab.start();
  await lab.until('the next backend', () => lab.held.includes('gntdev 1'));
  lab.storeLab.guest(1);
  lab.lab.host.processEnded(process);
  lab.lab.host.destroy(domain);
  await lab.store.release(1);
  await lab.until('its end', () => !lab.held.some((held) => /^(grant|gntdev|mapping)/.test(held)));
  await lab.until('the domain', () => domain.life === 'gone');
  t.same(lab.failures, []);
});

t.test('a device server that cannot be given grants has the device refused', async (t) => {
  const lab = await new Dom0Lab().start();
  lab.guest();
  await lab.create(1, 0, { grant_usage: '1' });
  await lab.untilBack(6, 1);
  t.match(await lab.error(1), /^95 grant_usage/);
});
