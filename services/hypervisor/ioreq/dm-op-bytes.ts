// The stored dm_op of an IRQFD: bytes of struct xen_dm_op, checked once when it is assigned, turned into a named operation.
// Leaves running it to operations.ts. Only what can stand for an interrupt is understood.
import { ErrnoError } from '../../../lib/core/errors.js';
import {
  XEN_DM_OP_EVTCHN_RAISE,
  XEN_DM_OP_HEADER,
  XEN_DM_OP_INJECT_MSI,
  XEN_DM_OP_SET_IRQ_LEVEL,
  XEN_DM_OP_SIZE,
  XEN_DMOP,
} from '../../../lib/layout/dm-op.js';

export interface StoredDmOp {
  readonly op: string;
  readonly args: Readonly<Record<string, unknown>>;
}

const OPERANDS = {
  [XEN_DMOP.evtchn_raise]: { op: 'dm.evtchn_raise', operand: XEN_DM_OP_EVTCHN_RAISE },
  [XEN_DMOP.set_irq_level]: { op: 'dm.set_irq_level', operand: XEN_DM_OP_SET_IRQ_LEVEL },
  [XEN_DMOP.inject_msi]: { op: 'dm.inject_msi', operand: XEN_DM_OP_INJECT_MSI },
} as const;

/** Throws EINVAL for bytes that no dm_op has, EOPNOTSUPP for one that raises no interrupt, EFAULT when cut short. */
export function decodeStoredDmOp(bytes: Uint8Array): StoredDmOp {
  if (bytes.length > XEN_DM_OP_SIZE) throw new ErrnoError('EINVAL', `a dm_op of ${bytes.length} bytes`);
  if (bytes.length < XEN_DM_OP_HEADER.size) throw new ErrnoError('EFAULT', 'a dm_op without its header');
  const { op, pad } = XEN_DM_OP_HEADER.decode(bytes);
  const known = OPERANDS[op as keyof typeof OPERANDS];
  if (known === undefined) throw new ErrnoError('EOPNOTSUPP', `dm_op ${op} raises no interrupt`);
  if (pad !== 0) throw new ErrnoError('EINVAL', 'dm_op with padding set');
  const { operand } = known;
  if (bytes.length < XEN_DM_OP_HEADER.size + operand.size)
    throw new ErrnoError('EFAULT', 'a dm_op without its operand');
  return { op: known.op, args: { ...operand.decode(bytes, XEN_DM_OP_HEADER.size) } };
}
