import t from 'tap';
import { ERRNO } from '../../../../lib/core/errno.js';
import { DOMID_SELF, DomId, EvtchnPort } from '../../../../lib/core/ids.js';
import { DEV_EVTCHN, DEV_EVTCHN_RING_SIZE, EVENTFD_DIRECTION } from '../../../../lib/layout/ours/dev-evtchn.js';
import { FakeEmulator, FakeGuest, FakeUser, type Lab, makeLab } from '../../../../testkit/host-lab.js';

const { EEXIST, EINVAL, ENOTCONN, ESRCH } = ERRNO;

const BASE = 0xf0001000;
const KICK = BASE + 0x50;
const SELF = DOMID_SELF;

/** A port of the guest's with its other end on a file of dom0. */
function channel(lab: Lab, domid: number, user: FakeUser) {
  const remote = lab.number(domid, 'evtchn.alloc_unbound', { dom: SELF, remote_dom: 0 });
  const port = EvtchnPort(lab.kernel.bindInterdomain(user.process, user.file.fd, DomId(domid), EvtchnPort(remote)));
  user.readPorts();
  user.writeBack(port);
  return { remote, port };
}

function kick(lab: Lab, emulator: FakeEmulator, domid: number, vq = 0, extra: object = {}) {
  const bell = { count: 0 };
  const bound = lab.doorbell.bind(() => bell.count++);
  const server = lab.host.domains.find(DomId(domid))!.ioreqServers[emulator.id]!;
  const spec = { server, addr: BASE, addrLen: 4, vq, ports: [emulator.port], handle: bound.handle, ...extra };
  const assign = (deassign = false) =>
    lab.kernel.ioeventfd(emulator.user.process, emulator.user.file.fd, spec, deassign);
  return { bell, assign, spec };
}

const code = (action: () => unknown): string => {
  try {
    action();
    return 'ok';
  } catch (error) {
    return (error as { code: string }).code;
  }
};

t.test('an event goes into the read ring once and not again before it is written back', async (t) => {
  const lab = makeLab();
  const { domid } = lab.domain();
  const user = new FakeUser(lab);
  const { remote, port } = channel(lab, domid, user);
  user.wakes = 0;
  const send = () => lab.number(domid, 'evtchn.send', { port: remote });
  send();
  send();
  t.same(user.readPorts(), [port]);
  t.equal(user.wakes, 1);
  send();
  t.same(user.readPorts(), [], 'disabled until written back');
  user.writeBack(port);
  t.same(user.readPorts(), [port], 'what came meanwhile, once');
  user.writeBack(port);
  t.same(user.readPorts(), []);
  user.writeBack(port);
  t.same(user.readPorts(), [], 'a second write-back is nothing');
});

t.test('binding makes the port readable at once, NOTIFY sends, UNBIND closes', async (t) => {
  const lab = makeLab();
  const domain = lab.domain();
  const guest = new FakeGuest(lab, domain);
  const user = new FakeUser(lab);
  const remote = lab.number(domain.domid, 'evtchn.alloc_unbound', { dom: SELF, remote_dom: 0 });
  const port = lab.kernel.bindInterdomain(user.process, user.file.fd, domain.domid, EvtchnPort(remote));
  t.same(user.readPorts(), [port]);
  user.notify(port);
  t.same(guest.shared.take(), [remote]);
  t.equal(user.file.notify(EvtchnPort(port)), 0);
  t.equal(user.file.notify(EvtchnPort(port + 1)), -ENOTCONN, 'ENOTCONN');
  t.equal(user.file.unbind(EvtchnPort(port + 1)), -ENOTCONN);
  t.equal(user.file.unbind(EvtchnPort(port)), 0);
  t.same(lab.call(domain.domid, 'evtchn.status', { dom: SELF, port: remote }), { status: 1, vcpu: 0, unbound_dom: 0 });
  t.equal(lab.number(0, 'evtchn.status', { dom: 0, port }), 0, 'closed');
});

t.test('bind refusals are those of the hypercalls; a file number of another process is no file', async (t) => {
  const lab = makeLab();
  const user = new FakeUser(lab);
  const { fd } = user.file;
  t.equal(lab.kernel.bindInterdomain(user.process, fd, DomId(9), EvtchnPort(1)), -ESRCH);
  t.equal(lab.kernel.bindInterdomain(user.process, fd, DomId(0), EvtchnPort(1)), -EINVAL);
  t.equal(lab.kernel.bindVirq(user.process, fd, 24), -EINVAL);
  t.ok(lab.kernel.bindVirq(user.process, fd, 3) > 0);
  t.equal(lab.kernel.bindVirq(user.process, fd, 3), -EEXIST);
  t.ok(lab.kernel.bindUnbound(user.process, fd, DomId(5)) > 0);
  t.equal(
    code(() => lab.kernel.file({}, fd)),
    'EBADF',
  );
  t.equal(
    code(() => lab.kernel.file(user.process, 99)),
    'EBADF',
  );
});

t.test('a read ring that its user pretends full overflows, and RESET takes it back', async (t) => {
  const lab = makeLab();
  const { domid } = lab.domain();
  const user = new FakeUser(lab);
  const { remote, port } = channel(lab, domid, user);
  const prod = user.words[DEV_EVTCHN.READ_PROD >>> 2]!;
  user.words[DEV_EVTCHN.READ_CONS >>> 2] = (prod - DEV_EVTCHN_RING_SIZE) >>> 0;
  lab.call(domid, 'evtchn.send', { port: remote });
  t.equal(user.words[DEV_EVTCHN.READ_OVERFLOW >>> 2], 1);
  t.equal(user.words[DEV_EVTCHN.READ_PROD >>> 2], prod);
  user.file.reset();
  t.equal(user.words[DEV_EVTCHN.READ_OVERFLOW >>> 2], 0);
  user.writeBack(port);
  lab.call(domid, 'evtchn.send', { port: remote });
  t.same(user.readPorts(), [port]);
});

t.test('a command ring full of nonsense harms no other process', async (t) => {
  const lab = makeLab();
  const { domid } = lab.domain();
  const user = new FakeUser(lab);
  const { remote, port } = channel(lab, domid, user);
  user.words.fill(0xffffffff, DEV_EVTCHN.COMMAND_RING >>> 2);
  user.words[DEV_EVTCHN.COMMAND_PROD >>> 2] = 0x80000000;
  user.ringCommands();
  user.words[DEV_EVTCHN.COMMAND_PROD >>> 2] = 0x80000000 + DEV_EVTCHN_RING_SIZE;
  user.ringCommands();
  t.equal(user.words[DEV_EVTCHN.COMMAND_CONS >>> 2], 0x80000000 + DEV_EVTCHN_RING_SIZE);
  lab.call(domid, 'evtchn.send', { port: remote });
  t.same(user.readPorts(), [port]);
});

t.test('event descriptors: to a port, from a port, once each, until unbind', async (t) => {
  const lab = makeLab();
  const domain = lab.domain();
  const { domid } = domain;
  const guest = new FakeGuest(lab, domain);
  const user = new FakeUser(lab);
  const { remote, port } = channel(lab, domid, user);
  const { process, file } = user;
  const tie = (args: object) =>
    lab.kernel.eventfd(process, file.fd, {
      port,
      direction: EVENTFD_DIRECTION.TO_PORT,
      deassign: false,
      handle: undefined,
      ...args,
    });
  const call = tie({})!;
  lab.doorbell.ring(call.bit);
  t.same(guest.shared.take(), [remote], 'a signal is a send');
  t.equal(
    code(() => tie({})),
    'EBUSY',
  );
  t.equal(
    code(() => tie({ port: port + 1 })),
    'ENOTCONN',
  );
  t.equal(
    code(() => tie({ direction: 2 })),
    'EINVAL',
  );
  t.equal(
    code(() => tie({ direction: EVENTFD_DIRECTION.FROM_PORT })),
    'EINVAL',
    'nothing to signal',
  );
  t.equal(
    code(() => tie({ direction: EVENTFD_DIRECTION.FROM_PORT, deassign: true })),
    'ENOENT',
  );
  let rung = 0;
  const bell = lab.doorbell.bind(() => rung++);
  t.equal(tie({ direction: EVENTFD_DIRECTION.FROM_PORT, handle: bell.handle }), undefined);
  for (let n = 0; n < 3; n++) lab.call(domid, 'evtchn.send', { port: remote });
  t.equal(rung, 3, 'no write-back needed');
  t.same(user.readPorts(), [], 'not in the read ring meanwhile');
  t.equal(tie({ direction: EVENTFD_DIRECTION.FROM_PORT, deassign: true }), undefined);
  lab.call(domid, 'evtchn.send', { port: remote });
  t.same(user.readPorts(), [port]);
  t.equal(file.unbind(EvtchnPort(port)), 0);
  lab.doorbell.ring(call.bit);
  t.same(guest.shared.take(), [], 'its end is the end of the descriptor');
});

t.test('IOEVENTFD: refusals in order', async (t) => {
  const lab = makeLab();
  const domain = lab.domain();
  const { domid } = domain;
  const emulator = new FakeEmulator(lab, domain, [[BASE, BASE + 0x1ff]]);
  const attempt = (extra: object) => code(kick(lab, emulator, domid, 0, extra).assign);
  t.equal(attempt({ addr: Number.MAX_SAFE_INTEGER }), 'EINVAL');
  t.equal(attempt({ addrLen: 3 }), 'EINVAL');
  t.equal(attempt({ ports: [] }), 'EINVAL');
  t.equal(attempt({ ports: [emulator.port + 1] }), 'ENOTCONN');
  t.equal(attempt({ handle: { bell: 'nobody', bit: 0 } }), 'ENOENT');
  const { assign, spec } = kick(lab, emulator, domid);
  assign();
  t.equal(code(assign), 'EBUSY');
  t.equal(attempt({ ports: [emulator.port, emulator.port] }), 'EINVAL', 'the page is known with one vCPU');
  t.equal(
    code(() => kick(lab, emulator, domid).assign(true)),
    'ENODEV',
    'another handle',
  );
  assign(true);
  t.equal(
    code(() => assign(true)),
    'ENODEV',
  );
  t.ok(spec);
  const bare = lab.number(0, 'dm.create_ioreq_server', { domid });
  const server = domain.ioreqServers[bare]!;
  t.equal(attempt({ server }), 'EFAULT', 'its page is not mapped');
});

t.test('IOEVENTFD: the kernel answers a kick by itself; everything else is left to the daemon', async (t) => {
  const lab = makeLab();
  const domain = lab.domain();
  const guest = new FakeGuest(lab, domain);
  const emulator = new FakeEmulator(lab, domain, [[BASE, BASE + 0x1ff]]);
  const requests: bigint[] = [];
  emulator.onRequest = ({ addr }) => {
    requests.push(addr);
    return 5n;
  };
  const q0 = kick(lab, emulator, domain.domid, 0);
  const q1 = kick(lab, emulator, domain.domid, 1);
  q0.assign();
  q1.assign();
  t.ok(guest.write(KICK, 0));
  t.ok(guest.write(KICK, 1));
  t.ok(guest.write(KICK, 0x10001), 'only the low 16 bits name the queue');
  t.same([q0.bell.count, q1.bell.count], [1, 2]);
  t.same(requests, []);
  t.equal(guest.read(KICK)?.data, 5n, 'a read of the same register');
  t.ok(guest.write(KICK, 2), 'another queue');
  t.ok(guest.write(KICK, 0, 2), 'another size');
  t.ok(guest.write(KICK + 4, 0), 'another register');
  t.equal(requests.length, 4);
  t.same([q0.bell.count, q1.bell.count], [1, 2]);
});

t.test('a daemon that does not write the port back holds up the next kick', async (t) => {
  const lab = makeLab();
  const domain = lab.domain();
  const guest = new FakeGuest(lab, domain);
  const emulator = new FakeEmulator(lab, domain, [[BASE, BASE + 0x1ff]]);
  const { bell, assign } = kick(lab, emulator, domain.domid);
  assign();
  emulator.user.onWake = () => {};
  t.ok(guest.write(KICK, 0), 'the first is answered');
  t.equal(guest.write(KICK, 0), undefined, 'the second waits');
  t.equal(bell.count, 1);
  t.same(emulator.user.readPorts(), [emulator.port]);
  emulator.user.writeBack(emulator.port);
  t.ok(guest.answer());
  t.equal(bell.count, 2);
});

t.test('IRQFD: a signal issues the stored operation; unknown descriptors are no error', async (t) => {
  const lab = makeLab({ evtchnRaise: true });
  const { domid } = lab.domain();
  const process = {};
  let issued = 0;
  const handle = lab.kernel.irqfd(process, domid, () => {
    issued++;
    return -22;
  });
  lab.doorbell.ring(handle.bit);
  lab.doorbell.ring(handle.bit);
  t.equal(issued, 2);
  lab.kernel.irqfdDeassign({}, handle);
  lab.doorbell.ring(handle.bit);
  t.equal(issued, 3, "another process's");
  lab.kernel.irqfdDeassign(process, handle);
  lab.doorbell.ring(handle.bit);
  t.equal(issued, 3);
  lab.kernel.irqfdDeassign(process, handle);
});

function deadDaemon(mode: 'fixed' | 'linux') {
  const lab = makeLab({ dom0: mode });
  const domain = lab.domain();
  const guest = new FakeGuest(lab, domain);
  const emulator = new FakeEmulator(lab, domain, [[BASE, BASE + 0x1ff]]);
  const { bell, assign } = kick(lab, emulator, domain.domid);
  assign();
  lab.kernel.mapForeign(emulator.user.process, domain.domid);
  const { remote } = channel(lab, domain.domid, emulator.user);
  lab.kernel.processEnded(emulator.user.process);
  return { lab, domain, guest, emulator, bell, remote };
}

t.test(
  '--dom0 fixed: a dead process leaves nothing; the next one adopts the server and its waiting request',
  async (t) => {
    const { lab, domain, guest, emulator, bell, remote } = deadDaemon('fixed');
    t.same([...lab.kernel.held()], []);
    t.equal(domain.holders, 1, 'the guest itself');
    t.same(lab.call(domain.domid, 'evtchn.status', { dom: SELF, port: remote }), {
      status: 1,
      vcpu: 0,
      unbound_dom: 0,
    });
    t.equal(guest.write(KICK, 0), undefined);
    t.equal(bell.count, 0);
    const next = new FakeUser(lab);
    const port = lab.kernel.bindInterdomain(
      next.process,
      next.file.fd,
      domain.domid,
      EvtchnPort(emulator.slot().vp_eport),
    );
    t.same(next.readPorts(), [port], 'pending since the binding');
    t.equal(emulator.slot().state, 1, 'READY, to be executed');
    emulator.setState(3);
    next.notify(port);
    t.ok(guest.answer());
  },
);

t.test('--dom0 linux: ioeventfds of the dead stay, their interrupt disabled, and kicks stop', async (t) => {
  const { lab, domain, guest, emulator, bell, remote } = deadDaemon('linux');
  t.same(
    [...lab.kernel.held()].map(({ kind }) => kind),
    ['ioeventfd'],
  );
  t.same(
    lab.call(domain.domid, 'evtchn.status', { dom: SELF, port: remote }),
    { status: 1, vcpu: 0, unbound_dom: 0 },
    'a port that only the file held is closed',
  );
  t.equal(lab.number(0, 'evtchn.status', { dom: 0, port: emulator.port }), 2, 'the shared one stays open');
  t.equal(guest.write(KICK, 0), undefined, 'and the guest waits for ever');
  t.equal(bell.count, 0);
  const next = new FakeUser(lab);
  t.equal(
    lab.kernel.bindInterdomain(next.process, next.file.fd, domain.domid, EvtchnPort(emulator.slot().vp_eport)),
    -EINVAL,
    'not to be bound again',
  );
  lab.kernel.close();
});

t.test('a domain that dies takes its ioeventfds along; ports of dom0 stay for their owner to close', async (t) => {
  const lab = makeLab();
  const domain = lab.domain();
  const emulator = new FakeEmulator(lab, domain, [[BASE, BASE + 0x1ff]]);
  kick(lab, emulator, domain.domid).assign();
  lab.call(0, 'domctl.destroy', { domid: domain.domid });
  t.same(
    [...lab.kernel.held()].map(({ kind }) => kind),
    ['file', 'port'],
  );
  t.equal(emulator.user.file.unbind(EvtchnPort(emulator.port)), 0);
  emulator.user.file.close();
  t.same(lab.files.paths, []);
});

t.test('open files are bounded', async (t) => {
  const lab = makeLab();
  const process = {};
  for (let n = 0; n < 64; n++) new FakeUser(lab, process);
  t.equal(
    code(() => new FakeUser(lab, process)),
    'ENOMEM',
  );
  lab.kernel.processEnded(process);
  t.same(lab.files.paths, []);
});
