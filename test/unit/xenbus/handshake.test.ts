// Both machines of the `review` protocol against each other over one store, in random order: every written state is a
// legal edge, registers are answered whenever the guest's driver uses them, and left alone they come to rest together.
import fc from 'fast-check';
import t from 'tap';
import { XenbusState, xenbusStateName } from '../../../lib/layout/xenbus.js';
import { BACK_START, type BackEffect, type BackEvent, type BackState, backStep } from '../../../lib/xenbus/backend.js';
import {
  FRONT_START,
  type FrontEffect,
  type FrontEvent,
  type FrontState,
  frontStep,
  isRest,
} from '../../../lib/xenbus/frontend.js';
import { legalEdge } from '../../../lib/xenbus/protocol.js';

const S = XenbusState;
type Keys = Record<string, string>;

class Pair {
  readonly store: { front: Keys; back: Keys } = {
    front: { state: '1' },
    back: { state: '1', online: '1' },
  };
  front: FrontState = FRONT_START;
  back: BackState = BACK_START;
  /** What the machines hold of Xen. */
  readonly xen = new Set<string>();
  readonly log: string[] = [];
  /** Queues that are offered event channels. */
  queues = 0;
  readonly failing = new Set<string>();
  /** The backend's effect under way: between its effects the frontend runs. */
  #backEffect: BackEffect | undefined;
  #lastPort = 4;
  /** The frontend's watch fired and was not looked at yet. */
  frontDue = true;
  backDue = true;

  state(side: 'front' | 'back'): number {
    return Number(this.store[side]['state'] ?? '0');
  }

  setState(side: 'front' | 'back', to: number, by: 'frontend' | 'backend' | 'toolstack', seen?: number): void {
    const from = this.state(side);
    if (legalEdge(side, from, to, by, seen) === undefined)
      throw new Error(
        `${by} wrote ${xenbusStateName(from)} -> ${xenbusStateName(to)}, the other at ${seen}: ${this.log}`,
      );
    this.store[side]['state'] = String(to);
    this.log.push(`${side}:${to}`);
    this.frontDue = true;
    this.backDue = true;
  }

  get serves(): boolean {
    return this.xen.has('back range');
  }

  /** One watch event of the guest, whole: xenwatch runs its callback to the end. */
  stepFront(): void {
    if (!this.frontDue) return;
    this.frontDue = false;
    let { state, effect } = frontStep(this.front, { type: 'backend', state: this.state('back') });
    for (let i = 0; effect !== undefined; i++) {
      if (i > 40) throw new Error('frontend works without end');
      const event: FrontEvent = this.#frontEffect(effect, state.backend);
      ({ state, effect } = frontStep(state, event));
    }
    this.front = state;
  }

  #frontEffect(effect: FrontEffect, seen: number): FrontEvent {
    if (this.failing.has(effect.type)) return { type: 'failed', errno: 5, text: effect.type };
    switch (effect.type) {
      case 'read': {
        const value = this.store.back[effect.key];
        return value === undefined ? { type: 'failed', errno: 2, text: 'ENOENT' } : { type: 'done', value };
      }
      case 'claimRange':
        return { type: 'done', value: 0xf0000000 };
      case 'allocPort':
        return { type: 'done', value: ++this.#lastPort };
      case 'write':
        this.store.front[effect.key] = effect.value;
        return { type: 'done' };
      case 'switchState':
        this.setState('front', effect.state, 'frontend', seen);
        return { type: 'done' };
      case 'register':
      case 'unregister':
        // A backend that is dead leaves the vCPU waiting; one that lives has to answer.
        if (!this.serves) throw new Error(`${effect.type} without registers: ${this.log}`);
        return { type: 'done' };
      case 'fatal':
        this.setState('front', S.Closing, 'frontend');
        return { type: 'done' };
      default:
        return { type: 'done' };
    }
  }

  /** A look, or the next effect, of the backend. */
  stepBack(): void {
    let event: BackEvent;
    if (this.#backEffect === undefined) {
      if (!this.backDue) return;
      this.backDue = false;
      event = {
        type: 'look',
        front: this.state('front'),
        back: this.state('back'),
        online: this.store.back['online'] === '1',
      };
    } else {
      event = this.#perform(this.#backEffect);
      this.backDue = true;
    }
    const { state, effect } = backStep(this.back, event);
    this.back = state;
    this.#backEffect = effect;
  }

  #perform(effect: BackEffect): BackEvent {
    if (this.failing.has(effect.type)) return { type: 'failed', errno: 5, text: effect.type };
    const swap = (give: boolean, what: string): BackEvent => {
      if (give !== this.xen.has(what)) throw new Error(`${what} ${give ? 'given back' : 'taken'} twice`);
      if (give) this.xen.delete(what);
      else this.xen.add(what);
      return { type: 'done' };
    };
    const front = (key: string): string => this.store.front[key] ?? '';
    switch (effect.type) {
      case 'readSetup':
        return { type: 'done', value: this.queues };
      case 'write':
        this.store.back[effect.key] = effect.value;
        return { type: 'done' };
      case 'readFrontend': {
        const queues = Array.from({ length: effect.queues }, (_, queue) => front(`queue-${queue}/event-channel`));
        return { type: 'done', value: { base: front('base'), eventChannel: front('event-channel'), queues } };
      }
      case 'switchState':
        if (this.state('back') === effect.from) this.setState('back', effect.to, 'backend', this.state('front'));
        return { type: 'done', value: this.state('back') };
      case 'claimRange':
      case 'unclaimRange':
        return swap(effect.type === 'unclaimRange', 'back range');
      case 'bindPort':
        if (effect.queuePorts.length !== this.queues || effect.queuePorts.includes(undefined))
          throw new Error(`${effect.queuePorts} of ${this.queues} queues`);
        return swap(false, 'back port');
      case 'unbindPort':
        return swap(effect.type === 'unbindPort', 'back port');
      case 'openSession':
      case 'closeSession':
        return swap(effect.type === 'closeSession', 'session');
      case 'wire':
      case 'unwire':
        return swap(effect.type === 'unwire', 'wires');
      default:
        return { type: 'done' };
    }
  }

  /** The backend's process is killed and comes back: Xen has dropped all that was its. */
  replaceBackend(): void {
    this.back = BACK_START;
    this.#backEffect = undefined;
    this.xen.clear();
    this.backDue = true;
    // Nothing runs on the vCPU until its registers are answered again.
    for (let i = 0; i < 40 && (this.#backEffect !== undefined || this.backDue); i++) this.stepBack();
  }

  remove(): void {
    this.store.back['online'] = '0';
    if (this.state('back') !== S.Closed) this.setState('back', S.Closing, 'toolstack');
  }

  settle(): this {
    for (let i = 0; i < 500; i++) {
      if (!this.frontDue && !this.backDue && this.#backEffect === undefined) return this;
      this.stepBack();
      this.stepFront();
    }
    throw new Error(`no rest: ${this.log.slice(-20)}`);
  }
}

t.test('the handshake as the review has it', async (t) => {
  const pair = new Pair().settle();
  t.same(pair.log, ['back:2', 'front:3', 'back:4', 'front:4']);
  pair.remove();
  pair.settle();
  t.same(pair.log.slice(4), ['back:5', 'front:6', 'back:6']);
  t.equal(pair.xen.size, 0);
});

t.test('a driver that cannot probe leaves both ends closed after some attempts, and nothing held', async (t) => {
  const pair = new Pair();
  pair.failing.add('register');
  pair.settle();
  t.same([pair.state('front'), pair.front.phase], [S.Closed, 'closed']);
  t.same(
    [...pair.xen].filter((what) => what !== 'session'),
    [],
  );
});

const action = fc.oneof(
  { weight: 10, arbitrary: fc.constant('front') },
  { weight: 20, arbitrary: fc.constant('back') },
  { weight: 1, arbitrary: fc.constantFrom('kill backend', 'remove') },
  {
    weight: 1,
    arbitrary: fc.constantFrom('fail bindPort', 'fail claimRange', 'fail wire', 'fail allocPort', 'fail openSession'),
  },
  { weight: 2, arbitrary: fc.constant('heal') },
);

t.test('whatever happens in whatever order, edges stay legal and both ends come to rest', async () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 120 }), fc.constantFrom(0, 0, 2), (script, queues) => {
      const pair = new Pair();
      pair.queues = queues;
      let removed = false;
      for (const act of script) {
        if (act === 'front') pair.stepFront();
        else if (act === 'back') pair.stepBack();
        else if (act === 'kill backend') pair.replaceBackend();
        else if (act === 'heal') pair.failing.clear();
        else if (act === 'remove') {
          removed = true;
          pair.remove();
        } else pair.failing.add(act.split(' ')[1]!);
      }
      pair.failing.clear();
      pair.settle();
      const [front, back] = [pair.state('front'), pair.state('back')];
      const connected = front === S.Connected && back === S.Connected;
      // A failure of its own, or five fruitless attempts, leaves the frontend closed until it is made anew.
      const closed = front === S.Closed && (back === S.Closed || back === S.InitWait);
      const refused = back === S.Closed && front === S.Initialising;
      if (!connected && !closed && !refused) throw new Error(`rests at ${front}/${back}: ${pair.log}`);
      if (removed && (back !== S.Closed || pair.xen.size > 0))
        throw new Error(`removed, yet ${[...pair.xen]} at ${back}`);
      if (connected && pair.xen.size !== 4) throw new Error(`connected with ${[...pair.xen]}`);
      if (!isRest(pair.front.phase)) throw new Error(`frontend in ${pair.front.phase}`);
    }),
    { numRuns: 2000 },
  );
});

t.test('after kills alone, both ends are connected again', async () => {
  const act = fc.constantFrom('front', 'back', 'back', 'kill backend');
  fc.assert(
    fc.property(fc.array(act, { maxLength: 40 }), (script) => {
      const pair = new Pair();
      let kills = 0;
      for (const name of script) {
        if (name === 'front') pair.stepFront();
        else if (name === 'back') pair.stepBack();
        else if (kills++ < 4) pair.replaceBackend();
      }
      pair.settle();
      if (pair.state('front') !== S.Connected || pair.state('back') !== S.Connected)
        throw new Error(`rests at ${pair.state('front')}/${pair.state('back')}: ${pair.log}`);
    }),
    { numRuns: 1000 },
  );
});
