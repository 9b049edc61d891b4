// Processes with what can be done to them, devices with both ladders of states, screens, rings, gates, event channels.
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
const STATES = ['', 'Initialising', 'InitWait', 'Initialised', 'Connected', 'Closing', 'Closed'];

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
    if (answer?.ok) points.replaceChildren(...(await answer.json()).map((value) => element('option', { value })));
  });
  const buttons = ACTIONS.map(([action, label]) =>
    element('button', { type: 'button', 'aria-label': `${label} ${name}`, onclick: () => act(name, action, at.value.trim()) }, label),
  );
  const made = element('article', { className: 'card' },
    element('h4', {}, element('span', {}, name), element('span', { className: 'what' })),
    element('p', { className: 'figures' }),
    element('p', { className: 'at' }),
    element('div', { className: 'buttons' }, ...buttons),
    element('label', {}, 'at', at), points);
  made.setAttribute('aria-label', name);
  return made;
}

export function showProcesses(processes) {
  const left = new Set(processes);
  for (const [id, belongs] of COLUMNS) {
    const own = [...left].filter(({ name }) => belongs(name));
    for (const each of own) left.delete(each);
    own.sort((one, other) => one.name.localeCompare(other.name, 'en', { numeric: true }));
    if (id === 'column-guests') document.querySelector('.topology').classList.toggle('many', own.length > MANY);
    keyed(document.getElementById(id), own, ({ name }) => name, card, (made, each) => {
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

function ladder(states, label) {
  const last = states.at(-1);
  const when = new Map(states.map(({ state, ms }) => [state, ms]));
  const rungs = STATES.slice(1).map((name, index) => {
    const state = index + 1;
    const item = element('li', { className: when.has(state) ? 'been' : '' }, element('span', {}, `${state} ${name}`));
    if (when.has(state)) item.append(element('span', {}, `${(when.get(state) / 1000).toFixed(3)} s`));
    if (last?.state === state) item.setAttribute('aria-current', 'step');
    return item;
  });
  return element('div', {}, element('h3', {}, label), element('ol', { className: 'ladder', 'aria-label': label }, ...rungs));
}

function device({ name }) {
  const [domid] = name.split('/');
  const rings = element('details', { className: 'rings' }, element('summary', {}, 'Rings, registers, ioreq slot'), element('div', { className: 'ring-body' }));
  rings.addEventListener('toggle', () => {
    clearInterval(rings.timer);
    if (!rings.open) return;
    const show = () => showRings(rings, domid);
    rings.timer = setInterval(show, 500);
    show();
  });
  return element('article', { className: 'device' },
    element('h3', {}),
    element('p', { className: 'why' }),
    element('div', { className: 'ladders' }),
    element('ol', { className: 'steps' }),
    element('div', { className: 'screen' }, element('img', { alt: `Screen of device ${name}` }), element('p', {})),
    rings);
}

async function showRings(rings, domid) {
  if (!rings.isConnected) return clearInterval(rings.timer);
  const answer = await asked(`api/rings/${domid}`);
  if (!answer?.ok) return;
  const blocks = (await answer.json()).flatMap(({ index, size, ready, meaning, hex }) => [
    element('h3', {}, `queue ${index}, ${size} entries${ready ? '' : ', not ready'}`),
    element('pre', { className: 'meaning' }, meaning.join('\n')),
    ...hex.map(({ name, rows }) => element('pre', {}, [name, ...rows].join('\n'))),
  ]);
  const slot = rings.slot === undefined ? [] : [element('pre', { className: 'meaning' }, rings.slot)];
  rings.querySelector('.ring-body').replaceChildren(...slot, ...(blocks.length > 0 ? blocks : [element('p', { className: 'hint' }, 'The driver has set up no rings, or what it wrote is not recorded any more.')]));
}

/** One picture at a time for each screen, the next when that has come: as many a second as the server gives. */
function refresh(img, name, frames) {
  img.wanted = frames;
  if (img.loading_ || img.shown === frames || !inSight(img)) return;
  img.loading_ = true;
  const next = new Image();
  const done = () => {
    img.loading_ = false;
    setTimeout(() => refresh(img, name, img.wanted), FRAME_PAUSE_MS);
  };
  next.onload = () => {
    img.src = next.src;
    img.shown = frames;
    done();
  };
  next.onerror = () => {
    img.loading_ = false;
  };
  next.src = `api/frame/${name}?flush=${frames}`;
}
const FRAME_PAUSE_MS = 150;

/** A picture costs its device server: one that is scrolled away is asked for when it is seen. */
function inSight(img) {
  const { top, bottom } = img.parentElement.getBoundingClientRect();
  return document.visibilityState === 'visible' && bottom >= 0 && top <= innerHeight;
}

export function showDevices(devices) {
  document.getElementById('devices').classList.toggle('many', devices.length > MANY);
  keyed(document.getElementById('devices'), devices, ({ name }) => name, device, (made, each) => {
    text(made.querySelector('h3'), `Device ${each.name} of guest ${each.guest}`);
    const why = made.querySelector('.why');
    text(why, each.why);
    why.className = each.connected && !/stands|paused|dead|not run/.test(each.why) ? 'why' : 'why stuck';
    const key = JSON.stringify([each.front, each.back]);
    if (made.ladders !== key) {
      made.ladders = key;
      made.querySelector('.ladders').replaceChildren(ladder(each.front, 'Frontend'), ladder(each.back, 'Backend'));
    }
    const steps = JSON.stringify(each.steps);
    if (made.steps !== steps) {
      made.steps = steps;
      made.querySelector('.steps').replaceChildren(...each.steps.map(({ at, from, to, text: what }) =>
        element('li', {}, element('span', {}, `${at} `), from === to ? `${from}: ${what}` : `${from} → ${to}: ${what}`)));
    }
    const screen = made.querySelector('.screen');
    text(screen.querySelector('p'), `${each.frames} flushes; device status 0x${each.status.toString(16)}`);
    if (each.frames > 0) refresh(screen.querySelector('img'), each.name, each.frames);
    const { slot } = each;
    made.querySelector('.rings').slot = slot === undefined ? undefined : `ioreq slot of vCPU 0: ${slot.state}, address ${slot.address}, value ${slot.value}, since ${(slot.ms / 1000).toFixed(3)} s`;
  });
}

export function showPorts(ports) {
  keyed(document.getElementById('ports'), ports, ({ domid, port }) => `${domid}/${port}`,
    () => element('tr', {}, element('td'), element('td'), element('td'), element('td')),
    (row, { domid, port, remote, raised }) => {
      for (const [index, value] of [`dom${domid}`, port, remote, raised].entries()) text(row.children[index], String(value));
    });
}

export function showGrants(grants) {
  const lines = grants.map(({ domid, refs }) => `dom${domid}: ${refs.length} granted pages are mapped, references ${refs[0]} to ${refs.at(-1)}`);
  document.getElementById('grants').textContent = lines.length > 0 ? lines.join('; ') : 'No granted page is mapped.';
}
