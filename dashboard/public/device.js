// Devices: where the handshake stands, what comes next and what hinders it; both ladders of states, the last steps, screens, rings.
import { labNow, since } from './clock.js';
import { cursorOf, placeCursor, showCursor } from './cursor.js';
import { asked, element, keyed, text } from './dom.js';

const STATES = ['', 'Initialising', 'InitWait', 'Initialised', 'Connected', 'Closing', 'Closed'];
const CLOSED = 6;
const MANY = 3;
/** A handshake that goes on takes no longer between two steps. */
const STUCK_MS = 2000;
/** Devices that the top of the page names. */
const NAMED_MAX = 3;
const END = { front: 'frontend', back: 'backend' };
/** Versions of the protocol: docs/protocol.md, docs/rfc1.md. */
const PROTOCOLS = { rfc1: 'rfc1, the patch as posted, whose frontend connects once', review: 'review' };
const top = document.getElementById('stuck');
const list = document.getElementById('devices');

function ladder(states, label, awaited) {
  const last = states.at(-1);
  // Without a record of it the page knows only that it was written before.
  const when = new Map(states.map(({ state, ms, found }) => [state, found ? `by ${Math.ceil(ms / 1000)} s` : `${(ms / 1000).toFixed(3)} s`]));
  const rungs = STATES.slice(1).map((name, index) => {
    const state = index + 1;
    const item = element('li', { className: `${when.has(state) ? 'been' : ''} ${state === awaited ? 'next' : ''}` }, element('span', {}, `${state} ${name}`));
    if (state === awaited) item.append(element('span', {}, 'awaited'));
    else if (when.has(state)) item.append(element('span', {}, when.get(state)));
    if (last?.state === state) item.setAttribute('aria-current', 'step');
    return item;
  });
  return element('div', {}, element('h4', {}, label), element('ol', { className: 'ladder', 'aria-label': label }, ...rungs));
}

function device({ name }) {
  const [domid] = name.split('/');
  const rings = element('details', { className: 'rings' }, element('summary', {}, 'Rings, registers, ioreq slot'), element('div', { className: 'ring-body', tabIndex: 0, role: 'group', 'aria-label': `Rings of device ${name}` }));
  rings.addEventListener('toggle', () => {
    clearInterval(rings.timer);
    if (!rings.open) return;
    const show = () => showRings(rings, domid);
    rings.timer = setInterval(show, 500);
    show();
  });
  const rows = ['Where', 'Next', 'Why', 'Last step', 'Last error'].map((term) => element('div', { className: 'row' }, element('dt', {}, term), element('dd', {})));
  const made = element('article', { className: 'device', id: `device-${name}` },
    element('h3', {}),
    element('div', { className: 'reason' }, element('p', { className: 'verdict' }), element('dl', {}, ...rows)),
    element('div', { className: 'ladders' }),
    element('ol', { className: 'steps', 'aria-label': `Last steps of device ${name}` }),
    screenOf(name),
    rings);
  made.setAttribute('aria-label', `Device ${name}`);
  sight.observe(made.querySelector('.screen'));
  return made;
}

function screenOf(name) {
  const [over, words] = cursorOf();
  const picture = element('div', { className: 'picture' }, element('img', { alt: `Screen of device ${name}` }), over);
  return element('div', { className: 'screen' }, picture, element('p', {}), words);
}

async function showRings(rings, domid) {
  if (!rings.isConnected) return clearInterval(rings.timer);
  const answer = await asked(`api/rings/${domid}`);
  if (answer?.status !== 200) return;
  const blocks = (await answer.json()).flatMap(({ index, size, ready, meaning, hex }) => [
    element('h4', {}, `queue ${index}, ${size} entries${ready ? '' : ', not ready'}`),
    element('pre', { className: 'meaning' }, meaning.join('\n')),
    ...hex.map(({ name, rows }) => element('pre', {}, [name, ...rows].join('\n'))),
  ]);
  const slot = rings.slot === undefined ? [] : [element('pre', { className: 'meaning' }, rings.slot)];
  rings.querySelector('.ring-body').replaceChildren(...slot, ...(blocks.length > 0 ? blocks : [element('p', { className: 'hint' }, 'The driver has set up no rings, or what it wrote is not recorded any more.')]));
}

/** One picture at a time for each screen, the next when that has come: as many a second as the server gives. */
function refresh(img, name, frames) {
  img.wanted = frames;
  img.device = name;
  if (img.loading_ || img.shown === frames || !inSight(img)) return;
  img.loading_ = true;
  const next = new Image();
  const done = () => {
    img.loading_ = false;
    setTimeout(() => refresh(img, name, img.wanted), FRAME_PAUSE_MS);
  };
  next.onload = () => {
    img.onload = () => placeCursor(img.closest('.screen'), name);
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
const inSight = (img) => document.visibilityState === 'visible' && img.seen === true;
const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const img = target.querySelector('img');
    img.seen = isIntersecting;
    if (isIntersecting) look(target);
  }
});
document.addEventListener('visibilitychange', () => {
  for (const screen of list.querySelectorAll('.screen')) look(screen);
});

/** What has come to be wanted of a screen while it was out of sight. */
function look(screen) {
  const img = screen.querySelector('img');
  if (img.wanted !== undefined) refresh(img, img.device, img.wanted);
  if (screen.cursors !== undefined && inSight(img)) showCursor(screen, img.device, screen.cursors);
}

/** What moves with each frame. */
export function showScreens(screens, changed) {
  for (const { name, frames, cursors, earlier, status, slot } of screens) {
    const made = list.known?.get(name);
    if (made === undefined || !changed.has(name)) continue;
    const registers = status === undefined ? '' : `; device status 0x${status.toString(16)}`;
    text(made.querySelector('.screen p'), `${frames} ${frames === 1 ? 'flush' : 'flushes'}${earlier ? ' recorded, earlier ones are not' : ''}${registers}`);
    made.querySelector('.rings').slot = slot === undefined ? undefined : `ioreq slot of vCPU 0: ${slot.state}, address ${slot.address}, value ${slot.value}, since ${(slot.ms / 1000).toFixed(3)} s`;
    if (frames === 0 && !earlier) continue;
    const screen = made.querySelector('.screen');
    const img = screen.querySelector('img');
    img.device = name;
    img.wanted = frames;
    if (cursors > 0 || earlier) screen.cursors = cursors;
    look(screen);
  }
}

let shown = [];

export function showDevices(devices, changed) {
  shown = devices;
  list.classList.toggle('many', devices.length > MANY);
  keyed(list, devices, ({ name }) => name, device, (made, each) => {
    if (!changed.has(each.name)) return;
    text(made.querySelector('h3'), `Device ${each.name} of guest ${each.guest}`);
    const { awaited } = each.reason;
    const key = JSON.stringify([each.front, each.back, awaited]);
    if (made.ladders !== key) {
      made.ladders = key;
      const of = (side) => (awaited?.side === side ? awaited.state : undefined);
      made.querySelector('.ladders').replaceChildren(ladder(each.front, 'Frontend', of('front')), ladder(each.back, 'Backend', of('back')));
    }
    const steps = JSON.stringify(each.steps);
    if (made.steps !== steps) {
      made.steps = steps;
      made.querySelector('.steps').replaceChildren(...each.steps.map(({ at, from, to, text: what }) =>
        element('li', {}, element('span', {}, `${at} `), from === to ? `${from}: ${what}` : `${from} → ${to}: ${what}`)));
    }
  });
  tickDevices();
}

/** What is seen of how long a device has been where it is. */
export function tickDevices() {
  const stuck = [];
  for (const [index, each] of shown.entries()) {
    const made = list.children[index];
    const { verdict, isStuck } = verdictOf(each);
    if (isStuck) stuck.push([each.name, verdict]);
    text(made.querySelector('.verdict'), verdict);
    made.querySelector('.reason').classList.toggle('stuck', isStuck);
    const rows = made.querySelectorAll('.row');
    for (const [at, line] of linesOf(each, isStuck).entries()) {
      if (rows[at].hidden !== (line === undefined)) rows[at].hidden = line === undefined;
      text(rows[at].lastChild, line ?? '');
    }
  }
  const links = stuck.slice(0, NAMED_MAX).map(([name, verdict]) => [name, `Device ${name}: ${verdict}`]);
  const more = stuck.length > NAMED_MAX ? `; ${stuck.length - NAMED_MAX} more devices stand` : '';
  const key = JSON.stringify([links, more]);
  if (top.key === key) return;
  top.key = key;
  top.replaceChildren(...links.map(([name, words]) => element('a', { href: `#device-${name}` }, words)), more);
}

const stateOf = (states) => states.at(-1)?.state ?? 0;

function verdictOf({ gone, connected, front, back, reason: { causes, awaited }, last }) {
  if (gone) return { verdict: 'Its domain is gone', isStuck: false };
  if (causes.length > 0) return { verdict: causes.join(', '), isStuck: true };
  if (connected) return { verdict: 'Connected', isStuck: false };
  const isStuck = last !== undefined && labNow() - last.ms > STUCK_MS;
  const isClosed = stateOf(front) === CLOSED && stateOf(back) === CLOSED;
  if (awaited !== undefined) return { verdict: `${isClosed ? 'Closed, w' : 'W'}aits for ${awaited.by}`, isStuck };
  return { verdict: `${isClosed ? 'Closed, w' : 'W'}aits for the toolstack: neither driver moves on from here`, isStuck };
}

function linesOf({ front, back, server, protocol, reason: { causes, awaited }, last, error }, isStuck) {
  const isPast = front.at(-1)?.found === true || back.at(-1)?.found === true;
  const end = (states, side) => {
    const now = states.at(-1);
    return now === undefined ? `${side} has no state` : `${side} ${now.state} ${now.name} for ${now.found ? 'more than ' : ''}${since(now.ms)}`;
  };
  return [
    `${end(front, 'frontend')}, ${end(back, 'backend')}; served by ${server}`,
    awaited && `${awaited.by} writes ${END[awaited.side]} state ${awaited.state} ${awaited.name}, which says: ${awaited.once}`,
    isStuck && causes.length === 0 ? whyWithoutCause(protocol, awaited, error) : undefined,
    last && `${last.by}: ${last.text}, ${since(last.ms)} ago${isPast ? '; later ones are overwritten' : ''}`,
    error && `${error.by}: ${error.text}, ${since(error.ms)} ago`,
  ];
}

/** Every process that the device needs runs. */
function whyWithoutCause(protocol, awaited, error) {
  const seen = error === undefined ? 'the last step is the place to look from' : 'the last error says what went wrong';
  if (awaited === undefined) return `by the tables of the protocol (${PROTOCOLS[protocol] ?? protocol}) neither end has a move left: the toolstack may remove or reset the device; ${seen}`;
  return `every process that it needs runs, and ${awaited.by} does not make the move: ${seen}`;
}
