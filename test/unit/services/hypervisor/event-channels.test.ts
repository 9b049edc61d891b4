import t from 'tap';
import { ERRNO } from '../../../../lib/core/errno.js';
import { DOMID_SELF } from '../../../../lib/core/ids.js';
import { FakeGuest, makeLab, SharedInfo } from '../../../../testkit/host-lab.js';

const { EBUSY, EEXIST, EINVAL, ENOENT, ENOSPC, EPERM, ESRCH } = ERRNO;

const SELF = DOMID_SELF;

t.test('port numbers: lowest free first, port 0 reserved, buckets of 64, the limit is the highest port', async (t) => {
  const lab = makeLab();
  const { domid } = lab.domain({ maxPort: 70 });
  const alloc = () => lab.number(domid, 'evtchn.alloc_unbound', { dom: SELF, remote_dom: 0 });
  t.equal(lab.number(domid, 'evtchn.status', { dom: SELF, port: 63 }), 0, 'closed, but valid');
  t.equal(lab.number(domid, 'evtchn.status', { dom: SELF, port: 64 }), -EINVAL, 'no such bucket yet');
  for (let port = 1; port <= 63; port++) t.equal(alloc(), port);
  t.equal(alloc(), 64);
  t.equal(lab.number(domid, 'evtchn.status', { dom: SELF, port: 127 }), 0, 'a whole bucket came');
  for (let port = 65; port <= 70; port++) t.equal(alloc(), port);
  t.equal(alloc(), -ENOSPC, 'ENOSPC past the highest port');
  t.equal(lab.number(domid, 'evtchn.close', { port: 0 }), -EINVAL);
  t.equal(lab.number(domid, 'evtchn.close', { port: 5 }), 0);
  t.equal(lab.number(domid, 'evtchn.close', { port: 3 }), 0);
  t.equal(alloc(), 3, 'the lowest again');
  t.equal(alloc(), 5);
  t.equal(alloc(), -ENOSPC);
});

t.test('the 2-level limit is 4096 ports, also where the toolstack permits more', async (t) => {
  const lab = makeLab();
  const { domid } = lab.domain({ maxPort: -1 });
  let last = 0;
  for (;;) {
    const port = lab.number(domid, 'evtchn.alloc_unbound', { dom: SELF });
    if (port < 0) {
      t.equal(port, -ENOSPC);
      break;
    }
    last = port;
  }
  t.equal(last, 4095);
});

t.test('alloc_unbound: order of checks, and SELF as the remote is the caller', async (t) => {
  const lab = makeLab();
  const a = lab.domain();
  const b = lab.domain({ maxPort: 1 });
  t.equal(lab.number(a.domid, 'evtchn.alloc_unbound', { dom: 99 }), -ESRCH);
  t.equal(lab.number(a.domid, 'evtchn.alloc_unbound', { dom: b.domid }), -EPERM, 'a guest may not for another');
  t.equal(lab.number(0, 'evtchn.alloc_unbound', { dom: b.domid, remote_dom: SELF }), 1, 'and the port was given back');
  t.same(lab.call(0, 'evtchn.status', { dom: b.domid, port: 1 }), { status: 1, vcpu: 0, unbound_dom: 0 });
  t.equal(lab.number(a.domid, 'evtchn.alloc_unbound', { dom: b.domid }), -ENOSPC, 'full comes before not allowed');
});

t.test('bind_interdomain makes both ends interdomain and the binder pending at once', async (t) => {
  const lab = makeLab();
  const a = lab.domain();
  const b = lab.domain();
  const guest = new FakeGuest(lab, b);
  const remote = lab.number(a.domid, 'evtchn.alloc_unbound', { dom: SELF, remote_dom: b.domid });
  t.equal(lab.number(a.domid, 'evtchn.send', { port: remote }), 0, 'a send before the binding is dropped');
  const local = lab.number(b.domid, 'evtchn.bind_interdomain', { remote_dom: a.domid, remote_port: remote });
  t.equal(local, 1);
  t.same(lab.call(b.domid, 'evtchn.status', { dom: SELF, port: 1 }), {
    status: 2,
    vcpu: 0,
    remote_dom: a.domid,
    remote_port: remote,
  });
  t.equal(guest.upcalls, 1);
  t.same(guest.shared.take(), [local]);
  t.notOk(new SharedInfo(a.sharedInfo).pending(remote), 'the other end is not told');
  t.equal(
    lab.number(b.domid, 'evtchn.bind_interdomain', { remote_dom: a.domid, remote_port: remote }),
    -EINVAL,
    'taken',
  );
  t.equal(lab.number(a.domid, 'evtchn.send', { port: remote }), 0);
  t.same(guest.shared.take(), [local]);
});

t.test(
  'close drops the other end to unbound for the domain that closed, silently; both ends need a close',
  async (t) => {
    const lab = makeLab();
    const a = lab.domain();
    const b = lab.domain();
    const remote = lab.number(a.domid, 'evtchn.alloc_unbound', { dom: SELF, remote_dom: b.domid });
    const local = lab.number(b.domid, 'evtchn.bind_interdomain', { remote_dom: a.domid, remote_port: remote });
    lab.call(b.domid, 'evtchn.send', { port: local });
    const shared = new SharedInfo(a.sharedInfo);
    t.ok(shared.pending(remote));
    t.equal(lab.number(b.domid, 'evtchn.close', { port: local }), 0);
    t.ok(shared.pending(remote), 'pending bits of the survivor stay');
    t.notOk(new SharedInfo(b.sharedInfo).pending(local), 'those of the closer are cleared');
    t.same(lab.call(a.domid, 'evtchn.status', { dom: SELF, port: remote }), {
      status: 1,
      vcpu: 0,
      unbound_dom: b.domid,
    });
    t.equal(lab.number(a.domid, 'evtchn.send', { port: remote }), 0, 'sends vanish');
    t.equal(
      lab.number(b.domid, 'evtchn.bind_interdomain', { remote_dom: a.domid, remote_port: remote }),
      local,
      'the same domain may bind it again',
    );
    t.equal(lab.number(a.domid, 'evtchn.close', { port: remote }), 0);
    t.equal(lab.number(b.domid, 'evtchn.close', { port: local }), 0);
  },
);

t.test("a domain's end frees its ports, and leaves its peers' ports unbound for it", async (t) => {
  const lab = makeLab();
  const a = lab.domain();
  const port = lab.number(a.domid, 'evtchn.alloc_unbound', { dom: SELF, remote_dom: 0 });
  const mine = lab.number(0, 'evtchn.bind_interdomain', { remote_dom: a.domid, remote_port: port });
  const { domid } = a;
  t.equal(lab.number(0, 'domctl.destroy', { domid }), 0);
  t.same(lab.call(0, 'evtchn.status', { dom: SELF, port: mine }), { status: 1, vcpu: 0, unbound_dom: domid });
  t.equal(lab.number(0, 'evtchn.status', { dom: domid, port }), -ESRCH);
  t.same(lab.files.paths, [], 'its files are gone');
});

t.test('virtual interrupts: class, order of checks, once each, moved only where the class allows', async (t) => {
  const lab = makeLab();
  const { domid } = lab.domain({ vcpus: 2 });
  const bind = (dom: number, virq: number, vcpu: number) => lab.number(dom, 'evtchn.bind_virq', { virq, vcpu });
  t.equal(bind(domid, 24, 9), -EINVAL, 'number first');
  t.equal(bind(domid, 11, 1), -EINVAL, 'a domain-wide one belongs on vCPU 0');
  t.equal(bind(domid, 0, 9), -ENOENT, 'then the vCPU');
  t.equal(bind(domid, 3, 0), -EBUSY, 'a global one goes to its handler only');
  const timer0 = bind(domid, 0, 0);
  const timer1 = bind(domid, 0, 1);
  t.ok(timer0 > 0 && timer1 > timer0);
  t.equal(bind(domid, 0, 1), -EEXIST);
  const argo = bind(domid, 11, 0);
  t.equal(lab.number(domid, 'evtchn.bind_vcpu', { port: timer1, vcpu: 0 }), -EINVAL);
  t.equal(lab.number(domid, 'evtchn.bind_vcpu', { port: argo, vcpu: 1 }), 0);
  t.equal(lab.number(domid, 'evtchn.send', { port: argo }), -EINVAL, 'no domain sends on a virtual interrupt');
  t.equal(lab.number(domid, 'evtchn.close', { port: timer1 }), 0);
  t.equal(bind(domid, 0, 1), timer1, 'free again');
  t.equal(lab.number(domid, 'evtchn.bind_pirq', { pirq: 1 }), -EINVAL);
});

t.test('several vCPUs: bind_vcpu and bind_ipi say whose upcall it is', async (t) => {
  const lab = makeLab();
  const domain = lab.domain({ vcpus: 3 });
  const { domid } = domain;
  const shared = new SharedInfo(domain.sharedInfo);
  const ipi = lab.number(domid, 'evtchn.bind_ipi', { vcpu: 2 });
  t.equal(lab.number(domid, 'evtchn.bind_ipi', { vcpu: 3 }), -ENOENT);
  t.equal(lab.number(domid, 'evtchn.send', { port: ipi }), 0);
  t.same(
    [0, 1, 2].map((vcpu) => shared.upcall(vcpu)),
    [false, false, true],
  );
  t.equal(lab.number(domid, 'evtchn.bind_vcpu', { port: ipi, vcpu: 0 }), -EINVAL, 'an IPI stays where it is');
  const port = lab.number(domid, 'evtchn.alloc_unbound', { dom: SELF, remote_dom: SELF });
  const other = lab.number(domid, 'evtchn.bind_interdomain', { remote_dom: SELF, remote_port: port });
  t.same(shared.take(0), [ipi, other]);
  t.equal(lab.number(domid, 'evtchn.bind_vcpu', { port: other, vcpu: 9 }), -ENOENT, 'the vCPU is tested first');
  t.equal(lab.number(domid, 'evtchn.bind_vcpu', { port: 999, vcpu: 0 }), -EINVAL);
  t.equal(lab.number(domid, 'evtchn.bind_vcpu', { port: other, vcpu: 1 }), 0);
  lab.call(domid, 'evtchn.send', { port });
  t.same(
    [0, 1].map((vcpu) => shared.upcall(vcpu)),
    [false, true],
  );
});

t.test('a port that was left for a dead domain is not for the next one of its domid', async (t) => {
  const lab = makeLab();
  const first = lab.domain({ domid: 7 });
  const meant = lab.number(0, 'evtchn.alloc_unbound', { dom: SELF, remote_dom: 7 });
  const fallen = lab.number(0, 'evtchn.alloc_unbound', { dom: SELF, remote_dom: 7 });
  t.ok(lab.number(7, 'evtchn.bind_interdomain', { remote_dom: 0, remote_port: fallen }) > 0);
  lab.call(0, 'domctl.destroy', { domid: 7 });
  const early = lab.number(0, 'evtchn.alloc_unbound', { dom: SELF, remote_dom: 7 });
  const second = lab.domain({ domid: 7 });
  t.not(second.uniqueId, first.uniqueId);
  for (const port of [meant, fallen])
    t.equal(lab.number(7, 'evtchn.bind_interdomain', { remote_dom: 0, remote_port: port }), -EINVAL);
  t.ok(
    lab.number(7, 'evtchn.bind_interdomain', { remote_dom: 0, remote_port: early }) > 0,
    'made for a domain to come',
  );
});

t.test("Xen's own ports: no close, send or bind_vcpu by the guest; reset leaves them", async (t) => {
  const lab = makeLab();
  const domain = lab.domain({ paused: true });
  const { domid } = domain;
  lab.call(0, 'dm.create_ioreq_server', { domid, handle_bufioreq: 0 });
  t.same(lab.call(domid, 'evtchn.status', { dom: SELF, port: 1 }), { status: 1, vcpu: 0, unbound_dom: 0 });
  for (const op of ['close', 'send', 'bind_vcpu']) t.equal(lab.number(domid, `evtchn.${op}`, { port: 1 }), -EINVAL, op);
  t.equal(lab.number(domid, 'evtchn.unmask', { port: 1 }), 0, 'silently nothing');
  t.equal(lab.number(domid, 'evtchn.alloc_unbound', { dom: SELF }), 2);
  t.equal(lab.number(0, 'evtchn.reset', { dom: domid }), 0);
  t.equal(lab.number(domid, 'evtchn.status', { dom: SELF, port: 1 }), 1);
  t.equal(lab.number(domid, 'evtchn.status', { dom: SELF, port: 2 }), 0);
  lab.call(0, 'dm.destroy_ioreq_server', { domid, id: 0 });
  t.equal(lab.number(domid, 'evtchn.status', { dom: SELF, port: 1 }), 0, 'freed with its server');
});

t.test('reset: unknown, not allowed, not paused, done', async (t) => {
  const lab = makeLab();
  const a = lab.domain();
  const b = lab.domain({ paused: true });
  t.equal(lab.number(0, 'evtchn.reset', { dom: 99 }), -ESRCH);
  t.equal(lab.number(a.domid, 'evtchn.reset', { dom: b.domid }), -EPERM);
  t.equal(lab.number(0, 'evtchn.reset', { dom: a.domid }), -EINVAL);
  lab.call(a.domid, 'evtchn.alloc_unbound', { dom: SELF });
  t.equal(lab.number(a.domid, 'evtchn.reset', { dom: SELF }), 0, 'its own needs no pause');
  t.equal(lab.number(a.domid, 'evtchn.alloc_unbound', { dom: SELF }), 1);
});

t.test('poll: at once when something is pending or an upcall waits, else until an event, masked or not', async (t) => {
  const lab = makeLab();
  const domain = lab.domain();
  const { domid } = domain;
  const shared = new SharedInfo(domain.sharedInfo);
  const port = lab.number(domid, 'evtchn.alloc_unbound', { dom: SELF, remote_dom: SELF });
  const other = lab.number(domid, 'evtchn.bind_interdomain', { remote_dom: SELF, remote_port: port });
  t.equal(lab.call(domid, 'sched.poll', { ports: [other] }), 0, 'pending since the binding');
  shared.take();
  shared.setMask(other, true);
  t.same(lab.call(domid, 'sched.poll', { ports: [other] }), { blocked: true });
  let ended = 0;
  domain.vcpus[0]!.onPollEnd = () => ended++;
  lab.call(domid, 'evtchn.send', { port });
  t.equal(ended, 1);
  t.equal(lab.call(domid, 'sched.poll', { ports: [900] }), -EINVAL);
  t.equal(lab.call(domid, 'sched.poll', { ports: new Array(129).fill(other) }), -EINVAL);
});

t.test('arguments that no field holds are refused to every caller', async (t) => {
  const lab = makeLab();
  const { domid } = lab.domain();
  for (const port of [-1, 2 ** 32, 1.5, Number.NaN, '1', null, [], {}]) {
    t.equal(lab.number(domid, 'evtchn.send', { port }), -EINVAL, String(port));
    if (port !== null) t.equal(lab.number(domid, 'evtchn.alloc_unbound', { dom: SELF, remote_dom: port }), -EINVAL);
  }
});
