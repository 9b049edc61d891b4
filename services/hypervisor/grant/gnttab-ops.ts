// The grant-table hypercalls as named operations. A call succeeds as a call; each entry has a status of its own.
// Leaves tables and pins to grants.ts; a script's mappings belong to the calling domain as a whole.
import { ERRNO } from '../../../lib/core/errno.js';
import { DOMID_SELF, type DomId } from '../../../lib/core/ids.js';
import { GNTST, GRANT_FRAMES_MAX } from '../../../lib/layout/grant-table.js';
import type { Domain } from '../domain/domain.js';
import { mayTarget } from '../event/event-channels.js';
import type { Host } from '../host.js';
import { operation } from '../operation.js';

const { EINVAL, ENOSYS } = ERRNO;
const VERSION = 1;

const target = (host: Host, caller: Domain, dom: DomId): Domain | number => {
  const domain = dom === DOMID_SELF ? caller : host.domains.find(dom);
  if (domain === undefined) return GNTST.bad_domain;
  return mayTarget(caller, domain) ? domain : GNTST.permission_denied;
};

export const GNTTAB_OPERATIONS = {
  'gnttab.setup_table': operation({
    caller: 'any',
    args: { dom: 'domid', nr_frames: 'u32' },
    run: (host, caller, { dom, nr_frames }) => {
      const domain = target(host, caller, dom);
      if (typeof domain === 'number') return { status: domain };
      const file = host.grants.setup(domain, nr_frames);
      return typeof file === 'number'
        ? { status: file }
        : { status: GNTST.okay, file, nr_frames: host.grants.frames(domain) };
    },
  }),
  'gnttab.query_size': operation({
    caller: 'any',
    args: { dom: 'domid' },
    run: (host, caller, { dom }) => {
      const domain = target(host, caller, dom);
      if (typeof domain === 'number') return { status: domain };
      return { status: GNTST.okay, nr_frames: host.grants.frames(domain), max_nr_frames: GRANT_FRAMES_MAX };
    },
  }),
  'gnttab.get_version': operation({
    caller: 'any',
    args: { dom: 'domid' },
    run: (host, caller, { dom }) => {
      const domain = target(host, caller, dom);
      return typeof domain === 'number'
        ? domain === GNTST.bad_domain
          ? -ERRNO.ESRCH
          : -ERRNO.EPERM
        : { version: VERSION };
    },
  }),
  'gnttab.set_version': operation({
    caller: 'any',
    args: { version: 'u32' },
    run: (_host, _caller, { version }) => {
      if (version !== 1 && version !== 2) return -EINVAL;
      return version === VERSION ? { version } : -ENOSYS;
    },
  }),
  'gnttab.map_grant_ref': operation({
    caller: 'any',
    args: { dom: 'domid', ref: 'u32', flags: 'u32' },
    run: (host, caller, { dom, ref, flags }) => {
      const domain = dom === DOMID_SELF ? caller : host.domains.find(dom);
      return { ...host.grants.map(caller, caller, domain, ref, flags) };
    },
  }),
  'gnttab.unmap_grant_ref': operation({
    caller: 'any',
    args: { handle: 'u32' },
    run: (host, caller, { handle }) => ({
      status: host.grants.unmap(caller, handle, (domain) => host.forgetUnheld(domain)),
    }),
  }),
};
