// `xenwire create`: adds a guest to a running lab, as `xl create` does, and starts the process that runs its kernel.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { checkFrame, firstFrame } from '../../lab/frames.js';
import type { MonitorJob } from '../../lab/monitor.js';
import { requireRoom } from '../../lab/room.js';
import type { Session } from '../../lab/session.js';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { DeadlineError, GuestFailedError, InterruptedError } from '../../lib/core/errors.js';
import { NOTIFICATION_PATHS, type NotificationPath } from '../../lib/core/notification-path.js';
import { type Command, Option } from '../../lib/node/process/cli.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { withDeadline } from '../../lib/node/process/wait.js';
import { FRONTENDS, type FrontendName } from '../../lib/xenbus/protocols.js';
import { STORE_TRANSPORTS, type StoreTransport } from '../../lib/xenstore/channel.js';
import { CORE_VERSIONS, type CoreVersion } from '../../services/guest/core-rules.js';
import { serverOf } from '../../toolstack/device.js';
import { createGuest, type Guest, listGuests } from '../../toolstack/domain.js';
import { forFrontend, onPath } from '../../toolstack/guest-config.js';
import type { MonitorNews } from '../monitor.js';
import { fail, holdOption, labOption } from './common.js';
import { DEFAULT_IMAGE, type GivenImage, readConfig, readImage } from './guest-source.js';
import { checkNotify, notificationPath } from './path-option.js';

const MONITOR = join(PACKAGE_ROOT, 'dist', 'bin', 'monitor.js');

interface CreateOptions {
  readonly runDir: string;
  readonly image: string;
  readonly path?: NotificationPath;
  readonly process: boolean;
  readonly foreground?: boolean;
  readonly hold: boolean;
  readonly wait?: boolean;
  readonly waitForLab?: boolean;
  readonly storeTransport: StoreTransport;
  readonly frontend: FrontendName;
  readonly core?: CoreVersion;
}

export function register(program: Command): void {
  holdOption(labOption(program.command('create <config>').description('add a guest to a running lab')))
    .option('--image <file>', 'PNG that the guest shows', DEFAULT_IMAGE)
    .option('--path <path>', `how notifications travel: ${NOTIFICATION_PATHS.join(', ')}`, notificationPath)
    .addOption(
      new Option('--store-transport <how>', 'how it reaches xenstored: the bus, or its ring page as in real Xen')
        .choices(STORE_TRANSPORTS)
        .default('bus'),
    )
    .addOption(
      new Option('--frontend <protocol>', "which protocol its driver speaks: that of the lab's vhost-frontend")
        .choices(FRONTENDS)
        .default('review'),
    )
    .addOption(new Option('--core <version>', "Linux's xenbus core that it behaves like").choices(CORE_VERSIONS))
    .option('--no-process', "start no process: the guest's kernel runs elsewhere, as xenwire guest --name NAME")
    .option(
      '-F, --foreground',
      'stay until the guest is gone for good, doing at its end what its configuration says; with --no-process a guest of ' +
        'that name that is there already is watched instead of made',
    )
    .option('--wait', 'wait for its first frame and compare it with the image; status 1 if they differ')
    .option('--wait-for-lab', 'wait until the lab runs, instead of refusing')
    .addHelpText(
      'after',
      '\nExamples:\n  xenwire create examples/gpu-guest.cfg\n  xenwire create examples/gpu-guest.cfg --image examples/test-card.png --wait',
    )
    .action(async (configPath: string, options: CreateOptions) => {
      const config = forFrontend(onPath(readConfig(configPath), options.path), options.frontend);
      const image = readImage(options.image);
      // Loaded when all is checked: ZeroMQ takes a while.
      const { notifyOf, openRunningSession, openSession } = await import('../../lab/session.js');
      const session = options.waitForLab
        ? await openSession(options)
        : await openRunningSession(options.runDir, options.hold);
      try {
        const notify = notifyOf(options.runDir);
        checkNotify(
          config.virtio.map(({ path }) => path),
          notify,
        );
        const running =
          options.foreground && !options.process
            ? (await listGuests(session)).find(({ name, state }) => name === config.name && state !== 'dying')
            : undefined;
        if (running === undefined) requireRoom(options.runDir, [config.memoryMib], { wholeLab: false });
        const guest = running ?? (await session.exclusively(() => createGuest(session, config)));
        const { runDir, storeTransport, frontend, core } = options;
        const speaks = ['--frontend', frontend, ...(core === undefined ? [] : ['--core', core])];
        const job: MonitorJob = {
          ...{ runDir, guest, config },
          ...(options.process ? { process: { notify, storeTransport, speaks, image: image.path } } : {}),
        };
        const watched = options.foreground
          ? monitored(job)
          : options.process
            ? startMonitor(job)
            : { failed: new Promise<never>(() => {}), done: Promise.resolve() };
        process.stdout.write(`guest ${guest.name} is domain ${guest.domid}\n`);
        if (options.wait)
          await Promise.race([compare(session, guest, image).catch(explained(watched)), watched.failed]);
        await watched.done;
      } finally {
        await session.close();
      }
    });
}

/** The store tells of a domain's end before its monitor tells how the process ended that ran it: that is the reason. */
function explained({ failed }: Watched): (error: unknown) => Promise<never> {
  return async (error) => {
    if (!(error instanceof GuestFailedError)) throw error;
    return await withDeadline(failed, DEADLINE_MS.causeOfEnd, error.message).catch((late: unknown) => {
      throw late instanceof DeadlineError ? error : late;
    });
  };
}

interface Watched {
  /** Rejects with GuestFailedError when the guest's process ends that should not have. */
  readonly failed: Promise<never>;
  /** Resolves when there is nothing more to stay for. */
  readonly done: Promise<void>;
}

/** Watched by this process. */
function monitored(job: MonitorJob): Watched {
  const abort = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => abort.abort(new InterruptedError('interrupted; the guest is not watched any more')));
  }
  let fail: (error: Error) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  failed.catch(() => {}); // only --wait looks
  const say = (sentence: string): void => void process.stdout.write(`${sentence}\n`);
  const failure = (sentence: string): void => {
    process.stderr.write(`xenwire: ${sentence}\n`);
    fail(new GuestFailedError(sentence));
  };
  const done = import('../../lab/monitor.js').then(({ monitor }) =>
    monitor(job, { say, failed: failure, signal: abort.signal }),
  );
  done.catch(() => {}); // awaited at the end
  return { failed, done };
}

/** Watched by a process of its own, which is left behind: it ends with the guest, or with the lab. */
function startMonitor(job: MonitorJob): Watched {
  const child = spawn(process.execPath, [MONITOR], {
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  child.send(job);
  let taken: () => void = () => {};
  let notTaken: (error: Error) => void = () => {};
  // A create that ended before its job was read would leave a guest without a monitor.
  const done = new Promise<void>((resolve, reject) => {
    taken = resolve;
    notTaken = reject;
  });
  const failed = new Promise<never>((_, reject) => {
    child.on('message', (news: MonitorNews) => {
      if ('failed' in news) reject(new GuestFailedError(news.failed));
      else taken();
    });
    child.on('exit', (code) => {
      if (code === 0) return;
      const error = new GuestFailedError(`its monitor ended with status ${code}`);
      reject(error);
      notTaken(error); // of no effect once it was taken
    });
  });
  failed.catch(() => {}); // only --wait looks
  const letGo = (): void => {
    child.unref();
    child.channel?.unref();
  };
  done.then(letGo, letGo);
  return { failed, done };
}

async function compare(session: Session, guest: Guest, image: GivenImage): Promise<void> {
  await firstFrame(session, guest, undefined, (sentence) => process.stderr.write(`xenwire: ${sentence}\n`));
  const path = join(session.runDir, 'frames', `${guest.name}.png`);
  const server = await serverOf(session, guest.domid);
  const frame = await checkFrame(await session.connect(server), `${guest.domid}/0`, path, image.picture);
  const size = `${frame.width}x${frame.height}`;
  if (frame.mismatchedPixels > 0)
    fail(`${frame.mismatchedPixels} of ${size} pixels differ from ${image.path}: ${path}`);
  else process.stdout.write(`picture equal: ${size} pixels, ${path}\n`);
}
