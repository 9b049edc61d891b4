// The backend's process as tasks: finds its device by a watch, looks at both ends and performs what the machine of
// lib/xenbus/backend.ts asks for, as services/vhost-frontend/{devices,device}.ts do. Leaves when a task runs to model.ts.
import { ERRNO } from '../lib/core/errno.js';
import { queueEventChannelKey, VIRTIO_MMIO_KEY, XENBUS_KEY, XenbusState } from '../lib/layout/xenbus.js';
import {
  BACK_REVIEW,
  BACK_START,
  type BackEffect,
  type BackEvent,
  type BackState,
  type BackTables,
  backStep,
  type FrontendKeys,
} from '../lib/xenbus/backend.js';
import { parseOnline, parseState } from '../lib/xenbus/keys.js';
import type { Protocol } from '../lib/xenbus/protocol.js';
import { keyRule } from '../lib/xenbus/rules.js';
import { type Answer, ask, readNode, type Task, type TransactionMode, transaction } from './task.js';
import type { Paths } from './world.js';

export interface BackSetting {
  readonly paths: Paths;
  readonly mode: TransactionMode;
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
    yield* ask({ op: 'watch', path: paths.frontState, token: 'front' });
    return true;
  },

  *pump(setting, before, ended) {
    const { paths } = setting;
    const back = parseState((yield* readNode(paths.backState)) ?? '');
    const front = parseState((yield* readNode(paths.frontState)) ?? '');
    const online = parseOnline(yield* readNode(`${paths.back}/${XENBUS_KEY.online}`));
    // A directory made anew is for a domain that lives.
    const over = ended && back !== XenbusState.Initialising;
    const seen = over ? XenbusState.Unknown : front;
    let step = backStep(before as BackState, { type: 'look', front: seen, back, online }, tables);
    const again = step.effect !== undefined;
    let errorWritten = (before as { errorWritten?: true }).errorWritten;
    while (step.effect !== undefined) {
      if (step.effect.type === 'error') errorWritten = true;
      step = backStep(
        step.state,
        eventOf(yield* perform(setting, tables.protocol, step.effect, seen), step.effect),
        tables,
      );
    }
    const gone = step.state.phase === 'gone';
    if (gone) yield* ask({ op: 'unwatch', path: paths.frontState, token: 'front' });
    if (gone && errorWritten) yield* ask({ op: 'rm', path: paths.backError });
    return { machine: { ...step.state, ...(errorWritten ? { errorWritten } : {}) }, again, gone };
  },
});

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
      const type = yield* readNode(`${paths.back}/${VIRTIO_MMIO_KEY.type}`);
      return type === undefined ? { error: 'EINVAL' } : DONE;
    }
    case 'openSession':
      return yield { to: 'xen', op: 'openSession' };
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
      return yield { to: 'xen', op: 'unbindPort', number: effect.port };
    // Kicks and calls past the process: nothing of the protocol's.
    case 'wire':
    case 'unwire':
      return DONE;
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
          yield* ask({ op: 'write', path: paths.backState, value: String(effect.to), ...inside });
          return { end: 'commit', value: String(effect.to) };
        },
        { seen },
      );
    case 'error':
      return yield* ask({ op: 'write', path: paths.backError, value: `${effect.errno} ${effect.text}` });
  }
}

const DONE: Answer = { ok: true };
