// What a lab holds at one moment, asked of the living: the whole store, and every event channel of every domain. Taken of a case
// that runs again because it failed, at its fault and at its end, for the report. A process that stands cannot be asked.
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { DeadlineError, ErrnoError, PeerDiedError } from '../lib/core/errors.js';
import { DOM0 } from '../lib/core/ids.js';
import { EVTCHNSTAT } from '../lib/layout/evtchn.js';
import { withDeadline } from '../lib/node/process/wait.js';
import { listGuests } from '../toolstack/domain.js';
import { listNode, readNode } from '../toolstack/toolstack.js';
import type { Rig } from './rig.js';

export interface PortEntry {
  readonly domid: number;
  readonly port: number;
  /** "interdomain with 0:3", "unbound, for 0", "virq 3". */
  readonly bound: string;
}

export interface LabSnapshot {
  /** Paths with their values, parents before children. */
  readonly store?: readonly (readonly [path: string, value: string])[];
  readonly ports?: readonly PortEntry[];
  /** Why something is not there, a sentence each. */
  readonly notAsked: readonly string[];
}

const NODES_MAX = 600;
const VALUE_CHARS_MAX = 120;
/** Of one domain; a guest with one device has five. */
const PORTS_MAX = 64;

/** `stands`: the process that stands at a gate now. Never rejects but for bugs of ours. */
export async function takeSnapshot(rig: Rig, stands?: string): Promise<LabSnapshot> {
  const notAsked: string[] = [];
  const ask = async <T>(server: string, what: string, asking: () => Promise<T>): Promise<T | undefined> => {
    if (server === stands) {
      notAsked.push(`${server} stands at the point and cannot be asked for ${what}.`);
      return undefined;
    }
    try {
      return await withDeadline(asking(), DEADLINE_MS.chaosSnapshot, what);
    } catch (error) {
      if (!(error instanceof DeadlineError || error instanceof PeerDiedError || error instanceof ErrnoError))
        throw error;
      notAsked.push(`${server} did not tell ${what}: ${error.message}.`);
      return undefined;
    }
  };
  const store = await ask('xenstored', 'the store', () => dumpStore(rig));
  const ports = await ask('hypervisor', 'the event channels', () => dumpPorts(rig));
  return { ...(store === undefined ? {} : { store }), ...(ports === undefined ? {} : { ports }), notAsked };
}

async function dumpStore(rig: Rig): Promise<[string, string][]> {
  const { store } = rig.session;
  const found: [string, string][] = [];
  const visit = async (path: string): Promise<void> => {
    for (const name of await listNode(store, path === '' ? '/' : path)) {
      if (found.length === NODES_MAX) return;
      const child = `${path}/${name}`;
      found.push([child, ((await readNode(store, child)) ?? '').slice(0, VALUE_CHARS_MAX)]);
      await visit(child);
    }
  };
  await visit('');
  return found;
}

async function dumpPorts(rig: Rig): Promise<PortEntry[]> {
  const hypervisor = rig.session.hypervisorClient.remote('Hypervisor');
  const guests = await listGuests(rig.session);
  const found: PortEntry[] = [];
  for (const domid of [DOM0, ...guests.map((guest) => guest.domid)]) {
    for (let port = 1; port <= PORTS_MAX; port++) {
      try {
        const { status, dom, port: remote, virq } = await hypervisor.evtchn_status({ dom: domid, port });
        if (status === EVTCHNSTAT.closed) continue;
        found.push({ domid, port, bound: boundTo(status, { dom, remote, virq }) });
      } catch (error) {
        // EINVAL: a port that was never there, as Xen answers.
        if (!(error instanceof ErrnoError)) throw error;
      }
    }
  }
  return found;
}

function boundTo(status: number, { dom, remote, virq }: { dom: number; remote: number; virq: number }): string {
  switch (status) {
    case EVTCHNSTAT.unbound:
      return `unbound, for ${dom}`;
    case EVTCHNSTAT.interdomain:
      return `interdomain with ${dom}:${remote}`;
    case EVTCHNSTAT.virq:
      return `virq ${virq}`;
    case EVTCHNSTAT.ipi:
      return 'ipi';
    default:
      return `status ${status}`;
  }
}
