// `xenwire trace` as a user has it: of a lab that has ended (up --keep) and of one that runs, followed to its end; the device's
// sequence diagram; the Perfetto file of a whole run.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { animate } from '../../lab/frame-watch.js';
import { openRunningSession } from '../../lab/session.js';
import { readPerfettoFile } from '../../lib/node/files/perfetto-file.js';
import { lookAgain } from '../../lib/node/process/wait.js';
import { flowProblems, nestingProblems, orderProblems } from '../../testkit/perfetto-checks.js';
import { type Imported, type ImportedSlice, importedTrace, PENDING } from '../../testkit/perfetto-import.js';
import { longTest } from '../../testkit/tier.js';
import { startLab, startXenwire, temporaryLabDir, xenwire } from '../fixtures/lab.js';

const FRAMES = 6;

t.test(
  'a lab that is followed tells its end, and what it kept is drawn, filtered and exported afterwards',
  longTest(),
  async (t) => {
    const runDir = temporaryLabDir(t);
    const lab = await startLab(t, runDir, ['--keep']);
    const follow = startXenwire(t, ['trace', '-f', '--kind', 'state', '--run-dir', runDir]);
    await follow.line(/front\.state-written.*Initialised>Connected/);
    await drawFrames(t, runDir);
    lab.child.kill('SIGINT');
    t.equal(await lab.ended(), 0, lab.stderr);
    t.equal(await follow.ended(), 0);
    t.match(follow.stderr, /the lab has ended/);
    // Which of the two says last that its state is written is open: each says so once the store's answer reached it.
    const drawn = follow.lines.findIndex((line) => /front\.state-written.*Initialised>Connected/.test(line));
    for (const end of [/front\.state-written.*Connected>Closed/, /back\.state-written.*Closing>Closed/])
      t.ok(
        follow.lines.slice(drawn + 1).some((line) => end.test(line)),
        `${end} came after the follower had begun`,
      );
    t.ok(follow.lines.every((line) => /^ +[\d.]+ ms {2}state /.test(line)));

    const trace = (...args: string[]) => xenwire(t, ['trace', '--run-dir', runDir, ...args]);
    const diagram = await trace('--diagram', 'text', '--device', '1/0');
    t.match(diagram.stdout, /state=3 Initialised/);
    t.ok(diagram.stdout.split('\n').every((line) => line.length <= 72));
    t.match((await trace('--diagram', 'mermaid')).stdout, /vhost-frontend->>xenstored: state=2 InitWait/);
    const none = await trace('--diagram', 'text', '--device', '7/0');
    t.same([none.status, none.stderr], [2, 'xenwire: no such device is recorded; there is 1/0\n']);

    const file = join(runDir, 'logs', 'run.perfetto');
    t.equal((await trace('export', '-o', file)).status, 0);
    const packets = readPerfettoFile(readFileSync(file));
    t.same([...nestingProblems(packets), ...flowProblems(packets), ...orderProblems(packets)], []);
    const imported = importedTrace(packets);
    t.same([...imported.wrong], [], 'Perfetto drops nothing');
    t.same(
      imported.slices.filter(({ dur }) => dur === PENDING),
      [],
      'and ends every slice',
    );
    t.ok(arrowsFromKickToPixelAndBack(imported), 'a flush leads from the driver to the pixel and back');

    const lines = (await trace('export', '--format', 'ndjson')).stdout.split('\n').map((line) => JSON.parse(line));
    const text = (await trace('export', '--format', 'text')).stdout.split('\n');
    t.equal(lines.length, text.length);
    t.ok(lines.every(({ ns }, index) => index === 0 || BigInt(ns) >= BigInt(lines[index - 1].ns)));
    const slices = imported.slices.filter(({ dur }) => dur > 0).length;
    t.ok(imported.slices.length >= lines.length - slices, 'every record is a slice, its end or an instant');
  },
);

/** A device that still looks at its rings takes a command without a kick: before one of several frames it has slept. */
async function drawFrames(t: Test, runDir: string): Promise<void> {
  const frames = startXenwire(t, ['trace', '-f', '--kind', 'frame', '--run-dir', runDir]);
  const session = await openRunningSession(runDir);
  try {
    await animate(session, 1, 10);
    const drawn = () => frames.lines.filter((line) => line.includes('gpu.flush')).length;
    await lookAgain(async () => drawn() >= FRAMES || undefined, 50, AbortSignal.timeout(10_000));
    t.ok(drawn() >= FRAMES, `${drawn()} frames are drawn`);
    await animate(session, 1, 0);
  } finally {
    await session.close();
  }
}

/** By the arrows that Perfetto draws: from a process of a guest to the device server's frame and back to the guest. */
function arrowsFromKickToPixelAndBack({ arrows }: Imported): boolean {
  const ways = new Map<number, string[]>();
  const word = ({ name }: ImportedSlice): string => name.split(' ')[0]!;
  for (const { flow, from, to } of arrows) ways.set(flow, [...(ways.get(flow) ?? [word(from)]), word(to)]);
  const all = [...ways.values()].map((names) => names.join(' '));
  return (
    all.some((names) => /^gpu\.submit gpu\.execute .*gpu\.flush.* gpu\.executed gpu\.reply$/.test(names)) &&
    all.some((names) =>
      /^kick\.guest .*exit\.mmio kick\.hypervisor kick\.taken gpu\.execute .*gpu\.flush/.test(names),
    ) &&
    all.some((names) => /^call\.ring call\.hypervisor event\.raise event\.taken$/.test(names))
  );
}

t.test('what goes wrong is one sentence and status 2', async (t) => {
  const runDir = temporaryLabDir(t);
  const cases: [string[], RegExp][] = [
    [['-f'], /^xenwire: no lab runs in /],
    [['import'], /^xenwire: .*'import' is invalid for argument 'export'\. Allowed choices are export$/],
    [['--device', 'gpu'], /^xenwire: .*'gpu' is invalid: It must be a domain and a number of a device, as 1\/0$/],
    [['--from', 'noon'], /^xenwire: .*'noon' is invalid: It must be milliseconds$/],
    [['-f', '--last', '3'], /^xenwire: --follow goes with neither export, --diagram nor --last$/],
    [['-o', 'x'], /^xenwire: -o goes with export: xenwire trace export -o FILE$/],
  ];
  for (const [args, message] of cases) {
    const result = await xenwire(t, ['trace', ...args, '--run-dir', runDir]);
    t.equal(result.status, 2, args.join(' '));
    t.match(result.stderr.trimEnd(), message);
  }
});
