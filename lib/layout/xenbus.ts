// Xenbus in the store: states, key names, directories. Source: xen/include/public/io/xenbus.h, xen.git docs/misc/xenstore-paths.pandoc,
// tools/libs/light/libxl_device.c. Leaves who may write what and when to lib/xenbus/protocol.ts.

/** enum xenbus_state; decimal in the store. The names without their prefix XenbusState. */
export const XenbusState = {
  Unknown: 0,
  Initialising: 1,
  InitWait: 2,
  Initialised: 3,
  Connected: 4,
  Closing: 5,
  Closed: 6,
  Reconfiguring: 7,
  Reconfigured: 8,
} as const;
export type XenbusState = (typeof XenbusState)[keyof typeof XenbusState];

const STATE_NAMES = Object.keys(XenbusState);

/** "Connected" of 4; numbers outside the enum come out as themselves. */
export function xenbusStateName(state: number): string {
  return STATE_NAMES[state] ?? String(state);
}

/** Keys that every device kind has. */
export const XENBUS_KEY = {
  state: 'state',
  backend: 'backend',
  backendId: 'backend-id',
  frontend: 'frontend',
  frontendId: 'frontend-id',
  online: 'online',
} as const;

/** Keys of a virtio-mmio device: libxl_virtio.c (type, transport, grant_usage, irq, base), the thread's patch (the others). */
export const VIRTIO_MMIO_KEY = {
  base: 'base',
  size: 'size',
  eventChannel: 'event-channel',
  type: 'type',
  transport: 'transport',
  grantUsage: 'grant_usage',
  irq: 'irq',
  /** Ours: how notifications travel. */
  path: 'path',
  /** Ours: which device server. */
  server: 'server',
  /** Ours: event channels of queues are offered. */
  featureQueueEvtchn: 'feature-queue-evtchn',
} as const;

/** Ours: the event channel of one queue, in the frontend's directory. */
export function queueEventChannelKey(queue: number | 'N'): string {
  return `queue-${queue}/event-channel`;
}

/** Device kinds: of the reviewed protocol, and of libxl and the patch as posted. */
export const KIND_VIRTIO_MMIO = 'virtio-mmio';
export const KIND_VIRTIO = 'virtio';

/** include/xen/xenbus.h: `<kind>/<id>` with its NUL must fit (drivers/xen/xenbus/xenbus_probe.c answers EINVAL). */
export const XEN_BUS_ID_SIZE = 20;

export interface DeviceId {
  readonly kind: string;
  readonly domid: number;
  readonly devid: number;
  /** Domain of the backend. */
  readonly backDomid: number;
}

export function homePath(domid: number): string {
  return `/local/domain/${domid}`;
}

/** Frontend directory relative to its domain's home: what Linux calls the nodename. */
export function frontendNode(kind: string, devid: number | string): string {
  return `device/${kind}/${devid}`;
}

export function frontendPath(id: Omit<DeviceId, 'backDomid'>): string {
  return `${homePath(id.domid)}/${frontendNode(id.kind, id.devid)}`;
}

/** Backend directory relative to its domain's home. */
export function backendNode(id: Omit<DeviceId, 'backDomid'>): string {
  return `backend/${id.kind}/${id.domid}/${id.devid}`;
}

export function backendPath(id: DeviceId): string {
  return `${homePath(id.backDomid)}/${backendNode(id)}`;
}

/** The toolstack's own copy of the device. */
export function libxlPath(id: Omit<DeviceId, 'backDomid'>): string {
  return `/libxl/${id.domid}/${frontendNode(id.kind, id.devid)}`;
}

/** One end of a device, and which of its keys a path of the store names. */
export interface DeviceKey {
  readonly side: 'front' | 'back';
  readonly kind: string;
  readonly domid: number;
  readonly devid: number;
  /** Of the end's directory. */
  readonly dir: string;
  /** Below the directory; may hold slashes. */
  readonly key: string;
}

const DEVICE_KEYS = {
  front: /^(?<dir>\/local\/domain\/(?<domid>[0-9]+)\/device\/(?<kind>[^/]+)\/(?<devid>[0-9]+))\/(?<key>.+)$/,
  back: /^(?<dir>\/local\/domain\/[0-9]+\/backend\/(?<kind>[^/]+)\/(?<domid>[0-9]+)\/(?<devid>[0-9]+))\/(?<key>.+)$/,
} as const;

/** The inverse of frontendPath and backendPath, for a key below; undefined for any other path. */
export function parseDeviceKey(path: string): DeviceKey | undefined {
  for (const side of ['front', 'back'] as const) {
    const found = DEVICE_KEYS[side].exec(path)?.groups;
    if (found === undefined) continue;
    const { dir, kind, domid, devid, key } = found as Record<'dir' | 'kind' | 'domid' | 'devid' | 'key', string>;
    return { side, kind, domid: Number(domid), devid: Number(devid), dir, key };
  }
  return undefined;
}

/** Linux's habit for driver errors: `error/<nodename>/error` under the home of the domain that reports. */
export function errorKey(nodename: string): string {
  return `error/${nodename}/error`;
}

/** Keys of ours under the guest's `data` (owned by the guest): what a toolstack waits for. */
export const DATA_KEY = {
  /** "1" once the first frame is shown (its fenced flush has completed). */
  frame: 'data/xenwire/frame',
  /** One sentence: why this guest cannot show its picture. */
  failure: 'data/xenwire/failure',
  /** Written by the toolstack: frames a second that the guest shall draw, with a number in each; 0 or absent: none. */
  animate: 'data/xenwire/animate',
} as const;

/** Keys that the guest's core watches or reads (drivers/xen/manage.c, drivers/xen/xenbus/xenbus_xs.c). */
export const CONTROL_KEY = {
  shutdown: 'control/shutdown',
  featurePoweroff: 'control/feature-poweroff',
  featureReboot: 'control/feature-reboot',
  resetWatches: 'control/platform-feature-xs_reset_watches',
} as const;
