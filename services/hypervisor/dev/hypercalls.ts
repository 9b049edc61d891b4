// privcmd HYPERCALL: the hypercalls that device models and tools make, by number and sub-operation, each turned into the named
// operation of the host. One that is not here answers ENOSYS, as Xen's table does. Leaves domctl, sysctl and versions to
// toolstack-calls.ts.
import { ERRNO } from '../../../lib/core/errno.js';
import { ErrnoError } from '../../../lib/core/errors.js';
import { ramFileSize } from '../../../lib/core/guest-ram.js';
import { DOMID_SELF, DomId } from '../../../lib/core/ids.js';
import { PRIVCMD_DM_OP_BUF } from '../../../lib/layout/dev-ioctls.js';
import * as L from '../../../lib/layout/hypercall.js';
import { PAGE_SIZE } from '../../../lib/layout/page.js';
import type { Domain } from '../domain/domain.js';
import { mayTarget } from '../event/event-channels.js';
import type { Host } from '../host.js';
import { hypercall } from '../operations.js';
import { dmOp } from './dm-op-call.js';
import { DOMCTLS, SYSCTLS, VERSIONS } from './toolstack-calls.js';
import type { UserProcess } from './user.js';

const { E2BIG, ENOSYS, EPERM, ESRCH } = ERRNO;

export interface HypercallContext {
  readonly host: Host;
  readonly caller: Domain;
  readonly user: UserProcess;
}

export interface Call {
  readonly name: string;
  /** 0 or more, or -errno; an ErrnoError is the same. */
  run(context: HypercallContext, args: readonly bigint[]): Promise<number>;
}

/** Numbered sub-operations of one hypercall. */
export interface Calls {
  readonly name: string;
  readonly subs: ReadonlyMap<number, Call>;
  /** Which sub-operation: the first argument, unless said otherwise. */
  sub?(context: HypercallContext, args: readonly bigint[]): Promise<number>;
}

interface Layout {
  readonly size: number;
  decode(source: Uint8Array, at?: number): Record<string, unknown>;
  encode(value: never, target: Uint8Array, at?: number): void;
}

/** A sub-operation whose struct has the fields of a named operation; `out` renames what the operation answers. */
function named(
  op: string,
  layout: Layout,
  change: {
    in?: (fields: Record<string, unknown>) => Record<string, unknown>;
    out?: (result: Readonly<Record<string, unknown>>) => Record<string, unknown>;
  } = {},
): Call {
  return {
    name: op,
    async run({ host, caller, user }, args) {
      const address = args[1]!;
      const bytes = await user.copyIn(address, layout.size);
      const fields = layout.decode(bytes);
      const result = hypercall(host, caller, op, change.in?.(fields) ?? fields);
      if (typeof result === 'number') return result;
      layout.encode({ ...fields, ...(change.out?.(result) ?? result) } as never, bytes);
      await user.copyOut(address, bytes);
      return 0;
    },
  };
}

const EVTCHNOPS: readonly [number, Call][] = [
  [L.EVTCHNOP.bind_interdomain, named('evtchn.bind_interdomain', L.EVTCHN_BIND_INTERDOMAIN_OP)],
  [L.EVTCHNOP.bind_virq, named('evtchn.bind_virq', L.EVTCHN_BIND_VIRQ_OP)],
  [L.EVTCHNOP.bind_pirq, named('evtchn.bind_pirq', L.EVTCHN_BIND_PIRQ_OP)],
  [L.EVTCHNOP.close, named('evtchn.close', L.EVTCHN_PORT_OP)],
  [L.EVTCHNOP.send, named('evtchn.send', L.EVTCHN_PORT_OP)],
  [
    L.EVTCHNOP.status,
    named('evtchn.status', L.EVTCHN_STATUS_OP, {
      out: (status) => ({
        status: status['status'],
        vcpu: status['vcpu'] ?? 0,
        first: status['unbound_dom'] ?? status['remote_dom'] ?? status['pirq'] ?? status['virq'] ?? 0,
        second: status['remote_port'] ?? 0,
      }),
    }),
  ],
  [L.EVTCHNOP.alloc_unbound, named('evtchn.alloc_unbound', L.EVTCHN_ALLOC_UNBOUND_OP)],
  [L.EVTCHNOP.bind_ipi, named('evtchn.bind_ipi', L.EVTCHN_BIND_IPI_OP)],
  [L.EVTCHNOP.bind_vcpu, named('evtchn.bind_vcpu', L.EVTCHN_BIND_VCPU_OP)],
  [L.EVTCHNOP.unmask, named('evtchn.unmask', L.EVTCHN_PORT_OP)],
  [L.EVTCHNOP.reset, named('evtchn.reset', L.EVTCHN_RESET_OP)],
];

const HVMOPS: readonly [number, Call][] = [
  [L.HVMOP.set_param, named('hvm.set_param', L.HVM_PARAM_OP)],
  [
    L.HVMOP.get_param,
    named('hvm.get_param', L.HVM_PARAM_OP, { out: ({ value }) => ({ value: BigInt(value as number) }) }),
  ],
];

const SCHEDOPS: readonly [number, Call][] = [
  [
    L.SCHEDOP.remote_shutdown,
    named('dm.remote_shutdown', L.SCHED_REMOTE_SHUTDOWN, {
      in: (fields) => ({ domid: fields['domain_id'], reason: fields['reason'] }),
    }),
  ],
];

/** Of the bytes of a domain's RAM. */
function memory(name: string, count: (bytes: number) => number): Call {
  return {
    name,
    async run({ host, caller, user }, args) {
      const { domid } = L.XENMEM_DOMID.decode(await user.copyIn(args[1]!, L.XENMEM_DOMID.size));
      const domain = domid === DOMID_SELF ? caller : host.domains.find(DomId(domid));
      if (domain === undefined) return -ESRCH;
      if (!mayTarget(caller, domain)) return -EPERM;
      return count(domain.memoryMib * 2 ** 20);
    },
  };
}
const MEMORY_OPS: readonly [number, Call][] = [
  [L.XENMEM.current_reservation, memory('memory.current_reservation', (bytes) => bytes / PAGE_SIZE)],
  [L.XENMEM.maximum_reservation, memory('memory.maximum_reservation', (bytes) => bytes / PAGE_SIZE)],
  [L.XENMEM.maximum_gpfn, memory('memory.maximum_gpfn', (bytes) => ramFileSize(bytes) / PAGE_SIZE - 1)],
];

/** A second way to DM_OP: do_dm_op(domid, nr_bufs, bufs). */
const DM_OP: Call = {
  name: 'dm_op',
  async run({ host, caller, user }, [domid, count, address]) {
    if (count! > 2n) return -E2BIG;
    return userDmOp(user, address!, Number(count), (buffers) =>
      dmOp(host, caller, DomId(Number(domid! & 0xffffn)), buffers),
    );
  },
};

/** Copies the buffers of a dm_op in, runs it, copies them back. `bytesMax`: of one buffer. */
export async function userDmOp(
  user: UserProcess,
  address: bigint,
  count: number,
  run: (buffers: Uint8Array[]) => number,
  bytesMax = PAGE_SIZE,
): Promise<number> {
  const list = await user.copyIn(address, count * PRIVCMD_DM_OP_BUF.size);
  const buffers: { address: bigint; bytes: Uint8Array; before: Uint8Array }[] = [];
  for (let index = 0; index < count; index++) {
    const { uptr, size } = PRIVCMD_DM_OP_BUF.decode(list, index * PRIVCMD_DM_OP_BUF.size);
    if (size > BigInt(bytesMax)) return -E2BIG;
    const bytes = await user.copyIn(uptr, Number(size));
    buffers.push({ address: uptr, bytes, before: bytes.slice() });
  }
  const rc = run(buffers.map(({ bytes }) => bytes));
  if (rc < 0) return rc;
  for (const { address: to, bytes, before } of buffers)
    if (bytes.some((byte, at) => byte !== before[at])) await user.copyOut(to, bytes);
  return rc;
}

export const HYPERCALLS: ReadonlyMap<number, Calls | Call> = new Map<number, Calls | Call>([
  [L.HYPERVISOR.memory_op, { name: 'memory_op', subs: new Map(MEMORY_OPS) }],
  [L.HYPERVISOR.xen_version, { name: 'xen_version', subs: VERSIONS }],
  [L.HYPERVISOR.sched_op, { name: 'sched_op', subs: new Map(SCHEDOPS) }],
  [L.HYPERVISOR.event_channel_op, { name: 'event_channel_op', subs: new Map(EVTCHNOPS) }],
  [L.HYPERVISOR.hvm_op, { name: 'hvm_op', subs: new Map(HVMOPS) }],
  [L.HYPERVISOR.sysctl, { name: 'sysctl', subs: SYSCTLS, sub: commandAt }],
  [L.HYPERVISOR.domctl, { name: 'domctl', subs: DOMCTLS, sub: commandAt }],
  [L.HYPERVISOR.dm_op, DM_OP],
]);

/** domctl and sysctl name their operation in the struct. */
async function commandAt({ user }: HypercallContext, args: readonly bigint[]): Promise<number> {
  return new DataView((await user.copyIn(args[0]!, 4)).buffer).getUint32(0, true);
}

/** Runs a hypercall by its numbers. `unknown` is told of what there is not. */
export async function userHypercall(
  context: HypercallContext,
  op: bigint,
  args: readonly bigint[],
  unknown: (what: string) => void,
): Promise<number> {
  const found = op > 0xffn ? undefined : HYPERCALLS.get(Number(op));
  if (found === undefined) {
    unknown(`hypercall ${op}`);
    return -ENOSYS;
  }
  try {
    if ('run' in found) return await found.run(context, args);
    const sub = found.sub === undefined ? Number(args[0]! & 0xffffffffn) : await found.sub(context, args);
    const call = found.subs.get(sub);
    if (call !== undefined) return await call.run(context, args);
    unknown(`${found.name} ${sub}`);
    return -ENOSYS;
  } catch (error) {
    if (error instanceof ErrnoError) return -error.errno;
    throw error;
  }
}
