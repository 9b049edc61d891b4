// dm_op as a program makes it: buffers of bytes, of which the first is struct xen_dm_op (xen/common/dm.c). Turned into a
// named operation and back. Leaves the operations to ioreq/dm-ops.ts.
import { ERRNO } from '../../../lib/core/errno.js';
import type { DomId } from '../../../lib/core/ids.js';
import {
  XEN_DM_OP_HEADER,
  XEN_DM_OP_MODIFIED_MEMORY_EXTENT,
  XEN_DM_OPERANDS,
  XEN_DMOP,
  XEN_DMOP_MODIFIED_MEMORY_EXTENTS_MAX,
} from '../../../lib/layout/dm-op.js';
import type { Domain } from '../domain/domain.js';
import type { Host } from '../host.js';
import { hypercall } from '../operations.js';

const { E2BIG, EFAULT, EINVAL, ENODATA, EOPNOTSUPP, EPERM, ESRCH } = ERRNO;
/** Xen's: the operation, and one array. */
const BUFFERS_MAX = 2;

/** Numbers to names. */
export const DM_OP_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(XEN_DMOP).map(([name, number]) => [number, name]),
);

/** 0 or -errno; what the operation answers is in the first buffer then. */
export function dmOp(host: Host, caller: Domain, domid: DomId, buffers: readonly Uint8Array[]): number {
  if (buffers.length === 0) return -ENODATA;
  if (buffers.length > BUFFERS_MAX) return -E2BIG;
  const domain = host.domains.find(domid);
  if (domain === undefined) return -ESRCH;
  if (domain === caller || !caller.privileged) return -EPERM;
  const [bytes, array] = buffers as [Uint8Array, Uint8Array | undefined];
  if (bytes.length < XEN_DM_OP_HEADER.size) return -EFAULT;
  const { op, pad } = XEN_DM_OP_HEADER.decode(bytes);
  const name = DM_OP_NAMES.get(op);
  if (name === undefined) return -EOPNOTSUPP;
  const operand = XEN_DM_OPERANDS[op as keyof typeof XEN_DM_OPERANDS];
  if (bytes.length < XEN_DM_OP_HEADER.size + operand.size) return -EFAULT;
  if (pad !== 0) return -EINVAL;
  const fields = operand.decode(bytes, XEN_DM_OP_HEADER.size) as Record<string, unknown>;
  const args: Record<string, unknown> = { ...fields, domid };
  if (fields['pad'] instanceof Uint8Array) args['pad'] = fields['pad'].some((byte) => byte !== 0) ? 1 : 0;
  if (op === XEN_DMOP.modified_memory) {
    const extents = modified(args, array);
    if (typeof extents === 'number') return extents;
    args['extents'] = extents;
  }
  const result = hypercall(host, caller, `dm.${name}`, args);
  if (typeof result === 'number') return result;
  operand.encode({ ...fields, ...result } as never, bytes, XEN_DM_OP_HEADER.size);
  return 0;
}

/** Pairs of first frame and count, or -errno. */
function modified(args: Readonly<Record<string, unknown>>, array: Uint8Array | undefined): number[] | number {
  const count = args['nr_extents'] as number;
  if (array === undefined) return -EINVAL;
  if (count > XEN_DMOP_MODIFIED_MEMORY_EXTENTS_MAX) return -E2BIG;
  if (array.length < count * XEN_DM_OP_MODIFIED_MEMORY_EXTENT.size) return -EFAULT;
  const extents: number[] = [];
  for (let index = 0; index < count; index++) {
    const extent = XEN_DM_OP_MODIFIED_MEMORY_EXTENT.decode(array, index * XEN_DM_OP_MODIFIED_MEMORY_EXTENT.size);
    if (extent.pad !== 0 || extent.first_pfn > 0xffffffffn) return -EINVAL;
    extents.push(Number(extent.first_pfn), extent.nr);
  }
  return extents;
}
