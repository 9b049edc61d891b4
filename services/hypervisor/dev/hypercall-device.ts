// /dev/xen/hypercall (drivers/xen/privcmd-buf.c): memory that hypercalls may point into. The preloaded library answers mmap by
// itself with memory of the program, which is as good here: hypercalls reach it through that library.
import { ERRNO } from '../../../lib/core/errno.js';
import type { DeviceFile } from './device.js';

export class HypercallDevice implements DeviceFile {
  readonly unknown = ERRNO.ENOTTY;

  knows(): boolean {
    return false;
  }
  ioctl(): number {
    return -ERRNO.ENOTTY;
  }
  mmap(): number {
    return 0;
  }
  written(): void {}
  close(): void {}
}
