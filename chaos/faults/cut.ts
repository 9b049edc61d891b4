// CUT: the connections between the process that stands and the victim are closed in both directions, with what is in them; of a victim
// that stands itself, those to all others. Both processes live, and each takes the other for dead.
import type { Fault } from './fault.js';

export const CUT: Fault = {
  name: 'CUT',
  describe: 'all connections between the two processes are closed',
  takesMs: false,
  replaces: false,
  ofConnections: true,
  async run(scene) {
    scene.cut('all');
    await scene.letGo();
    await scene.rest();
    await scene.settled();
  },
};
