// xen-vhost-frontend as tasks: performs what the machine of lib/xenbus/xvf.ts asks for, as services/vhost-frontend/xvf-device.ts
// does.
import { ERRNO } from '../lib/core/errno.js';
import { KIND_VIRTIO, XenbusState } from '../lib/layout/xenbus.js';
import { parseState } from '../lib/xenbus/keys.js';
import { XVF_START, type XvfEffect, type XvfEvent, type XvfState, type XvfTree, xvfStep } from '../lib/xenbus/xvf.js';
import { type Backend, type BackSetting, reviewBackend, wires } from './back.js';
import { type Answer, ask, join, readNode, type Task } from './task.js';

const BACKENDS_FOLDER = '/local/domain/0/backend';

export const xvfBackend = (tree: XvfTree): Backend => ({
  ...reviewBackend(),
  start: XVF_START,

  *boot() {
    yield* ask({ op: 'watch', path: `${BACKENDS_FOLDER}/${KIND_VIRTIO}`, token: 'backend' });
  },

  *look({ paths }) {
    // Devices of the kind that the review gave the protocol lie elsewhere.
    if (paths.kind !== KIND_VIRTIO || (yield* readNode(paths.backState)) === undefined) return false;
    yield* join({ op: 'watch', path: paths.frontState, token: 'front' });
    return true;
  },

  *pump(setting, before, ended) {
    const { paths } = setting;
    const there = !ended && 'ok' in (yield* ask({ op: 'exists', path: paths.back }));
    const waits = tree === 'x86' && (before as XvfState).phase === 'waiting';
    const front = waits && there ? parseState((yield* readNode(paths.frontState)) ?? '') : XenbusState.Unknown;
    let step = xvfStep(before as XvfState, { type: 'look', there, front }, tree);
    const again = step.effect !== undefined;
    while (step.effect !== undefined)
      step = xvfStep(step.state, eventOf(yield* perform(setting, step.effect, front)), tree);
    const gone = step.state.phase === 'gone';
    if (gone) yield* join({ op: 'unwatch', path: paths.frontState, token: 'front' });
    return { machine: step.state, again, gone };
  },
});

function eventOf(answer: Answer): XvfEvent {
  if ('error' in answer) return { type: 'failed', errno: ERRNO[answer.error] };
  return { type: 'done', value: String(answer.ok) };
}

function* perform(setting: BackSetting, effect: XvfEffect, seen: number): Task<Answer> {
  const { paths } = setting;
  switch (effect.type) {
    case 'readOwn':
      return yield* ask({ op: 'read', path: `${paths.back}/${effect.key}` });
    case 'readFront':
      return yield* ask({ op: 'read', path: `${paths.front}/${effect.key}` }, seen === 0 ? undefined : { seen });
    case 'writeState':
      return yield* ask(
        { op: 'write', path: paths.backState, value: String(effect.state) },
        seen === 0 ? undefined : { seen },
      );
    case 'openSession':
    case 'closeSession':
      return yield { to: 'xen', op: effect.type };
    case 'claimRange':
      return yield { to: 'xen', op: 'serve', number: effect.base };
    case 'unclaimRange':
      return yield { to: 'xen', op: 'unserve', number: effect.base };
    case 'bindPort':
      return yield { to: 'xen', op: 'bindPort', number: effect.port };
    case 'unbindPort':
      return yield { to: 'xen', op: 'unbindPort', number: effect.port, joined: true };
    case 'wire':
    case 'unwire':
      return yield* wires(setting, effect.type);
  }
}
