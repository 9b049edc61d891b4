// The vhost-gpu process: its command line. What it does is in server.ts.

import { VIRTIO_GPU_MAX_SCANOUTS } from '../../lib/layout/virtio-gpu.js';
import { InvalidArgumentError, integerBetween, Option } from '../../lib/node/cli.js';
import { runService } from '../../lib/node/service.js';
import { DISPLAY_PIXELS_MAX, DISPLAY_SIZE_DEFAULT, type DisplaySize, validSize } from './display.js';
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

await runService<VhostGpuOptions>({
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
      .option('--max-hostmem <MiB>', 'host memory for the resources of one device', integerBetween(1, 2047), 256),
  start,
});
