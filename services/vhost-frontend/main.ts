// The vhost-frontend process: command line and life. What it does is server.ts.
import { runService } from '../../lib/node/service.js';
import { start } from './server.js';

await runService({
  program: 'vhost-frontend',
  describe: "dom0's user of the ioreq server: xenbus backend, virtio-mmio registers, vhost-user front-end",
  start,
});
