// `xenwire doctor`: one page to paste into a report: what this machine has and lacks, what runs and holds what, what is left
// behind. Status 1 where something keeps a lab from running or was left behind.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type LabFacts, labFacts, leftBehind, type MachineFacts, machineFacts } from '../../lab/doctor.js';
import { type Command, EXIT } from '../../lib/node/process/cli.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { labOption, printJson } from './common.js';

/** The default guest and what lab/room.ts counts for a lab with it, rounded up. */
const ROOM_MIB = 100;
const NODE_MAJOR = 20;
const MIB = 1 << 20;

export function register(program: Command): void {
  labOption(
    program.command('doctor').description('print what a report needs: machine, lab, what is held and left behind'),
  )
    .option('--json', 'as one JSON object')
    .addHelpText('after', '\nExamples:\n  xenwire doctor\n  xenwire doctor --json')
    .action(async ({ runDir, json }: { runDir: string; json?: boolean }) => {
      const machine = await machineFacts(runDir);
      const lab = await labFacts(runDir);
      const left = leftBehind(runDir);
      const problems = [...problemsOf(machine, lab), ...left.map((what) => `left behind: ${what}`)];
      const version = (JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as { version: string })
        .version;
      if (json) {
        const processes = lab?.processes ?? [];
        const held = Object.fromEntries(
          [...(lab?.held ?? [])].map(([name, kinds]) => [
            name,
            typeof kinds === 'string' ? kinds : Object.fromEntries(kinds),
          ]),
        );
        printJson({ version, machine, runDir, processes, held, problems });
      } else process.stdout.write(`${page({ version, runDir, machine, lab, problems }).join('\n')}\n`);
      if (problems.length > 0) process.exitCode = EXIT.FAILED;
    });
}

function problemsOf(machine: MachineFacts, lab: LabFacts | undefined): string[] {
  const problems: string[] = [];
  if (Number(/^v(\d+)/.exec(machine.node)?.[1]) < NODE_MAJOR) problems.push(`Node ${machine.node} is older than 20`);
  if (!existsSync(join(PACKAGE_ROOT, 'dist', '.stamp'))) problems.push('not built: run npm run build');
  for (const [name, why] of Object.entries(machine.native))
    if (why !== undefined) problems.push(`${name} does not load: ${why}`);
  if (lab === undefined && machine.runDirFreeMib < ROOM_MIB)
    problems.push(`${machine.runDirFreeMib} MiB free for the run directory: a lab with one guest takes ${ROOM_MIB}`);
  for (const { name, condition, at } of lab?.processes ?? []) {
    if (condition === 'paused') problems.push(`${name} is paused by a signal`);
    if (condition === 'stands') problems.push(`${name} stands at ${at}`);
  }
  for (const [name, kinds] of lab?.held ?? [])
    if (typeof kinds === 'string') problems.push(`${name} cannot be asked what it holds: ${kinds}`);
  return problems;
}

interface Page {
  readonly version: string;
  readonly runDir: string;
  readonly machine: MachineFacts;
  readonly lab: LabFacts | undefined;
  readonly problems: readonly string[];
}

function page({ version, runDir, machine, lab, problems }: Page): string[] {
  const row = (name: string, text: string): string => `${name.padEnd(16)}${text}`;
  const missing = Object.entries(machine.missing).map(([name, need]) => row('not installed', `${name} (${need})`));
  const processes = (lab?.processes ?? []).map((each) => {
    const what = each.condition === 'runs' ? each.state : each.condition;
    const descriptors = lab?.descriptors.get(`${each.name} (${each.pid})`);
    const memory = `${Math.round(each.residentBytes / MIB)} MiB`;
    return row('process', `${each.name}, pid ${each.pid}, ${what}, ${memory}, ${descriptors ?? 'no'} descriptors`);
  });
  const held = [...(lab?.held ?? [])].flatMap(([name, kinds]) =>
    typeof kinds === 'string' || kinds.size === 0
      ? []
      : [row('held', `${name}: ${[...kinds].map(([kind, count]) => `${count} ${kind}`).join(', ')}`)],
  );
  return [
    row('xenwire', `${version}, Node ${machine.node}, ${machine.system}`),
    row(
      'machine',
      `${machine.cores} cores, ${machine.memoryFreeMib} of ${machine.memoryMib} MiB free, ${machine.openFilesMax} open files`,
    ),
    row('run directory', `${runDir}, ${machine.runDirFreeMib} MiB free`),
    ...missing,
    ...(lab === undefined ? [row('lab', 'none runs there')] : [...processes, ...held]),
    ...(problems.length === 0 ? ['Nothing is wrong.'] : problems.map((problem) => row('PROBLEM', problem))),
  ];
}
