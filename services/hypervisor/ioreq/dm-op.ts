// The checks that every dm_op begins with (xen/common/dm.c): which domain it is for, and whether the caller may serve it.
import { ERRNO } from '../../../lib/core/errno.js';
import type { DomId } from '../../../lib/core/ids.js';
import type { Domain } from '../domain/domain.js';
import type { Host } from '../host.js';
import { type ArgSpec, type ArgValues, type Operation, type Out, operation } from '../operation.js';

const { EPERM, ESRCH } = ERRNO;

/** A dm_op: `domid` is its target, which exists, is another domain than the caller, and is the caller's to serve. */
export function dm<const S extends ArgSpec>(
  args: S,
  run: (context: { host: Host; caller: Domain; domain: Domain }, args: ArgValues<S>) => Out | number,
): Operation {
  return operation({
    caller: 'any',
    args: { ...args, domid: 'domid' },
    run: (host, caller, values) => {
      const { domid } = values as unknown as { domid: DomId };
      const domain = host.domains.find(domid);
      if (domain === undefined) return -ESRCH;
      if (domain === caller) return -EPERM;
      if (!caller.privileged) return -EPERM;
      return run({ host, caller, domain }, values as unknown as ArgValues<S>);
    },
  });
}
