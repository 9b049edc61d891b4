// The wires between the boxes of processes: a line for each pair that speaks, thicker while it does, with what it carried in the last
// second. Drawn behind the boxes; the same is a list for those who do not see it. Where columns are one there is the list alone.
import { element, text } from './dom.js';

const SVG = 'http://www.w3.org/2000/svg';
const topology = document.querySelector('.topology');
const drawing = document.getElementById('wires');
const list = document.getElementById('wire-list');
const WORDS = { calls: 'calls', store: 'store', 'vhost-user': 'vhost-user', display: 'display', kick: 'kicks', call: 'interrupts' };
/** Below it columns are one: style.css. */
const WIDE = matchMedia('(min-width: 901px)');
let shown = [];
let due = false;

export function showWires(wires) {
  shown = wires;
  redraw();
}

new ResizeObserver(redraw).observe(topology);
WIDE.addEventListener('change', redraw);

function redraw() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    draw();
  });
}

/** Many guests are one end. */
const GUESTS = 'guests';
const isMany = () => topology.classList.contains('many');
const endOf = (name) => (isMany() && /^(guest|monitor)-/.test(name) ? GUESTS : name);

function bundles() {
  const found = new Map();
  for (const { ends, carries } of shown) {
    const [one, other] = ends.map(endOf);
    if (one === other) continue;
    const key = [one, other].sort().join(' ');
    const bundle = found.get(key) ?? { ends: [one, other].sort(), carries: {} };
    found.set(key, bundle);
    for (const [what, count] of Object.entries(carries)) bundle.carries[what] = (bundle.carries[what] ?? 0) + count;
  }
  return [...found.values()];
}

function carriedText(carries) {
  const now = Object.entries(carries).filter(([, count]) => count > 0);
  const names = Object.keys(carries).map((what) => WORDS[what] ?? what);
  return now.length === 0 ? names.join(', ') : now.map(([what, count]) => `${WORDS[what] ?? what} ${count}/s`).join(', ');
}

function draw() {
  const all = bundles();
  const lines = all.map(({ ends, carries }) => `${ends.join(' and ')}: ${carriedText(carries)}`);
  const key = lines.join('\n');
  if (list.key !== key) {
    list.key = key;
    list.replaceChildren(...lines.map((line) => element('li', {}, line)));
  }
  if (!WIDE.matches) return drawing.replaceChildren();
  const around = topology.getBoundingClientRect();
  drawing.setAttribute('viewBox', `0 0 ${around.width} ${around.height}`);
  const boxes = new Map([...topology.querySelectorAll('.card')].map((card) => [card.process, card]));
  boxes.set(GUESTS, document.getElementById('column-guests'));
  // Wires that meet the same side of a box are spread over it.
  const sides = new Map();
  const placed = all.flatMap(({ ends, carries }) => {
    const [one, other] = ends.map((name) => boxes.get(name)?.getBoundingClientRect());
    if (one === undefined || other === undefined) return [];
    const [a, b] = sidesOf(one, other).map((side, index) => ({ side, box: [one, other][index], towards: [other, one][index] }));
    for (const [index, each] of [a, b].entries()) {
      const at = `${ends[index]} ${each.side}`;
      sides.set(at, [...(sides.get(at) ?? []), each]);
    }
    return [{ a, b, carries }];
  });
  for (const ports of sides.values()) {
    const isUpright = ports[0].side === 'left' || ports[0].side === 'right';
    const middle = ({ top, bottom, left, right }) => (isUpright ? top + bottom : left + right);
    ports.sort((one, two) => middle(one.towards) - middle(two.towards));
    for (const [index, port] of ports.entries()) {
      const share = (index + 1) / (ports.length + 1);
      const { left, right, top, bottom } = port.box;
      port.x = (port.side === 'left' ? left : port.side === 'right' ? right : left + (right - left) * share) - around.left;
      port.y = (port.side === 'top' ? top : port.side === 'bottom' ? bottom : top + (bottom - top) * share) - around.top;
    }
  }
  drawing.replaceChildren(...placed.flatMap(wire));
}

/** Which sides two boxes turn to each other. */
function sidesOf(one, other) {
  if (one.right <= other.left) return ['right', 'left'];
  if (other.right <= one.left) return ['left', 'right'];
  return one.bottom <= other.top ? ['bottom', 'top'] : ['top', 'bottom'];
}

function wire({ a, b, carries }) {
  const isBusy = Object.values(carries).some((count) => count > 0);
  const isUpright = a.side === 'left' || a.side === 'right';
  const [mx, my] = [(a.x + b.x) / 2, (a.y + b.y) / 2];
  const bends = isUpright ? [mx, a.y, mx, b.y] : [a.x, my, b.x, my];
  // Not in the middle, where wires cross.
  const at = !isUpright ? 0.5 : a.x < b.x ? LABEL_AT : 1 - LABEL_AT;
  const [lx, ly] = [0, 1].map((axis) => along(at, [a, b].map(({ x, y }) => [x, y][axis]), [bends[axis], bends[2 + axis]]));
  const line = document.createElementNS(SVG, 'path');
  line.setAttribute('d', `M ${a.x} ${a.y} C ${bends.join(' ')} ${b.x} ${b.y}`);
  line.setAttribute('class', isBusy ? 'wire busy' : 'wire');
  const words = Object.entries(carries).filter(([, count]) => count > 0 || !isBusy).map(([what, count]) => (isBusy ? `${WORDS[what] ?? what} ${count}/s` : WORDS[what] ?? what));
  const labels = words.map((word, index) => {
    const label = document.createElementNS(SVG, 'text');
    label.setAttribute('x', isUpright ? lx : lx + 6);
    label.setAttribute('y', ly - 4 + (index - (words.length - 1) / 2) * 13 + 8);
    label.setAttribute('class', isUpright ? 'middle' : '');
    text(label, word);
    return label;
  });
  return [line, ...labels];
}

/** A point of a cubic curve, one axis of it. */
const along = (t, [from, to], [one, other]) => (1 - t) ** 3 * from + 3 * (1 - t) ** 2 * t * one + 3 * (1 - t) * t ** 2 * other + t ** 3 * to;
const LABEL_AT = 0.3;
