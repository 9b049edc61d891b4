// DROP: what is under way between the process that stands and the victim is lost: the streams that carry their messages are closed, and
// the connections by which they learn of each other's death hold. A stream of the kernel loses nothing else, and never one
// message out of the middle (docs/chaos.md).
import type { Fault } from './fault.js';

export const DROP: Fault = {
  name: 'DROP',
  describe: 'messages under way between the two are lost, with their stream',
  takesMs: false,
  replaces: false,
  ofConnections: true,
  async run(scene) {
    scene.cut('messages');
    await scene.letGo();
    await scene.rest();
    await scene.settled();
  },
};
