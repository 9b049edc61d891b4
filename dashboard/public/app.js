// The page: takes the server's changes and hands each section to the part that shows it. Says at the top what the lab does, and
// when the server is gone. Asks nothing of other hosts.
import { showLatency } from './latency.js';
import { showDevices, showGates, showGrants, showPorts, showProcesses } from './lab.js';
import { showStore } from './store.js';
import { startTimeline } from './timeline.js';

const state = document.getElementById('state');
const SECTIONS = {
  lab: showLab,
  processes: showProcesses,
  devices: showDevices,
  gates: showGates,
  ports: showPorts,
  grants: showGrants,
  latency: showLatency,
  store: showStore,
};
const WORDS = { runs: 'the lab runs', 'no host': 'no hypervisor runs: the host is down', ended: 'the lab has ended: what it left is shown' };

function showLab({ runDir, state: lab, lost }) {
  document.getElementById('where').textContent = runDir;
  document.title = `xenwire: ${runDir.split('/').slice(-2).join('/')}`;
  state.textContent = WORDS[lab] + (lost > 0 ? `; ${lost} records were overwritten before they were read` : '');
}

let ended = false;
const events = new EventSource('api/events');
events.onmessage = ({ data }) => {
  ended = false;
  for (const [name, section] of Object.entries(JSON.parse(data))) SECTIONS[name]?.(section);
};
events.addEventListener('bye', () => {
  ended = true;
  state.textContent = 'the lab has ended, and its page with it';
  events.close();
});
events.onerror = () => {
  if (!ended) state.textContent = 'the page has lost its server';
};
startTimeline();
