// The option that says how notifications travel, and what goes with what. Checked before anything starts.
import { UserError } from '../../lib/core/errors.js';
import { isNotificationPath, NOTIFICATION_PATHS, type NotificationPath } from '../../lib/core/notification-path.js';
import type { NotifyMode } from '../../lib/core/notify.js';
import { InvalidArgumentError } from '../../lib/node/process/cli.js';

/** One path, for Option.argParser. */
export function notificationPath(text: string): NotificationPath {
  if (!isNotificationPath(text)) throw new InvalidArgumentError(`It must be one of ${NOTIFICATION_PATHS.join(', ')}.`);
  return text;
}

/** Several, separated by commas. */
export function notificationPaths(text: string): NotificationPath[] {
  return text.split(',').map((each) => notificationPath(each.trim()));
}

/** Throws UserError where the path needs what the lab has not. */
export function checkNotify(paths: readonly (NotificationPath | undefined)[], notify: NotifyMode): void {
  if (notify === 'zmq' && paths.includes('direct'))
    throw new UserError('path direct is shared memory all the way: it needs --notify doorbell');
}
