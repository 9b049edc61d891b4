// Every operation of the wire: who may use it, whether it looks at the transaction id, what does it. Checked in the
// daemon's order: known (ENOSYS), privileged (EACCES), transaction (ENOENT), then the handler's own checks.
import { XS } from '../../lib/layout/xs-wire.js';
import type { Handler } from './call.js';
import * as control from './control-commands.js';
import * as domain from './domain-commands.js';
import * as node from './node-commands.js';
import * as session from './session-commands.js';

export interface Command {
  readonly run: Handler;
  /** Refused to guests. */
  readonly privileged?: true;
  /** Done as if the header's transaction id were 0. */
  readonly ignoresTransaction?: true;
}

export const COMMANDS: ReadonlyMap<number, Command> = new Map<number, Command>([
  [XS.XS_CONTROL, { run: control.control, privileged: true }],
  [XS.XS_DIRECTORY, { run: node.directory }],
  [XS.XS_READ, { run: node.read }],
  [XS.XS_GET_PERMS, { run: node.getPerms }],
  [XS.XS_WATCH, { run: session.watch, ignoresTransaction: true }],
  [XS.XS_UNWATCH, { run: session.unwatch, ignoresTransaction: true }],
  [XS.XS_TRANSACTION_START, { run: session.transactionStart }],
  [XS.XS_TRANSACTION_END, { run: session.transactionEnd }],
  [XS.XS_INTRODUCE, { run: domain.introduce, privileged: true }],
  [XS.XS_RELEASE, { run: domain.release, privileged: true }],
  [XS.XS_GET_DOMAIN_PATH, { run: domain.getDomainPath }],
  [XS.XS_WRITE, { run: node.write }],
  [XS.XS_MKDIR, { run: node.mkdir }],
  [XS.XS_RM, { run: node.rm }],
  [XS.XS_SET_PERMS, { run: node.setPerms }],
  [XS.XS_IS_DOMAIN_INTRODUCED, { run: domain.isDomainIntroduced, privileged: true }],
  [XS.XS_RESUME, { run: domain.resume, privileged: true }],
  [XS.XS_SET_TARGET, { run: domain.setTarget, privileged: true }],
  [XS.XS_RESET_WATCHES, { run: session.resetWatches }],
  [XS.XS_DIRECTORY_PART, { run: node.directoryPart }],
  [XS.XS_GET_FEATURE, { run: domain.getFeature }],
  [XS.XS_SET_FEATURE, { run: domain.setFeature, privileged: true }],
  [XS.XS_GET_QUOTA, { run: domain.getQuota, privileged: true }],
  [XS.XS_SET_QUOTA, { run: domain.setQuota, privileged: true }],
]);
