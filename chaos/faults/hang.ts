// HANG: the victim never moves again. What supervises it finds that it does not answer, ends it for certain, and only then
// starts another: two processes of one name never run at once.
import { type Fault, replaceLater } from './fault.js';

export const HANG: Fault = {
  name: 'HANG',
  describe: 'SIGSTOP for good; once the others rest it is killed and replaced',
  takesMs: false,
  replaces: true,
  async run(scene) {
    scene.signal('SIGSTOP');
    if (!scene.victimStands) await scene.letGo();
    await scene.rest();
    scene.signal('SIGKILL');
    await scene.ended({ inOrder: false });
    if (scene.restart === 'never') await replaceLater(scene);
    else scene.replace();
    await scene.replaced();
  },
};
