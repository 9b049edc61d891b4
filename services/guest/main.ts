// `xenwire guest`: one PVH guest kernel with a display and a picture to show.
import { join } from 'node:path';
import { DOMID_FIRST_RESERVED } from '../../lib/core/ids.js';
import { integerBetween, Option } from '../../lib/node/process/cli.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { runService } from '../../lib/node/process/service.js';
import { FRONTENDS } from '../../lib/xenbus/protocols.js';
import { STORE_TRANSPORTS } from '../../lib/xenstore/channel.js';
import { CORE_VERSIONS } from './core-rules.js';
import { type GuestOptions, start } from './server.js';

void runService<GuestOptions>({
  program: 'guest',
  describe: "One guest: its kernel's xenbus, the virtio-mmio frontend, the virtio-gpu driver, and a picture to show",
  // Names of domains may hold more than those of processes.
  name: ({ name }) => `guest-${name.toLowerCase().replace(/[^a-z0-9-]/g, '-')}`.slice(0, 32),
  options: (command) =>
    command
      .requiredOption('--name <name>', 'name of the domain that it runs; waits until the toolstack has made it')
      .option('--token <token>', "the domain's token, instead of the toolstack's file")
      .option('--domid <number>', 'run no domain of that name but this', integerBetween(1, DOMID_FIRST_RESERVED - 1))
      .option('--image <file>', 'PNG to show', join(PACKAGE_ROOT, 'examples', 'test-card.png'))
      .addOption(new Option('--frontend <protocol>', 'protocol of the frontend').choices(FRONTENDS).default('review'))
      .addOption(
        new Option('--core <version>', "Linux's xenbus core to behave like when a device vanishes or is reset")
          .choices(CORE_VERSIONS)
          .default('6.12'),
      )
      .addOption(
        new Option('--driver <driver>', 'what the display driver does when the device asks for a reset')
          .choices(['restore', 'linux'])
          .default('restore'),
      )
      .addOption(
        new Option('--buffers <kind>', 'what frame buffers are to the device: copied by it, or shared (blobs)')
          .choices(['copied', 'shared'])
          .default('copied'),
      )
      .addOption(
        new Option('--rings <layout>', 'layout of its virtqueues, where the device has it')
          .choices(['split', 'packed'])
          .default('split'),
      )
      .addOption(
        new Option(
          '--store-transport <how>',
          'how its kernel reaches xenstored: the bus, or its ring page as in real Xen',
        )
          .choices(STORE_TRANSPORTS)
          .default('bus'),
      )
      .option('--measured', 'answer requests to measure notifications, for xenwire latency'),
  start,
});
