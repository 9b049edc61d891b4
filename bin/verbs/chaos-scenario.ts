// `xenwire chaos --scenario NAME`: the cases of a scenario, in labs of its kind, once for each xenbus core that it names.
import { availableParallelism } from 'node:os';
import type { JudgedCase } from '../../chaos/results.js';
import { UserError } from '../../lib/core/errors.js';
import { type Command, EXIT } from '../../lib/node/process/cli.js';
import { freshRunDir } from '../../lib/node/process/run-dir.js';
import { CORE_VERSIONS } from '../../services/guest/core-rules.js';
import { packageVersion } from './common.js';

interface Options {
  readonly jobs?: number;
  readonly twiceEvery: number;
  readonly runDir?: string;
  readonly list?: boolean;
}

/** What goes with --scenario: the file says everything else. */
const GOES_WITH = ['scenario', 'list', 'jobs', 'twiceEvery', 'runDir'];

export async function runScenario(name: string, options: Options, command: Command): Promise<void> {
  const other = command.options.find(
    (option) =>
      command.getOptionValueSource(option.attributeName()) === 'cli' && !GOES_WITH.includes(option.attributeName()),
  );
  if (other !== undefined)
    throw new UserError(`--scenario and ${other.long} do not go together: the scenario says what is run`);
  const { readScenario } = await import('../../chaos/scenario.js');
  const scenario = readScenario(name, CORE_VERSIONS);
  const { formatCase } = await import('../../chaos/case.js');
  const planned = scenario.cases.map(formatCase);
  if (options.list) {
    process.stdout.write(planned.map((each, index) => `${String(index + 1).padStart(6)}  ${each}\n`).join(''));
    return;
  }
  const { listed, runCampaign } = await import('../../chaos/campaign.js');
  const { CASES_VERSION } = await import('../../chaos/enumerate.js');
  const { RESULT_FORMAT } = await import('../../chaos/results.js');
  const { LiveReport } = await import('../../chaos/report/live.js');
  const { textReport } = await import('../../chaos/report/text.js');
  const { storyNamed } = await import('../../chaos/stories.js');
  const { Interruption } = await import('../../lab/interruption.js');

  const interruption = new Interruption();
  const runDir = options.runDir ?? freshRunDir();
  const beside = scenario.companions === 0 ? '' : `, beside ${scenario.companions} guests that stay`;
  process.stdout.write(`${scenario.name}: ${scenario.what}\n${storyNamed(scenario.story).describe}${beside}\n`);
  let passed = true;
  for (const core of scenario.cores) {
    const judged: JudgedCase[] = [];
    const live = new LiveReport(process.stderr, planned, judged, () => performance.now());
    const { frontend, story, companions } = scenario;
    await runCampaign(listed(scenario.cases), {
      ...{ runDir, twiceEvery: options.twiceEvery, abort: interruption.signal },
      jobs: Math.min(options.jobs ?? availableParallelism(), scenario.cases.length),
      speaks: { frontend, core, story, companions },
      onJudged: (each) => {
        judged.push(each);
        live.show(each);
      },
    });
    live.end();
    const shard = { index: 1, count: 1 };
    const version = { version: packageVersion(), catalogue: CASES_VERSION, seed: undefined };
    const lines = textReport({ format: RESULT_FORMAT, ...version, shard, planned, judged });
    process.stdout.write(`\nxenbus core ${core}, protocol ${frontend}\n${lines.join('\n')}\n`);
    passed &&= judged.length === planned.length && judged.every(({ outcome }) => outcome === 'pass');
    if (interruption.signal.aborted) break;
  }
  process.exitCode = passed ? EXIT.OK : EXIT.FAILED;
}
