// FILES: the victim gets no descriptor more: what it opens, accepts or is sent fails with EMFILE; later it gets them again.
import { type Fault, withoutResource } from './fault.js';

export const FILES: Fault = {
  name: 'FILES',
  describe: 'the victim gets no descriptor until the others rest',
  takesMs: false,
  replaces: false,
  mayRefuse: true,
  run: (scene) => withoutResource(scene, 'descriptors'),
};
