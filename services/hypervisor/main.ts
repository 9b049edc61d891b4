// The hypervisor as a process: options and wiring only.

import { DOM0_MODES } from '../../lib/core/dom0-modes.js';
import { Option } from '../../lib/node/process/cli.js';
import { runService } from '../../lib/node/process/service.js';
import { type HypervisorOptions, start } from './server.js';

void runService<HypervisorOptions>({
  program: 'hypervisor',
  describe:
    'Stands for Xen (domains, event channels, ioreq servers) and for the half of dom0’s kernel that serves\n' +
    '/dev/xen/evtchn and privcmd. Its end is the end of the host.',
  options: (command) =>
    command
      .addOption(
        new Option('--dom0 <kernel>', 'what becomes of ports and event descriptors whose process died')
          .choices(DOM0_MODES)
          .default('fixed'),
      )
      .option('--dm-evtchn-raise', 'offer the dm_op evtchn_raise, which paths dmop and irqfd need', false),
  start,
});
