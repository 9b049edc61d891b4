// What can be searched, by the names that `xenwire explore` takes: frontends, backends, cores, faults. Leaves the command line
// to bin/verbs/explore.ts.

import type { Dom0Mode } from '../lib/core/dom0-modes.js';
import { BACK_REVIEW } from '../lib/xenbus/backend.js';
import { type Protocol, REVIEW } from '../lib/xenbus/protocol.js';
import { RFC1 } from '../lib/xenbus/rfc1.js';
import { CORES, type CoreVersion } from '../services/guest/core-rules.js';
import { type Backend, reviewBackend } from './back.js';
import { xvfBackend } from './back-xvf.js';
import type { FaultKind } from './faults.js';
import { reviewDriver } from './front-review.js';
import { RFC1_DRIVER } from './front-rfc1.js';
import { Model } from './model.js';
import type { TransactionMode } from './task.js';
import { recordAttach } from './tool.js';

/** Each frontend: its protocol and its driver. */
export const FRONTENDS = {
  review: { protocol: REVIEW, driver: reviewDriver() },
  rfc1: { protocol: RFC1, driver: RFC1_DRIVER },
} as const;
export type FrontendName = keyof typeof FRONTENDS;

/** Each backend, as it is beside a frontend of that protocol. */
export const BACKENDS = {
  review: (protocol: Protocol) => reviewBackend({ ...BACK_REVIEW, protocol }),
  xvf: () => xvfBackend('x86'),
  'xvf-arm': () => xvfBackend('arm'),
} as const satisfies Readonly<Record<string, (protocol: Protocol) => Backend>>;
export type BackendName = keyof typeof BACKENDS;

export function backendFor(name: BackendName, protocol: Protocol): Backend {
  const make: (protocol: Protocol) => Backend = BACKENDS[name];
  return make(protocol);
}

export interface Chosen {
  readonly frontend: FrontendName;
  readonly backend: BackendName;
  readonly core: CoreVersion;
  /** Default: fixed. */
  readonly dom0?: Dom0Mode;
  readonly faults: number;
  readonly kinds: readonly FaultKind[];
  readonly copies: number;
  readonly transactions: TransactionMode;
}

/**
 * Faults that the protocol is to withstand under a core. 6.12 does not notice a directory that is removed and made anew, or a
 * state that is written to 1, before it has looked: what comes of it there is its own.
 */
export const WITHSTOOD: Readonly<Record<CoreVersion, readonly FaultKind[]>> = {
  '6.12': ['kill-backend', 'kill-guest', 'kill-toolstack', 'detach', 'late', 'refuse-frontend', 'refuse-backend'],
  '7.2': [
    ...(['kill-backend', 'kill-guest', 'kill-toolstack', 'detach', 'reattach', 'replace', 'reset', 'late'] as const),
    ...(['refuse-frontend', 'refuse-backend'] as const),
  ],
};

export async function modelOf({
  frontend,
  backend,
  core,
  dom0 = 'fixed',
  faults,
  kinds,
  copies,
  transactions,
}: Chosen): Promise<Model> {
  const { protocol, driver } = FRONTENDS[frontend];
  return new Model({
    ...{ protocol, driver, dom0, faults, kinds, copies },
    backend: backendFor(backend, protocol),
    core: CORES[core],
    attach: await recordAttach(driver.kind),
    mode: transactions,
  });
}
