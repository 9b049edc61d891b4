import t from 'tap';
import { DEADLINE_MS } from '../../../../lib/core/deadlines.js';
import { ErrnoError } from '../../../../lib/core/errors.js';
import { DomId } from '../../../../lib/core/ids.js';
import { VHOST_USER_REQUEST } from '../../../../lib/layout/vhost-user.js';
import * as M from '../../../../lib/layout/virtio-mmio.js';
import { access, BASE, drive } from '../../../../testkit/dom0-driver.js';
import { Dom0Lab } from '../../../../testkit/dom0-lab.js';
import type { FakeGuest } from '../../../../testkit/host-lab.js';

const NAME = '1/0';

const status = (lab: Dom0Lab, vcpu: FakeGuest) => access(lab, vcpu, { offset: M.VIRTIO_MMIO_STATUS });

t.test('a device from creation to picture and away: kicks, calls, config, reset, and nothing left', async (t) => {
  const lab = await new Dom0Lab().start();
  const { domain, vcpu } = lab.guest();
  const before = lab.held.length;
  const port = await lab.connect(domain);
  t.equal(await access(lab, vcpu, { offset: 0 }), M.VIRTIO_MMIO_MAGIC);
  await drive(lab, vcpu);
  const device = lab.server.devices.get(NAME)!;
  t.same([...device.running.keys()], [0, 1]);
  t.match(device.running.get(1), { size: 16, desc: 0x20000n, avail: 0x21000n, used: 0x22000n, base: 0 });
  t.equal(device.accepted, (1n << 1n) | (1n << 28n) | (1n << 32n), 'NOTIFY_ON_EMPTY was not shown to the guest');
  t.match(device.memory, [{ guestAddr: 0n, size: 8n << 20n }]);
  t.same(device.kicks, [0, 1], 'each started ring is kicked once');

  vcpu.write(BASE + M.VIRTIO_MMIO_QUEUE_NOTIFY, 1);
  t.same(device.kicks, [0, 1, 1], 'a kick passes us by');
  await lab.until('its completion', () => vcpu.answer() !== undefined || vcpu.state === 0);

  vcpu.shared.take();
  lab.server.call(NAME, 0);
  t.ok(vcpu.shared.pending(port), 'a call passes us by');
  t.equal(await access(lab, vcpu, { offset: M.VIRTIO_MMIO_INTERRUPT_STATUS }), 1);

  vcpu.shared.take();
  device.config[0] = 1;
  lab.server.configChange();
  await lab.until('the config interrupt', () => vcpu.shared.pending(port));
  t.equal(await access(lab, vcpu, { offset: M.VIRTIO_MMIO_INTERRUPT_STATUS }), 3);
  t.equal(await access(lab, vcpu, { offset: 0x100 }), 1);
  await access(lab, vcpu, { offset: 0x104, value: 1 });
  t.equal(await access(lab, vcpu, { offset: 0x100 }), 0, 'the write was done before it was answered');

  await access(lab, vcpu, { offset: M.VIRTIO_MMIO_STATUS, value: 0 });
  t.same(device.calls.slice(-3), ['stop 0', 'stop 1', 'reset']);
  await lab.store.write(`/local/domain/0/backend/virtio-mmio/1/0/online`, '0');
  await lab.store.write(`/local/domain/0/backend/virtio-mmio/1/0/state`, '5');
  await lab.front(1, { state: 6 });
  await lab.untilBack(6, 1);
  t.same(
    lab.ledger.held.filter(({ what }) => what !== 'watch'),
    [],
  );
  t.equal(lab.held.length, before, lab.held.join());
  t.equal(lab.server.devices.size, 0);
  await lab.store.rm('/local/domain/0/backend/virtio-mmio/1');
  await lab.until('the watch', () => lab.ledger.held.length === 0);
  t.same(lab.failures, []);
});

t.test('a reset is finished before its write completes', async (t) => {
  const lab = await new Dom0Lab().start();
  const { domain, vcpu } = lab.guest();
  await lab.connect(domain);
  await drive(lab, vcpu);
  lab.server.holding = VHOST_USER_REQUEST.VHOST_USER_GET_VRING_BASE;
  t.equal(vcpu.write(BASE + M.VIRTIO_MMIO_STATUS, 0), undefined);
  await lab.until('the stop', () => lab.server.heldCount === 2);
  t.equal(vcpu.answer(), undefined, 'the vCPU waits');
  lab.server.release();
  await lab.until('the write', () => vcpu.answer() !== undefined);
  t.equal(lab.server.devices.get(NAME)!.running.size, 0);
  t.equal(await status(lab, vcpu), 0);
});

t.test('a queue that its driver resets is set up anew while the device runs', async (t) => {
  const lab = await new Dom0Lab().start();
  const { domain, vcpu } = lab.guest();
  await lab.connect(domain);
  await drive(lab, vcpu, BASE, 0x101);
  const device = lab.server.devices.get(NAME)!;
  device.calls.length = 0;
  const write = (offset: number, value: number) => access(lab, vcpu, { offset, value });
  await write(M.VIRTIO_MMIO_QUEUE_SEL, 1);
  await write(M.VIRTIO_MMIO_QUEUE_RESET, 1);
  t.same(device.calls, ['stop 1'], 'it was stopped before the write was answered');
  t.equal(await access(lab, vcpu, { offset: M.VIRTIO_MMIO_QUEUE_RESET }), 0);
  await write(M.VIRTIO_MMIO_QUEUE_NUM, 8);
  await write(M.VIRTIO_MMIO_QUEUE_DESC_LOW, 0x30000);
  await write(M.VIRTIO_MMIO_QUEUE_AVAIL_LOW, 0x31000);
  await write(M.VIRTIO_MMIO_QUEUE_USED_LOW, 0x32000);
  const kicks = device.kicks.length;
  await write(M.VIRTIO_MMIO_QUEUE_READY, 1);
  t.same(device.calls, ['stop 1', 'start 1']);
  t.match(device.running.get(1), { size: 8, desc: 0x30000n, avail: 0x31000n, used: 0x32000n, base: 0 });
  t.same(device.kicks.slice(kicks), [1], 'and kicked once');
  t.ok(device.running.has(0));
});

t.test('every access is answered, whatever it is', async (t) => {
  const lab = await new Dom0Lab().start();
  const { domain, vcpu } = lab.guest();
  await lab.connect(domain);
  for (const size of [1, 2, 4, 8]) {
    for (let offset = 0; offset < 0x200; offset += 8) {
      await access(lab, vcpu, { offset, size });
      await access(lab, vcpu, { offset, size, value: 0xffffffff });
    }
  }
  t.equal(await access(lab, vcpu, { offset: 0 }), M.VIRTIO_MMIO_MAGIC);
  t.equal(await access(lab, vcpu, { offset: 0x200 }), 0xffffffff, 'past the range no register answers');
});

t.test('bad frontends are told so and closed; their neighbours go on', async (t) => {
  const lab = await new Dom0Lab().start();
  const { domain, vcpu } = lab.guest();
  await lab.connect(domain);
  const other = lab.guest();
  const good = lab.port(domain);
  const cases: [string, Record<string, string | number>, RegExp][] = [
    ['base that meets another device', { base: '0xf0000000', 'event-channel': good }, /meets another/],
    ['base in RAM', { base: '0x100000', 'event-channel': good }, /base/],
    ['base outside the window', { base: '0xfc000000', 'event-channel': good }, /base/],
    ['a port that the guest does not have', { base: '0xf0001000', 'event-channel': 900 }, /^22 /],
    ["another guest's port", { base: '0xf0001000', 'event-channel': lab.port(other.domain) + 3 }, /^22 /],
    ['no keys', {}, /base/],
  ];
  let devid = 1;
  for (const [name, keys, text] of cases) {
    await lab.create(1, devid);
    await lab.untilBack(2, 1, devid);
    await lab.front(1, { ...keys, state: 3 }, devid);
    await lab.untilBack(5, 1, devid);
    t.match(await lab.error(1, devid), text, name);
    await lab.front(1, { state: 6 }, devid);
    await lab.untilBack(6, 1, devid);
    await lab.store.rm(`/local/domain/0/backend/virtio-mmio/1/${devid}`);
    await lab.until('its error key to go', async () => (await lab.error(1, devid)) === '');
    devid++;
  }
  t.equal(await access(lab, vcpu, { offset: 0 }), M.VIRTIO_MMIO_MAGIC);
  t.equal(await lab.back(1), '4');
  t.same(lab.failures, []);
});

t.test('devices that this backend cannot offer are refused once, with a reason', async (t) => {
  const lab = await new Dom0Lab().start();
  lab.guest();
  const cases: [Record<string, string>, RegExp][] = [
    [{ type: 'virtio,device1a' }, /^22 type/],
    [{ type: 'virtio,device' }, /^22 type/],
    [{ type: 'virtio,device16' }, /^22 type/],
    [{ transport: 'pci' }, /^95 transport/],
    [{ grant_usage: '1' }, /^95 grant_usage/],
    [{ server: 'No name' }, /^22 server/],
    [{ frontend: '/local/domain/2/device/virtio-mmio/0' }, /^22 frontend/],
    [{ 'frontend-id': '2' }, /^22 frontend/],
  ];
  for (const [devid, [keys, text]] of cases.entries()) {
    await lab.create(1, devid, keys);
    await lab.untilBack(6, 1, devid);
    t.match(await lab.error(1, devid), text, JSON.stringify(keys));
  }
  lab.server.refuses = new ErrnoError('ENOSPC', 'no room');
  await lab.create(1, 20);
  await lab.untilBack(6, 1, 20);
  t.match(await lab.error(1, 20), /^28 no room/);
  await lab.create(77);
  await lab.untilBack(6, 77);
  t.match(await lab.error(77), /^3 /, 'a domain that Xen does not know');
  t.same(
    lab.ledger.held.filter(({ what }) => what !== 'watch'),
    [],
  );
});

t.test('a device has the server that its key names, and the death of another touches it not', async (t) => {
  const lab = await new Dom0Lab().start();
  const [first, second] = [lab.guest(), lab.guest()];
  await lab.connect(first.domain);
  await drive(lab, first.vcpu);
  await lab.create(2, 0, { server: 'b' });
  await lab.untilBack(2, 2);
  const other = lab.namedServers.get('b')!;
  t.same([[...lab.server.devices.keys()], [...other.devices.keys()]], [['1/0'], ['2/0']]);
  const port = lab.port(second.domain);
  await lab.front(2, { base: '0xf0000000', 'event-channel': port, state: 3 });
  await lab.untilBack(4, 2);
  await drive(lab, second.vcpu);
  const touched = lab.server.devices.get('1/0')!.calls.length;
  other.kill();
  await lab.until('the loss', async () => (await status(lab, second.vcpu)) === 0x4f);
  t.equal(await status(lab, first.vcpu), 0xf);
  other.start();
  await lab.until('the next session', () => other.devices.has('2/0'));
  t.equal(lab.server.devices.get('1/0')!.calls.length, touched);
  t.same(lab.failures, []);
});

t.test('a guest that is destroyed leaves nothing here, whatever the store still says', async (t) => {
  const lab = await new Dom0Lab().start();
  const { domain, vcpu, process } = lab.guest();
  const neighbour = lab.guest();
  await lab.connect(domain);
  await drive(lab, vcpu);
  await lab.connect(neighbour.domain);
  lab.storeLab.guest(1);
  lab.lab.call(0, 'domctl.destroy', { domid: 1 });
  lab.lab.host.processEnded(process);
  t.ok(lab.lab.host.domains.find(DomId(1)), 'its memory is still mapped here');
  await lab.store.release(1);
  await lab.untilBack(6, 1);
  t.same(
    lab.ledger.held.filter(({ domid, what }) => domid === 1 && what !== 'watch'),
    [],
  );
  t.notOk(lab.lab.host.domains.find(DomId(1)), 'and not any more');
  t.equal(await access(lab, neighbour.vcpu, { offset: 0 }), M.VIRTIO_MMIO_MAGIC);
  t.same(lab.failures, []);
});

t.test('the loss of the device server asks for a reset, and the next server serves', async (t) => {
  const lab = await new Dom0Lab().start();
  const { domain, vcpu } = lab.guest();
  const port = await lab.connect(domain);
  await drive(lab, vcpu);
  vcpu.shared.take();
  lab.server.kill();
  t.ok(vcpu.shared.pending(port), 'at once');
  t.equal(await status(lab, vcpu), 0x4f);
  t.equal(await access(lab, vcpu, { offset: M.VIRTIO_MMIO_INTERRUPT_STATUS }), 3);
  await access(lab, vcpu, { offset: M.VIRTIO_MMIO_QUEUE_NOTIFY, value: 0 });
  lab.server.start();
  await drive(lab, vcpu);
  t.equal(await status(lab, vcpu), 0xf);
  const device = lab.server.devices.get(NAME)!;
  t.equal(device.running.size, 2);
  device.kicks.length = 0;
  await access(lab, vcpu, { offset: M.VIRTIO_MMIO_QUEUE_NOTIFY, value: 1 });
  t.same(device.kicks, [1], 'kicks reach the new server');
  vcpu.shared.take();
  lab.server.call(NAME, 0);
  t.ok(vcpu.shared.pending(port), 'and its calls the guest');
  await lab.store.rm('/local/domain/0/backend/virtio-mmio/1');
  await lab.until('the end', () => lab.ledger.held.length === 0);
  t.same(lab.failures, []);
});

t.test(
  'DRIVER_OK waits for no server: the driver is told once there is one that it is to reset the device',
  async (t) => {
    const lab = await new Dom0Lab().start();
    const { domain, vcpu } = lab.guest();
    const port = await lab.connect(domain);
    lab.server.kill();
    await lab.until('the loss', () => lab.ledger.held.every(({ what }) => what !== 'session'));
    t.equal(await status(lab, vcpu), 0, 'a driver that has not begun has nothing to lose');
    await drive(lab, vcpu);
    t.equal(await status(lab, vcpu), 0x4f);
    t.notOk(vcpu.shared.pending(port), 'a driver that is told at once would reset it at once, without end');
    lab.server.start();
    await lab.until('the driver to be asked', () => vcpu.shared.pending(port));
    await drive(lab, vcpu);
    t.equal(await status(lab, vcpu), 0xf);
    t.equal(lab.server.devices.get(NAME)!.running.size, 2);
    lab.clock.advance(DEADLINE_MS.driverResets);
    t.equal(await lab.back(1), '4', 'and is left in peace once it has');
  },
);

t.test('a driver that does not reset a device that asks for it is connected anew', async (t) => {
  const lab = await new Dom0Lab().start();
  const { domain, vcpu } = lab.guest();
  await lab.connect(domain);
  await drive(lab, vcpu);
  lab.server.kill();
  await lab.until('NEEDS_RESET', async () => (await status(lab, vcpu)) === 0x4f);
  lab.clock.advance(10 * DEADLINE_MS.driverResets);
  t.equal(await lab.back(1), '4', 'as long as there is no server another connection would not help');
  lab.server.start();
  await lab.until('its patience to begin', () => lab.clock.waiting > 0);
  lab.clock.advance(DEADLINE_MS.driverResets);
  await lab.untilBack(5, 1);
  t.equal(await status(lab, vcpu), 0x4f, 'registers are answered while it closes');
  await lab.front(1, { state: 6 });
  await lab.untilBack(6, 1);
  await lab.front(1, { state: 1 });
  await lab.untilBack(2, 1);
  t.same(lab.failures, []);
});

t.test('a driver whose rings lie nowhere gets NEEDS_RESET', async (t) => {
  const lab = await new Dom0Lab().start();
  const { domain, vcpu } = lab.guest();
  await lab.connect(domain);
  const w = (offset: number, value: number) => access(lab, vcpu, { offset, value });
  await drive(lab, vcpu);
  for (const step of [0, 1, 3]) await w(M.VIRTIO_MMIO_STATUS, step);
  await w(M.VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
  await w(M.VIRTIO_MMIO_DRIVER_FEATURES, 1);
  await w(M.VIRTIO_MMIO_STATUS, 0xb);
  await w(M.VIRTIO_MMIO_QUEUE_DESC_HIGH, 0x100);
  await w(M.VIRTIO_MMIO_QUEUE_READY, 1);
  await w(M.VIRTIO_MMIO_STATUS, 0xf);
  t.equal(await status(lab, vcpu), 0x4f);
  await drive(lab, vcpu);
  t.equal(await status(lab, vcpu), 0xf);
});

t.test('a device server that is awaited holds up its own device only, and removal ends the waiting', async (t) => {
  const lab = new Dom0Lab();
  lab.server.kill();
  await lab.start();
  lab.guest();
  await lab.create(1);
  await lab.until('the watch', () => lab.ledger.held.some(({ what }) => what === 'ioreq server'));
  t.equal(await lab.back(1), '1', 'not InitWait before there is a server');
  await lab.store.rm('/local/domain/0/backend/virtio-mmio/1');
  await lab.until('everything to be given back', () => lab.ledger.held.length === 0);
  await lab.create(1);
  await lab.until('the next opening', () => lab.server.waitingCount > 0);
  t.equal(lab.server.waitingCount, 1, 'the first one waits no more');
  lab.server.start();
  await lab.untilBack(2, 1);
  t.same(lab.failures, []);
});

t.test('a device that is closed while its server answers is open once at the server when it comes back', async (t) => {
  const lab = new Dom0Lab();
  await lab.start();
  lab.guest();
  lab.server.holding = VHOST_USER_REQUEST.VHOST_USER_GET_CONFIG;
  await lab.create(1);
  await lab.until('the question', () => lab.server.heldCount === 1);
  await lab.store.rm('/local/domain/0/backend/virtio-mmio/1');
  await lab.create(1);
  // The first opening ends first, and only then does the next one begin.
  await lab.until('the next look', async () => (await lab.back(1)) === '1');
  lab.server.release();
  await lab.untilBack(2, 1);
  t.equal(await lab.error(1), '');
  t.same([...lab.server.devices.keys()], [NAME]);
  t.same(lab.failures, []);
});

t.test('found half-way: registers read NEEDS_RESET, the connection closes, the next one works', async (t) => {
  const lab = new Dom0Lab();
  const { domain, vcpu } = lab.guest();
  // What an earlier backend left.
  await lab.create(1, 0, { state: '4', size: '0x200' });
  await lab.front(1, { base: '0xf0000000', 'event-channel': lab.port(domain), state: 4 });
  await lab.start();
  await lab.untilBack(5, 1);
  t.equal(await status(lab, vcpu), 0x40);
  await access(lab, vcpu, { offset: M.VIRTIO_MMIO_STATUS, value: 0 });
  t.equal(await status(lab, vcpu), 0);
  await lab.front(1, { state: 6 });
  await lab.untilBack(6, 1);
  // Events that change nothing, while the session is opened.
  lab.server.holding = VHOST_USER_REQUEST.VHOST_USER_GET_FEATURES;
  await lab.front(1, { state: 1 });
  await lab.until('the session', () => lab.server.heldCount === 1);
  const sent = lab.backendSent.length;
  await lab.store.write('/local/domain/0/backend/virtio-mmio/1/0/online', '1');
  await lab.until('a look', () => lab.backendSent.length >= sent + 3);
  lab.server.release();
  await lab.untilBack(2, 1);
  await lab.front(1, { base: '0xf0000000', 'event-channel': lab.port(domain), state: 3 });
  await lab.untilBack(4, 1);
  await drive(lab, vcpu);
  t.equal(await status(lab, vcpu), 0xf);
});

t.test('when the process ends, guests may close in order; what does not follow is left behind', async (t) => {
  const lab = await new Dom0Lab().start();
  const one = lab.guest();
  const two = lab.guest();
  await lab.connect(one.domain);
  await lab.connect(two.domain);
  await drive(lab, one.vcpu);
  const ended = lab.devices.shutDown();
  await lab.untilBack(5, 1);
  t.equal(await access(lab, one.vcpu, { offset: 0 }), M.VIRTIO_MMIO_MAGIC, 'registers are still answered');
  await lab.front(1, { state: 6 });
  await lab.untilBack(6, 1);
  await lab.until('the deadline to be set', () => lab.clock.waiting > 0);
  lab.clock.advance(1500);
  await ended;
  t.equal(await lab.back(2), '5');
  t.same(lab.ledger.held, []);
  await lab.evtchn.close();
  t.same(lab.held, []);
});

t.test('devices that are there already are found, and names that are none are not', async (t) => {
  const lab = new Dom0Lab();
  lab.guest();
  await lab.create(1, 3);
  await lab.store.write('/local/domain/0/backend/virtio-mmio/x/0/state', '1');
  await lab.store.write('/local/domain/0/backend/virtio-mmio/1/07/state', '1');
  await lab.start();
  await lab.untilBack(2, 1, 3);
  t.equal(await lab.read('/local/domain/0/backend/virtio-mmio/x/0/state'), '1');
  t.equal(await lab.read('/local/domain/0/backend/virtio-mmio/1/07/state'), '1');
  t.same(lab.failures, []);
});

t.test('a directory that goes while it is looked at costs no more than a look or two', async (t) => {
  const lab = await new Dom0Lab().start();
  lab.guest();
  for (let round = 0; round < 8; round++) {
    await lab.create(1);
    for (let turn = 0; turn < 7 * round; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    await lab.store.rm('/local/domain/0/backend/virtio-mmio/1');
  }
  await lab.until('nothing to be held', () => lab.ledger.held.length === 0);
  await t.rejects(lab.store.directory('/local/domain/0/backend/virtio-mmio/1'), { code: 'ENOENT' }, 'not written back');
  const sent = lab.backendSent.length;
  for (let turn = 0; turn < 200; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
  t.ok(lab.backendSent.length - sent < 20, `${lab.backendSent.length - sent} requests at rest`);
});
