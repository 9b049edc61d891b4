// The store as a tree of its nodes, each with value and permissions; what has just changed is lit.
import { element } from './dom.js';

const LIT_MS = 1500;
const OPEN_DEPTH = 3;
const root = document.getElementById('store');
const filter = document.getElementById('filter');
const count = document.getElementById('nodes');
const nodes = new Map();
const shown = new Map();
let wanted = '';

filter.addEventListener('input', () => {
  wanted = filter.value.trim();
  build();
});

export function showStore({ whole, changes }) {
  if (whole) nodes.clear();
  for (const { path, node } of changes) {
    if (node === undefined) nodes.delete(path);
    else nodes.set(path, node);
  }
  count.textContent = `${nodes.size} nodes`;
  if (whole) return build();
  for (const change of changes) apply(change);
}

function build() {
  root.replaceChildren();
  shown.clear();
  for (const path of [...nodes.keys()].sort()) add(path);
}

const isWanted = (path) => wanted === '' || path.includes(wanted);

/** `above`: a folder of what is wanted. */
function add(path, above = false) {
  if (path === '/' || !(above || isWanted(path))) return undefined;
  const at = path.lastIndexOf('/');
  const parent = at === 0 ? root : (shown.get(path.slice(0, at)) ?? add(path.slice(0, at), true));
  const label = element('span', {}, element('span', { className: 'name' }, path.slice(at + 1)), element('span', { className: 'value' }), element('span', { className: 'perms' }));
  const details = element('details', { open: path.split('/').length <= OPEN_DEPTH + 1 || wanted !== '' }, element('summary', {}, label));
  details.label = label;
  // A node without children is a line, and becomes a folder with its first child.
  details.classList.add('node');
  const before = [...parent.children].find((each) => each.path > path);
  details.path = path;
  parent.insertBefore(details, before ?? null);
  shown.set(path, details);
  fill(details, nodes.get(path));
  return details;
}

function fill(details, node) {
  const [, value, perms] = details.label.children;
  value.textContent = node === undefined || node.value === '' ? '' : ` = ${node.value}`;
  perms.textContent = node === undefined ? '' : ` (${node.perms.join(',')})`;
}

function apply({ path, node }) {
  const details = shown.get(path);
  if (node === undefined) {
    details?.remove();
    shown.delete(path);
    return;
  }
  const made = details ?? add(path);
  if (made === undefined) return;
  fill(made, node);
  made.label.classList.add('lit');
  clearTimeout(made.dark);
  made.dark = setTimeout(() => made.label.classList.remove('lit'), LIT_MS);
}
