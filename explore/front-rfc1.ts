// The driver of the patch as posted, as tasks: performs what the machine of lib/xenbus/rfc1.ts asks for, with what Linux's
// functions do to a caller that is wrong.
import { ERRNO, errnoName } from '../lib/core/errno.js';
import { KIND_VIRTIO, type XenbusState } from '../lib/layout/xenbus.js';
import { RFC1_START, type Rfc1Effect, type Rfc1Event, type Rfc1State, rfc1Step } from '../lib/xenbus/rfc1.js';
import type { Core, Device, FrontDriver } from './guest.js';
import { type Answer, ask, type Task, transaction } from './task.js';

export const RFC1_DRIVER: FrontDriver = {
  kind: KIND_VIRTIO,
  *probe(core, device) {
    const { phase, failure } = yield* drive(core, device, RFC1_START, { type: 'probe' });
    return phase === 'refused' ? errnoName(failure!.errno) : undefined;
  },
  *otherendChanged(core, device, state) {
    yield* drive(core, device, device.driver as Rfc1State, { type: 'backend', state, own: device.state });
  },
  *remove(core, device) {
    yield* drive(core, device, device.driver as Rfc1State, { type: 'remove' });
  },
};

function* drive(core: Core, device: Device, before: Rfc1State, first: Rfc1Event): Task<Rfc1State> {
  let step = rfc1Step(before, first);
  while (step.effect !== undefined) {
    const answer = yield* perform(core, device, step.effect);
    const event: Rfc1Event =
      'error' in answer
        ? { type: 'failed', errno: ERRNO[answer.error], text: step.effect.type }
        : answer.ok === true
          ? { type: 'done' }
          : { type: 'done', value: answer.ok };
    step = rfc1Step(step.state, event);
  }
  device.driver = step.state;
  return step.state;
}

function* perform(core: Core, device: Device, effect: Rfc1Effect): Task<Answer> {
  const mine = { by: 'frontend' } as const;
  switch (effect.type) {
    case 'readOther':
      return yield* ask({ op: 'read', path: `${device.otherend}/${effect.key}` });
    case 'allocPort': {
      const answer = yield { to: 'xen', op: 'allocPort' };
      // xenbus_alloc_evtchn reports by itself.
      if ('error' in answer) yield* core.fatal(device, answer.error, 'allocating event channel', mine);
      return answer;
    }
    case 'bindIrq':
      return DONE;
    case 'writeInTransaction': {
      const path = `${core.setting.paths.front}/${effect.key}`;
      return yield* transaction(core.setting.mode, function* (tx) {
        const inside = tx === undefined ? {} : { tx };
        const written = yield* ask({ op: 'write', path, value: effect.value, ...inside }, mine);
        return 'ok' in written ? { end: 'commit', value: 'written' } : { end: 'abort', value: written.error };
      });
    }
    case 'switchState':
      yield* core.switchState(device, effect.state as XenbusState, mine);
      return DONE;
    case 'register': {
      const reset = yield { to: 'device', op: 'reset' };
      if ('ok' in reset) yield { to: 'device', op: 'setup' };
      // The device is registered whether or not its driver could probe it.
      return DONE;
    }
    case 'unregister':
      if (effect.freed) return yield { to: 'bug', what: 'a platform device that was freed is unregistered again' };
      return yield { to: 'device', op: 'remove' };
    case 'unbindIrq':
      return yield { to: 'xen', op: 'closePort', number: effect.port };
    case 'closePort':
      return yield { to: 'xen', op: 'closePort', number: effect.port };
    case 'fatal':
      yield* core.fatal(device, errnoName(effect.errno), effect.text, mine);
      return DONE;
  }
}

const DONE: Answer = { ok: true };
