// `xenwire list`: the guests of a running lab, as `xl list` shows domains.

import type { DomainInfo } from '../../lib/core/proto-types.js';
import { SHUTDOWN } from '../../lib/layout/evtchn.js';
import type { Command } from '../../lib/node/process/cli.js';
import { listGuests } from '../../toolstack/domain.js';
import { labOption, printJson } from './common.js';

export function register(program: Command): void {
  labOption(program.command('list').description('list the guests of a running lab'))
    .option('--json', 'as a JSON array')
    .addHelpText('after', '\nExamples:\n  xenwire list\n  xenwire list --json')
    .action(async (options: { runDir: string; json?: boolean }) => {
      const { openRunningSession } = await import('../../lab/session.js');
      const session = await openRunningSession(options.runDir);
      try {
        const guests = (await listGuests(session)).map((guest) => ({
          name: guest.name,
          domid: guest.domid,
          memoryMib: guest.memory_mib,
          vcpus: guest.max_vcpus,
          state: stateOf(guest),
        }));
        if (options.json) {
          printJson(guests);
          return;
        }
        const width = Math.max(4, ...guests.map(({ name }) => name.length));
        process.stdout.write(`${'NAME'.padEnd(width)}  DOMID  MEMORY  STATE\n`);
        for (const { name, domid, memoryMib, state } of guests) {
          const cells = [name.padEnd(width), String(domid).padStart(5), String(memoryMib).padStart(6), state];
          process.stdout.write(`${cells.join('  ')}\n`);
        }
      } finally {
        await session.close();
      }
    });
}

/** Xen's word, but what has ended says how, and what no process runs does not claim to run. */
function stateOf({ state, shutdown_reason, attached }: DomainInfo): string {
  if (state === 'running' && !attached) return 'waiting';
  if (state !== 'shutdown') return state;
  return shutdown_reason === SHUTDOWN.crash || shutdown_reason === SHUTDOWN.watchdog ? 'crashed' : 'shutdown';
}
