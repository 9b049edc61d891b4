// What becomes of a guest that has shut down, as xl's monitor of each domain does it (xl_vmcontrol.c, handle_domain_death):
// waiting for the end, then the action that the configuration names for its reason. One monitor watches one guest, through
// all its restarts. Leaves processes, dump files and words to the monitor's hooks.
import { SHUTDOWN } from '../lib/layout/evtchn.js';
import { RELEASE_DOMAIN } from './device.js';
import { createGuest, destroyGuest, type Guest, listGuests, renameGuest } from './domain.js';
import type { EndAction, GuestConfig } from './guest-config.js';
import { type Toolstack, unless, whenStore } from './toolstack.js';

export interface GuestEndHooks {
  /** Runs a sequence that makes or removes guests, alone. */
  exclusively<T>(sequence: () => Promise<T>): Promise<T>;
  /** A guest ended, and what was done about it. */
  say(sentence: string): void;
  /** The guest runs again as another domain. */
  restarted(guest: Guest): void;
  /** Writes the memory of a domain, which exists until this resolves, to a file; resolves with its path. */
  dump(guest: Guest): Promise<string>;
}

/** How a guest ended: as its kernel said, or found gone. */
type GuestEnd = 'poweroff' | 'reboot' | 'suspend' | 'crash' | 'gone';

/**
 * Watches a guest until none is left to watch: it was destroyed by another, or by what the configuration says, or is kept
 * as it ended. Rejects with what the toolstack's end gives as its reason.
 */
export async function watchGuest(
  toolstack: Toolstack,
  first: Guest,
  config: GuestConfig,
  hooks: GuestEndHooks,
): Promise<void> {
  let guest: Guest | undefined = first;
  while (guest !== undefined) {
    const watched: Guest = guest;
    const end = await whenStore(toolstack, RELEASE_DOMAIN, undefined, () => endOf(toolstack, watched.domid));
    if (end === 'gone') return;
    guest = await afterEnd(toolstack, watched, end, { config, hooks });
  }
}

/**
 * Tells the hypervisor that a guest's processor is gone which never attached: the process that was to run it has ended, and
 * no connection of it tells.
 */
export async function giveUpGuest({ hypervisor }: Toolstack, domid: number): Promise<void> {
  await unless(hypervisor.dm_remote_shutdown({ domid, reason: SHUTDOWN.crash }), 'ESRCH', 'EINVAL');
}

/** Undefined while it runs. */
async function endOf(toolstack: Toolstack, domid: number): Promise<GuestEnd | undefined> {
  const info = (await listGuests(toolstack)).find((guest) => guest.domid === domid);
  if (info === undefined || info.state === 'dying') return 'gone';
  if (info.state !== 'shutdown') return undefined;
  switch (info.shutdown_reason) {
    case SHUTDOWN.poweroff:
      return 'poweroff';
    case SHUTDOWN.reboot:
      return 'reboot';
    case SHUTDOWN.suspend:
      return 'suspend';
    default:
      return 'crash'; // a watchdog's too, as on_watchdog defaults to destroy like on_crash
  }
}

const SAID: Readonly<Record<Exclude<GuestEnd, 'gone'>, string>> = {
  poweroff: 'powered off',
  reboot: 'asked for a reboot',
  suspend: 'suspended itself',
  crash: 'crashed',
};

function actionFor(config: GuestConfig, end: Exclude<GuestEnd, 'gone'>): { action: EndAction; key: string } {
  switch (end) {
    case 'poweroff':
      return { action: config.onPoweroff, key: 'on_poweroff' };
    case 'reboot':
      return { action: config.onReboot, key: 'on_reboot' };
    case 'suspend':
      return { action: 'preserve', key: 'suspended' };
    case 'crash':
      return { action: config.onCrash, key: 'on_crash' };
  }
}

/** Acts; returns the guest that runs instead, if one does. */
async function afterEnd(
  toolstack: Toolstack,
  guest: Guest,
  end: Exclude<GuestEnd, 'gone'>,
  { config, hooks }: { config: GuestConfig; hooks: GuestEndHooks },
): Promise<Guest | undefined> {
  const { action, key } = actionFor(config, end);
  const what = `guest ${guest.name} (domain ${guest.domid}) ${SAID[end]}`;
  const why = `${key} = "${action}"`;
  /** Whatever comes is done while no other toolstack works, and only if none has removed the guest meanwhile. */
  const unlessGone = <T>(act: () => Promise<T>): Promise<T | undefined> =>
    hooks.exclusively(async () => ((await endOf(toolstack, guest.domid)) === 'gone' ? undefined : act()));
  const remove = async (): Promise<true> => {
    await destroyGuest(toolstack, guest);
    return true;
  };
  const again = async (): Promise<Guest> => {
    const next = await createGuest(toolstack, config);
    hooks.restarted(next);
    return next;
  };
  const dump = async (): Promise<string> => `its memory is in ${await hooks.dump(guest)}, `;
  switch (action) {
    case 'preserve':
      hooks.say(`${what}: it is kept, until xenwire destroy ${guest.name}, ${why}`);
      return undefined;
    case 'destroy':
    case 'coredump-destroy': {
      const dumped = action === 'destroy' ? '' : await dump();
      if (await unlessGone(remove)) hooks.say(`${what}: it is removed, ${dumped}${why}`);
      return undefined;
    }
    case 'restart':
    case 'coredump-restart': {
      const dumped = action === 'restart' ? '' : await dump();
      const next = await unlessGone(async () => {
        await remove();
        return again();
      });
      if (next !== undefined) hooks.say(`${what}: ${dumped}it runs again as domain ${next.domid}, ${why}`);
      return next;
    }
    case 'rename-restart': {
      const kept = `${guest.name}-${guest.domid}`;
      const next = await unlessGone(async () => {
        await renameGuest(toolstack, guest, kept);
        return again();
      });
      if (next !== undefined)
        hooks.say(`${what}: it is kept as ${kept}, and runs again as domain ${next.domid}, ${why}`);
      return next;
    }
  }
}
