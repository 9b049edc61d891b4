// `xenwire destroy`: takes guests out of a running lab, as `xl destroy` does, their devices through Closing and Closed.
import type { Command } from '../../lib/node/process/cli.js';
import { destroyGuest, findGuest, finishUnfinished } from '../../toolstack/domain.js';
import { fail, holdOption, labOption } from './common.js';

export function register(program: Command): void {
  holdOption(
    labOption(program.command('destroy <guest>').description('remove a guest, by name or number, from a running lab')),
  )
    .addHelpText('after', '\nExamples:\n  xenwire destroy gpu-guest\n  xenwire destroy 3')
    .action(async (name: string, options: { runDir: string; hold: boolean }) => {
      const { openRunningSession } = await import('../../lab/session.js');
      const session = await openRunningSession(options.runDir, options.hold);
      try {
        await session.exclusively(async () => {
          await finishUnfinished(session);
          const guest = await findGuest(session, name);
          const inOrder = await destroyGuest(session, guest);
          if (!inOrder) fail(`guest ${guest.name} is removed, but its devices did not close in order`);
        });
      } finally {
        await session.close();
      }
    });
}
