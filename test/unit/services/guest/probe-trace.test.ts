// The guest's register accesses and GPU commands beside those of a real Linux 6.1 (test/golden/), one by one.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { NO_PROBE, type Probe } from '../../../../lib/core/probe.js';
import { PACKAGE_ROOT } from '../../../../lib/node/process/package-root.js';
import { POINT } from '../../../../lib/trace/points.js';
import { GuestMachine, testPicture } from '../../../../testkit/guest-machine.js';

const GOLDEN = readFileSync(join(PACKAGE_ROOT, 'test/golden/linux-6.1-virtio-mmio-gpu-probe.txt'), 'utf8')
  .trim()
  .split('\n');

/** Queue addresses are each guest's own; how often an interrupt comes depends on how the device batches. */
const ADDRESS = /^W 0x0(8|9|a)[04] /;
const INTERRUPT = /^(R 0x060|W 0x064 0x1)$/;
const comparable = (lines: readonly string[]): string[] =>
  lines
    .filter((line) => !line.startsWith('#') && !INTERRUPT.test(line))
    .map((line) => (ADDRESS.test(line) ? `${line.slice(0, 8)}address` : line));

/** The recording begins with an empty slot: three reads. */
const LINUX = GOLDEN.slice(3);

t.test('probing makes the register accesses of Linux 6.1, in its order', async (t) => {
  const machine = new GuestMachine({ picture: testPicture(1280, 800) });
  await machine.connect();
  // Linux draws its console before the driver's probe returns; ours returns first, and then reads Status once.
  t.same(comparable(machine.trace), [...comparable(LINUX), 'R 0x070']);
  t.end();
});

t.test('each queue lies in one block, its areas at the offsets that Linux gives them', async (t) => {
  const machine = new GuestMachine();
  await machine.connect();
  const areas = (lines: readonly string[]): number[][] => {
    const values = lines.filter((line) => /^W 0x0(80|90|a0) /.test(line)).map((line) => Number(line.split(' ')[2]));
    return [values.slice(0, 3), values.slice(3, 6)].map((queue) => queue.map((value) => value - queue[0]!));
  };
  t.same(areas(machine.trace), areas(LINUX));
  t.end();
});

t.test('the device executes the commands of Linux 6.1 up to its first flush, in its order', async (t) => {
  const commands: string[] = [];
  const probe: Probe = {
    ...NO_PROBE,
    at: (point, label = '') => {
      if (point === POINT['gpu.execute']) commands.push(label);
    },
  };
  const machine = new GuestMachine({ picture: testPicture(1280, 800), probe });
  await machine.connect();
  const NAMES: Record<string, string> = {
    get_edid: 'GET_EDID',
    get_display_info: 'GET_DISPLAY_INFO',
    res_create_2d: 'RESOURCE_CREATE_2D',
    res_back_attach: 'RESOURCE_ATTACH_BACKING',
    set_scanout: 'SET_SCANOUT',
    res_xfer_toh_2d: 'TRANSFER_TO_HOST_2D',
    res_flush: 'RESOURCE_FLUSH',
  };
  const linux = LINUX.filter((line) => line.startsWith('# device executes')).map((line) => NAMES[line.split(' ')[3]!]);
  const firstFlush = linux.indexOf('RESOURCE_FLUSH');
  t.ok(firstFlush > 0);
  t.same(commands, linux.slice(0, firstFlush + 1));
  t.end();
});

t.test('an interrupt is acknowledged with what was read, right after reading it', async (t) => {
  const machine = new GuestMachine();
  await machine.connect();
  const reads = machine.trace.flatMap((line, index) => (line === 'R 0x060' ? [index] : []));
  t.ok(reads.length > 0);
  for (const index of reads) t.match(machine.trace[index + 1], /^W 0x064 0x[13]$/);
  t.end();
});
