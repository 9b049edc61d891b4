// Unmodified Xen libraries of Debian on the lab's devices: C clients of ours, each call with its errors.
import t from 'tap';
import { buildDom0, dom0Missing, runDom0 } from '../../testkit/dom0-programs.js';
import { type Owner, startNode, type TestProcess, temporaryRunDir } from '../../testkit/processes.js';

const HYPERVISOR = new URL('../../services/hypervisor/main.js', import.meta.url);
const DEVICE_MODEL = new URL('../fixtures/hv-device-model.js', import.meta.url);
const GUEST = new URL('../fixtures/hv-guest.js', import.meta.url);

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

async function ask<T>(process: TestProcess, line: string): Promise<T> {
  process.say(line);
  const verb = line.split(' ')[0]!;
  return JSON.parse((await process.line(new RegExp(`^${verb}: `))).slice(verb.length + 2)) as T;
}

/** A host with a domain of 8 MiB, a process that runs it, and one of dom0 that made it. */
async function host(t: Owner, ...options: string[]) {
  const runDir = await hypervisor(t, ...options);
  const toolstack = startNode(t, DEVICE_MODEL, ['--run-dir', runDir]);
  await toolstack.line(/^ready/);
  const { domid, token } = await ask<{ domid: number; token: string }>(toolstack, 'create');
  const guest = startNode(t, GUEST, ['--run-dir', runDir, '--token', token]);
  await guest.line(/^ready/);
  await ask(toolstack, `unpause ${domid}`);
  return { runDir, toolstack, guest, domid };
}

t.test(
  'libxencall, libxendevicemodel, libxenforeignmemory, libxengnttab; IOEVENTFD and IRQFD; wild pointers',
  { skip: dom0Missing() },
  async (t) => {
    const libraries = ['xencall', 'xendevicemodel', 'xenforeignmemory', 'xengnttab', 'xenevtchn'];
    const program = buildDom0(t, 'devices', libraries);
    const { runDir, toolstack, guest, domid } = await host(t);
    const before = await ask<{ held: object[] }>(toolstack, 'audit');
    const run = runDom0(t, runDir, program, [`${domid}`]);
    await run.line(/^kick$/, 30_000);
    guest.say('write 0xf0000050 1');
    t.equal(await run.ended(30_000), 0, run.stderr);
    t.equal(run.lines.at(-1), 'done', run.stderr);
    await guest.line(/^entry/);
    const after = await ask<{ held: object[] }>(toolstack, 'audit');
    t.same(after.held, before.held, 'everything was given back');
  },
);

/** How many ioctls, and from which seed: XENWIRE_FUZZ_IOCTLS=1000000 for a long run. */
const FUZZED = Number(process.env['XENWIRE_FUZZ_IOCTLS'] ?? 5000);
if (FUZZED > 5000) t.setTimeout(60_000 + FUZZED);

t.test(
  'random ioctls harm no other process, and leave nothing behind',
  { skip: dom0Missing(), timeout: 60_000 + FUZZED },
  async (t) => {
    const program = buildDom0(t, 'fuzz', []);
    const { runDir, toolstack, guest, domid } = await host(t);
    const before = await ask<{ held: object[] }>(toolstack, 'audit');
    const seed = process.env['XENWIRE_FUZZ_SEED'] ?? '20261129';
    const run = runDom0(t, runDir, program, [`${FUZZED}`, seed, `${domid}`]);
    t.equal(await run.ended(30_000 + FUZZED), 0, run.stderr);
    t.match(run.lines.at(-1), /refused/);
    t.equal(guest.child.exitCode, null, 'the guest runs');
    const after = await ask<{ held: object[] }>(toolstack, 'audit');
    const ours = ({ held }: { held: object[] }) =>
      held.filter((each) => !('kind' in each && each.kind === 'ioreq-server'));
    t.same(ours(after), ours(before), 'ioreq servers outlive the program that made them, and nothing else does');
  },
);
