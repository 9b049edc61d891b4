// The dm_ops of x86 beside ioreq servers: interrupt lines, messages, events, memory hints (xen/arch/x86/hvm/dm.c). What
// needs hardware paging answers EOPNOTSUPP. Leaves the common checks to dm-op.ts, state to platform.ts.
import { ERRNO } from '../../../lib/core/errno.js';
import { ramFileSize } from '../../../lib/core/guest-ram.js';
import {
  CACHEATTR_TYPES,
  HVM_ISA_IRQS,
  HVM_PCI_DEVICES,
  HVM_PCI_LINKS,
  HVM_PCI_PINS,
  HVMMEM,
  TRACK_DIRTY_VRAM_PAGES_MAX,
  XEN_DMOP_EVENT_TYPES,
  XEN_DMOP_MODIFIED_MEMORY_EXTENTS_MAX,
} from '../../../lib/layout/dm-op.js';
import { PAGE_SHIFT } from '../../../lib/layout/page.js';
import { POINT } from '../../../lib/trace/points.js';
import type { Domain } from '../domain/domain.js';
import type { Operation } from '../operation.js';
import { dm } from './dm-op.js';

const { E2BIG, EBUSY, EINVAL, EOPNOTSUPP, ERANGE } = ERRNO;

/** Frames of the domain's RAM; nothing of ours lies above. */
function frames(domain: Domain): bigint {
  return BigInt(ramFileSize(domain.memoryMib * 2 ** 20)) >> BigInt(PAGE_SHIFT);
}

export const X86_DM_OPERATIONS: Readonly<Record<string, Operation>> = {
  'dm.track_dirty_vram': dm({ nr: 'u32', pad: 'u32', first_pfn: 'u64' }, (_, { nr, pad }) =>
    pad !== 0 || nr > TRACK_DIRTY_VRAM_PAGES_MAX ? -EINVAL : -EOPNOTSUPP,
  ),
  'dm.set_pci_intx_level': dm(
    { domain: 'u16', bus: 'u8', device: 'u8', intx: 'u8', level: 'u8' },
    ({ domain }, args) => {
      const { bus, device, intx, level } = args;
      if (args.domain !== 0 || bus !== 0 || device >= HVM_PCI_DEVICES || intx >= HVM_PCI_PINS || level > 1)
        return -EINVAL;
      domain.platform.setLine(`pci ${device}.${intx}`, level);
      return 0;
    },
  ),
  'dm.set_isa_irq_level': dm({ irq: 'u8', level: 'u8' }, ({ domain }, { irq, level }) => {
    if (irq >= HVM_ISA_IRQS || level > 1) return -EINVAL;
    domain.platform.setLine(`isa ${irq}`, level);
    return 0;
  }),
  'dm.set_pci_link_route': dm({ link: 'u8', isa_irq: 'u8' }, ({ domain }, args) => {
    if (args.link >= HVM_PCI_LINKS || args.isa_irq >= HVM_ISA_IRQS) return -EINVAL;
    domain.platform.links[args.link] = args.isa_irq;
    return 0;
  }),
  /** `extents`: pairs of first frame and count. Nothing is migrated here, so a dirty page is of no consequence. */
  'dm.modified_memory': dm({ extents: 'u32s', opaque: 'u32' }, ({ domain }, { extents, opaque }) => {
    if (opaque !== 0 || extents.length % 2 !== 0) return -EINVAL;
    if (extents.length / 2 > XEN_DMOP_MODIFIED_MEMORY_EXTENTS_MAX) return -E2BIG;
    for (let at = 0; at < extents.length; at += 2) {
      const end = BigInt(extents[at]!) + BigInt(extents[at + 1]!);
      if (end > frames(domain)) return -EINVAL;
    }
    return 0;
  }),
  /** Only what the memory is anyway: there is no second-level paging to change it with. */
  'dm.set_mem_type': dm({ nr: 'u32', type: 'u16', pad: 'u16', first_pfn: 'u64' }, ({ domain }, args) => {
    const end = args.first_pfn + BigInt(args.nr);
    if (args.pad !== 0 || args.type > HVMMEM.ioreq_server || args.type === HVMMEM.unused) return -EINVAL;
    if (end > frames(domain)) return -EINVAL;
    return args.type === HVMMEM.ram_rw ? 0 : -EOPNOTSUPP;
  }),
  'dm.inject_event': dm(
    { vcpu: 'u32', vector: 'u8', type: 'u8', insn_len: 'u8', pad: 'u8', error_code: 'u32', cr2: 'u64' },
    ({ host, domain }, { vcpu, vector, type, pad }) => {
      if (pad !== 0 || domain.vcpus[vcpu] === undefined || !XEN_DMOP_EVENT_TYPES.includes(type)) return -EINVAL;
      const rc = domain.platform.queueEvent(vcpu);
      if (rc === 0) host.env.probe.at(POINT['event.inject'], '', vector, vcpu, domain.domid);
      return rc;
    },
  ),
  /** Vector 0 names a physical interrupt of the guest in the address; no guest here has any. */
  'dm.inject_msi': dm({ data: 'u32', pad: 'u32', addr: 'u64' }, ({ host, domain }, { data, pad, addr }) => {
    if (pad !== 0) return -EINVAL;
    const vector = data & 0xff;
    if (vector === 0) {
      const pirq = ((addr >> 32n) & 0xffffff00n) | ((addr >> 12n) & 0xffn);
      return pirq === 0n ? -ERANGE : -EBUSY;
    }
    host.env.probe.at(POINT['event.msi'], '', vector, 0, domain.domid);
    return 0;
  }),
  'dm.relocate_memory': dm({ size: 'u32', pad: 'u32', src_gfn: 'u64', dst_gfn: 'u64' }, (_, { pad }) =>
    pad !== 0 ? -EINVAL : -EOPNOTSUPP,
  ),
  'dm.pin_memory_cacheattr': dm({ start: 'u64', end: 'u64', type: 'u32', pad: 'u32' }, ({ domain }, args) => {
    const { start, end, type, pad } = args;
    if (pad !== 0 || end < start || !CACHEATTR_TYPES.includes(type)) return -EINVAL;
    return domain.platform.pin(start, end, type);
  }),
};
