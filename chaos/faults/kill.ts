// KILL: the victim is gone at once, as in a crash; nothing of its own runs any more.
import { type Fault, replaceVictim } from './fault.js';

export const KILL: Fault = {
  name: 'KILL',
  describe: 'SIGKILL, then a replacement',
  takesMs: false,
  replaces: true,
  async run(scene) {
    scene.signal('SIGKILL');
    await scene.ended({ inOrder: false });
    await replaceVictim(scene);
  },
};
