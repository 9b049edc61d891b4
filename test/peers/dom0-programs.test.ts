// Unmodified Xen libraries of Debian on the lab's devices: C clients of ours, each call with its errors.
import t from 'tap';
import { buildDom0, dom0Missing, runDom0 } from '../../testkit/dom0-programs.js';
import { type Owner, startNode, temporaryRunDir } from '../../testkit/processes.js';

const HYPERVISOR = new URL('../../services/hypervisor/main.js', import.meta.url);

async function hypervisor(t: Owner, ...options: string[]): Promise<string> {
  const runDir = temporaryRunDir(t);
  await startNode(t, HYPERVISOR, ['--run-dir', runDir, ...options]).logged(/ready/);
  return runDir;
}

t.test('libxenevtchn: every call and its errors, as Linux has them', { skip: dom0Missing() }, async (t) => {
  const program = buildDom0(t, 'evtchn', ['xenevtchn']);
  const run = runDom0(t, await hypervisor(t), program);
  t.equal(await run.ended(30_000), 0, run.stderr);
  t.equal(run.lines.at(-1), 'done', run.stderr);
});
