// TERM: the victim is asked to end in order. It may need the process that stands for that, which therefore goes on first.
import { type Fault, replaceLater } from './fault.js';

export const TERM: Fault = {
  name: 'TERM',
  describe: 'SIGTERM: the process ends in order; then a replacement',
  takesMs: false,
  replaces: true,
  async run(scene) {
    scene.signal('SIGTERM');
    await scene.letGo();
    await scene.ended({ inOrder: true });
    if (scene.restart === 'restart') scene.replace();
    else await replaceLater(scene);
    await scene.replaced();
  },
};
