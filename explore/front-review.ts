// The driver of the reviewed protocol as tasks: performs what the machine of lib/xenbus/frontend.ts asks for, as
// services/guest/virtio-mmio-front.ts does.
import { ERRNO, errnoName } from '../lib/core/errno.js';
import { KIND_VIRTIO_MMIO, XenbusState } from '../lib/layout/xenbus.js';
import {
  FRONT_REVIEW,
  FRONT_START,
  type FrontEffect,
  type FrontEvent,
  type FrontState,
  type FrontTables,
  frontStep,
} from '../lib/xenbus/frontend.js';
import type { Core, Device, FrontDriver } from './guest.js';
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
    otherendChanged: (core, device, state) => drive(core, device, { type: 'backend', state }, tables),
    remove: (core, device) => drive(core, device, { type: 'remove' }, tables),
  };
}

function* drive(core: Core, device: Device, first: FrontEvent, tables: FrontTables): Task<void> {
  let step = frontStep(device.driver as FrontState, first, tables);
  while (step.effect !== undefined) {
    const answer = yield* perform(core, device, step.state.backend, step.effect);
    const event: FrontEvent =
      'error' in answer
        ? { type: 'failed', errno: ERRNO[answer.error], text: step.effect.type }
        : answer.ok === true
          ? { type: 'done' }
          : { type: 'done', value: answer.ok };
    step = frontStep(step.state, event, tables);
  }
  device.driver = step.state;
}

function* perform(core: Core, device: Device, seen: number, effect: FrontEffect): Task<Answer> {
  switch (effect.type) {
    case 'read':
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
      return yield { to: 'xen', op: 'freeRange', number: effect.base };
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
