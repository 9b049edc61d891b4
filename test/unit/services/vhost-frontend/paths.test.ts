// Every notification path through the real backend and the real hypervisor: kicks reach the device server and calls the
// guest, also after the server was replaced, and nothing of it is left.

import t from 'tap';
import { DomId } from '../../../../lib/core/ids.js';
import { NOTIFICATION_PATHS, type NotificationPath } from '../../../../lib/core/notification-path.js';
import type { NotifyHandle } from '../../../../lib/core/notify.js';
import { DirectCalls, DirectKicks } from '../../../../lib/events/direct.js';
import { DIRECT_BELL_PREFIX } from '../../../../lib/layout/ours/direct.js';
import { EXIT_REASON } from '../../../../lib/layout/ours/vcpu-exit.js';
import * as M from '../../../../lib/layout/virtio-mmio.js';
import type { Domain } from '../../../../services/hypervisor/domain/domain.js';
import { access, BASE, drive } from '../../../../testkit/dom0-driver.js';
import { Dom0Lab } from '../../../../testkit/dom0-lab.js';
import type { FakeGuest } from '../../../../testkit/host-lab.js';

const NAME = '1/0';
const BACK = '/local/domain/0/backend/virtio-mmio/1/0';

/** Handles of direct calls over the lab's memory, as lib/node/bell/direct.ts has them over files. */
function openDirectly(lab: Dom0Lab): void {
  const { doorbell, host } = lab.lab;
  const plain = doorbell.open.bind(doorbell);
  doorbell.open = (handle) => {
    if (!handle.bell.startsWith(DIRECT_BELL_PREFIX)) return plain(handle);
    const domain = host.domains.find(DomId(Number(handle.bell.slice(DIRECT_BELL_PREFIX.length))))!;
    const { direct, sharedInfo } = host.runOf(domain)!.files;
    const calls = new DirectCalls(direct.bytes, sharedInfo.bytes, ({ bit }) => doorbell.ring(bit));
    const generation = calls.generation(handle.bit);
    const signal = (): void => calls.send(handle.bit, generation);
    return { signal, insist: signal, close: () => {} };
  };
}

interface Stage {
  readonly lab: Dom0Lab;
  readonly domain: Domain;
  readonly vcpu: FakeGuest;
  readonly port: number;
  readonly queuePorts: readonly number[];
}

/** A device on that path, Connected. `wanted`: queues that the frontend makes event channels for. */
async function connect(path: NotificationPath, wanted = [0, 1]): Promise<Stage> {
  const lab = await new Dom0Lab({ evtchnRaise: path === 'dmop' || path === 'irqfd' }).start();
  openDirectly(lab);
  const { domain, vcpu } = lab.guest();
  await lab.create(1, 0, { path });
  await lab.untilBack(2, 1);
  const queuePorts: number[] = [];
  if ((await lab.read(`${BACK}/feature-queue-evtchn`)) === '2') {
    for (const queue of wanted) {
      queuePorts[queue] = lab.port(domain);
      await lab.front(1, { [`queue-${queue}/event-channel`]: queuePorts[queue]! });
    }
  }
  const port = lab.port(domain);
  await lab.front(1, { base: `0x${BASE.toString(16)}`, 'event-channel': port, state: 3 });
  await lab.untilBack(4, 1);
  await lab.front(1, { state: 4 });
  return { lab, domain, vcpu, port, queuePorts };
}

/** As the guest kicks on that path; answers the exits that it took. */
async function kick(path: NotificationPath, { lab, domain, vcpu, queuePorts }: Stage, queue: number): Promise<void> {
  const port = queuePorts[queue];
  if (path === 'evtchn' && port !== undefined) {
    vcpu.exit({ reason: EXIT_REASON.EVTCHN_SEND, data: BigInt(port) });
  } else if (path === 'direct') {
    const table = lab.lab.host.runOf(domain)!.files.direct.bytes;
    const ring = ({ bit }: NotifyHandle): void => lab.lab.doorbell.ring(bit);
    const matched = new DirectKicks(table, ring).write(BASE + M.VIRTIO_MMIO_QUEUE_NOTIFY, 4, queue);
    if (!matched) throw new Error('the vCPU does not match its kick');
  } else await access(lab, vcpu, { offset: M.VIRTIO_MMIO_QUEUE_NOTIFY, value: queue });
}

for (const path of NOTIFICATION_PATHS) {
  t.test(`${path}: kicks and calls arrive, also at the next device server, and nothing is left`, async (t) => {
    const stage = await connect(path);
    const { lab, vcpu, port } = stage;
    const interruptStatus = () => access(lab, vcpu, { offset: M.VIRTIO_MMIO_INTERRUPT_STATUS });
    const real = path === 'dmop' || path === 'relay';
    for (const life of ['first', 'second']) {
      await drive(lab, vcpu);
      const device = lab.server.devices.get(NAME)!;
      device.kicks.length = 0;
      for (const queue of [1, 0]) await kick(path, stage, queue);
      t.same(device.kicks, [1, 0], `kicks of the ${life} server`);
      vcpu.shared.take();
      t.equal(await interruptStatus(), real ? 0 : 1);
      lab.server.call(NAME, 0);
      t.ok(vcpu.shared.pending(port), `its calls`);
      t.equal(await interruptStatus(), 1);
      await access(lab, vcpu, { offset: M.VIRTIO_MMIO_INTERRUPT_ACK, value: 1 });
      t.equal(
        await interruptStatus(),
        real ? 0 : 1,
        real ? 'what is acknowledged is gone' : 'vhost-frontend cannot know',
      );
      lab.server.kill();
      t.ok(vcpu.shared.pending(port), 'its loss');
      t.equal((await interruptStatus()) & 2, 2);
      lab.server.start();
    }
    await drive(lab, vcpu);
    await lab.store.write(`${BACK}/online`, '0');
    await lab.store.write(`${BACK}/state`, '5');
    await lab.front(1, { state: 6 });
    await lab.untilBack(6, 1);
    t.same(
      lab.ledger.held.filter(({ what }) => what !== 'watch'),
      [],
    );
    t.same(
      lab.held.filter((what) => !what.startsWith('file')),
      [],
    );
    t.same(lab.failures, []);
  });
}

t.test('evtchn: a queue that the frontend made no event channel for is kicked by its register', async (t) => {
  const stage = await connect('evtchn', [1]);
  await drive(stage.lab, stage.vcpu);
  const device = stage.lab.server.devices.get(NAME)!;
  device.kicks.length = 0;
  for (const queue of [0, 1, 0]) await kick('evtchn', stage, queue);
  t.same(device.kicks, [0, 1, 0]);
});

t.test('evtchn: what is no port of the guest’s, or bound already, ends this device only', async (t) => {
  for (const [text, error] of [
    ['77', /^22 /],
    ['many', '22 queue-1/event-channel "many" is not one'],
    ['same', /^22 /],
  ] as const) {
    const lab = await new Dom0Lab().start();
    const { domain } = lab.guest();
    await lab.create(1, 0, { path: 'evtchn' });
    await lab.untilBack(2, 1);
    const port = lab.port(domain);
    await lab.front(1, {
      'queue-0/event-channel': lab.port(domain),
      'queue-1/event-channel': text === 'same' ? port : text,
      base: `0x${BASE.toString(16)}`,
      'event-channel': port,
      state: 3,
    });
    await lab.untilBack(5, 1);
    t.match(await lab.error(1), error);
    await lab.front(1, { state: 6 });
    await lab.untilBack(6, 1);
    t.same(
      lab.held.filter((what) => !what.startsWith('file')),
      [],
    );
    t.same(lab.failures, []);
  }
});

t.test('a path that is none, or that this host cannot do, is refused with a reason', async (t) => {
  for (const [path, options, error] of [
    ['pigeon', {}, '22 path "pigeon" is none'],
    ['DIRECT', {}, '22 path "DIRECT" is none'],
    ['direct', { sharedBells: false }, '95 path direct needs notify = doorbell'],
    ['dmop', {}, '95 path dmop needs a hypervisor with --dm-evtchn-raise'],
    ['irqfd', {}, '95 path irqfd needs a hypervisor with --dm-evtchn-raise'],
  ] as const) {
    const lab = await new Dom0Lab(options).start();
    lab.guest();
    await lab.create(1, 0, { path });
    await lab.until('the refusal', async () => (await lab.error(1)) !== '');
    t.equal(await lab.error(1), error);
    t.same(lab.failures, []);
  }
});
