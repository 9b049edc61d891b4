// /dev/xen/evtchn for programs with the preloaded library (drivers/xen/evtchn.c): its ioctls and their refusals. Leaves ports to
// kernel/evtchn-file.ts.
import { ERRNO } from '../../../lib/core/errno.js';
import { DOMID_FIRST_RESERVED, DomId, EvtchnPort } from '../../../lib/core/ids.js';
import { EVTCHN_BIND_INTERDOMAIN, IOCTL_EVTCHN } from '../../../lib/layout/dev-ioctls.js';
import { EVTCHN_2L_NR_CHANNELS } from '../../../lib/layout/evtchn.js';
import type { EvtchnStreamFile } from '../kernel/evtchn-stream-file.js';
import type { KernelHalf } from '../kernel/kernel-half.js';
import { type DeviceFile, type IoctlCall, IoctlTable } from './device.js';

const { EACCES, EINVAL, ENODEV, ENOSYS } = ERRNO;
const DOMID_MASK = 0xffff;

const u32 = ({ argument }: IoctlCall): number => new DataView(argument.buffer, argument.byteOffset).getUint32(0, true);
const u16 = ({ argument }: IoctlCall): number => new DataView(argument.buffer, argument.byteOffset).getUint16(0, true);

export const EVTCHN_IOCTLS = new IoctlTable<EvtchnDevice>(ENOSYS, [
  {
    name: 'IOCTL_EVTCHN_BIND_VIRQ',
    command: IOCTL_EVTCHN.BIND_VIRQ,
    run: (file, call) => (file.restricted === undefined ? file.kernel.bindVirq(file, file.fd, u32(call)) : -EACCES),
  },
  {
    name: 'IOCTL_EVTCHN_BIND_INTERDOMAIN',
    command: IOCTL_EVTCHN.BIND_INTERDOMAIN,
    run: (file, { argument }) => {
      const { remote_domain, remote_port } = EVTCHN_BIND_INTERDOMAIN.decode(argument);
      if (file.restricted !== undefined && file.restricted !== remote_domain) return -EACCES;
      const remote = DomId(remote_domain & DOMID_MASK);
      return file.kernel.bindInterdomain(file, file.fd, remote, EvtchnPort(remote_port));
    },
  },
  {
    name: 'IOCTL_EVTCHN_BIND_UNBOUND_PORT',
    command: IOCTL_EVTCHN.BIND_UNBOUND_PORT,
    run: (file, call) =>
      file.restricted === undefined ? file.kernel.bindUnbound(file, file.fd, DomId(u32(call) & DOMID_MASK)) : -EACCES,
  },
  {
    name: 'IOCTL_EVTCHN_UNBIND',
    command: IOCTL_EVTCHN.UNBIND,
    run: (file, call) => (u32(call) >= EVTCHN_2L_NR_CHANNELS ? -EINVAL : file.ports.unbind(EvtchnPort(u32(call)))),
  },
  {
    name: 'IOCTL_EVTCHN_NOTIFY',
    command: IOCTL_EVTCHN.NOTIFY,
    run: (file, call) => file.ports.notify(EvtchnPort(u32(call))),
  },
  {
    name: 'IOCTL_EVTCHN_RESET',
    command: IOCTL_EVTCHN.RESET,
    run: (file) => {
      file.ports.reset();
      return 0;
    },
  },
  {
    name: 'IOCTL_EVTCHN_RESTRICT_DOMID',
    command: IOCTL_EVTCHN.RESTRICT_DOMID,
    run: (file, call) => {
      if (file.restricted !== undefined) return -EACCES;
      if (u16(call) === 0 || u16(call) >= DOMID_FIRST_RESERVED) return -EINVAL;
      file.restricted = u16(call);
      return 0;
    },
  },
  {
    name: 'IOCTL_EVTCHN_BIND_STATIC',
    command: IOCTL_EVTCHN.BIND_STATIC,
    run: (file, call) => file.kernel.bindStatic(file, file.fd, EvtchnPort(u32(call))),
  },
]);

export class EvtchnDevice implements DeviceFile {
  readonly unknown = EVTCHN_IOCTLS.unknown;
  readonly kernel: KernelHalf;
  readonly ports: EvtchnStreamFile;
  /** The only domain that it may bind to any more. */
  restricted: number | undefined;

  /** Throws ErrnoError ENOMEM when too many are open. `send` hands bytes to the program's end of the file. */
  constructor(kernel: KernelHalf, send: (bytes: Uint8Array) => void) {
    this.kernel = kernel;
    this.ports = kernel.openStream(this, send);
  }

  get fd(): number {
    return this.ports.fd;
  }

  knows(command: number): boolean {
    return EVTCHN_IOCTLS.knows(command);
  }

  ioctl(command: number, call: IoctlCall): number | Promise<number> {
    return EVTCHN_IOCTLS.run(this, command, call);
  }

  mmap(): number {
    return -ENODEV;
  }

  written(bytes: Uint8Array): void {
    this.ports.written(bytes);
  }

  close(): void {
    this.kernel.processEnded(this);
  }
}
