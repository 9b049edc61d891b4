// The bus methods by themselves: what a peer sends wrong is refused with a name, what is our bug is not.
import t from 'tap';
import type { Peer } from '../../../../lib/core/bus.js';
import { ErrnoError } from '../../../../lib/core/errors.js';
import { hypervisorHandlers } from '../../../../services/hypervisor/bus-handlers.js';
import { makeLab } from '../../../../testkit/host-lab.js';

const PEER: Peer = {
  name: 'peer',
  domid: 0,
  incarnation: 1,
  pid: 0,
  emit: () => {},
  drop: () => {},
  onClose: () => {},
};

function stage() {
  const lab = makeLab();
  const domain = lab.domain();
  const handlers = hypervisorHandlers({ host: lab.host, kernel: lab.kernel, domainOf: () => lab.host.dom0 });
  const call = (method: string, request: object) =>
    (handlers as unknown as Record<string, (request: object, peer: Peer) => object>)[method]!(request, PEER);
  return { lab, domain, call };
}

t.test('ids that fit no field are refused with EINVAL, and the process goes on', async (t) => {
  const { lab, domain, call } = stage();
  const readable = lab.doorbell.bind(() => {}).handle;
  const { fd } = call('dev_evtchn_open', { readable }) as { fd: number };
  const handle = readable;
  for (const bad of [0x10000, 0xffffffff, -1, 1.5, Number.NaN]) {
    for (const [method, request] of [
      ['privcmd_map_foreign', { domid: bad }],
      ['gntdev_open', { domid: bad }],
      ['gntdev_map', { domid: bad, refs: [1], readonly: true }],
      ['dev_evtchn_bind_unbound_port', { fd, remote_dom: bad }],
      ['dev_evtchn_bind_interdomain', { fd, remote_dom: bad, remote_port: 1 }],
      ['privcmd_ioeventfd', { domid: bad, fd, addr: 0, addr_len: 4, ports: [], vq: 0, server: 0, handle }],
      ['evtchn_alloc_unbound', { dom: bad, remote_dom: 0 }],
      ['domctl_destroy', { domid: bad }],
    ] as const)
      t.throws(() => call(method, request), { name: 'ErrnoError', code: 'EINVAL' }, `${method} ${bad}`);
  }
  for (const bad of [2 ** 32, -1, 1.5]) {
    t.throws(() => call('dev_evtchn_notify', { fd, port: bad }), { code: 'EINVAL' });
    t.throws(() => call('evtchn_send', { port: bad }), { code: 'EINVAL' });
  }
  t.equal(domain.life, 'alive');
});

t.test('a bug of ours behind a method is no answer: it reaches the process, which ends on it', async (t) => {
  const { lab, call } = stage();
  const broken = new TypeError('a bug of ours');
  lab.host.channels.send = () => {
    throw broken;
  };
  for (const attempt of [
    () => call('evtchn_send', { port: 1 }),
    () => call('hypercall', { op: 'evtchn.send', args: '{}' }),
  ])
    try {
      attempt();
      t.fail('it was swallowed');
    } catch (error) {
      t.equal(error, broken);
      t.notOk(error instanceof ErrnoError);
    }
});

t.test('a bug of ours while a page is made is not taken for a lack of room', async (t) => {
  const lab = makeLab();
  const domain = lab.domain();
  const { create } = lab.files;
  lab.files.create = () => {
    throw new RangeError('a bug of ours');
  };
  const id = lab.number(0, 'dm.create_ioreq_server', { domid: domain.domid });
  const frame = { domid: domain.domid, id, frame: 1, nr_frames: 1 };
  t.throws(() => lab.call(0, 'xenmem.acquire_resource', frame), RangeError);
  t.throws(() => lab.call(domain.domid, 'gnttab.setup_table', { dom: domain.domid, nr_frames: 1 }), RangeError);
  t.throws(() => lab.call(0, 'domctl.create', { memory_mib: 8 }), RangeError);
  lab.files.create = create;
  t.same(
    (lab.call(0, 'xenmem.acquire_resource', frame) as { nr_frames: number }).nr_frames,
    1,
    'nothing was left half-made',
  );
});
