// The xenbus core that explore searches with against services/guest/xenbus-core.ts: the same driver over both, the same doings of
// toolstack and backend between their requests, and the same requests of the store in the same order.
import fc from 'fast-check';
import t from 'tap';
import { Core, type Device, type FrontDriver, TOKEN } from '../../../explore/guest.js';
import { EMPTY_STORE, perform, type StoreAnswer, type StoreRequest, type StoreState } from '../../../explore/store.js';
import { type Answer, progress } from '../../../explore/task.js';
import { DOMID, type GuestState, pathsOf } from '../../../explore/world.js';
import { ErrnoError } from '../../../lib/core/errors.js';
import { DomId } from '../../../lib/core/ids.js';
import { NO_LOG } from '../../../lib/core/log.js';
import { NO_PROBE } from '../../../lib/core/probe.js';
import { KIND_VIRTIO_MMIO, XenbusState as S } from '../../../lib/layout/xenbus.js';
import { REVIEW } from '../../../lib/xenbus/protocol.js';
import type { StoreClient, StoreOps } from '../../../lib/xenstore/api.js';
import { CORE_VERSIONS, CORES, type CoreRules } from '../../../services/guest/core-rules.js';
import { GuestStore } from '../../../services/guest/guest-store.js';
import type { Vcpu } from '../../../services/guest/vcpu.js';
import { XenbusCore } from '../../../services/guest/xenbus-core.js';
import type { XenbusDevice, XenbusDriver } from '../../../services/guest/xenbus-device.js';
import { Xenwatch } from '../../../services/guest/xenwatch.js';
import { tries } from '../../../testkit/tier.js';
import { exploreOps } from '../../fixtures/explore-ops.js';

const PATHS = pathsOf(KIND_VIRTIO_MMIO);
const absolute = (path: string): string => (path.startsWith('/') ? path : `${PATHS.home}/${path}`);

/** What others do to the device, in front of a request of the guest's or while it rests. */
const OTHERS = ['attach', 'remove', 'reset', 'back 1', 'back 2', 'back 4', 'back 5', 'back 6', 'remove back'] as const;
type Other = (typeof OTHERS)[number];

/** A store with its log, and what others do to it before the n-th request. */
class Side {
  readonly log: string[] = [];
  readonly events: { path: string; token: string }[] = [];
  #store: StoreState = EMPTY_STORE;
  readonly #before: ReadonlyMap<number, Other>;
  requests = 0;

  constructor(before: ReadonlyMap<number, Other>) {
    this.#before = before;
    this.#write(`${PATHS.home}/device/suspend`, '');
    this.#write(`${PATHS.home}/error`, '');
  }

  ask(request: StoreRequest): StoreAnswer {
    const other = this.#before.get(this.requests++);
    if (other !== undefined) this.other(other);
    const path = 'path' in request ? request.path : '';
    const denied = request.op === 'write' && path.startsWith(`${PATHS.front}/`) && !(PATHS.front in this.#store.nodes);
    const answer: StoreAnswer = denied ? { error: 'EACCES' } : this.#perform('guest', request);
    const value = request.op === 'write' && !path.includes('/error/') ? `=${request.value}` : '';
    this.log.push(`${request.op} ${path}${value} ${'error' in answer ? answer.error : 'ok'}`);
    return answer;
  }

  #perform(client: string, request: StoreRequest): StoreAnswer {
    const { store, answer, events } = perform(this.#store, client, request);
    this.#store = store;
    for (const event of events) if (event.client === 'guest') this.events.push(event);
    return answer;
  }
  #write(path: string, value: string): void {
    this.#perform('tool', { op: 'write', path, value });
  }

  other(what: Other): void {
    this.log.push(`-- ${what}`);
    if (what === 'attach') {
      this.#write(`${PATHS.front}/backend`, PATHS.back);
      this.#write(`${PATHS.front}/backend-id`, '0');
      this.#write(PATHS.frontState, '1');
      this.#write(PATHS.backState, '1');
    } else if (what === 'remove') this.#perform('tool', { op: 'rm', path: PATHS.front });
    else if (what === 'remove back') this.#perform('tool', { op: 'rm', path: PATHS.back });
    else if (what === 'reset') {
      if (PATHS.frontState in this.#store.nodes) this.#write(PATHS.frontState, '1');
    } else if (PATHS.back in this.#store.nodes) this.#write(PATHS.backState, what.slice('back '.length));
  }
}

/** What the driver of both cores does at a backend state: keys to write, then the state to go to. */
const DRIVER: Readonly<
  Record<number, { readonly keys: readonly string[]; readonly to: S; readonly own: readonly S[] }>
> = {
  [S.InitWait]: { keys: ['base', 'event-channel'], to: S.Initialised, own: [S.Initialising] },
  [S.Connected]: { keys: [], to: S.Connected, own: [S.Initialised] },
  [S.Closing]: { keys: [], to: S.Closed, own: [S.Initialising, S.Initialised, S.Connected] },
  [S.Closed]: { keys: [], to: S.Closed, own: [S.Initialised, S.Connected] },
};

// --- the core of services/guest ----------------------------------------------------------------------------------------

const REAL_DRIVER: XenbusDriver = {
  name: 'test',
  kinds: [KIND_VIRTIO_MMIO],
  async probe() {},
  async otherendChanged(device: XenbusDevice, state) {
    const rule = DRIVER[state];
    if (rule === undefined || !(rule.own as readonly number[]).includes(device.state)) return;
    for (const key of rule.keys) {
      try {
        await device.write(key, '1');
      } catch (error) {
        if (!(error instanceof ErrnoError)) throw error;
      }
    }
    await device.switchState(rule.to, { by: 'frontend' });
  },
  async remove() {},
};

class RealCore {
  readonly side: Side;
  readonly #core: XenbusCore;
  readonly #watches = new Map<string, (path: string) => void>();

  constructor(side: Side, rules: CoreRules) {
    this.side = side;
    const vcpu = { enter: <T>(outside: Promise<T>) => outside, run: (action: () => void) => action() } as Vcpu;
    this.#core = new XenbusCore({
      ...{ protocol: REVIEW, rules, vcpu, drivers: [REAL_DRIVER], probe: NO_PROBE, log: NO_LOG, domid: DomId(DOMID) },
      store: new GuestStore(this.#client(), vcpu, NO_PROBE),
      xenwatch: new Xenwatch(NO_LOG),
      clock: { nowNs: () => 0n, after: () => ({ cancel: () => {} }) },
    });
  }

  #ops(tx?: string): StoreOps {
    // explore's core asks whether a path is there; Linux lists it for the same purpose.
    return exploreOps(this.side, { tx, path: absolute, list: 'exists' });
  }

  #client(): StoreClient {
    const client: Partial<StoreClient> = {
      ...this.#ops(),
      transaction: async (body) => {
        for (;;) {
          const begun = this.side.ask({ op: 'begin' });
          if (!('ok' in begun)) throw new ErrnoError(begun.error);
          const result = await body(this.#ops(begun.ok)).catch((error: unknown) => {
            this.side.ask({ op: 'abort', tx: begun.ok });
            throw error;
          });
          const ended = this.side.ask({ op: 'commit', tx: begun.ok });
          if ('ok' in ended) return result;
          if (ended.error !== 'EAGAIN') throw new ErrnoError(ended.error);
        }
      },
      watch: async (path, token, onEvent) => {
        const name = token === this.#first(token) ? TOKEN.device : TOKEN.otherend;
        this.#watches.set(name, onEvent);
        const answer = this.side.ask({ op: 'watch', path: absolute(path), token: name });
        if ('error' in answer) throw new ErrnoError(answer.error);
      },
      unwatch: async (path) => {
        this.#watches.delete(TOKEN.otherend);
        const answer = this.side.ask({ op: 'unwatch', path: absolute(path), token: TOKEN.otherend });
        dropEvents(this.side);
        if ('error' in answer) throw new ErrnoError(answer.error);
      },
    };
    return client as StoreClient;
  }
  #token: string | undefined;
  #first(token: string): string {
    this.#token ??= token;
    return this.#token;
  }

  async boot(): Promise<void> {
    await this.#core.start();
    await this.rest();
  }

  /** Hands over what waits, one event after the other, each to its end. */
  async rest(): Promise<void> {
    await settled();
    for (let event = this.side.events.shift(); event !== undefined; event = this.side.events.shift()) {
      const path = event.path.startsWith(`${PATHS.home}/`) ? event.path.slice(PATHS.home.length + 1) : event.path;
      this.#watches.get(event.token)?.(path);
      await settled();
    }
  }
}

/** All that follows in microtasks is done. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function dropEvents({ events }: Side): void {
  const rest = events.filter(({ token }) => token !== TOKEN.otherend);
  events.splice(0, events.length, ...rest);
}

// --- the core of explore -------------------------------------------------------------------------------------------------

const MODEL_DRIVER: FrontDriver = {
  kind: KIND_VIRTIO_MMIO,
  // biome-ignore lint/correctness/useYield: it asks for nothing
  *probe(_core, device) {
    device.driver = {};
    return undefined;
  },
  *otherendChanged(core, device: Device, state) {
    const rule = DRIVER[state];
    if (rule === undefined || !(rule.own as readonly number[]).includes(device.state)) return;
    for (const key of rule.keys) yield* core.write(key, '1');
    yield* core.switchState(device, rule.to, { by: 'frontend' });
  },
  *remove() {},
};

class ModelCore {
  readonly side: Side;
  readonly #rules: CoreRules;
  #state: GuestState = { life: 'booting' };

  constructor(side: Side, rules: CoreRules) {
    this.side = side;
    this.#rules = rules;
  }

  #run(what: 'boot' | 'frontendChanged' | 'otherendChanged', path = ''): void {
    const setting = { paths: PATHS, rules: this.#rules, driver: MODEL_DRIVER, mode: 'steps', exact: true } as const;
    let answers: readonly Answer[] = [];
    for (;;) {
      const core = new Core(setting, this.#state);
      const callback = { boot: () => core.boot(), otherendChanged: () => core.otherendChanged() };
      const task = what === 'frontendChanged' ? core.frontendChanged(path) : callback[what]();
      const at = progress(task, { name: what, arg: path, answers });
      if ('done' in at) {
        this.#state = core.result();
        return;
      }
      if (at.asks.to !== 'store') throw new Error(`a core asks for ${at.asks.to}`);
      const { request } = at.asks;
      const answer = this.side.ask(request);
      if (request.op === 'unwatch') dropEvents(this.side);
      const again = request.op === 'commit' && 'error' in answer && answer.error === 'EAGAIN';
      answers = again ? answers.slice(0, at.from) : [...answers, answer];
    }
  }

  boot(): void {
    this.#run('boot');
    this.rest();
  }

  rest(): void {
    for (let event = this.side.events.shift(); event !== undefined; event = this.side.events.shift()) {
      const path = event.path.startsWith(`${PATHS.home}/`) ? event.path.slice(PATHS.home.length + 1) : event.path;
      if (event.token === TOKEN.device) this.#run('frontendChanged', path);
      else this.#run('otherendChanged');
    }
  }
}

// Requests of a boot that finds nothing are others in each; what is compared begins behind it.
const script = fc.array(
  fc.record({ other: fc.constantFrom(...OTHERS), inside: fc.constantFrom(undefined, ...OTHERS), at: fc.nat(14) }),
  { minLength: 1, maxLength: 10 },
);

async function compare(
  rules: CoreRules,
  steps: readonly { other: Other; inside: Other | undefined; at: number }[],
): Promise<string[]> {
  const [real, model] = [new Map<number, Other>(), new Map<number, Other>()];
  const a = new RealCore(new Side(real), rules);
  const b = new ModelCore(new Side(model), rules);
  await a.boot();
  b.boot();
  a.side.log.length = 0;
  b.side.log.length = 0;
  // The request numbers of the two boots differ by as many requests as they made.
  let [fromA, fromB] = [a.side.requests, b.side.requests];
  for (const { other, inside, at } of steps) {
    if (inside !== undefined) {
      real.set(fromA + at, inside);
      model.set(fromB + at, inside);
    }
    a.side.other(other);
    b.side.other(other);
    await a.rest();
    b.rest();
    if (a.side.log.join('\n') !== b.side.log.join('\n'))
      throw new Error(`services/guest:\n${a.side.log.join('\n')}\nexplore:\n${b.side.log.join('\n')}`);
    fromA = a.side.requests;
    fromB = b.side.requests;
  }
  return a.side.log;
}

for (const version of CORE_VERSIONS) {
  t.test(`${version}: both cores ask the store for the same, whatever is done to the device meanwhile`, async (t) => {
    let requests = 0;
    await fc.assert(
      fc.asyncProperty(script, async (steps) => {
        requests += (await compare(CORES[version], [{ other: 'attach', inside: undefined, at: 0 }, ...steps])).length;
      }),
      { numRuns: tries(400, 10_000) },
    );
    t.ok(requests > 4000, `${requests} requests compared`);
  });
}
