// docs/dom0-calls.md: what a program of dom0 can call, out of the tables that answer it. Made by `npm run docs`.
import { IOCTL_EVTCHN, IOCTL_GNTDEV, IOCTL_PRIVCMD, ioctlSize } from '../../../lib/layout/dev-ioctls.js';
import { X86_DM_OPERATIONS } from '../ioreq/dm-ops-x86.js';
import type { IoctlTable } from './device.js';
import { DM_OP_NAMES } from './dm-op-call.js';
import { EVTCHN_IOCTLS } from './evtchn-device.js';
import { GNTDEV_IOCTLS } from './gntdev-device.js';
import { HYPERCALLS } from './hypercalls.js';
import { PRIVCMD_IOCTLS } from './privcmd-device.js';

const hex = (value: number): string => `0x${value.toString(16)}`;

function ioctls<File>(device: string, table: IoctlTable<File>, known: Readonly<Record<string, number>>): string[] {
  const missing = Object.entries(known).filter(([, command]) => !table.knows(command));
  return [
    `## ${device}`,
    '',
    '| ioctl | number | bytes |',
    '|---|---|---|',
    ...table.entries.map(({ name, command }) => `| ${name} | ${hex(command)} | ${ioctlSize(command)} |`),
    ...missing.map(([name, command]) => `| ${name}: not here | ${hex(command)} | ${ioctlSize(command)} |`),
    '',
    `Another one answers ${table.unknown === 38 ? 'ENOSYS' : 'ENOTTY'}.`,
    '',
  ];
}

export function dom0CallsDocument(): string {
  const hypercalls = [...HYPERCALLS].map(([number, call]) => {
    const subs =
      'subs' in call
        ? [...call.subs].map(([sub, { name }]) => `${name.split('.').at(-1)} ${sub}`).join(', ')
        : 'see below';
    return `| ${call.name} | ${number} | ${subs} |`;
  });
  const x86 = new Set(Object.keys(X86_DM_OPERATIONS));
  const operations = [...DM_OP_NAMES].map(
    ([number, name]) =>
      `| ${name} | ${number > 20 ? `${hex(number)}, ours` : number} | ${x86.has(`dm.${name}`) ? 'x86' : 'common'} |`,
  );
  return [
    '# What a program of dom0 can call',
    '',
    'Made from the tables in `services/hypervisor/dev` by `npm run docs`. How it works: [dom0-programs.md](dom0-programs.md).',
    '',
    ...ioctls('/dev/xen/evtchn', EVTCHN_IOCTLS, IOCTL_EVTCHN),
    ...ioctls('/dev/xen/privcmd', PRIVCMD_IOCTLS, IOCTL_PRIVCMD),
    ...ioctls('/dev/xen/gntdev', GNTDEV_IOCTLS, IOCTL_GNTDEV),
    '## Hypercalls through privcmd',
    '',
    '| hypercall | number | operations |',
    '|---|---|---|',
    ...hypercalls,
    '',
    'Another hypercall or operation answers ENOSYS, and the hypervisor’s log names it once.',
    '',
    '## dm_op, by DM_OP, by HYPERCALL, or stored by IRQFD',
    '',
    '| operation | number | of |',
    '|---|---|---|',
    ...operations,
    '',
    'What needs hardware paging, and set_irq_level of Arm, answer EOPNOTSUPP once their arguments are right.',
    '',
  ].join('\n');
}
