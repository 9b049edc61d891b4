// A real Linux guest on a real QEMU draws on our GPU server: QEMU's vhost-user front-end and display, Linux's virtio-gpu
// driver. Needs QEMU 9 or newer (XENWIRE_QEMU: another one, with arguments), a static busybox, and a kernel with modules
// (XENWIRE_LINUX_ROOT: another folder to look in).

import { join } from 'node:path';
import t from 'tap';
import { NO_LOG } from '../../lib/core/log.js';
import { NO_PROBE } from '../../lib/core/probe.js';
import { ZmqBusClient } from '../../lib/node/bus/client.js';
import { readPng } from '../../lib/node/files/png.js';
import { startNode, temporaryRunDir } from '../../testkit/processes.js';
import { cannotBoot, LinuxGuest } from './linux-guest/qemu.js';

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

t.test(
  'Linux draws through QEMU on our server, and again after a reset',
  { skip: cannotBoot(), timeout: 3 * BOOT_MS },
  async (t) => {
    const runDir = temporaryRunDir(t);
    const dir = temporaryRunDir(t);
    const socket = join(dir, 'gpu.sock');
    const server = startNode(t, SERVER, ['--run-dir', runDir, '--socket-path', socket]);
    await server.logged(/ready/);
    const guest = await LinuxGuest.start(t, dir, socket, picture);
    for (const boot of ['first', 'second']) {
      await guest.process.line(/GUEST-DREW/, BOOT_MS);
      // The driver flushes what was drawn a moment later, and QEMU shows it when it gets to it.
      const until = Date.now() + DRAW_MS;
      let wrong = WIDTH * HEIGHT;
      while (wrong > 0 && Date.now() < until) {
        const { width, height, rgb } = await guest.screen(dir);
        if (width === WIDTH && height === HEIGHT) wrong = mismatches(rgb, 3);
      }
      t.equal(wrong, 0, `${boot} boot: what QEMU shows`);
      if (boot === 'first') await guest.command('system_reset');
    }
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
  },
);
