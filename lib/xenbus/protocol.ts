// The `review` protocol of virtio-mmio over xenbus, once, as tables: who writes which key, when a reader may act on it, its text
// form; and the legal moves of both states. The machines of both ends (frontend.ts, backend.ts), the guest's xenbus core and the
// toolstack are held to these tables by rules.ts; docs/protocol.md is made from them by protocol-doc.ts.
// It is what the review of the patch agreed on; rows with `ours` are what we add to make it sound. Another protocol (the patch as
// posted) is another `Protocol` of the same shape. Leaves the order of things to frontend.ts and backend.ts.
import { DEVICE_SERVER_NAME_FORM } from '../core/device-server.js';
import { DEFAULT_PATH, NOTIFICATION_PATHS } from '../core/notification-path.js';
import { queueEventChannelKey, VIRTIO_MMIO_KEY, XENBUS_KEY, XenbusState } from '../layout/xenbus.js';

export type Side = 'front' | 'back';
/**
 * Who writes: the toolstack, the driver of each end, and the guest's xenbus core, which moves a frontend's state by itself where
 * no driver does (drivers/xen/xenbus/xenbus_probe.c, xenbus_probe_frontend.c, xenbus_client.c).
 */
export type Writer = 'toolstack' | 'frontend' | 'core' | 'backend';

export interface KeyRule {
  readonly key: string;
  /** Directory it stands in. */
  readonly side: Side;
  readonly writers: readonly Writer[];
  /** A reader acts on the key once the state of `side` has this value, and no more at Closed; 1 means from creation on. */
  readonly publishedAt: XenbusState;
  readonly form: string;
  readonly meaning: string;
  readonly ours?: true;
}

/** Everything that one version of the protocol says, as data: what machines, verdicts and documents are given. */
export interface Protocol {
  readonly name: string;
  readonly keys: readonly KeyRule[];
  readonly edges: readonly EdgeRule[];
}

const S = XenbusState;

export const REVIEW_KEYS: readonly KeyRule[] = [
  {
    key: XENBUS_KEY.backend,
    side: 'front',
    writers: ['toolstack'],
    publishedAt: S.Initialising,
    form: 'absolute path',
    meaning: 'backend directory',
  },
  {
    key: XENBUS_KEY.backendId,
    side: 'front',
    writers: ['toolstack'],
    publishedAt: S.Initialising,
    form: 'unsigned decimal',
    meaning: 'domain of the backend',
  },
  {
    key: VIRTIO_MMIO_KEY.base,
    side: 'front',
    writers: ['frontend'],
    publishedAt: S.Initialised,
    form: '0x and hexadecimal digits',
    meaning: 'guest-physical address of the registers: the lowest free 4 KiB-aligned range of the window',
  },
  {
    key: VIRTIO_MMIO_KEY.eventChannel,
    side: 'front',
    writers: ['frontend'],
    publishedAt: S.Initialised,
    form: 'unsigned decimal, from 1',
    meaning: "port of the guest, unbound for the backend's domain: the device's interrupt",
  },
  {
    key: queueEventChannelKey('N'),
    side: 'front',
    writers: ['frontend'],
    publishedAt: S.Initialised,
    form: 'unsigned decimal, from 1',
    meaning:
      "port of the guest, unbound for the backend's domain: its sends are kicks of queue N instead of QueueNotify; only " +
      'where `feature-queue-evtchn` offers it, for each queue or for some',
    ours: true,
  },
  {
    key: XENBUS_KEY.state,
    side: 'front',
    writers: ['frontend', 'toolstack'],
    publishedAt: S.Initialising,
    form: 'unsigned decimal',
    meaning: 'state of the frontend; the toolstack writes 1 at creation and reset',
  },
  {
    key: XENBUS_KEY.frontend,
    side: 'back',
    writers: ['toolstack'],
    publishedAt: S.Initialising,
    form: 'absolute path',
    meaning: 'frontend directory',
  },
  {
    key: XENBUS_KEY.frontendId,
    side: 'back',
    writers: ['toolstack'],
    publishedAt: S.Initialising,
    form: 'unsigned decimal',
    meaning: 'domain of the frontend',
  },
  {
    key: XENBUS_KEY.online,
    side: 'back',
    writers: ['toolstack'],
    publishedAt: S.Initialising,
    form: '0 or 1',
    meaning: '1 while the device is wanted; a closed frontend starts again only then',
  },
  {
    key: VIRTIO_MMIO_KEY.type,
    side: 'back',
    writers: ['toolstack'],
    publishedAt: S.Initialising,
    form: 'virtio,device and the virtio device id in hexadecimal without 0x',
    meaning: 'which device',
  },
  {
    key: VIRTIO_MMIO_KEY.transport,
    side: 'back',
    writers: ['toolstack'],
    publishedAt: S.Initialising,
    form: 'mmio',
    meaning: 'virtio transport',
  },
  {
    key: VIRTIO_MMIO_KEY.grantUsage,
    side: 'back',
    writers: ['toolstack'],
    publishedAt: S.Initialising,
    form: '0 or 1',
    meaning: '1: the device offers ACCESS_PLATFORM, needs it accepted, and takes grants as addresses',
  },
  {
    key: VIRTIO_MMIO_KEY.path,
    side: 'back',
    writers: ['toolstack'],
    publishedAt: S.Initialising,
    form: `one of ${NOTIFICATION_PATHS.join(', ')}`,
    meaning: `how kicks and calls travel past the backend; absent: ${DEFAULT_PATH}`,
    ours: true,
  },
  {
    key: VIRTIO_MMIO_KEY.server,
    side: 'back',
    writers: ['toolstack'],
    publishedAt: S.Initialising,
    form: DEVICE_SERVER_NAME_FORM,
    meaning: 'name of the device server behind the backend; absent: the one without a name',
    ours: true,
  },
  {
    key: VIRTIO_MMIO_KEY.featureQueueEvtchn,
    side: 'back',
    writers: ['backend'],
    publishedAt: S.InitWait,
    form: 'unsigned decimal',
    meaning: 'queues that may be kicked by an event channel each, counted from queue 0; 0 or absent: none',
    ours: true,
  },
  {
    key: VIRTIO_MMIO_KEY.size,
    side: 'back',
    writers: ['backend'],
    publishedAt: S.InitWait,
    form: '0x and hexadecimal digits; readers take unsigned decimal too',
    meaning: 'bytes of the register range',
    ours: true,
  },
  {
    key: XENBUS_KEY.state,
    side: 'back',
    writers: ['backend', 'toolstack'],
    publishedAt: S.Initialising,
    form: 'unsigned decimal',
    meaning: 'state of the backend; the toolstack writes 1 at creation and 5 at removal',
  },
];

export interface EdgeRule {
  readonly side: Side;
  readonly from: readonly XenbusState[];
  readonly to: XenbusState;
  readonly by: Writer;
  /** States of the other end in which the writer may do it, as it read them; absent: any. */
  readonly otherEnd?: readonly XenbusState[];
  readonly why: string;
  readonly ours?: true;
}

export const REVIEW_EDGES: readonly EdgeRule[] = [
  {
    side: 'back',
    from: [S.Initialising],
    to: S.InitWait,
    by: 'backend',
    why: 'its keys are published; the frontend may act on them',
  },
  {
    side: 'front',
    from: [S.Initialising],
    to: S.Initialised,
    by: 'frontend',
    otherEnd: [S.InitWait],
    why: 'base and event-channel are written',
  },
  {
    side: 'back',
    from: [S.InitWait],
    to: S.Connected,
    by: 'backend',
    otherEnd: [S.Initialised],
    why: 'keys are valid, the port is bound, register accesses are answered',
  },
  {
    side: 'front',
    from: [S.Initialised],
    to: S.Connected,
    by: 'frontend',
    otherEnd: [S.Connected],
    why: 'the device is registered and its driver has probed it',
  },
  {
    side: 'front',
    from: [S.Initialising, S.Initialised, S.Connected],
    to: S.Closing,
    by: 'frontend',
    why: 'an error that it cannot pass (error/<nodename>/error says which), or the guest shuts down',
  },
  {
    side: 'back',
    from: [S.Initialising, S.InitWait, S.Connected],
    to: S.Closing,
    by: 'backend',
    why:
      'the frontend closes or broke a rule, its driver does not reset a device that needs it, or the backend found the ' +
      'device half-way; registers are still answered',
  },
  {
    side: 'back',
    from: [
      S.Unknown,
      S.Initialising,
      S.InitWait,
      S.Initialised,
      S.Connected,
      S.Closing,
      S.Reconfiguring,
      S.Reconfigured,
    ],
    to: S.Closing,
    by: 'toolstack',
    why: 'removal, after online = 0, whatever a backend wrote there',
  },
  {
    side: 'front',
    from: [S.Initialising, S.Initialised, S.Connected, S.Closing],
    to: S.Closed,
    by: 'frontend',
    why: 'the device is unregistered while its registers were still answered; port and range are given back',
  },
  {
    side: 'back',
    from: [S.Initialising, S.InitWait, S.Connected, S.Closing],
    to: S.Closed,
    by: 'backend',
    otherEnd: [S.Unknown, S.Initialising, S.Closed],
    why: 'the frontend has let go; range unmapped, port unbound',
  },
  // Linux's core does not ask what the other end reads, except at boot.
  {
    side: 'front',
    from: [S.Initialising, S.Initialised, S.Connected, S.Closed],
    to: S.Closing,
    by: 'core',
    why:
      'the guest shuts down; its core cannot find the backend, or could not write another state (xenbus_switch_fatal); or it ' +
      'boots and finds the backend at 4, connected to an earlier kernel (xenbus_reset_state)',
  },
  {
    side: 'front',
    from: [S.Initialising, S.Initialised, S.Connected, S.Closing],
    to: S.Closed,
    by: 'core',
    why:
      'the driver is unbound (xenbus_dev_remove); the backend closes while the guest shuts down; or the guest boots and resets ' +
      'what an earlier kernel left',
  },
  {
    side: 'front',
    from: [S.Closed],
    to: S.Initialising,
    by: 'core',
    why: 'the guest boots: what an earlier kernel closed, or left closed, may begin anew (xenbus_reset_state)',
  },
  {
    side: 'front',
    from: [S.Connected],
    to: S.Initialising,
    by: 'core',
    otherEnd: [S.Closed],
    why: 'the guest boots: an earlier kernel was connected, and its backend has closed since (xenbus_reset_state)',
  },
  {
    side: 'front',
    from: [S.Closed],
    to: S.Initialising,
    by: 'frontend',
    otherEnd: [S.Closed, S.InitWait],
    why: 'online is 1: another connection may begin',
    ours: true,
  },
  {
    side: 'back',
    from: [S.Closed],
    to: S.InitWait,
    by: 'backend',
    otherEnd: [S.Initialising],
    why: 'the frontend begins another connection',
    ours: true,
  },
  { side: 'front', from: [S.Unknown], to: S.Initialising, by: 'toolstack', why: 'creation' },
  {
    side: 'front',
    from: [S.Initialised, S.Connected, S.Closing, S.Closed],
    to: S.Initialising,
    by: 'toolstack',
    otherEnd: [S.Closed],
    why:
      'reset: a backend is provided anew, in the same transaction. One that is not Closed would go on with the keys of the ' +
      'connection before',
  },
  { side: 'back', from: [S.Unknown, S.Closed], to: S.Initialising, by: 'toolstack', why: 'creation' },
];

export const REVIEW: Protocol = { name: 'review', keys: REVIEW_KEYS, edges: REVIEW_EDGES };

/** The rule that allows a move of `side`, or undefined. `otherEnd` as the writer read it; left out, it is not tested. */
export function legalEdge(
  side: Side,
  from: number,
  to: number,
  by: Writer,
  otherEnd?: number,
  edges: readonly EdgeRule[] = REVIEW_EDGES,
): EdgeRule | undefined {
  return edges.find(
    (edge) =>
      edge.side === side &&
      edge.by === by &&
      edge.to === to &&
      (edge.from as readonly number[]).includes(from) &&
      (otherEnd === undefined ||
        edge.otherEnd === undefined ||
        (edge.otherEnd as readonly number[]).includes(otherEnd)),
  );
}
