// DOUBLE: every notification that the victim may get comes once more than it was sent, and some that were never sent: on each bit of its
// doorbell at once. Event channels, kicks and calls promise that something may have happened, not how often.
import type { Fault } from './fault.js';

export const DOUBLE: Fault = {
  name: 'DOUBLE',
  describe: 'every notification of the victim comes once more',
  takesMs: false,
  replaces: false,
  async run(scene) {
    scene.ringAll();
    await scene.letGo();
    await scene.rest();
    scene.ringAll();
    await scene.rest();
  },
};
