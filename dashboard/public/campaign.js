// A chaos campaign: how far it is, the matrix of processes as it fills, the cases of the cell that was chosen, the last failures; and the
// case that is replayed, whose lab the rest of the page then shows.
import { asked, element, keyed, text } from './dom.js';

const section = document.getElementById('campaign');
const progress = document.getElementById('campaign-progress');
const matrices = document.getElementById('matrices');
const casesBox = document.getElementById('cases');
const failuresBox = document.getElementById('failures');
const replayBox = document.getElementById('replay');
const told = document.getElementById('campaign-told');
/** Cases of a cell that are listed; the rest is counted. */
const CASES_MAX = 400;
/** The open cell is asked for again at most so often. */
const ASK_MS = 1000;

let about;
let cells = [];
let chosen;
let askedMs = 0;
let later;

export function showCampaign(campaign) {
  about = campaign;
  document.body.classList.add('campaign');
  section.hidden = false;
  document.title = 'xenwire chaos';
  if (!document.body.classList.contains('replay')) text(document.getElementById('state'), campaign.due === campaign.done ? 'the campaign is over' : 'the campaign runs');
  const { due, done, counts, pace, outcomes } = campaign;
  const bar = progress.querySelector('progress');
  [bar.max, bar.value] = [due, done];
  text(progress.querySelector('.pace'), `${done} of ${due} cases, ${pace}`);
  const words = outcomes.map(({ name, mark, words: meaning }) => element('li', { className: `outcome ${name}`, title: meaning }, `${mark} ${counts[name]} ${name === 'harness' ? 'without a verdict' : name === 'pass' ? 'passed' : name}`));
  progress.querySelector('ul').replaceChildren(...words);
  showMatrices();
}

export function showCells(all, changed) {
  cells = all;
  showMatrices();
  if (chosen !== undefined && changed.has(chosen)) askSoon();
}

const keyOf = ({ fault, standing, victim }) => `${fault}|${standing}|${victim}`;

function showMatrices() {
  if (about === undefined) return;
  const { faults, processes } = about;
  const byKey = new Map(cells.map((cell) => [keyOf(cell), cell]));
  keyed(matrices, faults, ({ name }) => name, ({ name, words }) => {
    const head = element('tr', {}, element('th', { scope: 'col' }, 'stands'), ...processes.map(({ short }) => element('th', { scope: 'col' }, short)));
    const rows = processes.map((standing) =>
      element('tr', {}, element('th', { scope: 'row' }, standing.short), ...processes.map((victim) => element('td', { className: 'none' }, '–'))));
    return element('table', { className: 'matrix' }, element('caption', {}, element('b', {}, name), ` ${words}`), element('thead', {}, head), element('tbody', {}, ...rows));
  }, (table, { name: fault }) => {
    for (const [row, standing] of processes.entries())
      for (const [column, victim] of processes.entries()) {
        const cell = byKey.get(keyOf({ fault, standing: standing.name, victim: victim.name }));
        if (cell !== undefined) fill(table.tBodies[0].rows[row].cells[column + 1], cell);
      }
  });
}

function fill(place, cell) {
  const key = keyOf(cell);
  let button = place.firstElementChild;
  if (button === null) {
    button = element('button', { type: 'button', className: 'cell', onclick: () => choose(key) });
    place.replaceChildren(button);
  }
  const { judged, bad, due, worst } = cell;
  place.className = judged === 0 ? 'due' : worst;
  button.setAttribute('aria-pressed', String(chosen === key));
  // The share that is judged fills the cell from the left.
  button.style.setProperty('--share', `${(100 * judged) / due}%`);
  text(button, bad > 0 ? `${mark(worst)} ${bad} of ${judged}` : judged === due ? `${judged}` : `${judged}/${due}`);
  button.setAttribute('aria-label', `${cell.fault} of ${cell.victim} while ${cell.standing} stands: ${judged} of ${due} judged, ${bad} did not pass`);
}

const mark = (outcome) => about.outcomes.find(({ name }) => name === outcome)?.mark ?? ' ';

function choose(key) {
  chosen = chosen === key ? undefined : key;
  showMatrices();
  if (chosen === undefined) casesBox.replaceChildren();
  else void ask();
}

function askSoon() {
  if (later !== undefined) return;
  later = setTimeout(() => {
    later = undefined;
    void ask();
  }, Math.max(0, ASK_MS - (performance.now() - askedMs)));
}

async function ask() {
  askedMs = performance.now();
  const key = chosen;
  if (key === undefined) return;
  const [fault, standing, victim] = key.split('|');
  const answer = await asked(`api/cases?${new URLSearchParams({ fault, standing, victim })}`);
  if (!answer?.ok || chosen !== key) return;
  const all = await answer.json();
  const title = `${fault} of ${victim} while ${standing} stands: click a case to replay it`;
  if (casesBox.title_ !== key || casesBox.firstChild === null) {
    casesBox.title_ = key;
    casesBox.replaceChildren(element('h3', {}, title), element('ol', { className: 'cases' }), element('p', { className: 'hint' }));
  }
  keyed(casesBox.querySelector('ol'), all.slice(0, CASES_MAX), (each) => each.case,
    (each) => element('li', {}, element('span', { className: 'outcome' }), element('button', { type: 'button', className: 'case', 'aria-label': `Replay ${each.case}`, onclick: () => replay(each.case) }, each.case.slice(0, each.case.lastIndexOf('/')).replace(/\/[A-Z]+( \d+)? \S+$/, '') + (each.case.endsWith('/late') ? ' (late)' : ''))),
    (made, { outcome, ms }) => {
      made.firstChild.className = `outcome ${outcome ?? 'due'}`;
      text(made.firstChild, outcome === undefined ? 'due' : `${mark(outcome)} ${ms} ms`);
    });
  text(casesBox.lastChild, all.length > CASES_MAX ? `${all.length - CASES_MAX} more cases` : '');
}

export function showFailures(failures) {
  failuresBox.parentElement.hidden = failures.length === 0;
  keyed(failuresBox, failures, (each) => each.case,
    ({ case: name, outcome, words, why }) => element('li', {},
      element('p', {}, element('span', { className: `outcome ${outcome}` }, mark(outcome)), ` ${words}`),
      ...why.map((line) => element('p', { className: 'why' }, line)),
      element('button', { type: 'button', 'aria-label': `Replay ${name}`, onclick: () => replay(name) }, 'Replay')),
    () => {});
}

async function replay(name) {
  const answer = await asked('api/replay', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(name === undefined ? {} : { case: name }) });
  told.textContent = answer === undefined ? 'the page has lost its server' : answer.ok ? '' : await answer.text();
  if (answer?.ok && name !== undefined) replayBox.scrollIntoView({ block: 'nearest' });
}

document.getElementById('replay-stop').addEventListener('click', () => replay());
const VERDICTS = { runs: 'runs', passed: 'passed', failed: 'did not pass', stopped: 'was stopped' };

export function showReplay({ case: name, line, words, state, lines }) {
  document.body.classList.toggle('replay', name !== undefined);
  replayBox.hidden = name === undefined;
  if (name === undefined) return;
  text(replayBox.querySelector('.name'), line);
  text(replayBox.querySelector('.words'), words ?? '');
  const verdict = replayBox.querySelector('.state');
  text(verdict, `The replay ${VERDICTS[state]}.`);
  verdict.className = `state ${state}`;
  document.getElementById('replay-stop').hidden = state !== 'runs';
  text(replayBox.querySelector('.told'), lines.join('\n'));
}
