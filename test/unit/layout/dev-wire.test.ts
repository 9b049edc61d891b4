// The numbers of lib/layout/ours/dev-wire.ts and of native/wire.h are the same.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { DEV_DEVICE, DEV_FRAME, DEV_FRAME_PAYLOAD_MAX } from '../../../lib/layout/ours/dev-wire.js';
import { PACKAGE_ROOT } from '../../../lib/node/process/package-root.js';

t.test('the preloaded library and the hypervisor process speak of the same frames', (t) => {
  const text = readFileSync(join(PACKAGE_ROOT, 'native', 'wire.h'), 'utf8');
  const defined = Object.fromEntries(
    [...text.matchAll(/^#define (\w+) (\d+)/gm)].map(([, name, value]) => [name!, Number(value)]),
  );
  const ours = Object.fromEntries([
    ...Object.entries(DEV_FRAME).map(([name, value]) => [`FRAME_${name}`, value]),
    ...Object.entries(DEV_DEVICE).map(([name, value]) => [`DEVICE_${name}`, value]),
    ['FRAME_PAYLOAD_MAX', DEV_FRAME_PAYLOAD_MAX],
  ]);
  t.same(defined, ours);
  t.end();
});
