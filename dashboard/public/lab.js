// Processes with what can be done to them, gates, event channels, grants.
import { asked, element, keyed, text } from './dom.js';

const told = document.getElementById('told');
const COLUMNS = [
  ['column-guests', (name) => /^(guest|monitor)-/.test(name)],
  ['column-host', (name) => name === 'hypervisor' || name === 'xenstored'],
  ['column-dom0', () => true],
];
const ACTIONS = [
  ['kill', 'Kill'],
  ['pause', 'Pause'],
  ['go', 'Let go'],
  ['restart', 'Restart'],
];
/** Guests that have room in a column. */
const MANY = 3;

async function act(name, action, at) {
  const body = JSON.stringify({ process: name, action, at });
  const answer = await asked('api/act', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  told.textContent = answer === undefined ? 'the page has lost its server' : answer.ok ? '' : await answer.text();
}

function card({ name }) {
  const at = element('input', { type: 'text', list: `points-${name}`, placeholder: 'now', autocomplete: 'off', 'aria-label': `At which point of ${name}; empty: now` });
  const points = element('datalist', { id: `points-${name}` });
  // What the process has passed is what one may want to stop at: asked for when it is about to be chosen.
  at.addEventListener('focus', async () => {
    const answer = await asked(`api/points/${encodeURIComponent(name)}`);
    if (answer?.status === 200) points.replaceChildren(...(await answer.json()).map((value) => element('option', { value })));
  });
  const buttons = ACTIONS.map(([action, label]) =>
    element('button', { type: 'button', 'aria-label': `${label} ${name}`, onclick: () => act(name, action, at.value.trim()) }, label),
  );
  const made = element('article', { className: 'card' },
    element('h4', {}, element('span', {}, name), element('span', { className: 'what' })),
    element('p', { className: 'figures' }),
    element('p', { className: 'at' }),
    element('div', { className: 'acts' }, element('div', { className: 'buttons' }, ...buttons), element('label', {}, 'at', at), points));
  made.setAttribute('aria-label', name);
  made.process = name;
  return made;
}

export function showProcesses(processes, changed) {
  const left = new Set(processes);
  for (const [id, belongs] of COLUMNS) {
    const own = [...left].filter(({ name }) => belongs(name));
    for (const each of own) left.delete(each);
    own.sort((one, other) => one.name.localeCompare(other.name, 'en', { numeric: true }));
    if (id === 'column-guests') document.querySelector('.topology').classList.toggle('many', own.length > MANY);
    keyed(document.getElementById(id), own, ({ name }) => name, card, (made, each) => {
      if (!changed.has(each.name)) return;
      made.className = `card ${each.condition}`;
      text(made.querySelector('.what'), each.condition === 'runs' ? each.state : each.condition);
      const ring = `ring ${Math.round(each.historyFill * 100)} %`;
      text(made.querySelector('.figures'),
        `pid ${each.pid}, life ${each.incarnation}; CPU ${each.cpuPercent} %, ${each.residentMib} MiB; ${each.recordsPerSecond} records/s, ${each.wakeUpsPerSecond} wake-ups/s, ${ring}`);
      text(made.querySelector('.at'), each.at ?? '');
    });
  }
}

export function showGates(gates) {
  document.getElementById('gates').replaceChildren(
    ...gates.map(({ action, at, state, reason }) => element('li', {}, `${action} at ${at}: ${state}${reason === undefined ? '' : `, ${reason}`}`)),
  );
}

export function showPorts(ports, changed) {
  keyed(document.getElementById('ports'), ports, ({ domid, port }) => `${domid}/${port}`,
    () => element('tr', {}, element('td'), element('td'), element('td'), element('td')),
    (row, { domid, port, remote, raised }) => {
      if (!changed.has(`${domid}/${port}`)) return;
      for (const [index, value] of [`dom${domid}`, port, remote ?? '?', raised].entries()) text(row.children[index], String(value));
    });
}

export function showGrants(grants) {
  const lines = grants.map(({ domid, refs }) => `dom${domid}: ${refs.length} granted pages are mapped, references ${refs[0]} to ${refs.at(-1)}`);
  document.getElementById('grants').textContent = lines.length > 0 ? lines.join('; ') : 'No mapping of a granted page is recorded.';
}
