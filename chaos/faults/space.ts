// SPACE: there is no room for a byte more in any file that the victim writes, as on a full run directory; later there is again.
// What is mapped has its room already (lib/node/files/libc.ts: allocateFile). The kernel's answer is EFBIG in the place of ENOSPC:
// docs/chaos.md says why.
import { type Fault, withoutResource } from './fault.js';

export const SPACE: Fault = {
  name: 'SPACE',
  describe: 'no file of the victim may grow until the others rest',
  takesMs: false,
  replaces: false,
  mayRefuse: true,
  run: (scene) => withoutResource(scene, 'fileBytes'),
};
