import t from 'tap';
import { ERRNO } from '../../../../lib/core/errno.js';
import { DomId } from '../../../../lib/core/ids.js';
import {
  GNTST,
  GRANT_ENTRY_V1,
  GTF_permit_access,
  GTF_reading,
  GTF_readonly,
  GTF_sub_page,
  GTF_writing,
} from '../../../../lib/layout/grant-table.js';
import { FakeGuest, FakeUser, makeLab } from '../../../../testkit/host-lab.js';

const HOST = 2;
const READONLY = 4;

function stage() {
  const lab = makeLab();
  const domain = lab.domain();
  const { domid } = domain;
  const { file } = lab.call(domid, 'gnttab.setup_table', { dom: 0x7ff0, nr_frames: 1 }) as {
    file: { path: string; size: number };
  };
  const { bytes } = lab.files.map(file);
  const grant = (ref: number, flags: number, frame: number, to = 0) =>
    GRANT_ENTRY_V1.encode({ flags, domid: to, frame }, bytes, ref * GRANT_ENTRY_V1.size);
  const flags = (ref: number) => GRANT_ENTRY_V1.decode(bytes, ref * GRANT_ENTRY_V1.size).flags;
  const map = (ref: number, how = HOST, dom: number = domid) =>
    lab.call(0, 'gnttab.map_grant_ref', { dom, ref, flags: how }) as { status: number; handle: number; gfn: number };
  const unmap = (handle: number) => (lab.call(0, 'gnttab.unmap_grant_ref', { handle }) as { status: number }).status;
  return { lab, domain, domid, grant, flags, map, unmap };
}

t.test('a grant is pinned while it is mapped, writable only while a writable mapping lasts', async (t) => {
  const { grant, flags, map, unmap, domain } = stage();
  grant(8, GTF_permit_access, 0x123);
  const first = map(8);
  t.match(first, { status: 0, gfn: 0x123 });
  const second = map(8, HOST | READONLY);
  t.equal(flags(8), GTF_permit_access | GTF_reading | GTF_writing);
  t.equal(domain.holders, 2);
  t.equal(unmap(first.handle), 0);
  t.equal(flags(8), GTF_permit_access | GTF_reading);
  t.equal(unmap(second.handle), 0);
  t.equal(flags(8), GTF_permit_access, 'free to be revoked');
  t.equal(unmap(second.handle), GNTST.bad_handle, 'the handle is spent');
  t.equal(domain.holders, 0);
});

t.test('statuses of what may not be mapped, in order', async (t) => {
  const { lab, grant, map } = stage();
  t.equal(map(8, 0, 99).status, GNTST.bad_gntref, 'neither host nor device comes first');
  t.equal(map(8, HOST, 99).status, GNTST.bad_domain);
  t.equal(map(512).status, GNTST.bad_gntref, 'past the table');
  t.equal(map(8).status, GNTST.general_error, 'no grant');
  grant(8, GTF_permit_access, 1, 7);
  t.equal(map(8).status, GNTST.general_error, 'granted to another domain');
  grant(8, GTF_permit_access | GTF_readonly, 1);
  t.equal(map(8).status, GNTST.general_error, 'not for writing');
  t.equal(map(8, HOST | READONLY).status, 0);
  grant(9, GTF_permit_access | GTF_sub_page, 1);
  t.equal(map(9).status, GNTST.general_error);
  grant(10, GTF_permit_access, 2048);
  t.equal(map(10).status, GNTST.general_error, 'a frame past its memory');
  grant(11, 2, 1);
  t.equal(map(11).status, GNTST.general_error, 'a transfer');
  const other = lab.domain();
  t.equal(map(8, HOST, other.domid).status, GNTST.bad_gntref, 'no table');
});

t.test('table size: grows to 64 pages, of oneself or by dom0', async (t) => {
  const { lab, domid, map, grant } = stage();
  const setup = (dom: number, args: Record<string, unknown>) =>
    (lab.call(dom, 'gnttab.setup_table', args) as { status: number }).status;
  t.equal(setup(domid, { dom: 0x7ff0, nr_frames: 65 }), GNTST.general_error);
  t.equal(setup(domid, { dom: 99 }), GNTST.bad_domain);
  const other = lab.domain();
  t.equal(setup(other.domid, { dom: domid, nr_frames: 2 }), GNTST.permission_denied);
  grant(1000, GTF_permit_access, 5);
  t.equal(map(1000).status, GNTST.bad_gntref);
  t.equal(setup(0, { dom: domid, nr_frames: 2 }), 0);
  t.equal(map(1000).status, 0);
  t.match(lab.call(domid, 'gnttab.query_size', { dom: 0x7ff0 }), { status: 0, nr_frames: 2, max_nr_frames: 64 });
  t.same(lab.call(domid, 'gnttab.get_version', { dom: 0x7ff0 }), { version: 1 });
  t.equal(lab.call(domid, 'gnttab.set_version', { version: 2 }), -ERRNO.ENOSYS);
  t.equal(lab.call(domid, 'gnttab.set_version', { version: 3 }), -ERRNO.EINVAL);
});

t.test("a process's end, and its domain's, leave no mapping and no pin", async (t) => {
  const { lab, domain, domid, grant, flags, map } = stage();
  const guest = new FakeGuest(lab, domain);
  const user = new FakeUser(lab);
  grant(8, GTF_permit_access, 1);
  grant(9, GTF_permit_access, 2);
  t.equal(lab.host.grants.map(user.process, lab.host.dom0, domain, 8, HOST).status, 0);
  t.same(
    lab.host.grants.unmap({}, 1, () => {}),
    GNTST.bad_handle,
    'only its owner unmaps it',
  );
  user.end();
  t.equal(flags(8), GTF_permit_access);
  t.equal(map(9).status, 0);
  lab.call(0, 'domctl.destroy', { domid });
  guest.end(lab);
  t.equal(domain.life, 'dying', 'a page of it is mapped still');
  t.equal((lab.call(0, 'gnttab.unmap_grant_ref', { handle: 2 }) as { status: number }).status, 0);
  t.equal(domain.life, 'gone');
  t.same(lab.files.paths, []);
});

t.test('gntdev: a process of dom0 holds a guest whose granted pages it reaches', async (t) => {
  const { lab, domid, domain, grant, map } = stage();
  const { kernel } = lab;
  const process = {};
  const kinds = () => [...kernel.held()].map(({ kind, name }) => `${kind} ${name}`);
  const before = kinds();
  t.match(kernel.openGrants(process, domid), {
    ram: { path: `shm/dom${domid}.ram`, size: domain.memoryMib << 20 },
    table: { path: `shm/dom${domid}.grants` },
  });
  t.same(kinds(), [...before, `gntdev ${domid}`]);
  t.throws(() => kernel.openGrants(process, DomId(99)), { code: 'ESRCH' });
  t.throws(() => kernel.closeGrants({}, domid), { code: 'EINVAL' }, 'not of that process');
  grant(8, GTF_permit_access, 1);
  t.equal(lab.host.grants.map(process, lab.host.dom0, domain, 8, HOST).status, 0);
  lab.host.destroy(domain);
  t.throws(() => kernel.openGrants(process, domid), { code: 'EINVAL' }, 'dying');
  t.equal(domain.life, 'dying', 'held');
  t.equal(map(8).status, GNTST.bad_domain);
  kernel.processEnded(process);
  t.equal(domain.life, 'gone');
  t.same(kinds(), before);
});
