import t from 'tap';
import { DOMID_SELF } from '../../../../lib/core/ids.js';
import { FakeGuest, makeLab } from '../../../../testkit/host-lab.js';

const SELF = DOMID_SELF;

function loop(lab: ReturnType<typeof makeLab>, domid: number) {
  const port = lab.number(domid, 'evtchn.alloc_unbound', { dom: SELF, remote_dom: SELF });
  return { port, other: lab.number(domid, 'evtchn.bind_interdomain', { remote_dom: SELF, remote_port: port }) };
}

t.test('delivery: pending, then mask, then selector, then upcall; each step stops where Xen stops', async (t) => {
  const lab = makeLab();
  const domain = lab.domain();
  const guest = new FakeGuest(lab, domain);
  const { shared } = guest;
  for (let n = 0; n < 64; n++) lab.call(domain.domid, 'evtchn.alloc_unbound', { dom: SELF });
  const { port, other } = loop(lab, domain.domid);
  t.equal(other, 66);
  shared.take();
  guest.upcalls = 0;

  lab.call(domain.domid, 'evtchn.send', { port });
  t.ok(shared.pending(other));
  t.equal(shared.selector(), 1n << 1n);
  t.equal(shared.upcall(), true);
  t.equal(guest.upcalls, 1);
  lab.call(domain.domid, 'evtchn.send', { port });
  t.equal(guest.upcalls, 1, 'already pending: nothing else happens');

  shared.take();
  shared.setMask(other, true);
  lab.call(domain.domid, 'evtchn.send', { port });
  t.ok(shared.pending(other));
  t.equal(shared.selector(), 0n, 'masked: neither selector nor upcall');
  t.equal(guest.upcalls, 1);
  t.equal(lab.number(domain.domid, 'evtchn.unmask', { port: other }), 0);
  t.equal(guest.upcalls, 2, 'the unmask hypercall delivers');
  t.notOk(shared.masked(other));
  lab.call(domain.domid, 'evtchn.unmask', { port: other });
  t.equal(guest.upcalls, 2, 'it was not masked: nothing');
});

t.test('a port that is closed loses its pending bit, not its mask', async (t) => {
  const lab = makeLab();
  const domain = lab.domain();
  const guest = new FakeGuest(lab, domain);
  const { port, other } = loop(lab, domain.domid);
  guest.shared.setMask(other, true);
  lab.call(domain.domid, 'evtchn.send', { port });
  lab.call(domain.domid, 'evtchn.close', { port: other });
  t.notOk(guest.shared.pending(other));
  t.ok(guest.shared.masked(other));
});
