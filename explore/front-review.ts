// The driver of the reviewed protocol as tasks: performs what the machine of lib/xenbus/frontend.ts asks for, as
// services/guest/virtio-mmio-front.ts does.
import { ERRNO, errnoName } from '../lib/core/errno.js';
import { KIND_VIRTIO_MMIO, VIRTIO_MMIO_KEY, XenbusState } from '../lib/layout/xenbus.js';
import {
  FRONT_REVIEW,
  FRONT_START,
  type FrontEffect,
  type FrontEvent,
  type FrontState,
  type FrontStep,
  type FrontTables,
  type FrontWork,
  frontStep,
} from '../lib/xenbus/frontend.js';
import { type Core, type Device, type FrontDriver, GOES_ON } from './guest.js';
import type { Answer, Task } from './task.js';

/** The driver over these tables; searches of wrong tables bring their own. */
export function reviewDriver(tables: FrontTables = FRONT_REVIEW): FrontDriver {
  return {
    kind: KIND_VIRTIO_MMIO,
    // biome-ignore lint/correctness/useYield: nothing is asked for before the backend has published
    *probe(_core, device) {
      device.driver = FRONT_START;
      return undefined;
    },
    *otherendChanged(core, device, state) {
      yield* become(core, device, frontStep(device.driver as FrontState, { type: 'backend', state }, tables));
    },
    *goOn(core, device) {
      const state = device.driver as FrontState;
      const effect = tables.work[state.phase as FrontWork].effect(state) as FrontEffect;
      const answer = yield* perform(core, device, state.backend, effect);
      yield* become(core, device, frontStep(state, eventOf(answer, effect), tables));
    },
    remove: (core, device) => drive(core, device, { type: 'remove' }, tables),
  };
}

/** What a callback came to: at rest, or work of which only the driver's own state says what it is. */
function* become(core: Core, device: Device, { state, effect }: FrontStep): Task<void> {
  device.driver = effect === undefined ? resting(state) : state;
  if (effect !== undefined) yield { to: 'become', name: GOES_ON, state: core.result() };
}

/** Without what the next event replaces, and what is only told. */
function resting({ queues: _queues, setback: _told, failure, ...state }: FrontState): FrontState {
  const failed = failure === undefined ? {} : { failure: { errno: 0, text: '' } };
  return { ...state, ...failed, backend: XenbusState.Unknown };
}

function eventOf(answer: Answer, effect: FrontEffect): FrontEvent {
  if ('error' in answer) return { type: 'failed', errno: ERRNO[answer.error], text: effect.type };
  return answer.ok === true ? { type: 'done' } : { type: 'done', value: answer.ok };
}

function* drive(core: Core, device: Device, first: FrontEvent, tables: FrontTables): Task<void> {
  let step = frontStep(device.driver as FrontState, first, tables);
  while (step.effect !== undefined) {
    const answer = yield* perform(core, device, step.state.backend, step.effect);
    step = frontStep(step.state, eventOf(answer, step.effect), tables);
  }
  device.driver = resting(step.state);
}

function* perform(core: Core, device: Device, seen: number, effect: FrontEffect): Task<Answer> {
  switch (effect.type) {
    case 'read':
      // No backend of a search offers event channels of queues.
      if (effect.key === VIRTIO_MMIO_KEY.featureQueueEvtchn && !core.setting.exact) return { error: 'ENOENT' };
      return yield* core.readOther(device, effect.key, seen);
    case 'write':
      return yield* core.write(effect.key, effect.value);
    case 'claimRange':
      return yield { to: 'xen', op: 'claimRange' };
    case 'allocPort':
      return yield { to: 'xen', op: 'allocPort' };
    case 'freePort':
      return yield { to: 'xen', op: 'closePort', number: effect.port };
    case 'freeRange':
      return yield { to: 'xen', op: 'freeRange', number: effect.base, joined: true };
    case 'switchState':
      return (yield* core.switchState(device, effect.state, { by: 'frontend', seen })) === 'refused'
        ? { ok: XenbusState.Closing }
        : DONE;
    case 'register': {
      const reset = yield { to: 'device', op: 'reset' };
      return 'error' in reset ? reset : yield { to: 'device', op: 'setup' };
    }
    case 'unregister':
      return yield { to: 'device', op: 'remove' };
    case 'fatal':
      yield* core.fatal(device, errnoName(effect.errno), effect.text, { by: 'frontend', seen });
      return DONE;
    case 'error':
      yield* core.error(errnoName(effect.errno), effect.text);
      return DONE;
  }
}

const DONE: Answer = { ok: true };
