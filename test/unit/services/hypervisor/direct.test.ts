import t from 'tap';
import { DOMID_SELF, EvtchnPort } from '../../../../lib/core/ids.js';
import type { NotifyHandle } from '../../../../lib/core/notify.js';
import { DirectCalls, DirectKicks } from '../../../../lib/events/direct.js';
import { TwoLevelWords } from '../../../../lib/events/two-level.js';
import { EVENTFD_DIRECTION } from '../../../../lib/layout/ours/dev-evtchn.js';
import { DIRECT_CALLS, DIRECT_TABLE } from '../../../../lib/layout/ours/direct.js';
import { DirectTable } from '../../../../services/hypervisor/event/direct-table.js';
import { FakeEmulator, FakeGuest, FakeUser, makeLab } from '../../../../testkit/host-lab.js';

const BASE = 0xf0000000;
const KICK = BASE + 0x50;
const SELF = DOMID_SELF;

/** A guest with a call that its holder delivers by itself. */
function stage() {
  const lab = makeLab();
  const domain = lab.domain({ vcpus: 2 });
  const guest = new FakeGuest(lab, domain);
  const user = new FakeUser(lab);
  const remote = lab.number(domain.domid, 'evtchn.alloc_unbound', { dom: SELF, remote_dom: 0 });
  const port = EvtchnPort(lab.kernel.bindInterdomain(user.process, user.file.fd, domain.domid, EvtchnPort(remote)));
  const tie = () =>
    lab.kernel.eventfd(user.process, user.file.fd, {
      ...{ port, direction: EVENTFD_DIRECTION.TO_PORT, deassign: false, direct: true, handle: undefined },
    })!;
  const untie = () =>
    lab.kernel.eventfd(user.process, user.file.fd, {
      port,
      direction: EVENTFD_DIRECTION.TO_PORT,
      deassign: true,
      handle: undefined,
    });
  const rings: NotifyHandle[] = [];
  const { files } = lab.host.runOf(domain)!;
  const ring = (handle: NotifyHandle) => {
    rings.push(handle);
    lab.doorbell.ring(handle.bit);
  };
  const calls = new DirectCalls(files.direct.bytes, files.sharedInfo.bytes, ring);
  return { lab, domain, guest, user, remote, port, tie, untie, rings, calls, files };
}

t.test('a call is delivered by its sender: pending, selector, upcall, and the guest is rung once', async (t) => {
  const { guest, remote, tie, calls, rings } = stage();
  const handle = tie();
  t.equal(handle.bell, 'direct.1');
  const generation = calls.generation(handle.bit);
  calls.send(handle.bit, generation);
  calls.send(handle.bit, generation);
  t.equal(rings.length, 1);
  t.equal(guest.upcalls, 1);
  t.same(guest.shared.take(), [remote]);
  guest.shared.setMask(remote, true);
  calls.send(handle.bit, generation);
  t.ok(guest.shared.pending(remote));
  t.equal(guest.upcalls, 1, 'masked');
});

for (const [title, end] of [
  ['its file unties it', ({ untie }: ReturnType<typeof stage>) => void untie()],
  ['the file closes', ({ user }: ReturnType<typeof stage>) => user.end()],
  [
    'the guest closes its port',
    ({ lab, remote, domain }: ReturnType<typeof stage>) =>
      void lab.call(domain.domid, 'evtchn.close', { port: remote }),
  ],
  [
    'the guest goes over to FIFO',
    ({ lab, domain }: ReturnType<typeof stage>) =>
      void lab.call(domain.domid, 'evtchn.init_control', { control_gfn: 1 }),
  ],
  [
    'the domain dies',
    ({ lab, domain }: ReturnType<typeof stage>) => void lab.call(0, 'domctl.destroy', { domid: domain.domid }),
  ],
] as const) {
  t.test(`a handle stands for nothing once ${title}`, async (t) => {
    const all = stage();
    const { tie, calls, guest } = all;
    const { bit } = tie();
    const generation = calls.generation(bit);
    t.ok(generation > 0);
    end(all);
    guest.upcalls = 0;
    calls.send(bit, generation);
    t.equal(calls.generation(bit), 0);
    t.equal(guest.upcalls, 0);
  });
}

t.test('the next use of an entry is another generation: an old handle does not reach it', async (t) => {
  const { tie, untie, calls, guest, remote } = stage();
  const first = tie();
  const old = calls.generation(first.bit);
  untie();
  const second = tie();
  t.equal(second.bit, first.bit);
  calls.send(first.bit, old);
  t.notOk(guest.shared.pending(remote));
  calls.send(second.bit, calls.generation(second.bit));
  t.ok(guest.shared.pending(remote));
});

t.test('a port that moves takes its handles along', async (t) => {
  const { lab, domain, tie, calls, guest, remote } = stage();
  const { bit } = tie();
  lab.call(domain.domid, 'evtchn.bind_vcpu', { port: remote, vcpu: 1 });
  calls.send(bit, calls.generation(bit));
  t.same([guest.shared.upcall(0), guest.shared.upcall(1)], [false, true]);
});

/** The steps of a delivery, each as the sender does it (lib/events/two-level.ts); it then rings. */
const STEPS: readonly ((words: TwoLevelWords, port: number) => void)[] = [
  (words, port) => void words.setPending(port),
  (words, port) => void words.isMasked(port),
  (words, port) => void words.select(port, 0),
  (words) => void words.raiseUpcall(0),
];

for (let done = 0; done <= STEPS.length; done++) {
  t.test(
    `a sender that died after ${done} of its steps: untying finishes the delivery and wakes the guest`,
    async (t) => {
      const { tie, untie, guest, remote, port, domain, lab } = stage();
      tie();
      const words = new TwoLevelWords(domain.sharedInfo);
      for (const step of STEPS.slice(0, done)) step(words, remote);
      if (done > 0) lab.call(0, 'evtchn.send', { port });
      t.equal(guest.upcalls, 0, 'further events are no help: it is pending already');
      untie();
      t.equal(guest.upcalls, 1);
      t.same(guest.shared.take(), done === 0 ? [] : [remote]);
    },
  );
}

t.test('a masked event of a dead sender stays pending, and is delivered when it is unmasked', async (t) => {
  const { tie, untie, guest, remote, domain, lab } = stage();
  tie();
  guest.shared.setMask(remote, true);
  new TwoLevelWords(domain.sharedInfo).setPending(remote);
  untie();
  t.same(guest.shared.take(), []);
  lab.call(domain.domid, 'evtchn.unmask', { port: remote });
  t.same(guest.shared.take(), [remote]);
});

t.test('a guest that died: the kicks that its vCPU matched by itself are rung once more', async (t) => {
  const lab = makeLab();
  const domain = lab.domain();
  const guest = new FakeGuest(lab, domain);
  const emulator = new FakeEmulator(lab, domain, [[BASE, BASE + 0x1ff]]);
  const { direct } = lab.host.runOf(domain)!;
  const rung = [0, 0];
  for (const [vq, table] of [direct, undefined].entries()) {
    const bell = lab.doorbell.bind(() => rung[vq]!++);
    const server = domain.ioreqServers[0]!;
    const spec = { server, addr: BASE, addrLen: 4, vq, ports: [emulator.port], handle: bell.handle, direct: table };
    lab.kernel.ioeventfd(emulator.user.process, emulator.user.file.fd, spec, false);
  }
  guest.end(lab);
  t.same(rung, [1, 0], 'those of others are not the guest’s to ring');
});

t.test('a kick that the vCPU matches by itself rings the device and makes no exit', async (t) => {
  const lab = makeLab();
  const domain = lab.domain();
  new FakeGuest(lab, domain);
  const emulator = new FakeEmulator(lab, domain, [[BASE, BASE + 0x1ff]]);
  const { direct, files } = lab.host.runOf(domain)!;
  const rings: NotifyHandle[] = [];
  const kicks = new DirectKicks(files.direct.bytes, (handle) => rings.push(handle));
  const bell = lab.doorbell.bind(() => {});
  const server = domain.ioreqServers[0]!;
  const spec = { server, addr: BASE, addrLen: 4, vq: 1, ports: [emulator.port], handle: bell.handle, direct };
  t.notOk(kicks.write(KICK, 4, 1));
  lab.kernel.ioeventfd(emulator.user.process, emulator.user.file.fd, spec, false);
  t.ok(kicks.write(KICK, 4, 1));
  t.ok(kicks.write(KICK, 4, 0x20001));
  t.same(rings, [bell.handle, bell.handle]);
  t.equal(rings[0], rings[1], 'the same handle, made once');
  for (const [addr, size, data] of [
    [KICK, 4, 0],
    [KICK, 2, 1],
    [KICK + 4, 4, 1],
    [KICK + 2 ** 32, 4, 1],
  ] as const)
    t.notOk(kicks.write(addr, size, data));
  lab.kernel.ioeventfd(emulator.user.process, emulator.user.file.fd, spec, true);
  t.notOk(kicks.write(KICK, 4, 1));
});

t.test('entries run out with ENOSPC, and a scribbled table makes no wild access', async (t) => {
  const bytes = new Uint8Array(DIRECT_TABLE.size);
  const table = new DirectTable(bytes);
  const entries = Array.from({ length: DIRECT_CALLS }, () => table.addCall(EvtchnPort(1), 0));
  t.throws(() => table.addCall(EvtchnPort(1), 0), { code: 'ENOSPC' });
  entries[5]!.release();
  const next = table.addCall(EvtchnPort(2), 0);
  t.equal(next.index, 5);
  entries[5]!.release();
  const calls = new DirectCalls(bytes, new Uint8Array(4096), () => {});
  t.ok(calls.generation(5) > 0, 'a second release ends no other call');
  t.equal(calls.generation(-1), 0);
  t.equal(calls.generation(64), 0);
  for (const fill of [0xfe, 0xaa, 0x02]) {
    bytes.fill(fill);
    const generation = calls.generation(0);
    t.doesNotThrow(() => calls.send(0, generation));
    t.doesNotThrow(() => new DirectKicks(bytes, () => {}).write(0xfefefefe, 0xfefe, 1));
  }
});
