import t from 'tap';
import { ERRNO } from '../../../../lib/core/errno.js';
import { DOMID_SELF, EvtchnPort } from '../../../../lib/core/ids.js';
import { makeLab, SharedInfo } from '../../../../testkit/host-lab.js';
import { eventAbiContract } from '../../../contract/event-abi.js';
import { FifoGuest } from '../../../fixtures/fifo-guest.js';

const { EACCES, EINVAL, ENOENT, ENOSPC, ENOSYS, EOPNOTSUPP, ESRCH } = ERRNO;

const SELF = DOMID_SELF;

eventAbiContract(t, '2-level', (_lab, domain) => {
  const shared = new SharedInfo(domain.sharedInfo);
  return {
    // As Linux: a vCPU takes those of the ports that are bound to it.
    take: (vcpu = 0) =>
      shared.upcall(vcpu) ? shared.take(vcpu, (port) => domain.ports.get(EvtchnPort(port))!.vcpu === vcpu) : [],
    setMask: (port, masked) => shared.setMask(port, masked),
    pending: (port) => shared.pending(port),
    upcall: (vcpu = 0) => shared.upcall(vcpu),
  };
});

eventAbiContract(t, 'FIFO', (lab, domain) => new FifoGuest(lab, domain));

function pair(lab: ReturnType<typeof makeLab>, domid: number) {
  const from = lab.number(domid, 'evtchn.alloc_unbound', { dom: SELF, remote_dom: SELF });
  return { from, to: lab.number(domid, 'evtchn.bind_interdomain', { remote_dom: SELF, remote_port: from }) };
}

t.test('FIFO: refusals in order', async (t) => {
  const lab = makeLab();
  const domain = lab.domain({ vcpus: 2 });
  const { domid } = domain;
  const init = (args: object) =>
    lab.call(domid, 'evtchn.init_control', { control_gfn: 1, offset: 0, vcpu: 0, ...args });
  const expand = (gfn: number | string) => lab.call(domid, 'evtchn.expand_array', { array_gfn: gfn });
  const priority = (port: number, value: number) => lab.call(domid, 'evtchn.set_priority', { port, priority: value });
  t.equal(init({ vcpu: 2 }), -ENOENT);
  t.equal(init({ offset: 4096 - 64 }), -EINVAL);
  t.equal(init({ offset: 4 }), -EINVAL);
  t.equal(init({ control_gfn: 2048 }), -EINVAL, 'past its memory');
  t.equal(init({ control_gfn: '0xffffffffffffffff' }), -EINVAL);
  t.equal(expand(2), -EOPNOTSUPP, 'not in FIFO mode');
  t.equal(priority(999, 1), -EINVAL);
  t.equal(priority(1, 1), -ENOSYS, '2-level has none');
  t.same(init({}), { link_bits: 17 });
  t.equal(init({}), -EINVAL, 'once a vCPU');
  t.same(init({ vcpu: 1, offset: 4096 - 72 }), { link_bits: 17 });
  t.equal(expand('0x100000000'), -EINVAL);
  for (let n = 0; n < 128; n++) t.equal(expand(2 + n), 0);
  t.equal(expand(2), -ENOSPC, 'as many pages as there are ports');
  t.equal(priority(1, 1), -EACCES, 'no usable port');
  const { to } = pair(lab, domid);
  t.equal(priority(to, 16), -EINVAL);
  t.equal(priority(to, 15), 0);
  t.equal(lab.call(0, 'evtchn.init_control', { control_gfn: 1 }), -EINVAL, 'dom0’s kernel is on 2-level');
});

t.test('FIFO: higher priorities come first, in order of sending within one', async (t) => {
  const lab = makeLab();
  const domain = lab.domain();
  const guest = new FifoGuest(lab, domain);
  const pairs = Array.from({ length: 4 }, () => pair(lab, domain.domid));
  guest.take();
  lab.call(domain.domid, 'evtchn.set_priority', { port: pairs[3]!.to, priority: 0 });
  lab.call(domain.domid, 'evtchn.set_priority', { port: pairs[0]!.to, priority: 15 });
  for (const { from } of pairs) lab.call(domain.domid, 'evtchn.send', { port: from });
  t.same(guest.take(), [pairs[3]!.to, pairs[1]!.to, pairs[2]!.to, pairs[0]!.to]);
});

t.test('FIFO: events of the 2-level words and of missing pages come once the page is there', async (t) => {
  const lab = makeLab();
  const domain = lab.domain();
  const early = pair(lab, domain.domid);
  lab.call(domain.domid, 'evtchn.send', { port: early.from });
  const guest = new FifoGuest(lab, domain, { expand: false });
  const late = pair(lab, domain.domid);
  t.same(guest.take(), []);
  guest.expand(lab);
  t.same(guest.take(), [early.to, late.to]);
});

t.test('FIFO: a closed port is not handed out while its word is still linked', async (t) => {
  const lab = makeLab();
  const domain = lab.domain();
  const guest = new FifoGuest(lab, domain);
  const { from, to } = pair(lab, domain.domid);
  t.ok(guest.linked(to));
  lab.call(domain.domid, 'evtchn.close', { port: to });
  lab.call(domain.domid, 'evtchn.close', { port: from });
  t.equal(lab.number(domain.domid, 'evtchn.alloc_unbound', { dom: SELF }), from);
  t.equal(lab.number(domain.domid, 'evtchn.alloc_unbound', { dom: SELF }), to + 1);
  t.same(guest.take(), [], 'ignored by the guest: not pending');
  t.equal(lab.number(domain.domid, 'evtchn.alloc_unbound', { dom: SELF }), to);
});

t.test('FIFO: more ports than 2-level has, and back to 2-level by reset', async (t) => {
  const lab = makeLab();
  const domain = lab.domain({ maxPort: -1 });
  new FifoGuest(lab, domain);
  let port = 0;
  while (port < 5000) port = lab.number(domain.domid, 'evtchn.alloc_unbound', { dom: SELF });
  t.equal(port, 5000);
  t.equal(lab.number(domain.domid, 'evtchn.reset', { dom: SELF }), 0);
  t.equal(domain.abi.name, '2-level');
  t.equal(lab.call(domain.domid, 'evtchn.expand_array', { array_gfn: 3 }), -EOPNOTSUPP);
  const { from, to } = pair(lab, domain.domid);
  lab.call(domain.domid, 'evtchn.send', { port: from });
  t.ok(new SharedInfo(domain.sharedInfo).pending(to));
});

t.test('FIFO: an event for a vCPU without a control block is dropped before anything shows it', async (t) => {
  const lab = makeLab();
  const domain = lab.domain({ vcpus: 2 });
  const { domid } = domain;
  t.same(lab.call(domid, 'evtchn.init_control', { control_gfn: 1, offset: 0, vcpu: 0 }), { link_bits: 17 });
  const ipi = lab.number(domid, 'evtchn.bind_ipi', { vcpu: 1 });
  t.equal(lab.number(domid, 'evtchn.send', { port: ipi }), 0, 'its word is missing too: this one is remembered');
  t.equal(lab.call(domid, 'evtchn.expand_array', { array_gfn: 2 }), 0);
  let woken = 0;
  domain.vcpus[0]!.onPollEnd = () => woken++;
  t.same(lab.call(domid, 'sched.poll', { ports: [ipi], vcpu: 0 }), { blocked: true }, 'not pending: dropped as well');
  t.equal(lab.number(domid, 'evtchn.send', { port: ipi }), 0);
  t.equal(woken, 0, 'no poller is woken');
  const word = new DataView(domain.memory!.view(2 * 4096 + ipi * 4, 4).slice().buffer).getUint32(0, true);
  t.equal(word, 0, 'neither PENDING nor LINKED');
  t.same(lab.call(domid, 'evtchn.init_control', { control_gfn: 1, offset: 128, vcpu: 1 }), { link_bits: 17 });
  t.equal(lab.number(domid, 'evtchn.send', { port: ipi }), 0);
  t.equal(woken, 1, 'with the block it arrives');
  t.ok(domain.vcpus[1]!.upcallPending);
});

t.test('FIFO: a guest that scribbles on its words and blocks harms itself alone', async (t) => {
  const lab = makeLab();
  const domain = lab.domain();
  const guest = new FifoGuest(lab, domain);
  const pairs = Array.from({ length: 8 }, () => pair(lab, domain.domid));
  for (const fill of [-1, 0, 0x3fffffff, LINKED_TO_ITSELF]) {
    guest.words.fill(fill);
    for (const { from, to } of pairs) {
      t.equal(lab.number(domain.domid, 'evtchn.send', { port: from }), 0);
      t.equal(lab.number(domain.domid, 'evtchn.unmask', { port: to }), 0);
    }
  }
  lab.call(0, 'domctl.destroy', { domid: domain.domid });
  t.equal(lab.number(0, 'domctl.unpause', { domid: domain.domid }), -ESRCH);
});
const LINKED_TO_ITSELF = (1 << 29) | 1;
