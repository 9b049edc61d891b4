// The backend's process as tasks: finds its device by a watch, looks at both ends and performs what the machine of
// lib/xenbus/backend.ts asks for, as services/vhost-frontend/{devices,device}.ts do. Leaves when a task runs to model.ts.

import type { Dom0Mode } from '../lib/core/dom0-modes.js';
import { ERRNO } from '../lib/core/errno.js';
import { queueEventChannelKey, VIRTIO_MMIO_KEY, XENBUS_KEY, XenbusState } from '../lib/layout/xenbus.js';
import {
  BACK_REVIEW,
  BACK_START,
  type BackEffect,
  type BackEvent,
  type BackState,
  type BackStep,
  type BackTables,
  type BackWork,
  backStep,
  type FrontendKeys,
} from '../lib/xenbus/backend.js';
import { parseOnline, parseState } from '../lib/xenbus/keys.js';
import type { Protocol } from '../lib/xenbus/protocol.js';
import { keyRule } from '../lib/xenbus/rules.js';
import { type Answer, ask, join, readNode, type Task, type TransactionMode, transaction } from './task.js';
import type { Paths } from './world.js';

export interface BackSetting {
  readonly paths: Paths;
  readonly mode: TransactionMode;
  readonly dom0: Dom0Mode;
}

/** What one run of the pump comes to. */
export interface Pumped {
  readonly machine: unknown;
  /** Work was done: the world may have moved on, so it looks again. */
  readonly again: boolean;
  readonly gone: boolean;
}

/** A backend as its process runs it. */
export interface Backend {
  readonly start: unknown;
  /** The process has come up: begins to watch. */
  boot(setting: BackSetting): Task<void>;
  /** An event of a directory that is not known: true when a device begins there. */
  look(setting: BackSetting): Task<boolean>;
  /** Looks at both ends, and does what follows from it. */
  pump(setting: BackSetting, machine: unknown, ended: boolean): Task<Pumped>;
  /** The effect that the machine asks for, and what follows from it. */
  goOn(setting: BackSetting, machine: unknown): Task<Pumped>;
}

/** Folder of all devices of the kind. */
function root({ paths }: BackSetting): string {
  return paths.back.split('/').slice(0, -2).join('/');
}

/** The backend over these tables; searches of wrong tables bring their own. */
export const reviewBackend = (tables: BackTables = BACK_REVIEW): Backend => ({
  start: BACK_START,

  *boot(setting) {
    yield* ask({ op: 'watch', path: root(setting), token: 'backend' });
  },

  *look({ paths }) {
    if ((yield* readNode(paths.backState)) === undefined) return false;
    yield* join({ op: 'watch', path: paths.frontState, token: 'front' });
    return true;
  },

  *pump(setting, before, ended) {
    const { paths } = setting;
    const back = parseState((yield* readNode(paths.backState)) ?? '');
    const front = parseState((yield* readNode(paths.frontState)) ?? '');
    // A directory made anew is for a domain that lives.
    const over = ended && back !== XenbusState.Initialising;
    const seen = over ? XenbusState.Unknown : front;
    const step = (wanted: boolean) =>
      backStep(before as BackState, { type: 'look', front: seen, back, online: wanted }, tables);
    // `online` is read whatever the states say: that is a step only where something depends on it.
    const [unwanted, wanted] = [step(false), step(true)];
    const differs = unwanted.state.phase !== wanted.state.phase;
    const online = differs ? parseOnline(yield* readNode(`${paths.back}/${XENBUS_KEY.online}`)) : false;
    return yield* pumped(setting, online ? wanted : unwanted, before as Kept, false);
  },

  *goOn(setting, before) {
    const state = before as Kept;
    const effect = tables.work[state.phase as BackWork].effect(state) as BackEffect;
    const { errorWritten } = state;
    const answer = yield* perform(setting, tables.protocol, effect, state.front);
    const kept = effect.type === 'error' ? { errorWritten: true as const } : errorWritten ? { errorWritten } : {};
    return yield* pumped(setting, backStep(state, eventOf(answer, effect), tables), kept, true);
  },
});

/** A machine, and whether something may stand in its error key. */
type Kept = BackState & Marked;
interface Marked {
  readonly errorWritten?: true;
}

/** What a look or an effect came to: at rest, or work of which only the machine says what it is. */
function* pumped({ paths }: BackSetting, step: BackStep, { errorWritten }: Marked, again: boolean): Task<Pumped> {
  const mark = errorWritten ? { errorWritten } : {};
  if (step.effect !== undefined) yield { to: 'become', name: 'work', state: { ...step.state, ...mark } };
  const gone = step.state.phase === 'gone';
  if (gone) yield* join({ op: 'unwatch', path: paths.frontState, token: 'front' });
  if (gone && errorWritten) yield* join({ op: 'rm', path: paths.backError });
  return { machine: { ...resting(step.state), ...mark }, again, gone };
}

/** Without what the next look replaces, and what is only told. */
function resting({ queues: _queues, offer: _offer, failure, ...state }: BackState): BackState {
  const failed = failure === undefined ? {} : { failure: { errno: 0, text: '' } };
  return { ...state, ...failed, front: XenbusState.Unknown, back: XenbusState.Unknown, goal: 'begin' };
}

function eventOf(answer: Answer | FrontendKeys, effect: BackEffect): BackEvent {
  if ('base' in answer) return { type: 'done', value: answer };
  if ('error' in answer) return { type: 'failed', errno: ERRNO[answer.error], text: effect.type };
  return answer.ok === true ? { type: 'done' } : { type: 'done', value: Number(answer.ok) };
}

function* perform(
  setting: BackSetting,
  protocol: Protocol,
  effect: BackEffect,
  seen: number,
): Task<Answer | FrontendKeys> {
  const { paths, mode } = setting;
  switch (effect.type) {
    // All that the toolstack wrote in one transaction, and never writes again while the directory is there.
    case 'readSetup': {
      const answer = yield* transaction(mode, function* (tx) {
        if ((yield* readNode(paths.backState, undefined, tx)) === undefined) return { end: 'commit', value: 'ENODEV' };
        const type = yield* readNode(`${paths.back}/${VIRTIO_MMIO_KEY.type}`, undefined, tx);
        return { end: 'commit', value: type === undefined ? 'EINVAL' : '' };
      });
      if ('error' in answer || answer.ok === '') return 'error' in answer ? answer : DONE;
      return { error: answer.ok as 'ENODEV' | 'EINVAL' };
    }
    case 'openSession':
      return yield { to: 'xen', op: effect.adopting ? 'adoptSession' : 'openSession' };
    case 'closeSession':
      return yield { to: 'xen', op: 'closeSession' };
    // A directory that the toolstack removed must not come back by a key of ours.
    case 'write': {
      const answer = yield* transaction(mode, function* (tx) {
        const inside = tx === undefined ? {} : { tx };
        if ((yield* readNode(paths.backState, undefined, tx)) === undefined) return { end: 'abort', value: 'ENODEV' };
        yield* ask({ op: 'write', path: `${paths.back}/${effect.key}`, value: effect.value, ...inside });
        return { end: 'commit', value: '' };
      });
      if ('error' in answer) return answer;
      return answer.ok === '' ? DONE : { error: 'ENODEV' };
    }
    case 'readFrontend': {
      const read = function* (key: string): Task<string> {
        const ofFront = keyRule(protocol, 'front', key) !== undefined;
        return (yield* readNode(`${ofFront ? paths.front : paths.back}/${key}`, { seen })) ?? '';
      };
      const base = yield* read(VIRTIO_MMIO_KEY.base);
      const eventChannel = yield* read(VIRTIO_MMIO_KEY.eventChannel);
      const queues: string[] = [];
      for (let queue = 0; queue < effect.queues; queue++) queues.push(yield* read(queueEventChannelKey(queue)));
      return { base, eventChannel, queues };
    }
    case 'claimRange':
      return yield { to: 'xen', op: effect.broken ? 'serveBroken' : 'serve', number: effect.base };
    case 'unclaimRange':
      return yield { to: 'xen', op: 'unserve', number: effect.base };
    case 'bindPort':
      return yield { to: 'xen', op: 'bindPort', number: effect.port };
    case 'unbindPort':
      return yield { to: 'xen', op: 'unbindPort', number: effect.port, joined: true };
    case 'wire':
    case 'unwire':
      return yield* wires(setting, effect.type);
    case 'switchState':
      return yield* transaction(
        mode,
        function* (tx) {
          const inside = tx === undefined ? {} : { tx };
          const found = parseState((yield* readNode(paths.backState, undefined, tx)) ?? '');
          if (found !== effect.from) return { end: 'commit', value: String(found) };
          const online = `${paths.back}/${XENBUS_KEY.online}`;
          if (effect.ifOnline && !parseOnline(yield* readNode(online, undefined, tx)))
            return { end: 'commit', value: String(found) };
          const { ifKey } = effect;
          if (ifKey !== undefined && (yield* readNode(`${paths.back}/${ifKey}`, undefined, tx)) === undefined)
            return { end: 'commit', value: String(found) };
          yield* ask({ op: 'write', path: paths.backState, value: String(effect.to), ...inside });
          return { end: 'commit', value: String(effect.to) };
        },
        { seen },
      );
    case 'error':
      return yield* join({ op: 'write', path: paths.backError, value: `${effect.errno} ${effect.text}` });
  }
}

/** Kicks and calls past the process: nothing of the protocol's, unless they outlive it. */
export function* wires({ dom0 }: BackSetting, op: 'wire' | 'unwire'): Task<Answer> {
  return dom0 === 'fixed' ? DONE : yield { to: 'xen', op };
}

const DONE: Answer = { ok: true };
