import t from 'tap';
import { ERRNO } from '../../../../lib/core/errno.js';
import { DomId } from '../../../../lib/core/ids.js';
import { DOMAINS_MAX } from '../../../../lib/core/limits.js';
import { FakeGuest, FakeUser, makeLab } from '../../../../testkit/host-lab.js';

const { EACCES, EEXIST, EINVAL, ENOENT, ENOMEM, EPERM, ESRCH } = ERRNO;

const create = { name: 'g', memory_mib: 8 };

t.test('creation: bounds, domids, unique ids, tokens', async (t) => {
  const lab = makeLab();
  const make = (args: object) => lab.call(0, 'domctl.create', { ...create, ...args });
  for (const bad of [
    { memory_mib: 7 },
    { memory_mib: 0 },
    { memory_mib: 65537 },
    { domid: 0x7ff0 },
    { domid: 0xffff },
    { max_vcpus: 33 },
    { max_evtchn_port: -2 },
  ]) {
    t.equal(make(bad), -EINVAL, JSON.stringify(bad));
  }
  t.same(lab.files.paths, [], 'nothing was made for those');
  t.same(make({}), { domid: 1, unique_id: '2', token: 'token-1' });
  t.equal(make({ domid: 1 }), -EEXIST);
  t.match(make({ domid: 9 }), { domid: 9 });
  t.match(make({}), { domid: 2 }, 'given numbers do not move the next');
  lab.call(0, 'domctl.destroy', { domid: 2 });
  t.match(make({}), { domid: 3 }, 'domids increase');
  t.match(make({ domid: 2 }), { domid: 2, unique_id: '6' });
  t.match(lab.call(0, 'identify', { token: 'token-1' }), { domid: 1 });
  t.equal(lab.call(0, 'identify', { token: 'forged' }), -ENOENT);
  t.equal(lab.call(0, 'identify', { token: 'token-3' }), -ENOENT, 'that of a dead domain');
});

t.test('there are no more domains than the limit', async (t) => {
  const lab = makeLab();
  for (let n = 0; n < DOMAINS_MAX; n++) lab.domain();
  t.equal(lab.call(0, 'domctl.create', create), -ENOMEM);
});

t.test('guests may not control domains', async (t) => {
  const lab = makeLab();
  const { domid } = lab.domain();
  for (const op of ['create', 'destroy', 'pause', 'unpause', 'getdomaininfolist', 'get_domain_state']) {
    t.equal(lab.call(domid, `domctl.${op}`, { domid }), -EPERM, op);
  }
  t.equal(lab.call(domid, 'identify', { token: 'token-0' }), -EPERM);
  t.equal(lab.call(domid, 'hvm.set_param', { domid, index: 2 }), -EPERM);
  t.equal(lab.call(0, 'domctl.destroy', { domid: 0 }), -EINVAL, 'nor dom0 end itself');
  t.equal(lab.call(0, 'domctl.pause', { domid: 0 }), -EINVAL);
  t.equal(lab.call(0, 'sched.shutdown', { reason: 0 }), -EINVAL);
});

t.test('parameters tell a guest its ports', async (t) => {
  const lab = makeLab();
  const { domid } = lab.domain();
  const { domid: other } = lab.domain();
  t.equal(lab.call(0, 'hvm.set_param', { domid, index: 2, value: 1 }), 0);
  t.same(lab.call(domid, 'hvm.get_param', { domid: 0x7ff0, index: 2 }), { value: 1 });
  t.equal(lab.call(other, 'hvm.get_param', { domid, index: 2 }), -EPERM);
  t.equal(lab.call(0, 'hvm.set_param', { domid, index: 39, value: 1 }), -EINVAL);
});

t.test('a state change is told once, through VIRQ_DOM_EXC, to who bound it', async (t) => {
  const lab = makeLab();
  t.equal(lab.call(0, 'domctl.get_domain_state', { domid: 0x7ff4 }), -EACCES, 'the caller has not bound it');
  const user = new FakeUser(lab);
  const port = lab.kernel.bindVirq(user.process, user.file.fd, 3);
  const next = () => lab.call(0, 'domctl.get_domain_state', { domid: 0x7ff4 });
  const a = lab.domain();
  t.match(next(), { domid: 1, state: 1, caps: 0, unique_id: '2' });
  t.equal(next(), -ENOENT);
  t.same(user.readPorts(), []);
  lab.call(a.domid, 'sched.shutdown', { reason: 0 });
  t.same(user.readPorts(), [port]);
  user.writeBack(port);
  t.match(next(), { domid: 1, state: 3 }, 'exists, shut down');
  const holder = {};
  lab.kernel.mapForeign(holder, DomId(1));
  lab.call(0, 'domctl.destroy', { domid: 1 });
  t.same(user.readPorts(), [port]);
  user.writeBack(port);
  t.match(next(), { domid: 1, state: 11 }, 'dead, and still there: its memory is mapped');
  t.equal(lab.call(0, 'domctl.create', { ...create, domid: 1 }), -EEXIST, 'its number is not free');
  t.match(lab.call(0, 'domctl.get_domain_state', { domid: 1 }), { state: 11 });
  lab.kernel.unmapForeign(holder, DomId(1));
  t.same(user.readPorts(), [port]);
  t.match(next(), { domid: 1, state: 0, unique_id: '0' }, 'gone');
  t.equal(lab.call(0, 'domctl.get_domain_state', { domid: 1 }), -ESRCH);
  t.match(lab.call(0, 'domctl.create', { ...create, domid: 1 }), { domid: 1, unique_id: '3' });
});

t.test("a guest's process: one at a time; its end is a crash unless the domain had shut down", async (t) => {
  const lab = makeLab();
  const told: number[] = [];
  lab.host.onStopped((domain) => told.push(domain.domid));
  const process = {};
  const a = lab.domain();
  new FakeGuest(lab, a, process);
  t.throws(() => new FakeGuest(lab, a, {}), { code: 'EBUSY' });
  lab.host.processEnded({});
  t.equal(a.shutdownReason, undefined, 'another domain');
  lab.host.processEnded(process);
  t.equal(a.shutdownReason, 3);
  t.equal(a.holders, 0);
  const b = lab.domain();
  new FakeGuest(lab, b, process);
  lab.call(b.domid, 'sched.shutdown', { reason: 0 });
  t.equal(lab.number(b.domid, 'sched.shutdown', { reason: 6 }), -EINVAL);
  lab.host.processEnded(process);
  t.equal(b.shutdownReason, 0, 'the first reason stays');
  t.same(told, [a.domid], 'its own shutdown is no news to a guest');
});

t.test('attaching fails whole when a doorbell is not there', async (t) => {
  const lab = makeLab();
  const domain = lab.domain();
  const guest = lab.host.runOf(domain)!;
  const before = lab.doorbell.boundCount;
  t.throws(() => guest.attach({}, { bell: 'nobody', bit: 0 }, { bell: 'sandbox', bit: 0 }), { code: 'ENOENT' });
  t.throws(() => guest.attach({}, { bell: 'sandbox', bit: 0 }, { bell: 'nobody', bit: 0 }), { code: 'ENOENT' });
  t.equal(lab.doorbell.boundCount, before);
  t.ok(new FakeGuest(lab, domain));
});

t.test('the end of the host leaves nothing', async (t) => {
  const lab = makeLab();
  const a = lab.domain();
  new FakeGuest(lab, a);
  const user = new FakeUser(lab);
  lab.kernel.mapForeign(user.process, a.domid);
  lab.kernel.close();
  lab.host.close();
  t.same(lab.files.paths, []);
  t.same(
    lab.host.domains.all().map(({ domid }) => domid),
    [0],
  );
});
