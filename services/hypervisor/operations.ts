// Every hypercall by name. The bus and `xenwire hypercall` come through this table. Names are "group.operation"; arguments
// are Xen's field names, one that is left out is 0. Leaves what they do to evtchn-ops.ts, domctl.ts and dm-ops.ts.
import { ERRNO } from '../../lib/core/errno.js';
import type { Domain } from './domain/domain.js';
import { DOMCTL_OPERATIONS } from './domain/domctl.js';
import { EVTCHN_OPERATIONS } from './event/evtchn-ops.js';
import { GNTTAB_OPERATIONS } from './grant/gnttab-ops.js';
import type { Host } from './host.js';
import { DM_OPERATIONS } from './ioreq/dm-ops.js';
import { type Operation, type Out, parseArgs } from './operation.js';

const { EINVAL, ENOSYS, EPERM } = ERRNO;

export const OPERATIONS: ReadonlyMap<string, Operation> = new Map<string, Operation>(
  Object.entries({ ...EVTCHN_OPERATIONS, ...DOMCTL_OPERATIONS, ...DM_OPERATIONS, ...GNTTAB_OPERATIONS }),
);

/** Runs one operation: 0 or more, or an object, when it succeeded; minus an error number when not. */
export function hypercall(
  host: Host,
  caller: Domain,
  name: string,
  args: Readonly<Record<string, unknown>>,
): Out | number {
  const found = OPERATIONS.get(name);
  if (found === undefined) return -ENOSYS;
  if (found.caller === 'dom0' && !caller.privileged) return -EPERM;
  const values = parseArgs(found.args, args);
  return values === undefined ? -EINVAL : found.run(host, caller, values as never);
}
