// Whether a host has the dm_op evtchn_raise, which two of the notification paths need: asked of the hypervisor itself.
import type { Remote } from '../core/bus.js';
import { ErrnoError } from '../core/errors.js';
import type { NotificationPath } from '../core/notification-path.js';

/** These raise the guest's interrupt by that dm_op. */
export function needsEvtchnRaise(path: NotificationPath | undefined): boolean {
  return path === 'dmop' || path === 'irqfd';
}

/** `domid`: any domain but our own. Rejects with what else the hypervisor refuses. */
export async function hasEvtchnRaise(
  hypervisor: Pick<Remote<'Hypervisor'>, 'dm_evtchn_raise'>,
  domid: number,
): Promise<boolean> {
  try {
    await hypervisor.dm_evtchn_raise({ domid, port: 0 });
    return true;
  } catch (error) {
    if (!(error instanceof ErrnoError)) throw error;
    if (error.code === 'EOPNOTSUPP') return false;
    // Port 0 is never handed out: a hypervisor that says so has the operation.
    if (error.code === 'EINVAL') return true;
    throw error;
  }
}
