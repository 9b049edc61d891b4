// A real Linux guest on a real QEMU draws on our GPU server: QEMU's vhost-user front-end and display, Linux's virtio-gpu
// driver. Needs QEMU 9 or newer (XENWIRE_QEMU: another one, with arguments), a static busybox, and a kernel with modules
// (XENWIRE_LINUX_ROOT: another folder to look in).

import { join } from 'node:path';
import t, { type Test } from 'tap';
import { NO_LOG } from '../../lib/core/log.js';
import { NO_PROBE } from '../../lib/core/probe.js';
import { VIRTIO_F_RING_PACKED } from '../../lib/layout/virtio-ring.js';
import { ZmqBusClient } from '../../lib/node/bus/client.js';
import { readPng } from '../../lib/node/files/png.js';
import { startNode, temporaryRunDir } from '../../testkit/processes.js';
import { cannotBoot, LinuxGuest, MACHINES, type MachineName } from './linux-guest/qemu.js';

const SERVER = new URL('../../services/vhost-gpu/main.js', import.meta.url);
const [WIDTH, HEIGHT] = [1280, 800];
/** Emulated, on a busy machine. */
const BOOT_MS = 120_000;
const DRAW_MS = 20_000;

const picture = Uint8Array.from({ length: WIDTH * HEIGHT * 4 }, (_, index) => index % 251);

function mismatches(rgb: Uint8Array, stride: 3 | 4): number {
  let wrong = 0;
  for (let pixel = 0; pixel < WIDTH * HEIGHT; pixel++) {
    const same = [0, 1, 2].every((colour) => rgb[pixel * stride + colour] === picture[pixel * 4 + 2 - colour]);
    if (!same) wrong++;
  }
  return wrong;
}

for (const on of Object.keys(MACHINES) as MachineName[])
  t.test(`Linux draws on our server by ${on}`, { skip: cannotBoot(), timeout: 3 * BOOT_MS }, (t) => drawing(t, on));

async function drawing(t: Test, on: MachineName): Promise<void> {
  const runDir = temporaryRunDir(t);
  const dir = temporaryRunDir(t);
  const socket = join(dir, 'gpu.sock');
  const server = startNode(t, SERVER, ['--run-dir', runDir, '--socket-path', socket]);
  await server.logged(/ready/);
  const guest = await LinuxGuest.start(t, dir, { socket, picture, on });
  const drew = async (what: string): Promise<void> => {
    await guest.process.line(/GUEST-DREW/, BOOT_MS);
    // The driver flushes what was drawn a moment later, and QEMU shows it when it gets to it.
    const until = Date.now() + DRAW_MS;
    let wrong = WIDTH * HEIGHT;
    while (wrong > 0 && Date.now() < until) {
      const { width, height, rgb } = await guest.screen(dir);
      if (width === WIDTH && height === HEIGHT) wrong = mismatches(rgb, 3);
    }
    t.equal(wrong, 0, `${what}: what QEMU shows`);
  };
  await drew('first boot');
  guest.process.say('for d in /sys/bus/virtio/devices/*; do echo GUEST-FEATURES; /bin/busybox cat $d/features; done');
  const features = await guest.process.line(/^[01]{64}/, BOOT_MS);
  t.equal(features[VIRTIO_F_RING_PACKED], on.includes('packed') ? '1' : '0', 'the layout of rings');
  await guest.command('stop');
  await guest.command('cont');
  guest.process.say('/bin/busybox dd if=/dev/zero of=/dev/fb0 bs=4096 count=1000; draw');
  await drew('stopped and continued');
  guest.process.say(
    'cd /sys/bus/virtio/drivers/virtio_gpu; for d in virtio*; do echo $d > unbind; echo $d > bind; done; draw',
  );
  await drew('driver taken away and bound again');
  await guest.command('system_reset');
  await drew('second boot');
  const client = await ZmqBusClient.connect({
    runDir,
    server: `gpu-${server.pid}-1`,
    name: 'viewer',
    incarnation: Date.now() * 4096,
    token: async () => '',
    log: NO_LOG,
    probe: NO_PROBE,
    onActivity: () => {},
  });
  t.teardown(() => client!.close());
  const path = join(dir, 'screen.png');
  await client!.remote('Display').screenshot({ name: 'socket-1', scanout: 0, path });
  t.equal(mismatches(readPng(path).rgba, 4), 0, 'what the server shows');
  t.notOk(guest.process.lines.some((line) => line.includes('GUEST-FAILED')));
  t.equal(guest.process.stderr, '', 'QEMU complains of nothing');
  t.notMatch(server.stderr, /"level":[45]0/, 'nor does the server');
  await guest.command('quit');
  await guest.process.ended();
  await server.logged(/front-end gone: its process ended with status 0/);
}
