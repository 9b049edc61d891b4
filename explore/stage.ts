// One step under way: the world as it becomes, what is wrong with it, and what happened, for people. Performs the requests of
// tasks on the store, on Xen's half and on the device's registers. Leaves which steps there are to model.ts.
import { XenbusState } from '../lib/layout/xenbus.js';
import { MMIO_WINDOW } from '../lib/xenbus/keys.js';
import type { Protocol, Writer } from '../lib/xenbus/protocol.js';
import { TOKEN } from './guest.js';
import { judgeRead, judgeWrite } from './rules.js';
import { perform, type StoreAnswer, type StoreEvent, type StoreRequest } from './store.js';
import { type Account, type Answer, type Request, runThrough, type XenOp } from './task.js';
import type { Note, Paths, Side, Violation, World, Xen } from './world.js';

/** The guest's first port for a backend, as a lab's guest has it; lower ones are its kernel's. */
const FIRST_PORT = 3;

export type Client = 'guest' | 'back' | 'tool';
const SIDES: Readonly<Record<Client, Exclude<Side, 'world'>>> = {
  guest: 'frontend',
  back: 'backend',
  tool: 'toolstack',
};

export type Outcome = Answer | 'blocked';

export interface Setting {
  readonly paths: Paths;
  readonly protocol: Protocol;
  /** Identical events of the guest that wait at once. */
  readonly copies: number;
  /** Events that a process takes and does nothing about are delivered too. */
  readonly exact: boolean;
}

/** A world with what a step has changed of it so far. Parts are fetched from the world when they are asked for. */
class Becoming implements World {
  readonly changed: { -readonly [K in keyof World]?: World[K] } = {};
  readonly #world: World;
  constructor(world: World) {
    this.#world = world;
  }
  get store(): World['store'] {
    return this.changed.store ?? this.#world.store;
  }
  get guest(): World['guest'] {
    return this.changed.guest ?? this.#world.guest;
  }
  get inbox(): World['inbox'] {
    return this.changed.inbox ?? this.#world.inbox;
  }
  get back(): World['back'] {
    return this.changed.back ?? this.#world.back;
  }
  get tool(): World['tool'] {
    return this.changed.tool ?? this.#world.tool;
  }
  get xen(): World['xen'] {
    return this.changed.xen ?? this.#world.xen;
  }
  get doings(): World['doings'] {
    return this.changed.doings ?? this.#world.doings;
  }
}

export class Stage {
  readonly setting: Setting;
  readonly violations: Violation[] = [];
  readonly notes: Note[] | undefined;
  readonly world: Becoming;

  constructor(setting: Setting, world: World, explain: boolean) {
    this.setting = setting;
    this.world = new Becoming(world);
    this.notes = explain ? [] : undefined;
  }

  change(parts: Partial<World>): void {
    Object.assign(this.world.changed, parts);
  }
  note(by: Side, to: Note['to'], text: string): void {
    this.notes?.push({ by, to, text });
  }
  broken(property: string, text: string): void {
    this.violations.push({ property, text });
  }

  /** What a client asks for. `blocked`: not now. */
  perform(client: Client, request: Request): Outcome {
    switch (request.to) {
      case 'store':
        return this.#store(client, request.request, request.on);
      case 'transaction': {
        const begun = this.#store(client, { op: 'begin' }, undefined);
        if (!('ok' in begun)) return begun;
        const tx = String(begun.ok);
        const { end, value } = runThrough(request.body(tx), (inside) => {
          const answer = this.perform(client, inside);
          return answer === 'blocked' ? { error: 'EIO' } : answer;
        });
        const ended = this.#store(client, { op: end, tx }, request.on);
        return 'ok' in ended ? { ok: value } : ended;
      }
      case 'xen':
        return this.#xen(request.op, request.number ?? 0);
      case 'device':
        return this.#device(request.op);
      case 'bug':
        this.broken('survival', request.what);
        this.note(sideOf(client), 'self', `BUG: ${request.what}`);
        return { ok: true };
      case 'wait':
      case 'repeat':
      case 'become':
        return 'blocked';
    }
  }

  // --- the store -----------------------------------------------------------------------------------------------------

  #store(client: Client, request: StoreRequest, on: Account | undefined): StoreAnswer {
    const { paths, protocol } = this.setting;
    const by: Writer = on?.by ?? SIDES[client];
    const seen = on?.seen;
    const before = this.world.store;
    if (request.op === 'read') this.#judged(judgeRead(protocol, paths, { by, path: request.path, seen }));
    if (request.op === 'write' && request.tx === undefined) {
      const { path, value: now } = request;
      const { nodes } = before;
      this.#judged(judgeWrite(protocol, paths, { by, path, before: nodes[path], now, nodes, seen }));
    }
    // The folder above the device's is the toolstack's: the guest cannot bring a directory back that was removed.
    if (client === 'guest' && request.op === 'write' && request.path.startsWith(`${paths.front}/`)) {
      if (before.nodes[paths.front] === undefined) return this.#denied(request);
    }
    const { store, answer, events } = perform(before, client, plain(request));
    if (request.op === 'commit' && 'ok' in answer) {
      for (const [path, { before: found, now, modified }] of Object.entries(before.transactions[request.tx]!.touched)) {
        if (!modified || now === undefined) continue;
        this.#judged(judgeWrite(protocol, paths, { by, path, before: found, now, nodes: before.nodes, seen }));
        if (by === 'core' && path === paths.frontState && now === CLOSING) this.#coreGaveUp();
      }
    }
    if (this.notes !== undefined) this.#tell(client, request, answer);
    if (store !== before) this.change({ store });
    for (const event of events) this.#deliver(event);
    return answer;
  }

  #denied(request: StoreRequest): StoreAnswer {
    const answer: StoreAnswer = { error: 'EACCES' };
    if (this.notes !== undefined) this.#tell('guest', request, answer);
    return answer;
  }

  /** The core closes what it cannot read, into a directory that may have been made anew since. */
  #coreGaveUp(): void {
    const { done } = this.world.doings;
    if (!done.includes('core'))
      this.change({ doings: { ...this.world.doings, done: [...done, 'core' as const].sort() } });
  }

  #judged(violation: Violation | undefined): void {
    if (violation !== undefined) this.violations.push(violation);
  }

  #deliver({ client, path, token }: StoreEvent): void {
    const { world } = this;
    if (client === 'tool') {
      if (!world.tool.due) this.change({ tool: { ...world.tool, due: true } });
    } else if (client === 'back') {
      const { back } = world;
      if (back.device === undefined) {
        if (!back.look) this.change({ back: { ...back, look: true } });
      } else if (!back.device.dirty) this.change({ back: { ...back, device: { ...back.device, dirty: true } } });
    } else {
      const seen = this.#asGuestSees(path);
      // The folders above a device's directory: the core looks at the path, and does nothing.
      if (token === TOKEN.device && !this.setting.exact && seen.split('/').length < 3) return;
      const event = `${seen} ${token}`;
      const copies = world.inbox.filter((waiting) => waiting === event).length;
      if (copies < this.setting.copies) this.change({ inbox: [...world.inbox, event] });
    }
  }

  /**
   * Relative to its home. A key of the device's directory is told as its `state`, which is there whenever the directory is:
   * the core asks whether the path is there, and then looks at `state` whichever key it was.
   */
  #asGuestSees(path: string): string {
    const { home, front, frontState } = this.setting.paths;
    const at = path.startsWith(`${front}/`) ? frontState : path;
    return at.startsWith(`${home}/`) ? at.slice(home.length + 1) : at;
  }

  /** Only what changes or decides something is worth a line. */
  #tell(client: Client, request: StoreRequest, answer: StoreAnswer): void {
    const { paths } = this.setting;
    const short = (path: string): string =>
      path.startsWith(paths.front)
        ? `FE${path.slice(paths.front.length)}`
        : path.startsWith(paths.back)
          ? `BE${path.slice(paths.back.length)}`
          : path;
    if (request.op === 'begin') return;
    const failed = 'error' in answer ? `: ${answer.error}` : '';
    this.note(sideOf(client), 'store', `${requestText(request, short, answer)}${failed}`);
  }

  // --- Xen -----------------------------------------------------------------------------------------------------------

  #xen(op: XenOp, number: number): Answer {
    const answer = this.#xenOp(op, number);
    const by: Side = GUEST_OPS.has(op) ? 'frontend' : 'backend';
    if (this.notes !== undefined) {
      const value =
        'ok' in answer ? (answer.ok === true ? '' : ` = ${show(op, Number(answer.ok))}`) : `: ${answer.error}`;
      this.note(by, 'xen', `${op}${number === 0 ? '' : ` ${show(op, number)}`}${value}`);
    }
    return answer;
  }

  #xenOp(op: XenOp, number: number): Answer {
    const { xen } = this.world;
    const alive = xen.dead === undefined;
    switch (op) {
      case 'allocPort': {
        let port = FIRST_PORT;
        while (port in xen.ports) port++;
        this.#set({ ports: { ...xen.ports, [port]: 'unbound' } });
        return { ok: port };
      }
      case 'closePort': {
        if (!(number in xen.ports)) {
          this.broken('conservation', `event channel ${number} is closed twice`);
          return { error: 'EINVAL' };
        }
        const { [number]: _closed, ...ports } = xen.ports;
        this.#set({ ports });
        return DONE;
      }
      case 'claimRange': {
        let base: number = MMIO_WINDOW.start;
        while (xen.ranges.includes(base)) base += 0x1000;
        this.#set({ ranges: [...xen.ranges, base].sort((a, b) => a - b) });
        return { ok: base };
      }
      case 'freeRange':
        if (!xen.ranges.includes(number)) this.broken('conservation', `range ${show(op, number)} is freed twice`);
        this.#set({ ranges: xen.ranges.filter((range) => range !== number) });
        return DONE;
      case 'openSession':
      case 'adoptSession':
        if (!alive) return { error: 'ESRCH' };
        this.#set({ server: xen.server === 'left' || xen.server === 'adopted' ? 'adopted' : 'open' });
        return DONE;
      case 'closeSession': {
        const { registers: _gone, mapped: _too, wired: _unwired, ...rest } = this.world.xen;
        this.change({ xen: { ...rest, ...stillMapped(xen), server: 'none' } });
        return DONE;
      }
      case 'bindPort':
        if (!alive) return { error: 'ESRCH' };
        if (xen.ports[number] !== 'unbound') return { error: 'EINVAL' };
        this.#set({ ports: { ...xen.ports, [number]: 'bound' } });
        return DONE;
      case 'unbindPort':
        // The guest may have closed its end before.
        if (xen.ports[number] === 'bound') this.#set({ ports: { ...xen.ports, [number]: 'unbound' } });
        return DONE;
      case 'serve':
      case 'serveBroken':
        if (!alive) return { error: 'ESRCH' };
        if (xen.registers !== undefined) this.broken('conservation', 'the range is claimed twice');
        if (xen.server === 'none') this.broken('conservation', 'the range is claimed without a session');
        this.#set({ server: 'open', mapped: true, registers: op === 'serve' ? 'fresh' : 'lost' });
        return DONE;
      case 'unserve': {
        const { registers, mapped: _gone, ...rest } = xen;
        if (registers === undefined && alive) this.broken('conservation', 'a range that is not claimed is given back');
        this.change({ xen: { ...rest, ...stillMapped(xen) } });
        return DONE;
      }
      case 'wire':
        this.#set({ wired: true });
        return DONE;
      case 'unwire': {
        const { wired: _gone, ...rest } = xen;
        this.change({ xen: rest });
        return DONE;
      }
    }
  }

  #set(xen: Partial<Xen>): void {
    this.change({ xen: { ...this.world.xen, ...xen } });
  }

  // --- the device's registers ----------------------------------------------------------------------------------------

  /** A driver resets and sets up the device at probe, and uses its registers once more at removal. */
  #device(op: 'reset' | 'setup' | 'remove'): Outcome {
    const { xen } = this.world;
    if (xen.registers === undefined && xen.mapped && !this.#settled) return 'blocked';
    const say = (text: string): void => this.note('frontend', 'device', text);
    if (xen.registers === undefined) {
      // A toolstack that cuts a frontend off takes its registers away under its driver; a backend that was refused what it needs to
      // take them over cannot answer them.
      const { done } = this.world.doings;
      if (!done.includes('forced') && !(xen.mapped && done.includes('refused')))
        this.broken('registers-answered', `${DEVICE_OPS[op]} while nothing answers its registers`);
      say(`${op}: all ones`);
      // A probe that fails, too, leaves nothing claimed.
      this.#leaveDevice();
      return op === 'remove' ? DONE : { error: 'ENODEV' };
    }
    switch (op) {
      case 'reset':
        // request_mem_region meets the claim of a driver that was left behind.
        if (xen.driver) {
          say('probe: -EBUSY, an earlier driver has the registers');
          return { error: 'EBUSY' };
        }
        this.#set({ registers: 'begun', driver: true });
        say('driver resets the device');
        return DONE;
      case 'setup':
        // Another register file than the one that was reset: features read as never negotiated.
        if (xen.registers !== 'begun') {
          say('driver finds its device reset: probe fails');
          this.#leaveDevice();
          return { error: 'EINVAL' };
        }
        this.#set({ registers: 'running' });
        say('driver sets the device up');
        return DONE;
      case 'remove':
        this.#set({ registers: 'fresh' });
        this.#leaveDevice();
        say('driver removes the device');
        return DONE;
    }
  }

  /** A server that was taken over, by a backend that has claimed what it will claim: other ranges are answered as no device's. */
  get #settled(): boolean {
    const { xen, back } = this.world;
    if (xen.server !== 'adopted' || back.life !== 'up' || back.run !== undefined || back.look) return false;
    return back.device !== undefined && back.device.run === undefined && !back.device.dirty;
  }

  #leaveDevice(): void {
    const { driver: _gone, ...xen } = this.world.xen;
    this.change({ xen });
  }
}

/** A server that no process can take over keeps its range. */
const stillMapped = ({ stuck }: Xen): { readonly mapped?: true } => (stuck ? { mapped: true } : {});

const CLOSING = String(XenbusState.Closing);
const DONE: Answer = { ok: true };
const DEVICE_OPS = { reset: 'probed', setup: 'probed', remove: 'removed' } as const;
const GUEST_OPS: ReadonlySet<XenOp> = new Set(['allocPort', 'closePort', 'claimRange', 'freeRange']);
const RANGE_OPS: ReadonlySet<XenOp> = new Set(['claimRange', 'freeRange', 'serve', 'serveBroken', 'unserve']);

/** What an error key says is for people: that it is there is all that is judged. */
function plain(request: StoreRequest): StoreRequest {
  return request.op === 'write' && request.path.includes('/error/') ? { ...request, value: 'error' } : request;
}

function show(op: XenOp, number: number): string {
  return RANGE_OPS.has(op) ? `0x${number.toString(16)}` : String(number);
}

export function sideOf(client: Client): Side {
  return SIDES[client];
}

function requestText(request: StoreRequest, short: (path: string) => string, answer: StoreAnswer): string {
  switch (request.op) {
    case 'write':
      return `write ${short(request.path)}=${request.value}`;
    case 'read':
      return `read ${short(request.path)}${'ok' in answer ? `=${answer.ok}` : ''}`;
    case 'begin':
    case 'commit':
    case 'abort':
      return request.op;
    default:
      return `${request.op} ${short(request.path)}`;
  }
}
