// A campaign's result as text of at most 72 columns, to paste into a mail.
import { parseCase, VICTIMS } from '../case.js';
import { OUTCOMES } from '../engine.js';
import type { GuidedSummary } from '../guided/summary.js';
import { type CampaignResult, countOutcomes, type JudgedCase } from '../results.js';
import type { Explanation } from '../shrink/explanation.js';
import { curveLines, guidedWords, movesWords } from './guided.js';
import { countsText, failuresOf, faultsIn, Matrix, matrixLines, shortName } from './matrix.js';
import {
  CASE_WORDS,
  caseWords,
  explanationWords,
  howWords,
  PROCESS_WORDS,
  REPLAY_WORDS,
  replayLine,
  TOOLSTACK_WORDS,
} from './words.js';

/** Of a mail that is answered several times without breaking its lines. */
const COLUMNS = 72;
/** Cases that a report names; the file of results has all. */
const NAMED_MAX = 20;

/** How many cases this part of the campaign has to run. */
export function dueCount({ planned, shard }: Pick<CampaignResult, 'planned' | 'shard'>): number {
  return Math.ceil((planned.length - (shard.index - 1)) / shard.count);
}

/** "FAILED: 1 of 12 cases did not pass"; undefined where none failed: cases without a verdict alone are no failure. */
export function failedWords(result: CampaignResult): string | undefined {
  const { pass, broken, wedged } = countOutcomes(result.judged);
  if (broken + wedged === 0) return undefined;
  return `FAILED: ${result.judged.length - pass} of ${dueCount(result)} cases did not pass`;
}

/** One sentence: how many cases were run and what came of them. */
export function summaryOf(result: CampaignResult): string {
  const { judged } = result;
  const due = dueCount(result);
  const twice = judged.filter(({ runs }) => runs.length > 1).length;
  return `${judged.length} of ${due} run, ${due - judged.length} skipped: ${countsText(countOutcomes(judged))}; ${twice} run more than once`;
}

/** "p50 90 ms, p99 412 ms, max 733 ms of 1200 cases"; undefined where nothing recovered. */
export function recoveryText(judged: readonly JudgedCase[]): string | undefined {
  const recoveries = judged.flatMap(({ recoveryMs }) => recoveryMs ?? []).sort((a, b) => a - b);
  if (recoveries.length === 0) return undefined;
  const at = (part: number): string => `${(recoveries[Math.floor((recoveries.length - 1) * part)] ?? 0).toFixed(0)} ms`;
  return `p50 ${at(0.5)}, p99 ${at(0.99)}, max ${at(1)} of ${recoveries.length} cases`;
}

/** The whole report; every line but those to be copied into a shell keeps to 72 columns. */
export function textReport(result: CampaignResult): string[] {
  const bad = failuresOf(result.judged);
  const recovery = recoveryText(result.judged);
  const matrix = new Matrix();
  for (const each of result.judged) matrix.take(each);
  const how = howWords(result.how);
  const failed = failedWords(result);
  const seed = result.seed === undefined ? '' : `, seed ${result.seed}`;
  return [
    `xenwire ${result.version} chaos, list of points ${result.catalogue}${seed}`,
    ...(how === undefined ? [] : wrap(how, '')),
    ...(failed === undefined ? [] : [failed]),
    ...wrap(summaryOf(result), ''),
    ...(result.guided === undefined ? [] : searchLines(result.guided)),
    '',
    ...wrap(CASE_WORDS.join(' '), ''),
    '',
    ...keyLines(result),
    '',
    'A process stands at a point (rows) while the fault happens to a process',
    '(columns). In each field: what came of its cases (. means that all',
    'rules held, F that one was broken, W that the lab is wedged, ? that',
    'there is no verdict), of how many, and how many cases.',
    '',
    ...matrix.faults.flatMap((fault) => [...matrixLines(matrix, fault), '']),
    ...(recovery === undefined ? [] : wrap(`From the end of the fault to the next right frame: ${recovery}.`, '')),
    ...bad.slice(0, NAMED_MAX).flatMap(({ each }) => ['', ...failureOf(each, result.backendCommand)]),
    ...(bad.length > NAMED_MAX ? ['', `and ${bad.length - NAMED_MAX} more, in the file of results`] : []),
    ...(bad.length > 0 ? ['', ...wrap(REPLAY_WORDS, '')] : []),
  ];
}

/** What the matrix and the cases name: processes and faults. */
function keyLines({ judged }: CampaignResult): string[] {
  const faults = faultsIn(judged);
  return [
    ...VICTIMS.flatMap((name) => {
      const short = shortName(name);
      return keyLine(short, `${short === name ? '' : `${name}, `}${PROCESS_WORDS[name] ?? ''}`);
    }),
    ...keyLine('toolstack', TOOLSTACK_WORDS),
    ...faults.flatMap(({ name, describe }) => keyLine(name, describe)),
  ];
}

const KEY_COLUMN = 11;
function keyLine(name: string, words: string): string[] {
  return wrap(`${name.padEnd(KEY_COLUMN)}${words}`, ' '.repeat(KEY_COLUMN));
}

function searchLines(guided: GuidedSummary): string[] {
  return [
    ...guidedWords(guided).flatMap((line) => wrap(line, '')),
    '',
    'Lists and behaviours known by then:',
    ...curveLines(guided),
    '',
    ...wrap(movesWords(guided), ''),
    ...guided.never.map((move) => `  ${move}`),
  ];
}

function failureOf(
  { case: text, outcome, violations, trouble, runs, explained }: JudgedCase,
  backendCommand: string | undefined,
): string[] {
  const why = [
    ...violations.map(({ check, what }) => `${check}: ${what}`),
    ...(trouble === undefined ? [] : [trouble]),
    ...(runs.length > 1 ? [`its runs: ${runs.map((each) => OUTCOMES[each]).join(' ')}`] : []),
  ];
  return [
    ...wrap(`${OUTCOMES[outcome]} ${caseWords(parseCase(text))}`, '  '),
    ...why.flatMap((line) => wrap(`- ${line}`, '  ')),
    // One line whatever its length: it is to be copied into a shell.
    replayLine(text, backendCommand),
    ...(explained === undefined ? [] : explainedLines(explained, text, backendCommand)),
  ];
}

/** The point that passes and the one that fails, one line below the other: they differ in few letters. */
function explainedLines(explained: Explanation, text: string, backendCommand: string | undefined): string[] {
  const { cases, rest } = explanationWords(explained, text);
  return [
    ...cases.flatMap(([heading, each]) => [`  ${heading}`, replayLine(each, backendCommand)]),
    ...wrap(rest, '  '),
  ];
}

/** Breaks lines between words; a word that is longer than a line is cut. */
function wrap(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = '';
  const room = COLUMNS - indent.length;
  const words = text.split(' ').flatMap((word) => word.match(new RegExp(`.{1,${room}}`, 'gs')) ?? ['']);
  for (const word of words) {
    if (line !== '' && line.length + 1 + word.length > COLUMNS) {
      lines.push(line);
      line = indent + word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
