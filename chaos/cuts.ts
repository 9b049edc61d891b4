// Connections of a lab's processes, closed under both ends by a fault. Which process is which end is read off the kernel: names of
// sockets say the server, credentials the process at the other end. Leaves what follows of it to scene.ts.
import { closeConnections } from '../lib/node/files/other-process.js';
import { runPaths } from '../lib/node/process/run-dir.js';
import { GUEST_PROCESS, type Victim } from './case.js';
import { type Rig, SERVICES } from './rig.js';

export interface Cut {
  readonly server: Victim;
  readonly client: Victim;
}

/**
 * Closes the connections between two processes of a rig, or, where they are the same, between it and all others: all, or those that carry
 * messages. Our own stay.
 */
export function cutBetween(rig: Rig, victim: Victim, standing: string, which: 'all' | 'messages'): Cut[] {
  const names: readonly Victim[] = [...SERVICES, GUEST_PROCESS];
  const alive = new Map(names.filter((name) => rig.isAlive(name)).map((name) => [rig.process(name)!.pid, name]));
  const paths = new Map<string, Victim>();
  for (const server of SERVICES) {
    paths.set(runPaths.bus(rig.runDir, server), server);
    if (which === 'all') paths.set(runPaths.live(rig.runDir, server), server);
  }
  if (!rig.isAlive(victim)) return [];
  const found: Cut[] = [];
  closeConnections(rig.process(victim)!.pid, ({ path, peer }) => {
    const server = paths.get(path);
    const other = alive.get(peer);
    if (server === undefined || other === undefined || other === victim) return false;
    if (victim !== standing && other !== standing) return false;
    found.push({ server, client: server === victim ? other : victim });
    return true;
  });
  return found;
}
