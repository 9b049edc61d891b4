// The toolstack that explore searches with against toolstack/device.ts: removals in order and by force, with a backend that does
// anything meanwhile and deadlines that pass, ask the store for the same in the same order.
import fc from 'fast-check';
import t from 'tap';
import { EMPTY_STORE, perform, type StoreRequest, type StoreState } from '../../../explore/store.js';
import { type Answer, progress, type Running } from '../../../explore/task.js';
import { GUEST_GONE, recordAttach, SEQUENCES } from '../../../explore/tool.js';
import { DEVID, DOMID, pathsOf } from '../../../explore/world.js';
import { ErrnoError } from '../../../lib/core/errors.js';
import { NO_PROBE } from '../../../lib/core/probe.js';
import { KIND_VIRTIO_MMIO } from '../../../lib/layout/xenbus.js';
import type { StoreClient, StoreOps } from '../../../lib/xenstore/api.js';
import { tries } from '../../../testkit/tier.js';
import { removeDevice } from '../../../toolstack/device.js';
import type { Toolstack } from '../../../toolstack/toolstack.js';
import { exploreOps } from '../../fixtures/explore-ops.js';

const PATHS = pathsOf(KIND_VIRTIO_MMIO);
const ATTACH = await recordAttach(KIND_VIRTIO_MMIO);
const OTHERS = ['back 2', 'back 4', 'back 5', 'back 6', 'remove back', 'guest gone', 'deadline'] as const;
type Other = (typeof OTHERS)[number];

class Side {
  readonly log: string[] = [];
  events = 0;
  #store: StoreState = EMPTY_STORE;

  constructor() {
    for (const path of [`${PATHS.home}/vm`, `${PATHS.home}/device/suspend`, '/local/domain/0/name'])
      this.#perform('tool', { op: 'write', path, value: 'x' });
    for (const request of ATTACH) this.#perform('tool', request);
    this.events = 0;
  }
  ask(request: StoreRequest): ReturnType<typeof perform>['answer'] {
    const answer = this.#perform('tool', request);
    const value = request.op === 'write' ? `=${request.value}` : '';
    this.log.push(
      `${request.op} ${'path' in request ? request.path : ''}${value} ${'error' in answer ? answer.error : 'ok'}`,
    );
    return answer;
  }
  #perform(client: string, request: StoreRequest): ReturnType<typeof perform>['answer'] {
    const { store, answer, events } = perform(this.#store, client, request);
    this.#store = store;
    this.events += events.filter((event) => event.client === 'tool').length;
    return answer;
  }
  other(what: Other): void {
    if (what === 'guest gone') this.events++;
    else if (what === 'remove back') this.#perform('back', { op: 'rm', path: PATHS.back });
    else if (PATHS.back in this.#store.nodes)
      this.#perform('back', { op: 'write', path: PATHS.backState, value: what.slice('back '.length) });
  }
}

class RealTool {
  readonly side = new Side();
  done = false;
  alive = true;
  #onEvent: (() => void) | undefined;
  #late: (() => void) | undefined;

  start(force: boolean): void {
    const parts: Partial<Toolstack> = {
      store: this.#client(),
      probe: NO_PROBE,
      clock: {
        nowNs: () => 0n,
        after: (_ms, action) => {
          this.#late = action;
          return { cancel: () => {} };
        },
      },
    };
    const id = { kind: KIND_VIRTIO_MMIO, domid: DOMID, devid: DEVID, backDomid: 0 };
    void removeDevice(parts as Toolstack, id, { answers: async () => !force && this.alive }).then(() => {
      this.done = true;
    });
  }

  #ops(tx?: string): StoreOps {
    return exploreOps(this.side, { tx });
  }

  #client(): StoreClient {
    const client: Partial<StoreClient> = {
      ...this.#ops(),
      transaction: async (body) => {
        const begun = this.side.ask({ op: 'begin' });
        if (!('ok' in begun)) throw new ErrnoError(begun.error);
        const result = await body(this.#ops(begun.ok));
        const ended = this.side.ask({ op: 'commit', tx: begun.ok });
        if ('error' in ended) throw new ErrnoError(ended.error);
        return result;
      },
      watch: async (path, _token, onEvent) => {
        this.#onEvent = () => onEvent(path);
        this.side.ask({ op: 'watch', path, token: 'tool' });
        // The first event of a watch comes at once.
        this.side.events = 0;
        onEvent(path);
      },
      unwatch: async (path) => {
        this.#onEvent = undefined;
        this.side.events = 0;
        this.side.ask({ op: 'unwatch', path, token: 'tool' });
      },
    };
    return client as StoreClient;
  }

  async rest(): Promise<void> {
    await settled();
    while (this.side.events > 0) {
      this.side.events = 0;
      this.#onEvent?.();
      await settled();
    }
  }
  async late(): Promise<void> {
    this.#late?.();
    await this.rest();
  }
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

class ModelTool {
  readonly side = new Side();
  done = false;
  alive = true;
  #run: Running = { name: '', arg: '', answers: [] };

  start(force: boolean): void {
    this.#run = { name: force ? 'force' : 'detach', arg: '', answers: [] };
    this.rest();
  }
  rest(late = false): void {
    let isLate = late;
    while (!this.done) {
      const task = SEQUENCES[this.#run.name as 'force'];
      const at = progress(task({ paths: PATHS, mode: 'steps', attach: ATTACH }), this.#run);
      if ('done' in at) {
        this.done = true;
        return;
      }
      let answer: Answer;
      if (at.asks.to === 'repeat') {
        this.#run = { ...this.#run, answers: this.#run.answers.slice(0, at.from) };
        continue;
      }
      if (at.asks.to === 'wait') {
        if (this.side.events === 0 && !isLate) return;
        answer = this.side.events > 0 ? { ok: this.alive ? true : GUEST_GONE } : { error: 'ETIMEDOUT' };
        if ('error' in answer) isLate = false;
        this.side.events = 0;
      } else if (at.asks.to === 'store') answer = this.side.ask(at.asks.request);
      else throw new Error(`a toolstack asks for ${at.asks.to}`);
      this.#run = { ...this.#run, answers: [...this.#run.answers, answer] };
    }
  }
}

t.test('both toolstacks ask the store for the same, whatever the backend does', async (t) => {
  let requests = 0;
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.array(fc.constantFrom(...OTHERS), { maxLength: 8 }), async (force, others) => {
      const [real, model] = [new RealTool(), new ModelTool()];
      for (const what of others.slice(0, 2))
        if (what !== 'deadline') for (const each of [real, model]) each.side.other(what);
      for (const each of [real, model]) each.side.events = 0;
      real.start(force);
      await real.rest();
      model.start(force);
      for (const what of others.slice(2)) {
        if (what === 'deadline') {
          await real.late();
          model.rest(true);
        } else {
          for (const each of [real, model]) each.alive = each.alive && what !== 'guest gone';
          real.side.other(what);
          await real.rest();
          model.side.other(what);
          model.rest();
        }
      }
      if (real.side.log.join('\n') !== model.side.log.join('\n') || real.done !== model.done)
        throw new Error(`toolstack/:\n${real.side.log.join('\n')}\nexplore:\n${model.side.log.join('\n')}`);
      requests += real.side.log.length;
    }),
    { numRuns: tries(300, 5000) },
  );
  t.ok(requests > 3000, `${requests} requests compared`);
});
