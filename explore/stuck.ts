// `dom0 linux`: what Linux leaves of a backend that died with event descriptors, and what it does to a guest. An ioeventfd of a dead
// process stays, its interrupt disabled, and keeps the port of the ioreq server, so that no process can take the server over: an
// access that lies in it is never answered. A server that is made after it is asked first, so that later accesses pass. Leaves what
// the death itself does to faults.ts.
import type { Processes } from './faults.js';
import type { Stage } from './stage.js';
import type { World } from './world.js';

/** The guest stands in an access that no process can answer any more. */
export function isWedged({ xen }: World): boolean {
  return xen.waits === true;
}

/**
 * A driver at work on its registers, or one that is about to be, uses them while only a stuck server has their range: a kick, an
 * acknowledgement, a reset. False: there is none.
 */
export function accessStuck(stage: Stage, processes: Processes): boolean {
  const { xen, guest } = stage.world;
  if (!xen.stuck || xen.waits || xen.registers !== undefined) return false;
  const at = guest.run === undefined ? undefined : processes.guestAsks(stage.world);
  const uses = at !== undefined && 'asks' in at && at.asks.to === 'device';
  if (!uses && !xen.driver) return false;
  stage.note('frontend', 'device', 'an access waits for ever');
  stage.change({ xen: { ...xen, waits: true } });
  return true;
}
