// The vhost-frontend process: command line and life. What it does is server.ts.
import { Option } from '../../lib/node/process/cli.js';
import { runService } from '../../lib/node/process/service.js';
import { BACKENDS, FRONTENDS } from '../../lib/xenbus/protocols.js';
import { start, type VhostFrontendOptions } from './server.js';

void runService<VhostFrontendOptions>({
  program: 'vhost-frontend',
  describe: "dom0's user of the ioreq server: xenbus backend, virtio-mmio registers, vhost-user front-end",
  options: (command) => {
    command
      .option(
        '--device-socket <path>',
        'drive vhost-user servers of others on unix sockets, one a device; {device} in the path stands for <domid>-<devid>',
      )
      .addOption(
        new Option('--frontend <protocol>', 'version of the protocol that its frontends speak')
          .choices(FRONTENDS)
          .default('review'),
      )
      .addOption(
        new Option('--backend <behaviour>', 'which backend it is: ours, or one that behaves as xen-vhost-frontend')
          .choices(BACKENDS)
          .default('review'),
      )
      .option('--frames <dir>', 'write what those servers show to <dir>/<domid>-<devid>-<scanout>.png');
  },
  start,
});
