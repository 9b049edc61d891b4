import t from 'tap';
import { NO_PROBE } from '../../../lib/core/probe.js';
import { sharedFiles } from '../../../lib/node/files/shm.js';
import { measureDevice } from '../../../measure/flush/device.js';
import { FRAME_BYTES, RAM_BYTES } from '../../../measure/flush/frame.js';
import { temporaryRunDir } from '../../../testkit/processes.js';

t.test('the flush bench moves the picture whole, however it lies in memory', async (t) => {
  const files = sharedFiles(temporaryRunDir(t));
  const ram = files.create('ram', RAM_BYTES);
  const copy = files.create('copy', FRAME_BYTES);
  const results = measureDevice({ ram, copy, probe: NO_PROBE, rounds: 2, warmUp: 0 });
  t.same(
    results.map(({ pieces, equal }) => [pieces, equal]),
    [
      [1, true],
      [127, true],
      [2025, true],
    ],
  );
  ram.remove();
  copy.remove();
});
