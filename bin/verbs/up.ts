// `xenwire up`: starts a whole lab, shows its guests' pictures, tears it down. What the flags mean together is checked
// here, before anything starts; the run itself is lab/up.ts.
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { DOM0_MODES, type Dom0Mode } from '../../lib/core/dom0-modes.js';
import { UserError } from '../../lib/core/errors.js';
import { ANIMATION_FPS_MAX, DEVICE_SERVERS_MAX, LAB_GUESTS_MAX, POLL_US_MAX } from '../../lib/core/limits.js';
import { LOG_LEVELS } from '../../lib/core/log.js';
import { NOTIFICATION_PATHS, type NotificationPath } from '../../lib/core/notification-path.js';
import { NOTIFY_MODES, type NotifyMode } from '../../lib/core/notify.js';
import { type Command, EXIT, folder, integerBetween, Option } from '../../lib/node/process/cli.js';
import { BACKENDS, type BackendName, FRONTENDS, type FrontendName } from '../../lib/xenbus/protocols.js';
import { STORE_TRANSPORTS, type StoreTransport } from '../../lib/xenstore/channel.js';
import { CORE_VERSIONS, type CoreVersion } from '../../services/guest/core-rules.js';
import { forFrontend, virtioDeviceNumber } from '../../toolstack/guest-config.js';
import { holdOption, labOption } from './common.js';
import { portNumber } from './dashboard.js';
import { DEFAULT_CONFIG, DEFAULT_IMAGE, readConfig, readImage } from './guest-source.js';
import { checkNotify, notificationPaths } from './path-option.js';

interface Options {
  readonly runDir: string;
  readonly config: string;
  readonly image: string;
  readonly guests: number;
  readonly servers?: number;
  readonly notify: NotifyMode;
  readonly path?: readonly NotificationPath[];
  readonly logLevel: string;
  readonly pollUs?: number;
  readonly once?: boolean;
  readonly json?: boolean;
  readonly keep?: boolean;
  readonly frames?: string;
  readonly attach?: boolean;
  readonly animate: number;
  readonly restart?: boolean;
  readonly deadAfter: number;
  readonly hold: boolean;
  readonly dashboard?: number | true;
  readonly storeTransport: StoreTransport;
  readonly frontend: FrontendName;
  readonly backend: BackendName;
  readonly dom0: Dom0Mode;
  readonly core?: CoreVersion;
  readonly backendCommand?: string;
  readonly store: 'own' | 'c';
}

const DEAD_AFTER_S_MAX = 86_400;
/** The virtio device number of a GPU (virtio 1.x, 5.7). */
const VIRTIO_ID_GPU = 16;

export function register(program: Command): void {
  holdOption(labOption(program.command('up').description('start a lab, show its pictures, stay until Ctrl-C')))
    .option('--config <file>', "the guest's configuration, in the syntax of xl.cfg", DEFAULT_CONFIG)
    .option('--image <file>', 'PNG that the guest shows', DEFAULT_IMAGE)
    .option(
      '--guests <count>',
      'guests with a picture each: variations of the image',
      integerBetween(1, LAB_GUESTS_MAX),
      1,
    )
    .option(
      '--servers <count>',
      'device servers, which guest after guest takes in turn: vhost-gpu, vhost-gpu-b, vhost-gpu-c, ...',
      integerBetween(1, DEVICE_SERVERS_MAX),
    )
    .option('--once', 'tear down after the first frames; status 0 only if all is equal and nothing is left')
    .option('--json', 'print one JSON object at the end, and nothing else')
    .option('--frames <dir>', 'copy the screens there, as PNG files', folder)
    .option('--keep', 'leave logs, history and frames in the run directory')
    .option(
      '--animate <fps>',
      'after the first frames, have every guest draw so many a second, with a number in each, and look at all of them',
      integerBetween(0, ANIMATION_FPS_MAX),
      0,
    )
    .option('--restart', 'start again whatever dies (the default)')
    .option('--no-restart', 'end the lab at the first death of a process')
    .option(
      '--dead-after <seconds>',
      'a process that does not answer for so long counts as dead, is killed and started again; 0: never',
      integerBetween(0, DEAD_AFTER_S_MAX),
      DEADLINE_MS.processAnswer / 1000,
    )
    .option(
      '--dashboard [port]',
      'serve the live page on this machine; without a port: on any that is free',
      portNumber,
    )
    .option(
      '--backend-command <command>',
      'a program of others in the place of vhost-frontend, run as xenwire run does; {gpu} in it is the GPU server’s socket',
    )
    .addOption(
      new Option('--store <which>', 'the store: ours, or Debian’s C xenstored, which guests reach by their ring pages')
        .choices(['own', 'c'])
        .default('own'),
    )
    .option('--attach', 'use the processes that run already in the run directory, start none')
    .addOption(
      new Option('--notify <how>', 'how wake-ups travel between processes').choices(NOTIFY_MODES).default('doorbell'),
    )
    .option(
      '--path <paths>',
      `how notifications travel: ${NOTIFICATION_PATHS.join(', ')}; of several, guest after guest takes the next one`,
      notificationPaths,
    )
    .addOption(
      new Option('--store-transport <how>', 'how guests reach xenstored: the bus, or their ring pages as in real Xen')
        .choices(STORE_TRANSPORTS)
        .default('bus'),
    )
    .addOption(
      new Option('--frontend <protocol>', 'protocol between guests and vhost-frontend: as reviewed, or as first posted')
        .choices(FRONTENDS)
        .default('review'),
    )
    .addOption(
      new Option('--backend <behaviour>', 'vhost-frontend: ours, or one that behaves as xen-vhost-frontend')
        .choices(BACKENDS)
        .default('review'),
    )
    .addOption(
      new Option('--dom0 <kernel>', 'event descriptors of dead processes: given back, or left as Linux leaves them')
        .choices(DOM0_MODES)
        .default('fixed'),
    )
    .addOption(new Option('--core <version>', "Linux's xenbus core that guests behave like").choices(CORE_VERSIONS))
    .addOption(new Option('--log-level <level>', 'what the processes log').choices(LOG_LEVELS).default('info'))
    .option(
      '--poll-us <us>',
      'how long the processes look at shared pages after each activity before they block; 0 blocks at once',
      integerBetween(0, POLL_US_MAX),
    )
    .addHelpText(
      'after',
      '\nExamples:\n  xenwire up\n  xenwire up --once --json\n  xenwire up --once --guests 3 --path evtchnfd,dmop,direct\n  xenwire up --once --guests 3 --servers 2\n  xenwire up --once --guests 2 --image examples/test-card.png',
    )
    .action(async (options: Options, verb: Command) => {
      const config = forFrontend(readConfig(options.config), options.frontend);
      if (virtioDeviceNumber(config.virtio[0]?.type ?? '') !== VIRTIO_ID_GPU) {
        throw new UserError(
          `${options.config} has no GPU as its device 0: virtio = [ "type=virtio,device10,transport=mmio" ]`,
        );
      }
      const { runDir, guests, notify, logLevel, storeTransport, frontend, backend, dom0, core, backendCommand } =
        options;
      if (backendCommand !== undefined && (guests > 1 || options.attach))
        throw new UserError('--backend-command is for a lab of its own with one guest');
      if (options.servers !== undefined && (options.attach || backendCommand !== undefined))
        throw new UserError('--servers is for a lab of its own with our vhost-frontend');
      if (backend !== 'review' && (backendCommand !== undefined || options.attach))
        throw new UserError(`--backend ${backend} is for a vhost-frontend that this lab starts`);
      checkNotify([...(options.path ?? config.virtio.map(({ path }) => path))], notify);
      const image = readImage(options.image);
      const wasGiven = verb.getOptionValueSource('deadAfter') === 'cli';
      const deadAfter = options.dashboard === undefined || wasGiven ? options.deadAfter : 0;
      const { up } = await import('../../lab/up.js');
      const ok = await up({
        runDir,
        guests,
        notify,
        logLevel,
        storeTransport: options.store === 'c' ? 'ring' : storeTransport,
        foreignStore: options.store === 'c',
        frontend,
        backend,
        dom0,
        ...(core === undefined ? {} : { core }),
        config,
        image,
        once: options.once ?? false,
        json: options.json ?? false,
        keep: options.keep ?? false,
        attach: options.attach ?? false,
        animate: options.animate,
        restart: options.restart ?? true,
        // What a person stops from the page stands for as long as it is looked at.
        deadAfterMs: deadAfter * 1000,
        hold: options.hold,
        ...(backendCommand === undefined ? {} : { backendCommand }),
        ...(options.path === undefined ? {} : { paths: options.path }),
        ...(options.servers === undefined ? {} : { servers: serverNames(options.servers) }),
        ...(options.pollUs === undefined ? {} : { pollUs: options.pollUs }),
        ...(options.frames === undefined ? {} : { frames: options.frames }),
        ...(options.dashboard === undefined ? {} : { dashboard: options.dashboard === true ? 0 : options.dashboard }),
        startNs: processStartNs(),
      });
      process.exitCode = ok ? EXIT.OK : EXIT.FAILED;
    });
}

/** The first has no name; the others have letters from b on. */
function serverNames(count: number): (string | undefined)[] {
  return Array.from({ length: count }, (_, index) => (index === 0 ? undefined : String.fromCharCode(97 + index)));
}

/** CLOCK_MONOTONIC when this process began. */
function processStartNs(): bigint {
  return process.hrtime.bigint() - BigInt(Math.round(performance.now() * 1e6));
}
