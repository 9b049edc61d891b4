// `xenwire create`: adds a guest to a running lab, as `xl create` does, and starts the process that runs its kernel.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { builtProgram } from '../../lab/child.js';
import { checkFrame, firstFrame } from '../../lab/frames.js';
import type { Session } from '../../lab/session.js';
import { NOTIFICATION_PATHS, type NotificationPath } from '../../lib/core/notification-path.js';
import type { NotifyMode } from '../../lib/core/notify.js';
import { type Command, Option } from '../../lib/node/process/cli.js';
import { STORE_TRANSPORTS, type StoreTransport } from '../../lib/xenstore/channel.js';
import { createGuest, type Guest } from '../../toolstack/domain.js';
import { onPath } from '../../toolstack/guest-config.js';
import { fail, labOption } from './common.js';
import { DEFAULT_IMAGE, type GivenImage, readConfig, readImage } from './guest-source.js';
import { checkNotify, notificationPath } from './path-option.js';

interface CreateOptions {
  readonly runDir: string;
  readonly image: string;
  readonly path?: NotificationPath;
  readonly process: boolean;
  readonly wait?: boolean;
  readonly waitForLab?: boolean;
  readonly storeTransport: StoreTransport;
}

export function register(program: Command): void {
  labOption(program.command('create <config>').description('add a guest to a running lab'))
    .option('--image <file>', 'PNG that the guest shows', DEFAULT_IMAGE)
    .option('--path <path>', `how notifications travel: ${NOTIFICATION_PATHS.join(', ')}`, notificationPath)
    .addOption(
      new Option('--store-transport <how>', 'how it reaches xenstored: the bus, or its ring page as in real Xen')
        .choices(STORE_TRANSPORTS)
        .default('bus'),
    )
    .option('--no-process', "start no process: the guest's kernel runs elsewhere, as xenwire guest --name NAME")
    .option('--wait', 'wait for its first frame and compare it with the image; status 1 if they differ')
    .option('--wait-for-lab', 'wait until the lab runs, instead of refusing')
    .addHelpText(
      'after',
      '\nExamples:\n  xenwire create examples/gpu-guest.cfg\n  xenwire create examples/gpu-guest.cfg --image examples/test-card.png --wait',
    )
    .action(async (configPath: string, options: CreateOptions) => {
      const config = onPath(readConfig(configPath), options.path);
      const image = readImage(options.image);
      // Loaded when all is checked: ZeroMQ takes a while.
      const { notifyOf, openRunningSession, openSession } = await import('../../lab/session.js');
      const session = options.waitForLab
        ? await openSession({ runDir: options.runDir })
        : await openRunningSession(options.runDir);
      try {
        const notify = notifyOf(options.runDir);
        checkNotify(
          config.virtio.map(({ path }) => path),
          notify,
        );
        const guest = await session.exclusively(() => createGuest(session, config));
        if (options.process) startDetached({ ...options, notify, name: guest.name, image: image.path });
        process.stdout.write(`guest ${guest.name} is domain ${guest.domid}\n`);
        if (options.wait) await compare(session, guest, image);
      } finally {
        await session.close();
      }
    });
}

interface GuestProcess {
  readonly name: string;
  readonly notify: NotifyMode;
}

/** A process of its own: it ends with its domain, or with the lab. */
function startDetached(guest: Pick<CreateOptions, 'runDir' | 'image' | 'storeTransport'> & GuestProcess): void {
  const { runDir, notify, name, image, storeTransport } = guest;
  const args = [builtProgram('guest'), '--run-dir', runDir, '--notify', notify, '--name', name, '--image', image];
  args.push('--store-transport', storeTransport);
  spawn(process.execPath, args, { detached: true, stdio: 'ignore' }).unref();
}

async function compare(session: Session, guest: Guest, image: GivenImage): Promise<void> {
  await firstFrame(session, guest);
  const path = join(session.runDir, 'frames', `${guest.name}.png`);
  const frame = await checkFrame(await session.connect('vhost-gpu'), `${guest.domid}/0`, path, image.picture);
  const size = `${frame.width}x${frame.height}`;
  if (frame.mismatchedPixels > 0)
    fail(`${frame.mismatchedPixels} of ${size} pixels differ from ${image.path}: ${path}`);
  else process.stdout.write(`picture equal: ${size} pixels, ${path}\n`);
}
