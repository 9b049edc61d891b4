// The six ways for kicks and calls to travel past vhost-frontend, by name: values of the device's `path` key and of --path.
// Leaves what each does to vhost-frontend/paths.ts and the hypervisor, and which records it leaves to lib/trace/hops.ts.

/** The first two pass vhost-frontend, the last passes no other process at all. */
export const NOTIFICATION_PATHS = ['dmop', 'relay', 'irqfd', 'evtchnfd', 'evtchn', 'direct'] as const;
export type NotificationPath = (typeof NOTIFICATION_PATHS)[number];
export const DEFAULT_PATH: NotificationPath = 'evtchnfd';

export function isNotificationPath(text: string): text is NotificationPath {
  return (NOTIFICATION_PATHS as readonly string[]).includes(text);
}
