// Which steps there are from a world: each process's next request, the start of what may start, the passing of a deadline when
// nothing else can happen, and the faults that are still allowed. Leaves what must hold at rest to rest.ts and the search to
// search.ts.

import type { Dom0Mode } from '../lib/core/dom0-modes.js';
import type { Protocol } from '../lib/xenbus/protocol.js';
import type { CoreRules } from '../services/guest/core-rules.js';
import type { Backend, BackSetting, Pumped } from './back.js';
import { FAULTS, type FaultKind, type Processes } from './faults.js';
import { Core, type CoreSetting, type FrontDriver, GOES_ON, TOKEN } from './guest.js';
import { judgeRest } from './rest.js';
import { type Client, type Setting, Stage } from './stage.js';
import { EMPTY_STORE, perform } from './store.js';
import { accessStuck, isWedged } from './stuck.js';
import {
  type Answer,
  type Progress,
  progress,
  type Request,
  type Running,
  type Task,
  type TransactionMode,
} from './task.js';
import { type AttachScript, GUEST_GONE, SEQUENCES, type Sequence, type ToolSetting } from './tool.js';
import {
  type Actor,
  type BackProcess,
  type GuestState,
  type Move,
  type Note,
  type Paths,
  pathsOf,
  type Side,
  type Violation,
  type World,
} from './world.js';

export interface Options {
  readonly protocol: Protocol;
  readonly core: CoreRules;
  readonly driver: FrontDriver;
  readonly backend: Backend;
  readonly attach: AttachScript;
  readonly mode: TransactionMode;
  /** Default: fixed. */
  readonly dom0?: Dom0Mode;
  readonly faults: number;
  readonly kinds: readonly FaultKind[];
  /** Identical events of the guest that wait at once; more are merged. Default 1, as the store merges what waits in it. */
  readonly copies?: number;
  /** Requests whose answers decide nothing are made too, and each request is a step of its own; default: not. */
  readonly exact?: boolean;
}

/** A guest of which the toolstack has made everything but the device. */
function firstWorld({ home, kind }: Paths, faults: number): World {
  let store = EMPTY_STORE;
  for (const path of [
    `${home}/vm`,
    `${home}/device/suspend`,
    `${home}/error`,
    `/local/domain/0/backend/${kind}`,
    '/libxl',
  ])
    store = perform(store, 'tool', { op: 'write', path, value: path.endsWith('vm') ? '/vm/0' : '' }).store;
  return {
    store,
    guest: { life: 'off' },
    inbox: [],
    back: { life: 'dead' },
    tool: { next: ['attach'] },
    xen: { ports: {}, ranges: [], server: 'none' },
    doings: { left: faults, done: [] },
  };
}

export class Model implements Processes {
  readonly options: Options;
  readonly paths: Paths;
  readonly first: World;
  /** Everybody who can have a step, in the order in which steps are tried. */
  readonly actors: Actor[] = [];
  readonly #steps = new Map<Actor, Step>();
  readonly #core: CoreSetting;
  readonly #back: BackSetting;
  readonly #tool: ToolSetting;
  readonly #setting: Setting;
  /** Where tasks stand, by the value of the part that they are kept in. */
  readonly #progress = new WeakMap<Running, Progress<unknown>>();

  constructor(options: Options) {
    this.options = options;
    const { mode, driver, protocol, core, attach } = options;
    this.paths = pathsOf(driver.kind);
    const { paths } = this;
    this.first = firstWorld(paths, options.faults);
    this.#core = { paths, rules: core, driver, mode, exact: options.exact ?? false };
    this.#back = { paths, mode, dom0: options.dom0 ?? 'fixed' };
    this.#tool = { paths, mode, attach };
    this.#setting = { paths, protocol, copies: options.copies ?? 1, exact: options.exact ?? false };
    this.#actor('step', 'guest', (stage) => this.#guest(stage));
    this.#actor('step', 'backend', (stage) => this.#backProcess(stage));
    this.#actor('step', 'device', (stage) => this.#backDevice(stage));
    this.#actor('step', 'toolstack', (stage) => this.#toolstack(stage));
    if (this.#back.dom0 === 'linux') this.#actor('step', 'access', (stage) => accessStuck(stage, this));
    this.#actor('time', 'deadline', (stage) => this.#deadlinePasses(stage));
    for (const kind of options.kinds) this.#actor('fault', kind, (stage) => this.#fault(stage, kind));
  }

  /** One step of an actor; undefined: it has none now. `explain`: with what happens in it. */
  step(actor: Actor, world: World, explain = false): Move | undefined {
    const stage = new Stage(this.#setting, world, explain);
    try {
      if (!(this.#steps.get(actor) as Step)(stage)) return undefined;
    } catch (error) {
      // A machine that asks for what its tables do not allow ends its process.
      if (!(error instanceof Error) || !error.message.startsWith(INVARIANT)) throw error;
      stage.broken('tables', error.message.slice(INVARIANT.length));
      stage.note(SIDES[actor.name] ?? 'world', 'self', error.message);
    }
    const { changed } = stage.world;
    return { actor, changed, violations: stage.violations, notes: stage.notes ?? NO_NOTES };
  }

  #actor(kind: Actor['kind'], name: string, step: Step): void {
    const actor = { kind, name };
    this.#steps.set(actor, step);
    this.actors.push(actor);
  }

  /** What is wrong with a world in which nothing can happen any more but a fault. */
  judgeRest(world: World): Violation[] {
    // Nothing that a process does can end it: that is what `dom0 linux` is searched for.
    if (isWedged(world)) return [];
    return judgeRest(world, this.paths);
  }

  // --- tasks ---------------------------------------------------------------------------------------------------------

  #at(run: Running, task: () => Task<unknown>): Progress<unknown> {
    let known = this.#progress.get(run);
    if (known === undefined) {
      known = progress(task(), run);
      this.#progress.set(run, known);
    }
    return known;
  }

  /**
   * One request of a task. `keep` gets the task as it stands then, or what it came to. False: it cannot go on now.
   */
  #goOn<T>(
    stage: Stage,
    client: Client,
    run: Running,
    task: (run: Running, state?: unknown) => Task<T>,
    keep: (outcome: { run: Running; state?: unknown } | { done: T }) => void,
    given?: Answer,
  ): boolean {
    const at = this.#at(run, () => task(run)) as Progress<T>;
    if ('done' in at) {
      keep(at);
      return true;
    }
    const answer = given ?? stage.perform(client, at.asks);
    if (answer === 'blocked') return false;
    const { asks } = at;
    const again = asks.to === 'store' && asks.request.op === 'commit' && 'error' in answer && answer.error === 'EAGAIN';
    // A commit that is refused takes the task back to the start of its transaction.
    const answers = again ? run.answers.slice(0, at.from) : [...run.answers, answer];
    let next = { ...run, answers };
    let then = this.#at(next, () => task(next)) as Progress<T>;
    let became: { state: unknown } | undefined;
    for (;;) {
      if (!('asks' in then)) break;
      const { from, asks: inner } = then;
      if (inner.to === 'become') {
        became = { state: inner.state };
        next = { name: inner.name, arg: run.arg, answers: [] };
      } else if (inner.to === 'repeat') next = { ...next, answers: next.answers.slice(0, from) };
      else if (this.#joins(inner))
        next = { ...next, answers: [...next.answers, stage.perform(client, inner) as Answer] };
      else break;
      then = this.#at(next, () => task(next, became?.state)) as Progress<T>;
    }
    keep('done' in then ? then : { run: next, ...became });
    return true;
  }

  #joins(request: Request): boolean {
    return !this.options.exact && (request.to === 'store' || request.to === 'xen') && request.joined === true;
  }

  // --- the guest -----------------------------------------------------------------------------------------------------

  #guest(stage: Stage): boolean {
    const { guest } = stage.world;
    if (this.#back.dom0 === 'linux' && isWedged(stage.world)) return false;
    if (guest.run !== undefined) return this.guestGoesOn(stage);
    if (guest.life === 'up') return stage.world.inbox.length > 0 && this.#takeEvent(stage);
    if (guest.life === 'dead') return false;
    // A domain is paused until its toolstack has attached what it boots with.
    const { tool } = stage.world;
    if (tool.next.length > 0 || tool.run !== undefined) return false;
    stage.note('frontend', 'self', 'guest boots');
    stage.change({ guest: { life: 'booting', run: { name: 'boot', arg: '', answers: [] } } });
    return true;
  }

  #takeEvent(stage: Stage): boolean {
    const [event = '', ...inbox] = stage.world.inbox;
    const [path = '', token = ''] = event.split(' ');
    stage.note('frontend', 'self', `event ${path}`);
    const name = token === TOKEN.device ? 'frontendChanged' : 'otherendChanged';
    stage.change({ inbox, guest: { ...stage.world.guest, run: { name, arg: path, answers: [] } } });
    return this.guestGoesOn(stage);
  }

  #guestTask(core: Core, { name, arg }: Running): Task<void> {
    if (name === 'boot') return core.boot();
    if (name === GOES_ON) return core.driverGoesOn();
    return name === 'frontendChanged' ? core.frontendChanged(arg) : core.otherendChanged();
  }

  /** The guest's pending request, or its failure. */
  guestGoesOn(stage: Stage, given?: Answer): boolean {
    const { guest } = stage.world;
    const { run, ...before } = guest as GuestState & { run: Running };
    const task = function* (this: Model, of: Running, state?: unknown): Task<GuestState> {
      const core = new Core(this.#core, (state as GuestState | undefined) ?? before);
      yield* this.#guestTask(core, of);
      return core.result();
    }.bind(this);
    const done = this.#goOn<GuestState>(
      stage,
      'guest',
      run,
      task,
      (outcome) => {
        const now = 'run' in outcome ? ((outcome.state as GuestState | undefined) ?? before) : undefined;
        stage.change({ guest: 'run' in outcome ? { ...(now as GuestState), run: outcome.run } : outcome.done });
      },
      given,
    );
    this.#dropEvents(stage);
    return done;
  }

  /** Events of a watch that is gone go with it, the waiting ones too. */
  #dropEvents(stage: Stage): void {
    const { inbox, store } = stage.world;
    if (inbox.length === 0) return;
    const watched = store.watches.some(({ client, token }) => client === 'guest' && token === TOKEN.otherend);
    if (!watched && inbox.some((event) => event.endsWith(` ${TOKEN.otherend}`)))
      stage.change({ inbox: inbox.filter((event) => !event.endsWith(` ${TOKEN.otherend}`)) });
  }

  /** What the guest asks for next. */
  guestAsks(world: World): Progress<unknown> | undefined {
    const { run } = world.guest;
    return run === undefined ? undefined : this.#progress.get(run);
  }
  backAsks(world: World): Progress<unknown> | undefined {
    const run = world.back.device?.run;
    return run === undefined ? undefined : this.#progress.get(run);
  }

  // --- the backend ---------------------------------------------------------------------------------------------------

  #backProcess(stage: Stage): boolean {
    const { back } = stage.world;
    if (back.life === 'dead') {
      stage.note('backend', 'self', 'backend starts');
      stage.change({ back: { life: 'booting', run: { name: 'boot', arg: '', answers: [] } } });
      // It watches, and a watch tells what stood there before it: nothing is missed in between.
      return this.options.exact || this.#backGoesOn(stage);
    }
    if (back.run !== undefined) return this.#backGoesOn(stage);
    if (back.life !== 'up' || !back.look || back.device !== undefined) return false;
    const { look: _taken, ...rest } = back;
    stage.change({ back: { ...rest, run: { name: 'look', arg: '', answers: [] } } });
    return this.#backGoesOn(stage);
  }

  #backDevice(stage: Stage): boolean {
    const { back } = stage.world;
    const { device } = back;
    if (device === undefined) return false;
    if (device.run !== undefined) return this.pumpGoesOn(stage);
    if (!device.dirty) return false;
    const { dirty: _taken, ...rest } = device;
    const run = { name: 'pump', arg: rest.ended ? 'ended' : '', answers: [] };
    stage.change({ back: { ...back, device: { ...rest, run } } });
    return this.pumpGoesOn(stage);
  }

  /** Its start, or the look at a directory that it does not know yet. */
  #backGoesOn(stage: Stage): boolean {
    const { backend } = this.options;
    const run = stage.world.back.run as Running;
    const task = (): Task<boolean> =>
      run.name === 'boot' ? booted(backend.boot(this.#back)) : backend.look(this.#back);
    return this.#goOn(stage, 'back', run, task, (outcome) => {
      const { run: _before, ...back } = stage.world.back;
      if ('run' in outcome) stage.change({ back: { ...back, run: outcome.run } });
      else if (run.name === 'boot') stage.change({ back: { ...back, life: 'up' } });
      else if (outcome.done) {
        const { look: _seen, ...rest } = back;
        stage.change({ back: { ...rest, device: { machine: backend.start, dirty: true } } });
      } else stage.change({ back });
    });
  }

  pumpGoesOn(stage: Stage, given?: Answer): boolean {
    const { backend } = this.options;
    const { device } = stage.world.back;
    const run = device!.run as Running;
    const task = (of: Running, state: unknown = device!.machine): Task<Pumped> =>
      of.name === 'pump' ? backend.pump(this.#back, state, of.arg === 'ended') : backend.goOn(this.#back, state);
    return this.#goOn<Pumped>(
      stage,
      'back',
      run,
      task,
      (outcome) => {
        const { back } = stage.world;
        const { run: _before, ...rest } = back.device!;
        if ('run' in outcome) {
          const machine = outcome.state ?? rest.machine;
          stage.change({ back: { ...back, device: { ...rest, machine, run: outcome.run } } });
        } else stage.change({ back: pumped({ ...back, device: rest }, outcome.done) });
      },
      given,
    );
  }

  // --- the toolstack -------------------------------------------------------------------------------------------------

  #toolstack(stage: Stage): boolean {
    const { tool } = stage.world;
    if (tool.run !== undefined) return this.#toolGoesOn(stage);
    if (tool.left !== undefined) {
      stage.note('toolstack', 'self', 'the next call finishes what was left');
      const { left, ...rest } = tool;
      stage.change({ tool: { ...rest, next: [left, ...tool.next] } });
      return true;
    }
    const [name, ...next] = tool.next;
    if (name === undefined) return false;
    stage.note('toolstack', 'self', `${name} begins`);
    const { due: _old, ...rest } = tool;
    stage.change({ tool: { ...rest, next, run: { name, arg: '', answers: [] } } });
    return this.#toolGoesOn(stage);
  }

  #toolGoesOn(stage: Stage, given?: Answer): boolean {
    const { tool } = stage.world;
    const run = tool.run as Running;
    const task = (): Task<void> => SEQUENCES[run.name as Sequence](this.#tool);
    const at = this.#at(run, task);
    let answer = given;
    if (answer === undefined && 'asks' in at && at.asks.to === 'wait') {
      if (!tool.due) return false;
      const { due: _taken, ...rest } = tool;
      stage.change({ tool: rest });
      answer = { ok: stage.world.xen.dead ? GUEST_GONE : true };
    }
    if (given !== undefined) stage.note('toolstack', 'self', 'its deadline passes');
    return this.#goOn(
      stage,
      'tool',
      run,
      task,
      (outcome) => {
        const { run: _before, due, ...rest } = stage.world.tool;
        if ('done' in outcome) stage.change({ tool: rest });
        else stage.change({ tool: { ...rest, ...(due ? { due } : {}), run: outcome.run } });
      },
      answer,
    );
  }

  /** Whether the toolstack waits for an event or its deadline. */
  toolWaits(world: World): boolean {
    const { run } = world.tool;
    const at = run === undefined ? undefined : this.#progress.get(run);
    return at !== undefined && 'asks' in at && at.asks.to === 'wait';
  }
  toolIsLate(stage: Stage): boolean {
    return this.#toolGoesOn(stage, LATE);
  }

  /** Nothing else can happen: where nothing was refused, the others have left the toolstack waiting. */
  #deadlinePasses(stage: Stage): boolean {
    const { tool, doings } = stage.world;
    if (tool.run === undefined || !this.#toolGoesOn(stage, LATE)) return false;
    if (!doings.done.includes('refused') && !isWedged(stage.world))
      stage.broken('deadline', `nothing but its deadline ends the ${tool.run.name}`);
    return true;
  }

  // --- faults --------------------------------------------------------------------------------------------------------

  #fault(stage: Stage, kind: FaultKind): boolean {
    const { left, done } = stage.world.doings;
    const fault = FAULTS[kind];
    if (left === 0 || !fault.possible(this, stage.world)) return false;
    const after = [...new Set([...done, ...fault.leaves])].sort();
    stage.change({ doings: { left: left - 1, done: after } });
    stage.note(fault.by, 'self', fault.text);
    return fault.happen(this, stage);
  }
}

type Step = (stage: Stage) => boolean;
/** How an assertion of ours begins (lib/core/errors.ts). */
const INVARIANT = 'invariant broken: ';
const SIDES: Readonly<Record<string, Side>> = {
  guest: 'frontend',
  backend: 'backend',
  device: 'backend',
  toolstack: 'toolstack',
};
const LATE: Answer = { error: 'ETIMEDOUT' };
const NO_NOTES: readonly Note[] = [];

function* booted(boot: Task<void>): Task<boolean> {
  yield* boot;
  return true;
}

function pumped(back: BackProcess, { machine, again, gone }: Pumped): BackProcess {
  const { device, ...rest } = back;
  // Its directory may have come back meanwhile.
  if (gone) return device?.dirty ? { ...rest, look: true } : rest;
  return { ...rest, device: { ...device, machine, ...(again ? { dirty: true as const } : {}) } };
}
