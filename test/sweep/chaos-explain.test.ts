// A failure explained on a copy of the sources with a deliberate bug: a device whose server has died does not ask its driver for a
// reset. Of a list of two faults the one that meets the bug is left, and it fails only from the point on at which a driver uses
// the device.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { faultsOf, parseCase } from '../../chaos/case.js';
import { MutatedCopy } from '../../chaos/mutate.js';
import { MUTATIONS } from '../../chaos/mutations.js';
import type { Explanation } from '../../chaos/shrink/explanation.js';

const NAME = 'a device whose server has died does not ask for a reset';
const NEEDED = 'guest:guest.frame#1/KILL vhost-gpu/restart';
const LIST = `guest:front.state(device/virtio-mmio/0/state)#1/STOP xenstored/restart then ${NEEDED}`;
const DEADLINE_MS = 1_000_000;

t.test('what a failure needs, and where it begins', { timeout: DEADLINE_MS }, (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'xw-explain-'));
  const copy = new MutatedCopy(join(folder, 'copy'));
  t.teardown(() => {
    copy.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const mutation = MUTATIONS.find(({ name }) => name === NAME)!;
  const { outcome, explained } = copy.explain(mutation, LIST, join(folder, 'lab')) as {
    outcome: string;
    explained: Explanation;
  };
  t.equal(outcome, 'wedged');
  t.comment(JSON.stringify(explained, null, 1));
  t.same(parseCase(explained.minimal), parseCase(NEEDED), 'the other fault is not needed');
  const [fails, passes] = [explained.fails, explained.passes!].map((text) => faultsOf(parseCase(text)));
  t.equal(fails!.length, 1);
  t.equal(passes!.length, 1);
  t.equal(passes![0]!.at.process, fails![0]!.at.process);
  t.not(explained.passes, explained.fails);
  t.ok(explained.runs < 30, `${explained.runs} cases`);
  t.end();
});
