// TEAR: the victim dies in the middle of a store: what it had begun to publish stands in shared memory without the word that publishes it. A
// guest, which may write anything, publishes nonsense before it ends.
import { type Fault, replaceVictim } from './fault.js';

export const TEAR: Fault = {
  name: 'TEAR',
  describe: 'SIGKILL in the middle of a store to shared memory, then a replacement',
  takesMs: false,
  replaces: true,
  async run(scene) {
    scene.signal('SIGSTOP');
    await scene.tear();
    scene.signal('SIGKILL');
    await scene.ended({ inOrder: false });
    await replaceVictim(scene);
  },
};
