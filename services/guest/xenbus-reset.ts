// What a booting PVH kernel does with frontends that an earlier kernel of the same domain left connected or closed
// (xenbus_reset_state): walks each back to 1, so that enumeration finds it. As a table: backend state to the steps to do.

import type { Clock } from '../../lib/core/clock.js';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { DeadlineError } from '../../lib/core/errors.js';
import type { DomId } from '../../lib/core/ids.js';
import type { Log } from '../../lib/core/log.js';
import type { Probe } from '../../lib/core/probe.js';
import { XENBUS_KEY, XenbusState } from '../../lib/layout/xenbus.js';
import { edge, POINT } from '../../lib/trace/points.js';
import type { Protocol } from '../../lib/xenbus/protocol.js';
import { assertMove } from '../../lib/xenbus/rules.js';
import type { GuestStore } from './guest-store.js';
import type { Vcpu } from './vcpu.js';
import { Completion } from './wait.js';
import { asErrno, devidOf, readState } from './xenbus-device.js';
import type { Xenwatch } from './xenwatch.js';

const { Initialising, InitWait, Connected, Closing, Closed } = XenbusState;

/** What the frontend writes, and the backend state that it then waits for. */
const STEPS: Readonly<Partial<Record<number, readonly (readonly [XenbusState, XenbusState])[]>>> = {
  [Connected]: [
    [Closing, Closing],
    [Closed, Closed],
    [Initialising, InitWait],
  ],
  [Closing]: [
    [Closed, Closed],
    [Initialising, InitWait],
  ],
  [Closed]: [[Initialising, InitWait]],
};

export interface ResetParts {
  readonly protocol: Protocol;
  readonly store: GuestStore;
  readonly vcpu: Vcpu;
  readonly xenwatch: Xenwatch;
  readonly clock: Clock;
  readonly probe: Probe;
  readonly log: Log;
  readonly domid: DomId;
  readonly newToken: () => string;
}

export async function resetFrontends(parts: ResetParts): Promise<void> {
  const { store } = parts;
  try {
    for (const kind of await store.directory('device')) {
      for (const id of await store.directory(`device/${kind}`)) await resetOne(parts, `device/${kind}/${id}`);
    }
  } catch (error) {
    asErrno(error, 'reset'); // nothing there, or no permission: nothing to reset
  }
}

async function resetOne(parts: ResetParts, nodename: string): Promise<void> {
  const { store, probe } = parts;
  const path = `${nodename}/${XENBUS_KEY.state}`;
  const devid = devidOf(nodename);
  const state = await readState(store, nodename);
  if (state !== Connected && state !== Closed) return;
  const backend = await store.read(`${nodename}/${XENBUS_KEY.backend}`);
  const backendState = await readState(store, backend);
  const steps = STEPS[backendState];
  if (steps === undefined) return;
  let from: number = state;
  // Later steps go on from a backend that has answered, or has not within its time.
  let otherEnd: { otherEnd?: number } = { otherEnd: backendState };
  const watch = await watchState(parts, backend);
  for (const [write, awaited] of steps) {
    assertMove(parts.protocol, { side: 'front', from, to: write, by: 'core', ...otherEnd });
    otherEnd = {};
    probe.at(POINT['front.state'], path, devid, edge(from, write));
    await store.write(path, String(write));
    probe.at(POINT['front.state-written'], path, devid, edge(from, write));
    from = write;
    await watch.until(awaited);
  }
  await watch.end();
}

/** Follows the backend's state; a state that does not come within 5 s is logged and passed over, as in Linux. */
async function watchState(
  { store, vcpu, xenwatch, clock, log, newToken }: ResetParts,
  directory: string,
): Promise<{ until(state: number): Promise<void>; end(): Promise<void> }> {
  const path = `${directory}/${XENBUS_KEY.state}`;
  const token = newToken();
  const parts = {};
  let seen = -1;
  let awaited: { state: number; reached: Completion } | undefined;
  await store.watch(path, token, () => {
    xenwatch.add(parts, async () => {
      seen = await readState(store, directory);
      if (awaited?.state === seen) awaited.reached.complete();
    });
  });

  return {
    async until(state) {
      if (seen === state) return;
      awaited = { state, reached: new Completion(vcpu) };
      try {
        await awaited.reached.wait({ clock, ms: DEADLINE_MS.backendReset, what: `backend state ${state}` });
      } catch (error) {
        if (!(error instanceof DeadlineError)) throw error;
        log.warn(error.message);
      }
    },
    async end() {
      await store.unwatch(path, token);
      xenwatch.drop(parts);
    },
  };
}
