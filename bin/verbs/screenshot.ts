// `xenwire screenshot GUEST`: what a guest's screen shows now, as a PNG file.
import { existsSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { UserError } from '../../lib/core/errors.js';
import { type Command, integerBetween } from '../../lib/node/process/cli.js';
import { serverOf } from '../../toolstack/device.js';
import { findGuest } from '../../toolstack/domain.js';
import { fail, labOption } from './common.js';

interface Options {
  readonly runDir: string;
  readonly output?: string;
  readonly device: number;
  readonly scanout: number;
  readonly cursor: boolean;
}

const DEVICES_MAX = 255;
const SCANOUTS_MAX = 16;

export function register(program: Command): void {
  labOption(program.command('screenshot <guest>').description("write what a guest's screen shows to a PNG file"))
    .option('-o, --output <file>', 'where to write; left out: GUEST.png in this folder')
    .option('--device <number>', 'of its devices', integerBetween(0, DEVICES_MAX), 0)
    .option('--scanout <number>', 'of its screens', integerBetween(0, SCANOUTS_MAX - 1), 0)
    .option('--cursor', "with the display's cursor, which no picture that is compared has", false)
    .addHelpText('after', '\nExamples:\n  xenwire screenshot gpu-guest\n  xenwire screenshot 1 -o /tmp/screen.png')
    .action(async (named: string, options: Options) => {
      const path = resolve(options.output ?? `${named}.png`);
      if (!existsSync(dirname(path)) || !statSync(dirname(path)).isDirectory())
        throw new UserError(`cannot write ${path}: there is no folder ${dirname(path)}`);
      const { openRunningSession } = await import('../../lab/session.js');
      const session = await openRunningSession(options.runDir);
      try {
        const guest = await findGuest(session, named);
        const server = await session.connect(await serverOf(session, guest.domid, options.device));
        const display = server.remote('Display');
        const request = { name: `${guest.domid}/${options.device}`, scanout: options.scanout, path };
        const shot = options.cursor ? display.screenshot_with_cursor(request) : display.screenshot(request);
        const { width, height, flush_count } = await shot;
        if (flush_count === 0) fail(`guest ${guest.name} has shown nothing yet: ${path} is black`);
        else process.stdout.write(`${path}: ${width}x${height}, frame ${flush_count}\n`);
      } finally {
        await session.close();
      }
    });
}
