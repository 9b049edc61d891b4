// The last moments of all processes: a row each, slices as bars, records as marks, arrows by what belongs together. A record that is
// chosen, by mouse or keyboard, shows its fields. The server keeps the history; the page asks for the window that it shows.
import { element } from './dom.js';

const canvas = document.getElementById('canvas');
const span = document.getElementById('span');
const live = document.getElementById('live');
const messages = document.getElementById('messages');
const when = document.getElementById('when');
const label = document.getElementById('window');
const details = document.getElementById('record');
const ROW = 46;
const BAR = 7;
const BARS_MAX = 4;
const AXIS = 22;
const NAMES = 128;
const LOOK_MS = 300;
const NEAR_PIXELS = 8;
const KIND_COLOURS = { send: '#1f6feb', receive: '#3f8cff', state: '#d9730d', key: '#c29a00', commit: '#8250df', effect: '#a05a00', acquire: '#18803a', release: '#7a8594', exit: '#b3261e', entry: '#e0635b', notify: '#0e7c86', upcall: '#13a3b0', command: '#6b57d9', frame: '#d6336c', step: '#d9730d', error: '#ff2d20', life: '#5a6573' };
const FLOW_COLOURS = { kick: '#0e7c86', call: '#d9730d', command: '#8250df', message: '#7a8594' };
const ORDER = ['toolstack', 'xenstored', 'guest', 'hypervisor', 'vhost-frontend', 'vhost-gpu'];

let shown;
let rows = [];
let chosen;
let asking = false;

export function startTimeline() {
  setInterval(() => {
    if (live.checked && document.visibilityState === 'visible') void ask();
  }, LOOK_MS);
  span.addEventListener('change', () => void ask());
  messages.addEventListener('change', draw);
  when.addEventListener('input', () => {
    live.checked = false;
    void ask();
  });
  live.addEventListener('change', () => void ask());
  canvas.addEventListener('click', ({ offsetX, offsetY }) => choose(nearest(offsetX, offsetY)));
  canvas.addEventListener('keydown', keys);
  addEventListener('resize', draw);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  void ask();
}

async function ask() {
  // A campaign has a lab while a case is replayed.
  if (asking || document.querySelector('body.campaign:not(.replay)') !== null) return;
  asking = true;
  try {
    const share = Number(when.value) / Number(when.max);
    const until = shown === undefined ? 0 : shown.firstMs + (shown.lastMs - shown.firstMs) * share;
    const answer = await fetch(`api/window?span=${span.value}${live.checked ? '' : `&until=${until}`}`);
    if (answer.status !== 200) return;
    shown = await answer.json();
    if (live.checked) when.value = when.max;
    const rank = (name) => ORDER.findIndex((known) => name.startsWith(known)) + 1 || ORDER.length + 1;
    rows = [...shown.processes].sort((one, other) => rank(one) - rank(other) || (one < other ? -1 : 1));
    const left = shown.left > 0 ? `; ${shown.left} more records do not fit` : '';
    label.textContent = `up to ${(shown.untilMs / 1000).toFixed(3)} s, ${shown.records.length} records${left}`;
    draw();
  } catch {
    // The page says at its top that the server is gone.
  } finally {
    asking = false;
  }
}

const x = (ms) => NAMES + ((ms - shown.fromMs) / (shown.untilMs - shown.fromMs)) * (canvas.clientWidth - NAMES - 8);
const markY = (row) => AXIS + row * ROW + ROW - 9;

function draw() {
  if (shown === undefined) return;
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const ratio = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, AXIS + Math.max(1, rows.length) * ROW];
  canvas.style.height = `${height}px`;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext('2d');
  pen.scale(ratio, ratio);
  pen.font = '12px system-ui, sans-serif';
  axis(pen, width, height, colour);
  const rowOf = new Map(rows.map((name, index) => [name, index]));
  bars(pen, rowOf);
  arrows(pen, rowOf);
  for (const record of shown.records) {
    pen.fillStyle = KIND_COLOURS[record.kind] ?? '#888';
    pen.fillRect(x(record.ms) - 1, markY(rowOf.get(record.process)) - 5, 2, 10);
  }
  if (chosen !== undefined && chosen.ms >= shown.fromMs && rowOf.has(chosen.process)) {
    pen.strokeStyle = colour('--text');
    pen.lineWidth = 2;
    pen.strokeRect(x(chosen.ms) - 4, markY(rowOf.get(chosen.process)) - 8, 8, 16);
  }
}

function axis(pen, width, height, colour) {
  pen.strokeStyle = colour('--line');
  pen.fillStyle = colour('--dim');
  pen.lineWidth = 1;
  for (const [index, name] of rows.entries()) {
    const y = AXIS + index * ROW;
    pen.beginPath();
    pen.moveTo(0, y);
    pen.lineTo(width, y);
    pen.stroke();
    pen.fillStyle = colour('--text');
    pen.fillText(name, 6, y + 26, NAMES - 12);
    pen.fillStyle = colour('--dim');
  }
  const ticks = Math.max(2, Math.floor((width - NAMES) / 130));
  for (let tick = 0; tick <= ticks; tick++) {
    const ms = shown.fromMs + ((shown.untilMs - shown.fromMs) * tick) / ticks;
    const at = x(ms);
    pen.beginPath();
    pen.moveTo(at, AXIS - 4);
    pen.lineTo(at, height);
    pen.stroke();
    pen.textAlign = tick === ticks ? 'right' : 'left';
    pen.fillText(`${ms.toFixed(shown.untilMs - shown.fromMs < 50 ? 2 : 0)} ms`, at, 13);
  }
  pen.textAlign = 'left';
}

/** Each lane of a process is a height of its own, as far as there is room. */
function bars(pen, rowOf) {
  const lanes = new Map();
  for (const [begin, end, lane] of shown.slices) {
    const record = shown.records[begin];
    const of = lanes.get(record.process) ?? new Map();
    lanes.set(record.process, of);
    if (!of.has(lane)) of.set(lane, of.size);
    const level = Math.min(of.get(lane), BARS_MAX - 1);
    const y = AXIS + rowOf.get(record.process) * ROW + 3 + level * (BAR + 1);
    const from = x(record.ms);
    const to = end < 0 ? x(shown.untilMs) : x(shown.records[end].ms);
    pen.globalAlpha = end < 0 ? 0.25 : 0.55;
    pen.fillStyle = KIND_COLOURS[record.kind] ?? '#888';
    pen.fillRect(from, y, Math.max(1, to - from), BAR);
  }
  pen.globalAlpha = 1;
}

function arrows(pen, rowOf) {
  const of = chosen === undefined ? undefined : shown.records.findIndex(({ process, instance, ms }) => process === chosen.process && instance === chosen.instance && ms === chosen.ms);
  for (const { kind, steps } of shown.flows) {
    const isChosen = of !== undefined && of >= 0 && steps.includes(of);
    if (kind === 'message' && !messages.checked && !isChosen) continue;
    pen.strokeStyle = pen.fillStyle = FLOW_COLOURS[kind];
    pen.lineWidth = isChosen ? 2.5 : 1;
    pen.globalAlpha = isChosen ? 1 : 0.6;
    for (let index = 1; index < steps.length; index++) {
      const [one, other] = [shown.records[steps[index - 1]], shown.records[steps[index]]];
      if (one.process === other.process) continue;
      arrow(pen, x(one.ms), markY(rowOf.get(one.process)), x(other.ms), markY(rowOf.get(other.process)));
    }
  }
  pen.globalAlpha = 1;
}

function arrow(pen, x1, y1, x2, y2) {
  const angle = Math.atan2(y2 - y1, x2 - x1);
  pen.beginPath();
  pen.moveTo(x1, y1);
  pen.lineTo(x2, y2);
  pen.stroke();
  pen.beginPath();
  pen.moveTo(x2, y2);
  pen.lineTo(x2 - 6 * Math.cos(angle - 0.4), y2 - 6 * Math.sin(angle - 0.4));
  pen.lineTo(x2 - 6 * Math.cos(angle + 0.4), y2 - 6 * Math.sin(angle + 0.4));
  pen.fill();
}

function nearest(px, py) {
  const row = rows[Math.floor((py - AXIS) / ROW)];
  let best;
  for (const record of shown?.records ?? []) {
    if (record.process !== row) continue;
    const distance = Math.abs(x(record.ms) - px);
    if (distance <= NEAR_PIXELS && (best === undefined || distance < best.distance)) best = { distance, record };
  }
  return best?.record;
}

/** The window stands still while a record is looked at. */
function choose(record) {
  if (record === undefined) return;
  live.checked = false;
  if (shown.lastMs > shown.firstMs) when.value = String(((shown.untilMs - shown.firstMs) / (shown.lastMs - shown.firstMs)) * Number(when.max));
  chosen = record;
  const fields = { time: `${record.ms.toFixed(3)} ms`, record: record.instance, kind: record.kind, ...record.fields, ...(record.domid === undefined ? {} : { domain: String(record.domid) }), ...(record.flow === undefined ? {} : { flow: record.flow }) };
  const at = shown.records.indexOf(record);
  const ways = shown.flows.filter(({ steps }) => steps.includes(at)).map(({ kind, steps }) => [`${kind}`, steps.map((step) => shown.records[step].instance.replace(/#\d+$/, '')).join(' → ')]);
  details.replaceChildren(element('dl', {}, ...[...Object.entries(fields), ...ways].flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)])));
  draw();
}

function keys(event) {
  const records = shown?.records ?? [];
  const at = records.indexOf(chosen);
  const step = (to, same) => {
    for (let index = at + to; index >= 0 && index < records.length; index += to)
      if (!same || chosen === undefined || records[index].process === chosen.process) return choose(records[index]);
  };
  const other = (to) => {
    const row = rows[rows.indexOf(chosen?.process) + to];
    const near = records.filter(({ process }) => process === row).sort((one, two) => Math.abs(one.ms - chosen.ms) - Math.abs(two.ms - chosen.ms));
    choose(near[0]);
  };
  const option = (to) => {
    span.selectedIndex = Math.min(span.length - 1, Math.max(0, span.selectedIndex + to));
    void ask();
  };
  const actions = { ArrowRight: () => step(1, true), ArrowLeft: () => (at < 0 ? choose(records.at(-1)) : step(-1, true)), ArrowUp: () => other(-1), ArrowDown: () => other(1), '+': () => option(-1), '-': () => option(1) };
  if (actions[event.key] === undefined) return;
  event.preventDefault();
  actions[event.key]();
}
