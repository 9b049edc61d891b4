// What can be asked of a lab with a backend of others (docs/dom0-programs.md): it records nothing and passes no gate, so that it
// can be a case's victim and never the process that stands; and libxenstore, which it speaks to the store by, does not connect
// again to a store that was started anew.
import { UserError } from '../lib/core/errors.js';
import { type ChaosCase, type FaultAt, faultsOf, type Victim } from './case.js';
import { faultNamed } from './faults/table.js';

const BACKEND: Victim = 'vhost-frontend';
/** Whom a campaign harms that names no victims. */
export const FOREIGN_VICTIMS: readonly Victim[] = [BACKEND];
/** Signals: what any process can be sent. */
const FAULTS_OF_BACKEND: readonly string[] = ['KILL', 'STOP', 'TERM', 'HANG', 'PAUSE'];

/** Why a case cannot be run on a backend of others, one sentence; undefined when it can. */
export function foreignRefusal(chaosCase: ChaosCase): string | undefined {
  return faultsOf(chaosCase)
    .map(refusalOf)
    .find((why) => why !== undefined);
}

function refusalOf({ at, victim, fault }: FaultAt): string | undefined {
  const named = faultNamed(fault)?.fault;
  if (at.process === BACKEND) return 'a backend of others passes no points: a case stands at one of another process';
  if (at.process === 'vhost-gpu' || victim === 'vhost-gpu')
    return 'the GPU server of a backend of others is a process for each connection, which no case can name';
  if (victim === 'xenstored' && named?.replaces === true)
    return 'xenstored cannot be ended beside a backend of others: libxenstore does not connect again';
  if (victim === BACKEND && named !== undefined && !FAULTS_OF_BACKEND.includes(named.name))
    return `a backend of others knows signals only: ${FAULTS_OF_BACKEND.join(', ')}`;
  return undefined;
}

/** Throws UserError for the first case that cannot be run. */
export function requireForeign(cases: readonly ChaosCase[]): void {
  for (const each of cases) {
    const why = foreignRefusal(each);
    if (why !== undefined) throw new UserError(why);
  }
}
