// `npm run bench:flush` (or bench:gpu): a 1080p frame from guest memory to the scanout (TRANSFER_TO_HOST_2D of the whole picture and
// RESOURCE_FLUSH): the device alone against memcpy, and our server against QEMU's where that is installed; the
// smallest command there and back; and what of a core 4K at 60 Hz takes. Prints JSON;
// exit status 1 when a picture is wrong or a bar is missed.
import { rmSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { createProbe } from '../lib/node/files/probe.js';
import { sharedFiles } from '../lib/node/files/shm.js';
import { command, EXIT, integerBetween } from '../lib/node/process/cli.js';
import { measureDevice } from './flush/device.js';
import { FRAME_BYTES, RAM_BYTES } from './flush/frame.js';
import { measureServers } from './flush/servers.js';
import { memoryScratch, runBench } from './owned/bench.js';

/** Of memcpy of the same bytes; QEMU's time over ours; and of one core. */
const BARS = { memcpy: 0.7, server: 1.5, core4k60: 0.5 };

const program = command('bench:flush')
  .description('measure a 1080p frame from guest memory to the scanout, beside memcpy and beside QEMU; prints JSON')
  .option('--rounds <count>', 'frames of each measurement', integerBetween(1, 1_000_000), 1000)
  .action(async ({ rounds }: { rounds: number }) => {
    if (!(await run(rounds))) process.exitCode = EXIT.FAILED;
  });
await runBench(program);

async function run(rounds: number): Promise<boolean> {
  const dir = memoryScratch('xw-flush-');
  try {
    const files = sharedFiles(dir);
    const ram = files.create('ram', RAM_BYTES);
    const copy = files.create('copy', FRAME_BYTES);
    const probe = createProbe({ process: 'bench', incarnation: 1, history: join(dir, 'history') });
    const device = measureDevice({ ram, copy, probe, rounds });
    probe.close();
    copy.remove();
    ram.remove();
    const { frames: servers, small, paced4k } = await measureServers(dir, rounds);
    const ok =
      device.every(({ equal, ratio }) => equal && ratio >= BARS.memcpy) &&
      servers.every(({ ratio }) => ratio === undefined || ratio >= BARS.server) &&
      paced4k.core <= BARS.core4k60;
    const machine = { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version };
    process.stdout.write(
      `${JSON.stringify({ ok, bars: BARS, frameBytes: FRAME_BYTES, rounds, machine, device, servers, small, paced4k }, null, 2)}\n`,
    );
    return ok;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
