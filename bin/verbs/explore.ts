// `xenwire explore`: every interleaving of the protocol's own machines, with faults anywhere. What the flags mean together is
// checked here; searching is explore/.
import { FAULT_KINDS, type FaultKind } from '../../explore/faults.js';
import type { Model } from '../../explore/model.js';
import { caught, explained, mutations, type Survivor } from '../../explore/mutations.js';
import { type Progressing, type Result, Search } from '../../explore/search.js';
import {
  BACKENDS,
  type BackendName,
  type Chosen,
  FRONTENDS,
  type FrontendName,
  modelOf,
  WITHSTOOD,
} from '../../explore/settings.js';
import { chaosCase, diagram, linesOf, mermaid } from '../../explore/telling.js';
import { DOM0_MODES, type Dom0Mode } from '../../lib/core/dom0-modes.js';
import { UserError } from '../../lib/core/errors.js';
import { type Command, EXIT, InvalidArgumentError, integerBetween } from '../../lib/node/process/cli.js';
import { CORE_VERSIONS, type CoreVersion } from '../../services/guest/core-rules.js';
import { printJson } from './common.js';

interface Options {
  readonly frontend: FrontendName;
  readonly backend: BackendName;
  readonly core: CoreVersion;
  readonly dom0: Dom0Mode;
  readonly faults: number;
  readonly kinds?: readonly FaultKind[];
  readonly copies: number;
  readonly transactions: 'whole' | 'steps';
  readonly states: number;
  readonly violations: number;
  readonly json?: boolean;
  readonly mermaid?: boolean;
  readonly mutations?: boolean;
}

const FAULTS_MAX = 8;
const COPIES_MAX = 4;
const STATES_MAX = 100_000_000;
const STATES_DEFAULT = 40_000_000;
const VIOLATIONS_MAX = 100;
const MEBIBYTE = 2 ** 20;

function one<T extends string>(known: readonly T[]): (text: string) => T {
  return (text) => {
    const found = known.find((each) => each === text);
    if (found === undefined) throw new InvalidArgumentError(`Choices are ${known.join(', ')}.`);
    return found;
  };
}

function kinds(text: string): FaultKind[] {
  return text.split(',').map((word) => one(FAULT_KINDS)(word.trim()));
}

export function register(program: Command): void {
  program
    .command('explore')
    .description('search every order of steps of the protocol, with faults anywhere, for one that breaks a rule')
    .option('--frontend <name>', `one of ${Object.keys(FRONTENDS).join(', ')}`, one(names(FRONTENDS)), 'review')
    .option('--backend <name>', `one of ${Object.keys(BACKENDS).join(', ')}`, one(names(BACKENDS)), 'review')
    .option('--core <version>', `the guest's xenbus core: ${CORE_VERSIONS.join(', ')}`, one(CORE_VERSIONS), '7.2')
    .option(
      '--dom0 <kernel>',
      'event descriptors of a dead backend: fixed gives them back, linux leaves them',
      one(DOM0_MODES),
      'fixed',
    )
    .option('--faults <count>', 'faults that may come, anywhere', integerBetween(0, FAULTS_MAX), 1)
    .option(
      '--kinds <kinds>',
      `only these faults: ${FAULT_KINDS.join(', ')} (default: what the core withstands)`,
      kinds,
    )
    .option(
      '--copies <count>',
      'identical watch events that wait in the guest at once',
      integerBetween(1, COPIES_MAX),
      1,
    )
    .option('--transactions <how>', 'whole, or in steps', one(['whole', 'steps'] as const), 'whole')
    .option('--states <count>', 'stop after so many states', integerBetween(1, STATES_MAX), STATES_DEFAULT)
    .option('--violations <count>', 'stop after so many violations', integerBetween(1, VIOLATIONS_MAX), 1)
    .option('--mutations', 'search wrong tables, made one cell or rule at a time, and say which are not noticed')
    .option('--mermaid', "violations as Mermaid's sequence diagrams")
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  xenwire explore
  xenwire explore --faults 2 --core 6.12
  xenwire explore --core 6.12 --kinds reattach
  xenwire explore --faults 1 --kinds kill-backend,refuse-frontend --copies 2 --json

Exit status: 0 when every state was visited and no rule is broken, 1 otherwise, 2 for a mistake.`,
    )
    .action(explore);
}

function names<T extends object>(of: T): readonly (keyof T & string)[] {
  return Object.keys(of) as (keyof T & string)[];
}

async function explore(options: Options): Promise<void> {
  if (options.mutations && (options.frontend !== 'review' || options.backend !== 'review'))
    throw new UserError('--mutations is for the review tables: frontend and backend review');
  const { frontend, backend, core, dom0, faults, copies, transactions } = options;
  const chosen: Chosen = {
    frontend,
    backend,
    core,
    dom0,
    faults,
    copies,
    transactions,
    kinds: options.kinds ?? WITHSTOOD[core],
  };
  const model = await modelOf(chosen);
  if (options.mutations) {
    mutate(model, options);
    return;
  }
  const search = new Search(model);
  const bounds = { statesMax: options.states, violationsMax: options.violations };
  const now = (): number => performance.now();
  const result = search.run(bounds, now, options.json ? undefined : (progress) => tell(progress));
  const memoryMib = Math.round(process.memoryUsage().rss / MEBIBYTE);
  if (options.json) printJson(asJson(search, chosen, result, memoryMib));
  else process.stdout.write(`${asText(search, chosen, result, memoryMib, options.mermaid ?? false)}\n`);
  if (!result.whole || result.found.length > 0) process.exitCode = EXIT.FAILED;
}

/** Exit status 0 whatever survives: which survivors make no difference is for people to say. */
function mutate({ options: base }: Model, { states, json }: Options): void {
  const bounds = { statesMax: states, violationsMax: 1 };
  const all = mutations(base, bounds);
  const survivors = explained(
    base,
    all.filter((mutation) => !caught(base, mutation, bounds)),
    bounds,
  );
  const found = all.length - survivors.length;
  if (json) printJson({ mutations: all.length, caught: found, survivors });
  else {
    const share = ((100 * found) / Math.max(1, all.length)).toFixed(0);
    process.stdout.write(
      [`${found} of ${all.length} wrong tables were noticed (${share} %)`, ...survivors.map(survivorText), ''].join(
        '\n',
      ),
    );
  }
}

function survivorText({ name, because, other }: Survivor): string {
  if (because === 'equivalent') return `${name}: the same steps, as others see them`;
  return because === 'redundant' ? `${name}: noticed together with ${other}` : `${name}: not noticed`;
}

function tell({ states, waiting, depth, ms }: Progressing): void {
  process.stderr.write(`${states} states, ${waiting} not visited yet, depth ${depth}, ${(ms / 1000).toFixed(0)} s\n`);
}

const rateOf = ({ states, ms }: Result): number => Math.round((states / Math.max(ms, 1)) * 1000);

function asJson(search: Search, chosen: Chosen, result: Result, memoryMib: number): unknown {
  const { found, ...numbers } = result;
  const violations = found.map((each) => {
    const lines = linesOf(search.explain(each), search.model.paths);
    return { ...each.violation, steps: each.choices.length, case: chaosCase(search, each), lines };
  });
  return {
    ...chosen,
    ...numbers,
    proved: result.whole && found.length === 0,
    statesPerSecond: rateOf(result),
    memoryMib,
    violations,
  };
}

function asText(search: Search, chosen: Chosen, result: Result, memoryMib: number, asMermaid: boolean): string {
  const { states, edges, rests, wedged, depth, ms, whole, bound, found } = result;
  const faults = chosen.faults === 0 ? 'no faults' : `up to ${chosen.faults} of ${chosen.kinds.join(', ')}`;
  const out = [
    `frontend ${chosen.frontend}, backend ${chosen.backend}, core ${chosen.core}, dom0 ${chosen.dom0}; ${faults}`,
    `${states} states, ${edges} steps between them, ${rests} at rest, depth ${depth}; ${(ms / 1000).toFixed(1)} s, ${rateOf(result)} states/s, ${memoryMib} MiB`,
  ];
  if (wedged > 0)
    out.push(
      `in ${wedged} of those at rest the guest waits for ever, in an access to what Linux's dom0 leaves of a dead backend: expected`,
    );
  for (const each of found) {
    const { property, text } = each.violation;
    const lines = linesOf(search.explain(each), search.model.paths);
    out.push(
      '',
      `${property}: ${text} (${each.choices.length} steps)`,
      '',
      asMermaid ? mermaid(lines) : diagram(lines),
    );
    const replay = chaosCase(search, each);
    if (replay !== '') out.push('', `case: ${replay}`);
  }
  if (found.length > 0)
    out.push(
      '',
      `broken in ${found.length} ${found.length === 1 ? 'way' : 'ways'}${whole ? '' : ` before the search was cut short`}`,
    );
  else if (whole) out.push('proved: every state was visited, and no rule is broken in any');
  if (!whole) out.push(`cut short at ${bound}: the states that were not visited are not judged`);
  return out.join('\n');
}
