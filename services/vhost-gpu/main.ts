// The vhost-gpu process: its command line. What it does is in server.ts.

import { DEVICE_SERVER_NAME_FORM, deviceServerProcess, isDeviceServerName } from '../../lib/core/device-server.js';
import { GPU_FRONT_ENDS_MAX } from '../../lib/core/limits.js';
import { VIRTIO_GPU_MAX_SCANOUTS } from '../../lib/layout/virtio-gpu.js';
import { InvalidArgumentError, integerBetween, Option } from '../../lib/node/process/cli.js';
import { runService } from '../../lib/node/process/service.js';
import { DISPLAY_PIXELS_MAX, DISPLAY_SIZE_DEFAULT, type DisplaySize, validSize } from './display.js';
import { frontEndProcess } from './node/front-ends.js';
import { start, type VhostGpuOptions } from './server.js';

/** "1280x800,1024x768": one size a scanout. */
function displaySizes(text: string): DisplaySize[] {
  const sizes = text.split(',').map((part) => {
    const match = /^(\d{1,5})x(\d{1,5})$/.exec(part);
    const size = { width: Number(match?.[1]), height: Number(match?.[2]) };
    if (!validSize(size)) {
      throw new InvalidArgumentError(`It must be WIDTHxHEIGHT, each 1 to ${DISPLAY_PIXELS_MAX}, not ${part}.`);
    }
    return size;
  });
  if (sizes.length > VIRTIO_GPU_MAX_SCANOUTS) {
    throw new InvalidArgumentError(`At most ${VIRTIO_GPU_MAX_SCANOUTS} displays.`);
  }
  return sizes;
}

function serverName(text: string): string {
  if (!isDeviceServerName(text)) throw new InvalidArgumentError(`It must be ${DEVICE_SERVER_NAME_FORM}.`);
  return text;
}

/** Of QEMU's vhost-user.json; a 2D device has none of the optional ones. */
const CAPABILITIES = { type: 'gpu', features: [] };

// By the conventions for back-end programs it prints this and ends, whatever else was asked of it.
if (process.argv.includes('--print-capabilities')) {
  process.stdout.write(`${JSON.stringify(CAPABILITIES, null, 2)}\n`);
} else {
  void runService<VhostGpuOptions>({
    program: 'vhost-gpu',
    describe:
      'A virtio-gpu device server over vhost-user. It knows no hypervisor: memory, kicks and calls are handed to it.',
    options: (command) =>
      command
        .addOption(
          new Option('--displays <sizes>', 'the displays of each device, a comma between them')
            .argParser(displaySizes)
            .default([DISPLAY_SIZE_DEFAULT], `${DISPLAY_SIZE_DEFAULT.width}x${DISPLAY_SIZE_DEFAULT.height}`),
        )
        .option('--max-hostmem <MiB>', 'host memory for the resources of one device', integerBetween(1, 2047), 256)
        .option('--socket-path <path>', 'serve vhost-user front-ends on this unix socket too')
        .addOption(
          new Option('--fd <number>', 'serve the vhost-user front-end on this descriptor, and end with it')
            .argParser(integerBetween(3, 65535))
            .conflicts('socketPath'),
        )
        .addOption(
          new Option('--front-end <slot>', 'what the process that listens calls this connection')
            .argParser(integerBetween(1, GPU_FRONT_ENDS_MAX))
            .hideHelp(),
        )
        .addOption(
          new Option('--name <name>', 'one of several servers of a lab: devices name it as server=NAME')
            .argParser(serverName)
            .conflicts(['socketPath', 'fd']),
        )
        .option('--print-capabilities', 'print what a front-end may want to know, and end'),
    // One for each virtual machine may run beside the lab's.
    name: ({ socketPath, fd, frontEnd, name }) => {
      if (frontEnd !== undefined) return frontEndProcess(process.ppid, frontEnd);
      return (socketPath ?? fd) === undefined ? deviceServerProcess(name) : `vhost-gpu-${process.pid}`;
    },
    start,
  });
}
