// The page: takes the server's changes, puts lists together and hands each section to the part that shows it. Says at the top what
// the lab does, and when the server is gone. Asks nothing of other hosts.
import { showCampaign, showCells, showFailures, showReplay } from './campaign.js';
import { setClock } from './clock.js';
import { showDevices, showScreens, tickDevices } from './device.js';
import { showGates, showGrants, showPorts, showProcesses } from './lab.js';
import { showLatency } from './latency.js';
import { showStore } from './store.js';
import { startTimeline } from './timeline.js';
import { showWires } from './topology.js';

const state = document.getElementById('state');
const LISTS = { processes: showProcesses, wires: showWires, devices: showDevices, screens: showScreens, ports: showPorts, cells: showCells, failures: showFailures };
const SECTIONS = { lab: showLab, gates: showGates, grants: showGrants, latency: showLatency, campaign: showCampaign, replay: showReplay };
const NONE = { gates: [], grants: [], latency: { percentiles: [], series: [] } };
const WORDS = { starts: 'the lab is about to start', runs: 'the lab runs', 'no host': 'no hypervisor runs: the host is down', ended: 'the lab has ended: what it left is shown' };
/** How long something lasts is seen as it grows. */
const TICK_MS = 500;

function showLab({ runDir, state: lab, lost, asks, portsEarlier }) {
  document.getElementById('ports-earlier').hidden = !portsEarlier;
  document.body.classList.toggle('judged', !asks);
  document.getElementById('where').textContent = runDir;
  document.title = `xenwire: ${runDir.split('/').slice(-2).join('/')}`;
  state.textContent = WORDS[lab] + (lost > 0 ? `; ${lost} older records are overwritten` : '');
}

/** Items of the lists by their keys. */
const known = new Map(Object.keys(LISTS).map((name) => [name, new Map()]));

export function take({ whole, sections, store, ...clock }) {
  setClock(clock);
  for (const [name, show] of Object.entries(SECTIONS)) {
    const section = sections[name] ?? (whole ? NONE[name] : undefined);
    if (section !== undefined) show(section);
  }
  for (const [name, show] of Object.entries(LISTS)) {
    const change = sections[name] ?? (whole ? { order: [], changed: {} } : undefined);
    if (change === undefined) continue;
    const items = known.get(name);
    known.set(name, new Map(change.order.map((key) => [key, change.changed[key] ?? items.get(key)])));
    show([...known.get(name).values()], new Set(Object.keys(change.changed)));
  }
  if (store !== undefined || whole) showStore(store ?? { whole: true, changes: [] });
}

let ended = false;
const events = new EventSource('api/events');
events.onmessage = ({ data }) => {
  ended = false;
  take(JSON.parse(data));
};
events.addEventListener('bye', () => {
  ended = true;
  state.textContent = 'it has ended, and its page with it';
  events.close();
});
events.onerror = () => {
  if (!ended) state.textContent = 'the page has lost its server';
};
setInterval(tickDevices, TICK_MS);
startTimeline();
