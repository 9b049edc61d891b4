// What can be searched, by the names that `xenwire explore` takes: frontends, backends, cores, faults. Leaves the command line
// to bin/verbs/explore.ts.
import { REVIEW } from '../lib/xenbus/protocol.js';
import { CORES, type CoreVersion } from '../services/guest/core-rules.js';
import { reviewBackend } from './back.js';
import type { FaultKind } from './faults.js';
import { reviewDriver } from './front-review.js';
import { Model } from './model.js';
import type { TransactionMode } from './task.js';
import { recordAttach } from './tool.js';

export const FRONTENDS = { review: reviewDriver() } as const;
export type FrontendName = keyof typeof FRONTENDS;
export const BACKENDS = { review: reviewBackend() } as const;
export type BackendName = keyof typeof BACKENDS;

export interface Chosen {
  readonly frontend: FrontendName;
  readonly backend: BackendName;
  readonly core: CoreVersion;
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
  faults,
  kinds,
  copies,
  transactions,
}: Chosen): Promise<Model> {
  const driver = FRONTENDS[frontend];
  return new Model({
    ...{ driver, faults, kinds, copies },
    protocol: REVIEW,
    backend: BACKENDS[backend],
    core: CORES[core],
    attach: await recordAttach(driver.kind),
    mode: transactions,
  });
}
