// xen-vhost-frontend as tasks: performs what the machine of lib/xenbus/xvf.ts asks for. It binds no event channel: the patch's
// port is unknown to it.
import { ERRNO } from '../lib/core/errno.js';
import { XVF_START, type XvfEffect, type XvfEvent, type XvfState, xvfStep } from '../lib/xenbus/xvf.js';
import { type Backend, type BackSetting, reviewBackend } from './back.js';
import { type Answer, ask, readNode, type Task } from './task.js';

export const XVF_BACKEND: Backend = {
  ...reviewBackend(),
  start: XVF_START,

  *look({ paths }) {
    return (yield* readNode(paths.backState)) !== undefined;
  },

  *pump(setting, before) {
    const there = 'ok' in (yield* ask({ op: 'exists', path: setting.paths.back }));
    let step = xvfStep(before as XvfState, { type: 'look', there });
    while (step.effect !== undefined) step = xvfStep(step.state, eventOf(yield* perform(setting, step.effect)));
    return { machine: step.state, again: false, gone: step.state.phase === 'gone' };
  },
};

function eventOf(answer: Answer): XvfEvent {
  if ('error' in answer) return { type: 'failed', errno: ERRNO[answer.error] };
  return { type: 'done', value: String(answer.ok) };
}

function* perform({ paths }: BackSetting, effect: XvfEffect): Task<Answer> {
  switch (effect.type) {
    case 'readOwn':
      return yield* ask({ op: 'read', path: `${paths.back}/${effect.key}` });
    case 'readFront':
      return yield* ask({ op: 'read', path: `${paths.front}/${effect.key}` });
    case 'writeState':
      return yield* ask({ op: 'write', path: paths.backState, value: String(effect.state) });
    case 'openSession':
    case 'closeSession':
      return yield { to: 'xen', op: effect.type };
    case 'claimRange':
      return yield { to: 'xen', op: 'serve', number: effect.base };
    case 'unclaimRange':
      return yield { to: 'xen', op: 'unserve', number: effect.base };
  }
}
