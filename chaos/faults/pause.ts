// PAUSE ms: the victim is paused for a time and goes on, however far the others have come.
import type { Fault } from './fault.js';

export const PAUSE: Fault = {
  name: 'PAUSE',
  describe: 'SIGSTOP for so many ms, then SIGCONT',
  takesMs: true,
  replaces: false,
  async run(scene, ms) {
    if (scene.victimStands) {
      await scene.pass(ms);
      await scene.letGo();
      return;
    }
    scene.signal('SIGSTOP');
    await scene.letGo();
    await scene.pass(ms);
    scene.signal('SIGCONT');
  },
};
