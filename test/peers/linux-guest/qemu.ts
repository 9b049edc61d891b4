// A Linux guest on QEMU whose graphics card is a vhost-user-gpu server: started, asked for its screen, reset.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { retryOnChange, withDeadline } from '../../../lib/node/process/wait.js';
import { type Owner, TestProcess } from '../../../testkit/processes.js';
import { Initramfs, modulesFor } from './initramfs.js';

/** With its first arguments, if it needs some to find its files. */
const [QEMU, ...QEMU_ARGS] = (process.env['XENWIRE_QEMU'] ?? 'qemu-system-x86_64').split(' ') as [string, ...string[]];
/** Without KVM, older ones refuse vhost devices. */
const QEMU_MAJOR_MIN = 9;
const BUSYBOX = '/bin/busybox';
/** Where a kernel and its modules are installed: "/", or a folder that Debian's linux-image package was unpacked into. */
const LINUX_ROOT = process.env['XENWIRE_LINUX_ROOT'] ?? '/';
const ANSWER_MS = 30_000;

/** The newest kernel below LINUX_ROOT that has its modules beside it. */
function findKernel(): { image: string; modules: string } | undefined {
  const list = (path: string): string[] => {
    try {
      return readdirSync(path).sort();
    } catch {
      return [];
    }
  };
  const versions = list(join(LINUX_ROOT, 'lib/modules'));
  const images = list(join(LINUX_ROOT, 'boot')).filter((name) => name.startsWith('vmlinuz-'));
  const version = versions.filter((name) => images.includes(`vmlinuz-${name}`)).at(-1);
  if (version === undefined) return undefined;
  return { image: join(LINUX_ROOT, 'boot', `vmlinuz-${version}`), modules: join(LINUX_ROOT, 'lib/modules', version) };
}

/** Why no guest can be booted here; false when one can. Named by the user, what is missing fails instead. */
export function cannotBoot(): string | false {
  const why = ((): string | false => {
    const { stdout } = spawnSync(QEMU, ['--version'], { encoding: 'utf8' });
    const major = Number(/version (\d+)/.exec(stdout ?? '')?.[1] ?? 0);
    if (major < QEMU_MAJOR_MIN) return `needs QEMU ${QEMU_MAJOR_MIN} or newer (XENWIRE_QEMU)`;
    if (!existsSync(BUSYBOX)) return `not installed: ${BUSYBOX}`;
    return findKernel() === undefined ? 'needs a kernel with modules (XENWIRE_LINUX_ROOT)' : false;
  })();
  if (why !== false && process.env['XENWIRE_QEMU'] !== undefined) throw new Error(why);
  return why;
}

/** How the guest reaches its card. */
export const MACHINES = {
  PCI: { machine: 'q35', gpu: 'vhost-user-gpu-pci', drivers: ['virtio_pci', 'virtio_gpu'], more: [] },
  'PCI, packed rings': {
    ...{ machine: 'q35', gpu: 'vhost-user-gpu-pci,packed=on', drivers: ['virtio_pci', 'virtio_gpu'], more: [] },
  },
  // Without KVM's clock a kernel needs the old timers, and time that goes with its instructions, or it finds no frequency.
  'virtio-mmio': {
    ...{ machine: 'microvm,rtc=on,pit=on,pic=on', gpu: 'vhost-user-gpu', drivers: ['virtio_mmio', 'virtio_gpu'] },
    more: ['-global', 'virtio-mmio.force-legacy=false', '-icount', 'shift=auto'],
  },
} as const;
export type MachineName = keyof typeof MACHINES;

/**
 * What the guest runs: loads the driver, fills the frame buffer with `picture` (its own pixels, B G R x), and then does what
 * its console says (process.say), a line a command.
 */
function initramfs(modules: string, wanted: readonly string[], picture: Uint8Array): Buffer {
  const drivers = modulesFor(modules, wanted);
  const init = `#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t sysfs sys /sys
draw() {
  while [ ! -e /dev/fb0 ]; do /bin/busybox usleep 20000; done
  /bin/busybox cat /picture > /dev/fb0
  echo GUEST-DREW
}
${drivers.map(({ name }) => `/bin/busybox insmod /modules/${name}.ko || echo GUEST-FAILED ${name}`).join('\n')}
draw
while read -r command; do eval "$command"; done < /dev/ttyS0
`;
  const root = new Initramfs().directory('bin').directory('dev').directory('sys').directory('modules');
  for (const { name, data } of drivers) root.file(`modules/${name}.ko`, data, 0o644);
  return root.file('bin/busybox', readFileSync(BUSYBOX)).file('picture', picture, 0o644).file('init', init).gzipped();
}

export class LinuxGuest {
  readonly process: TestProcess;
  readonly #monitor: Socket;
  readonly #answers: ((answer: { return?: unknown; error?: unknown }) => void)[] = [];

  private constructor(process_: TestProcess, monitor: Socket) {
    this.process = process_;
    this.#monitor = monitor;
    // Its process ended: commands run into their deadline.
    monitor.on('error', () => {});
    const lines = createInterface({ input: monitor });
    lines
      .on('error', () => {})
      .on('line', (line) => {
        const message = JSON.parse(line) as { return?: unknown; error?: unknown };
        if ('return' in message || 'error' in message) this.#answers.shift()?.(message);
      });
  }

  /** Boots; the guest prints GUEST-DREW once it has drawn. */
  static async start(
    t: Owner,
    dir: string,
    { socket, picture, on }: { socket: string; picture: Uint8Array; on: MachineName },
  ): Promise<LinuxGuest> {
    const { machine: kind, gpu: card, drivers, more } = MACHINES[on];
    const kernel = findKernel()!;
    const initrd = join(dir, 'initrd');
    const qmp = join(dir, 'qmp');
    writeFileSync(initrd, initramfs(kernel.modules, drivers, picture));
    const machine = ['-accel', 'tcg', '-cpu', 'max', '-machine', `${kind},memory-backend=ram`, '-m', '256', ...more];
    const memory = ['-object', 'memory-backend-memfd,id=ram,size=256M,share=on'];
    const quiet = ['-nodefaults', '-display', 'none', '-serial', 'stdio', '-qmp', `unix:${qmp},server,nowait`];
    const linux = [
      '-kernel',
      kernel.image,
      '-initrd',
      initrd,
      '-append',
      'console=ttyS0 quiet vt.global_cursor_default=0',
    ];
    const gpu = ['-chardev', `socket,id=gpu,path=${socket}`, '-device', `${card},chardev=gpu`];
    const child = spawn(QEMU, [...QEMU_ARGS, ...machine, ...memory, ...quiet, ...linux, ...gpu], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const running = new TestProcess(child);
    t.teardown(async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await running.ended();
    });
    const connected = retryOnChange(qmp, () => monitorAt(qmp));
    const guest = new LinuxGuest(running, (await withDeadline(connected, ANSWER_MS, 'monitor of QEMU'))!);
    t.teardown(() => void guest.#monitor.destroy());
    await guest.command('qmp_capabilities');
    return guest;
  }

  async command(execute: string, args: object = {}): Promise<unknown> {
    const answer = new Promise<{ return?: unknown; error?: unknown }>((resolve) => this.#answers.push(resolve));
    this.#monitor.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    const { return: result, error } = await withDeadline(answer, ANSWER_MS, execute);
    if (error !== undefined) throw new Error(`${execute}: ${JSON.stringify(error)}`);
    return result;
  }

  /** What QEMU shows: R G B. */
  async screen(dir: string): Promise<{ width: number; height: number; rgb: Uint8Array }> {
    const path = join(dir, 'screen.ppm');
    await this.command('screendump', { filename: path });
    const bytes = readFileSync(path);
    const [head, width, height] = /^P6\n(\d+) (\d+)\n255\n/.exec(bytes.subarray(0, 40).toString('latin1'))!;
    return { width: Number(width), height: Number(height), rgb: bytes.subarray(head.length) };
  }
}

function monitorAt(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path, () => resolve(socket));
    socket.once('error', () => resolve(undefined));
  });
}
