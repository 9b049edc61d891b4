// A campaign's result as one page with nothing from outside: the counts and the failures as plain markup, the rest (the matrix of
// points, what led to each failure) as data that the page's own script shows. Pure but for reading that script and its style
// (page/), which stand beside this program. Leaves words to words.ts.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { escapeMarkup } from '../../lib/core/junit.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { type ChaosCase, type FaultAt, faultsOf, formatCase, GUEST_PROCESS, parseCase, VICTIMS } from '../case.js';
import { type CaseResult, OUTCOMES, type Outcome } from '../engine.js';
import { CASES_VERSION } from '../enumerate.js';
import { RESTARTS } from '../faults/fault.js';
import { FAULTS } from '../faults/table.js';
import type { GuidedSummary } from '../guided/summary.js';
import { type CampaignResult, countOutcomes, type JudgedCase, RESULT_FORMAT, SEVERITY } from '../results.js';
import type { Explanation } from '../shrink/explanation.js';
import { exhibitOf } from './exhibit.js';
import { curveLines, guidedWords, movesWords } from './guided.js';
import { badKinds, failuresOf, faultsIn, Matrix } from './matrix.js';
import { dueCount, failedWords, recoveryText } from './text.js';
import {
  CASE_WORDS,
  caseWords,
  explanationWords,
  howWords,
  OUTCOME_WORDS,
  PROCESS_WORDS,
  REPLAY_WORDS,
  replayLine,
  ruleWords,
  TOOLSTACK_WORDS,
} from './words.js';

/** What the names of points begin with, or end with. */
const POINT_WORDS: readonly (readonly [names: readonly string[], words: string])[] = [
  [['store.'], 'a client of xenstored, or xenstored itself'],
  [['front.', 'back.'], 'the two ends of xenbus'],
  [['bus.'], 'messages between processes'],
  [['bell.'], 'the wake-up that goes with them'],
  [['event.'], 'event channels'],
  [['exit.'], "a guest's virtual CPU in the hypervisor, and back"],
  [['ioreq.'], 'requests to the device model'],
  [['kick.'], 'a notification on its way to the device'],
  [['call.'], 'one on its way to the driver'],
  [['gpu.'], 'commands of the display'],
  [['vhost-user.'], 'messages to the device server'],
  [['mmio.'], 'registers of the device in the device model'],
  [['watch.'], 'a watch in xenstored'],
  [['error.'], 'what a process reports'],
  [['life.'], 'the process itself'],
  [['held.'], 'what the device model holds of a device'],
  [['take', 'give'], 'what a process acquires and gives back'],
];
const pointWords = POINT_WORDS.map(
  ([names, words]) => `${names.map((name) => `<code>${name}</code>`).join(' and ')} ${words}`,
).join(', ');

const PAGE = join(PACKAGE_ROOT, 'chaos', 'report', 'page');

const last = (chaosCase: ChaosCase): FaultAt => faultsOf(chaosCase).at(-1)!;

/** All of a case up to what its last fault does, which is its column. */
function rowOf(chaosCase: ChaosCase): string {
  const { fault, victim, restart } = last(chaosCase);
  return formatCase(chaosCase).slice(0, -`/${fault} ${victim}/${restart}`.length);
}

/** The data of the page's script. */
function pageData({ judged, planned, backendCommand }: CampaignResult): unknown {
  const cases = judged.map((each) => ({ ...each, parsed: parseCase(each.case) }));
  const plannedAt = new Map(planned.map((text, index) => [text, index]));
  const turnOf = (each: JudgedCase): number => plannedAt.get(each.case) ?? planned.length;
  const inOrder = cases.toSorted((one, other) => turnOf(one) - turnOf(other));
  const rows = [...new Set(inOrder.map(({ parsed }) => rowOf(parsed)))];
  const columnOf = ({ fault, restart, victim }: FaultAt): string => `${fault}/${restart}/${victim}`;
  const columns = new Map(cases.map(({ parsed }) => [columnOf(last(parsed)), last(parsed)]));
  const place = ({ fault, restart, victim }: FaultAt): number[] => {
    const [word, ms = '0'] = fault.split(' ');
    return [
      FAULTS.findIndex(({ name }) => name === word),
      Number(ms),
      RESTARTS.indexOf(restart),
      VICTIMS.indexOf(victim),
    ];
  };
  const ordered = [...columns.values()].sort((one, other) => {
    const [a, b] = [place(one), place(other)];
    const at = a.findIndex((number, index) => number !== b[index]);
    return at < 0 ? 0 : a[at]! - b[at]!;
  });
  const rowAt = new Map(rows.map((text, index) => [text, index]));
  const columnAt = new Map(ordered.map((each, index) => [columnOf(each), index]));
  const cells = cases.map(({ parsed, ...each }) => {
    const detail = {
      words: caseWords(parsed),
      before: last(parsed).at.point.gate === 'before',
      replay: replayLine(each.case, backendCommand),
      violations: each.violations.map(({ check, what }) => ({ check, what, rule: ruleWords(check) ?? '' })),
      ...(each.trouble === undefined ? {} : { trouble: each.trouble }),
      runs: each.runs.map((outcome) => OUTCOMES[outcome]),
      ...(each.exhibit === undefined ? {} : { exhibit: each.exhibit }),
      ...passedOf(each),
    };
    const numbers = [
      rowAt.get(rowOf(parsed))!,
      columnAt.get(columnOf(last(parsed)))!,
      SEVERITY.indexOf(each.outcome),
      each.ms,
      each.recoveryMs ?? -1,
    ];
    const isPlain = each.outcome === 'pass' && each.exhibit === undefined && parsed.then === undefined;
    return isPlain ? [...numbers] : [...numbers, detail];
  });
  return {
    marks: SEVERITY.map((outcome) => OUTCOMES[outcome]),
    outcomes: SEVERITY.map((outcome) => ({ name: outcome, words: OUTCOME_WORDS[outcome] })),
    rows,
    columns: ordered.map(({ fault, restart, victim }) => ({
      fault,
      restart,
      victim: nameOf(victim),
      process: victim,
    })),
    faults: Object.fromEntries(FAULTS.map(({ name, describe }) => [name, describe])),
    cells,
  };
}

/** Of a case that was explained: the run at the last point at which all went well. */
function passedOf({ explained }: JudgedCase): object {
  if (explained?.passes === undefined || explained.passed === undefined) return {};
  const passes = parseCase(explained.passes);
  const { fault, victim, at } = last(passes);
  return {
    passed: {
      ...{ words: caseWords(passes), place: rowOf(passes), fault, process: victim },
      ...{ before: at.point.gate === 'before', exhibit: explained.passed },
    },
  };
}

/** A whole page. */
export function htmlReport(result: CampaignResult): string {
  const style = readFileSync(join(PAGE, 'page.css'), 'utf8');
  const script = ['story.js', 'page.js'].map((name) => readFileSync(join(PAGE, name), 'utf8')).join('\n');
  const hash = createHash('sha256').update(script).digest('base64');
  // "<" cannot end the element that holds the data.
  const data = JSON.stringify(pageData(result)).replaceAll('<', '\\u003c');
  const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${escapeMarkup(policy)}">
<title>xenwire chaos: ${escapeMarkup(headline(result))}</title><style>${style}</style></head>
<body>
${body(result).join('\n')}
<script type="application/json" id="data">${data}</script>
<script>${script}</script>
</body></html>
`;
}

/** "12 of 12 cases pass", or how many did not. */
function headline(result: CampaignResult): string {
  return failedWords(result) ?? `${countOutcomes(result.judged).pass} of ${dueCount(result)} cases pass`;
}

function body(result: CampaignResult): string[] {
  const counts = countOutcomes(result.judged);
  const bad = result.judged.filter(({ outcome }) => outcome !== 'pass');
  const notRun = dueCount(result) - result.judged.length;
  const shard = result.shard.count === 1 ? '' : `, part ${result.shard.index} of ${result.shard.count}`;
  const seed = result.seed === undefined ? '' : `, seed ${result.seed}`;
  const recovery = recoveryText(result.judged);
  const how = howWords(result.how);
  const numbers: readonly [Outcome | 'open', number, string][] = [
    ['pass', counts.pass, 'passed'],
    ['broken', counts.broken, 'broke a rule'],
    ['wedged', counts.wedged, 'wedged'],
    ['harness', counts.harness, 'without a verdict'],
    ['open', notRun, 'not run'],
  ];
  return [
    `<header><h1>${escapeMarkup(headline(result))}</h1>`,
    `<p class="soft">xenwire ${escapeMarkup(result.version)} chaos, list of points ${escapeMarkup(result.catalogue)}${escapeMarkup(seed + shard)}</p>${how === undefined ? '' : `<p class="soft">${escapeMarkup(how)}</p>`}</header>`,
    `<ul class="counts">${numbers.map(([kind, count, words]) => `<li class="${kind}"><b>${count}</b> ${words}</li>`).join('')}</ul>`,
    `<details class="primer"${bad.length === 0 ? '' : ' open'}><summary>How to read this page</summary>`,
    `<p>${escapeMarkup(CASE_WORDS.join(' '))}</p>`,
    `<p>Here: ${escapeMarkup(sizeWords(result))}. A point has the name of its process, then what the process does there (${pointWords}), in brackets what of, and behind # which time it is that the process does just this: #1 is the first.</p>`,
    `<dl>${VICTIMS.map((name) => `<dt>${escapeMarkup(name)}</dt><dd>${escapeMarkup(PROCESS_WORDS[name] ?? '')}</dd>`).join('')}</dl>`,
    `<dl><dt>toolstack</dt><dd>${TOOLSTACK_WORDS}</dd></dl>`,
    `<dl>${faultsIn(result.judged)
      .map(({ name, describe }) => `<dt>${escapeMarkup(name)}</dt><dd>${escapeMarkup(describe)}</dd>`)
      .join('')}</dl>`,
    `<dl>${SEVERITY.map((outcome) => `<dt><span class="mark ${outcome}">${OUTCOMES[outcome]}</span></dt><dd>${OUTCOME_WORDS[outcome]}</dd>`).join('')}</dl>`,
    '</details>',
    ...(recovery === undefined
      ? []
      : [`<p>From the end of the fault to the next right frame on the screen: ${escapeMarkup(recovery)}.</p>`]),
    bad.length === 0
      ? '<p class="good">No case failed.</p>'
      : `<h2>What did not pass</h2><p>${codeIn(escapeMarkup(REPLAY_WORDS))}</p>`,
    ...(bad.length === 0 ? [] : [failureList(result)]),
    ...(result.guided === undefined ? [] : searchParts(result.guided)),
    '<h2>By process</h2>',
    '<p>The process in a row stands at one of its points while the process in a column is harmed. In each field: how many cases, or how many of them did not pass.</p>',
    ...overview(result.judged),
    '<h2>By point</h2>',
    '<p>One row for each point, in the order in which a run comes to them (of a case with several faults: all of it up to its last point); one field for each case. A field opens what is known of its case. Arrow keys move, Enter opens.</p>',
    '<form id="filters" class="filters"></form><div id="matrix" class="scroll" tabindex="-1"><noscript>This table needs the script of this page.</noscript></div>',
    '<dialog id="case" aria-labelledby="case-title"></dialog>',
  ];
}

/** "850 points, 5 processes and KILL, 4250 cases" */
function sizeWords({ judged, seed }: CampaignResult): string {
  const all = judged.flatMap((each) => faultsOf(parseCase(each.case)));
  const points = new Set(all.map(({ at }) => `${at.process} ${at.point.name} ${at.label} ${at.occurrence}`)).size;
  const victims = new Set(all.map(({ victim }) => victim)).size;
  const faults = faultsIn(judged).map(({ name }) => name);
  const count = (number: number, word: string): string => `${number} ${word}${number === 1 ? '' : 's'}`;
  const size = `${count(points, 'point')}, harm to ${victims === 1 ? 'one process' : `${victims} processes`} by ${faults.join(', ')}: ${count(judged.length, 'case')}`;
  return seed === undefined ? size : `${size}, a sample that was drawn by the seed ${seed}`;
}

function searchParts(guided: GuidedSummary): string[] {
  return [
    '<h2>What the search saw</h2>',
    ...guidedWords(guided).map((line) => `<p>${escapeMarkup(line)}</p>`),
    "<p>A behaviour is where both ends of the device, its driver, its vhost-user session and the store's clients stand as a fault happens and as it is over, what each process holds, and what it did last. Lists run, and behaviours known by then:</p>",
    `<pre>${escapeMarkup(curveLines(guided).join('\n'))}</pre>`,
    guided.never.length === 0
      ? `<p>${escapeMarkup(movesWords(guided))}</p>`
      : `<details><summary>${escapeMarkup(movesWords(guided))}</summary><ul class="never">${guided.never.map((move) => `<li>${escapeMarkup(move)}</li>`).join('')}</ul></details>`,
  ];
}

/** Options and commands of a sentence, as what they are. */
const codeIn = (markup: string): string => markup.replaceAll(/xenwire replay|--[a-z]+(?: FILE)?/g, '<code>$&</code>');

/** A process by the name that every other report has; the guest's own name says nothing. */
const nameOf = (name: string): string => (name === GUEST_PROCESS ? 'guest' : name);

const FAILURES_MAX = 100;

function failureList({ judged, backendCommand }: CampaignResult): string {
  const bad = failuresOf(judged);
  const items = bad.slice(0, FAILURES_MAX).map(({ each, index }) => {
    const why =
      each.violations[0] === undefined
        ? (each.trouble ?? '')
        : `${each.violations[0].check}: ${each.violations[0].what}`;
    return `<li><span class="mark ${each.outcome}">${OUTCOMES[each.outcome]}</span> <a href="#case-${index}">${escapeMarkup(caseWords(parseCase(each.case)))}</a><br><span class="why">${escapeMarkup(why)}</span><br><code>${escapeMarkup(replayLine(each.case, backendCommand))}</code>${explainedPart(each, backendCommand)}</li>`;
  });
  const more = bad.length > FAILURES_MAX ? `<p>and ${bad.length - FAILURES_MAX} more, in the table below</p>` : '';
  return `<ol class="failures">${items.join('')}</ol>${more}`;
}

/** What passes beside what fails. */
function explainedPart({ case: text, explained }: JudgedCase, backendCommand: string | undefined): string {
  if (explained === undefined) return '';
  const { cases, rest } = explanationWords(explained, text);
  const parts = cases.map(
    ([heading, each]) =>
      `<div><b>${escapeMarkup(heading)}</b><p>${escapeMarkup(caseWords(parseCase(each)))}</p><code>${escapeMarkup(replayLine(each, backendCommand))}</code></div>`,
  );
  return `<div class="explained">${parts.join('')}</div><p class="soft">${escapeMarkup(rest)}</p>`;
}

function overview(judged: readonly JudgedCase[]): string[] {
  const matrix = new Matrix();
  for (const each of judged) matrix.take(each);
  const tables = matrix.faults.map((fault) => {
    const rows = VICTIMS.map((standing) => {
      const cells = VICTIMS.map((victim) => {
        const cell = matrix.cell(fault, standing, victim);
        if (cell === undefined) return '<td class="none">–</td>';
        const kinds = badKinds(cell).map(([mark, count]) => `${mark} ${count}`);
        const text = cell.bad === 0 ? String(cell.judged) : `${kinds.join(', ')} of ${cell.judged}`;
        return `<td class="${cell.worst}">${text}</td>`;
      });
      return `<tr><th scope="row">at ${escapeMarkup(nameOf(standing))}</th>${cells.join('')}</tr>`;
    });
    const head = VICTIMS.map((name) => `<th scope="col">${escapeMarkup(nameOf(name))}</th>`).join('');
    return `<table><caption>${escapeMarkup(fault)}</caption><thead><tr><td></td>${head}</tr></thead><tbody>${rows.join('')}</tbody></table>`;
  });
  return [`<div class="overview">${tables.map((table) => `<div class="scroll">${table}</div>`).join('')}</div>`];
}

/** The page of one case that was run by itself, whatever came of it. */
export function replayPage(
  chaosCase: ChaosCase,
  result: CaseResult & { readonly explained?: Explanation },
  version: string,
  backendCommand?: string,
): string {
  const { outcome, violations, trouble, recoveryMs, ms, explained } = result;
  const text = formatCase(chaosCase);
  const judged: JudgedCase = {
    ...{ case: text, outcome, violations, ms: Math.round(ms), runs: [outcome], exhibit: exhibitOf(result, 1) },
    ...(trouble === undefined ? {} : { trouble }),
    ...(recoveryMs === undefined ? {} : { recoveryMs: Math.round(recoveryMs) }),
    ...(explained === undefined ? {} : { explained }),
  };
  return htmlReport({
    ...{ format: RESULT_FORMAT, version, catalogue: CASES_VERSION, seed: undefined, shard: { index: 1, count: 1 } },
    ...{ planned: [text], judged: [judged] },
    ...(backendCommand === undefined ? {} : { backendCommand }),
  });
}
