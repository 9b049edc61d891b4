// `xenwire hypercall`: hypercalls as lines of JSON, run on a host inside this process, and recordings made on real Xen
// compared with what that host answers. Leaves reading files and printing to bin/verbs/hypercall.ts.
//
// A line: {"dom":1,"op":"evtchn.send","args":{"port":3}}; `dom` is the caller, 0 when left out. Answer: {"rc":0,"out":{…}}
// or {"rc":-22}. A recording's first line describes it; its domain N is made before, its "$k" is the port that the line
// with "handle":"$k" gave, and ports of dom0 are offsets from its first free one.
import { ERRNO } from '../lib/core/errno.js';
import { UserError } from '../lib/core/errors.js';
import { DOM0, DOMID_SELF, type DomId, isDomId } from '../lib/core/ids.js';
import type { Host } from '../services/hypervisor/host.js';
import type { Out } from '../services/hypervisor/operation.js';
import { hypercall } from '../services/hypervisor/operations.js';
import { sandbox } from './sandbox.js';
import { ScriptActors } from './script-actors.js';

export interface HypercallAnswer {
  readonly rc: number;
  readonly out?: Out;
  /** Why a line could not be understood; for people. */
  readonly error?: string;
}

/** Memory of a domain whose script does not say how much; none of it is touched until a line writes to it. */
const MEMORY_MIB_DEFAULT = 16;

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export class HypercallLines {
  readonly host: Host;

  readonly #actors: ScriptActors;

  constructor() {
    const box = sandbox({ evtchnRaise: true });
    this.host = box.host;
    this.#actors = new ScriptActors(box);
  }

  /** Runs one line of text; never throws for what the text holds. */
  line(text: string): HypercallAnswer {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return { rc: -ERRNO.EINVAL, error: 'no JSON' };
    }
    if (!isObject(value) || typeof value['op'] !== 'string')
      return { rc: -ERRNO.EINVAL, error: 'no object with an op' };
    const { dom = 0, op, args = {} } = value;
    if (!isObject(args) || !isDomId(dom)) return { rc: -ERRNO.EINVAL, error: 'bad dom or args' };
    return this.call(dom, op as string, args);
  }

  call(dom: DomId, op: string, args: Readonly<Record<string, unknown>>): HypercallAnswer {
    const caller = this.host.domains.find(dom);
    if (caller === undefined) return { rc: -ERRNO.ESRCH };
    const given = op === 'domctl.create' ? { memory_mib: MEMORY_MIB_DEFAULT, ...args } : args;
    const result = this.#actors.run(caller, op, given) ?? hypercall(this.host, caller, op, given);
    if (typeof result === 'number') return { rc: result };
    return Object.keys(result).length === 0 ? { rc: 0 } : { rc: 0, out: result };
  }
}

export interface ReplayDifference {
  /** From 1. */
  readonly line: number;
  readonly text: string;
  readonly got: string;
}

export interface ReplayResult {
  readonly lines: number;
  readonly differences: readonly ReplayDifference[];
}

/** Replays a recording from its beginning. Throws UserError at a line that is no JSON; `name` is what it calls the file. */
export function replay(text: string, name = 'recording'): ReplayResult {
  const run = new Replay();
  const differences: ReplayDifference[] = [];
  let lines = 0;
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const recorded = parseRecorded(line, `${name}:${index + 1}`);
    if (!isObject(recorded) || typeof recorded['op'] !== 'string') continue; // the line that describes the run
    lines++;
    const got = run.step(recorded);
    const rc = recorded['rc'] ?? 0;
    const out = isObject(recorded['out']) ? recorded['out'] : {};
    if (got.rc !== rc || !sameOut(out, got.out ?? {})) {
      differences.push({ line: index + 1, text: line, got: JSON.stringify(got) });
    }
  }
  return { lines, differences };
}

function parseRecorded(line: string, where: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new UserError(`${where} is no JSON`, { cause: error });
  }
}

/** `handle` is the recording's own name for a port, nothing that Xen answered. */
function sameOut(recorded: Readonly<Record<string, unknown>>, got: Out): boolean {
  const names = Object.keys(recorded).filter((name) => name !== 'handle');
  return names.length === Object.keys(got).length && names.every((name) => recorded[name] === got[name]);
}

class Replay {
  readonly #lines = new HypercallLines();
  readonly #domN: number;
  /** dom0's first free port: recordings count from there. */
  readonly #base: number;
  readonly #handles = new Map<string, number>();

  constructor() {
    this.#domN = (this.#lines.call(DOM0, 'domctl.create', { max_evtchn_port: 1023 }).out as { domid: number }).domid;
    const probe = this.#lines.call(DOM0, 'evtchn.alloc_unbound', { dom: DOM0 });
    this.#base = (probe.out as { port: number }).port;
    this.#lines.call(DOM0, 'evtchn.close', { port: this.#base });
  }

  step(recorded: Readonly<Record<string, unknown>>): HypercallAnswer {
    const args: Record<string, unknown> = {};
    const given = isObject(recorded['args']) ? recorded['args'] : {};
    for (const [name, value] of Object.entries(given)) args[name] = this.#value(value);
    const caller = this.#value(recorded['dom'] ?? DOM0);
    if (!isDomId(caller)) return { rc: -ERRNO.ESRCH };
    const { rc, out } = this.#lines.call(caller, recorded['op'] as string, args);
    if (out === undefined) return { rc };
    const where = recorded['op'] === 'evtchn.alloc_unbound' ? (args['dom'] as number) : caller;
    const port = (out['port'] ?? out['local_port']) as number | undefined;
    const name = isObject(recorded['out']) ? recorded['out']['handle'] : undefined;
    if (typeof name === 'string' && port !== undefined) this.#handles.set(name, port);
    return { rc, out: this.#asRecorded(out, where === DOMID_SELF ? caller : where) };
  }

  #value(value: unknown): unknown {
    if (value === 'N') return this.#domN;
    if (value === 'SELF') return DOMID_SELF;
    if (typeof value === 'string' && value.startsWith('$')) return this.#handles.get(value) ?? -1;
    return value;
  }

  #asRecorded(out: Out, dom: number): Out {
    const seen: Record<string, unknown> = { ...out };
    const offset = (name: string, domid: unknown) => {
      if (typeof out[name] === 'number' && domid === DOM0) seen[name] = out[name] - this.#base;
    };
    offset('port', dom);
    offset('local_port', dom);
    offset('remote_port', out['remote_dom']);
    for (const name of ['unbound_dom', 'remote_dom']) if (seen[name] === this.#domN) seen[name] = 'N';
    return seen;
  }
}
