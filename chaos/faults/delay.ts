// DELAY ms: the notifications that were sent to the victim as the others came to rest arrive so much later, while the victim runs and
// everything else reaches it. PAUSE is what delays a whole process, and with it the streams that it reads.
import type { Fault } from './fault.js';

export const DELAY: Fault = {
  name: 'DELAY',
  describe: 'notifications to the victim arrive so many ms late',
  takesMs: true,
  replaces: false,
  async run(scene, ms) {
    if (!scene.victimStands) {
      scene.signal('SIGSTOP');
      await scene.letGo();
    }
    await scene.rest();
    const ring = scene.takeRings();
    if (scene.victimStands) await scene.letGo();
    else scene.signal('SIGCONT');
    await scene.pass(ms);
    ring();
  },
};
