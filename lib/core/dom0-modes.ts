// What dom0's kernel does with event channels and event descriptors whose process died: gives them back, or leaves what Linux leaves
// (ioeventfds with their interrupt disabled, irqfds). services/hypervisor/kernel/kernel-half.ts does it.

export const DOM0_MODES = ['fixed', 'linux'] as const;
export type Dom0Mode = (typeof DOM0_MODES)[number];
