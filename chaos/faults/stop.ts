// STOP: the victim is paused at the point until everything that can go on without it has come to rest; then it goes on, late.
import type { Fault } from './fault.js';

export const STOP: Fault = {
  name: 'STOP',
  describe: 'SIGSTOP until the others rest, then SIGCONT',
  takesMs: false,
  replaces: false,
  async run(scene) {
    if (scene.victimStands) {
      // It is stopped already.
      await scene.rest();
      await scene.letGo();
      return;
    }
    scene.signal('SIGSTOP');
    await scene.letGo();
    await scene.rest();
    scene.signal('SIGCONT');
  },
};
