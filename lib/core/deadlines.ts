// Every time-out of the project, in one table, in milliseconds: what waits, for what, and what follows when it does not come.
// FITS says which of them happen inside which others, so that a change of one is seen to break another (its test adds them up).
// Leaves poll windows and back-off, which no event ends, to the poller (lib/node/bell/poller.ts, services/xenstored).

export const DEADLINE_MS = {
  // A process and its end.
  /** lib/node/process/service.ts: each owner, to give back what it holds; then the process ends without it. */
  ownerRelease: 3000,
  /** lib/node/process/service.ts: a process name that `ps` is looking at is free again. */
  nameLook: 150,
  /** lib/node/process/run-dir-life.ts: the removal of a run directory by a start that failed: one step. */
  runDirGone: 2000,
  /** lib/node/process/service.ts: a supervised process whose predecessor of the same name is still ending. */
  nameFree: 4000,
  /** lib/node/bell/zmq.ts: rings already handed over leave the process that exits. */
  ringLinger: 100,

  // A lab and its end.
  /** lab/supervisor.ts: one process, to end in order after SIGTERM; then SIGKILL. */
  processStop: 4000,
  /** lab/supervisor.ts: the same in a lab that has failed. */
  failedProcessStop: 800,
  /** lab/supervisor.ts: the reaping of the process whose end explains that of another. */
  causeOfEnd: 1000,
  /** lab/supervisor.ts: between two questions whether a process still answers. */
  heartbeat: 1000,
  /** lab/up.ts: a process that answers no question for so long counts as dead, is killed and replaced. */
  processAnswer: 10_000,
  /** lab/host.ts: the processes of a host whose hypervisor ended, to end by themselves; then SIGKILL. */
  hostEnd: 2000,
  /** lab/host.ts: every picture is right again after a process came back; missed, it is said. */
  recovery: 5000,
  /** bin, services: a wait that lasts longer says what it waits for. */
  silence: 1000,
  /** lab/claim.ts: the processes of a supervisor that was killed, to end by themselves. */
  orphansEnd: 5000,
  /** lab/interruption.ts: signals within this count as one Ctrl-C, which a terminal and a shell may both send. */
  oneSignal: 300,
  /** lab/session.ts: a toolstack waits for xenstored to be back. */
  storeBack: 5000,
  /** lab/audit.ts: a process that is asked what it holds is connected to; it may have ended since it was listed. */
  holdingsAnswer: 2000,
  /** lab/session.ts: a toolstack waits for another that holds the lab. */
  toolstackLock: 60_000,
  /** lab/frames.ts: the first frame of a guest. */
  firstFrame: 60_000,
  /** toolstack/device.ts: a backend's Closed; libxl_internal.h, LIBXL_DESTROY_TIMEOUT. */
  backendClosed: 10_000,

  // vhost-frontend.
  /** services/vhost-frontend/devices.ts: guests close their devices when vhost-frontend ends. */
  devicesClose: 1500,
  /** services/vhost-frontend/devices.ts: giving back what guests did not let go of. */
  devicesAbandon: 1000,
  /** services/vhost-frontend/node/unix-device-server.ts: a foreign server's answer; then its connection is given up. */
  foreignServerAnswer: 2000,
  /** services/vhost-frontend/virtio-link.ts: a driver resets a device that asks for it; else it is connected anew. */
  driverResets: 250,
  /** services/vhost-frontend: the event ring of /dev/xen/evtchn was full; the write is tried again. */
  evtchnRetry: 1,
  /** services/vhost-gpu/display-link.ts: a viewer's answer; a guest's control queue waits for it. */
  viewerAnswer: 2000,

  // A guest's kernel, as Linux has them.
  /** services/guest/xenbus-reset.ts: each state of a backend that is reset at boot (xenbus_reset_backend_state). */
  backendReset: 5000,
  /** services/guest/xenbus-core.ts: xenbus_frontend_dev_shutdown waits for a device to be down. */
  deviceShutdown: 5000,
  /** services/guest/workload.ts: the WAIT ioctl of Linux's virtio-gpu driver. */
  frameFence: 15_000,
  /** services/guest/gpu-outputs.ts: virtio_gpu_init waits for display info, and goes on without. */
  displayInfo: 5000,
  /** services/guest/virtio-gpu.ts: removal waits for the replies to its last commands; the reset then ends them. */
  removalReplies: 250,
  /** services/guest/latency-load.ts: a request of a latency run. */
  latencyRequest: 5000,

  // Measurements.
  /** measure/, bench/: a program started for a measurement says that it is ready, or answers. */
  measuredStart: 10_000,
  /** measure/floor: one C program's whole run. */
  floorRun: 60_000,
  /** bench/recovery: every screen is right again; one that is not stays wrong. */
  measuredRecovery: 15_000,
  /** measure/flush: one GPU command. */
  measuredCommand: 5000,
  /** measure/latency: a guest's first frame, and its answer beyond the time that the run itself takes. */
  measuredFrame: 20_000,
  measuredAnswerSlack: 20_000,

  // The live page.
  /** dashboard/actions.ts: a process comes to the point that a person has chosen; then the gate is taken back. */
  pageGate: 600_000,
  /** dashboard/actions.ts: a process that stands goes on. */
  pageLetGo: 5000,
  /** dashboard/actions.ts: the page of gates of a process that runs. */
  pageOpen: 2000,
  /** lab/page-process.ts: the page of a campaign, which ends the replay that is under way and removes its lab. */
  campaignPageStop: 12_000,

  // vhost-gpu.
  /** services/vhost-gpu/node/domain-grants.ts: the hypervisor of the lab, to be connected to; then granted pages are refused. */
  grantsOpened: 2000,

  // Chaos.
  /** chaos/rig.ts: a service that was started, or a connection to it. */
  chaosStart: 10_000,
  /** chaos/engine.ts: the process of the case comes to the point of its fault, once it has nothing else to wait for. */
  chaosPoint: 15_000,
  /** chaos/engine.ts: from the end of the fault to the right picture; then the case is wedged. */
  chaosPicture: 8000,
  /** chaos/rig.ts: the process that shows what a backend of others draws; then the look begins anew. */
  chaosDisplay: 2000,
  /** chaos/scene.ts: the removal of a guest while a process is away; then the process comes back all the same. */
  chaosAway: 1000,
  /** chaos/snapshot.ts: a server, to tell what it holds; then the report goes without. */
  chaosSnapshot: 2000,
  /** chaos/engine.ts: what a guest that is gone had, until the services have given it back. */
  chaosGivenBack: 2000,
  /** chaos/engine.ts: a process that must end. */
  chaosEnd: 6000,
  /** chaos/engine.ts: a whole case; what takes longer is wedged. */
  chaosCase: 60_000,
} as const satisfies Record<string, number>;

export type DeadlineName = keyof typeof DEADLINE_MS;

/** What this project promises of a death, milliseconds from the death to the next right frame (docs/recovery.md). */
export const PROMISE_MS = {
  xenstored: 1000,
  guest: 2000,
  vhostFrontend: 2000,
  vhostGpu: 2000,
  hypervisor: 2000,
} as const;

export interface Fit {
  readonly whole: DeadlineName;
  /** They come one after the other inside `whole`. */
  readonly parts: readonly DeadlineName[];
  readonly why: string;
}

export const FITS: readonly Fit[] = [
  {
    whole: 'ownerRelease',
    parts: ['devicesClose', 'devicesAbandon'],
    why: 'vhost-frontend closes its devices while it gives its owners back',
  },
  {
    whole: 'nameFree',
    parts: ['ownerRelease'],
    why: 'the next process of a name waits until the one before has ended',
  },
  { whole: 'processStop', parts: ['ownerRelease'], why: 'SIGKILL must not cut an orderly end short' },
  {
    whole: 'campaignPageStop',
    parts: ['processStop', 'orphansEnd'],
    why: 'a replay is ended and the processes of its lab end, before its files are removed',
  },
  { whole: 'orphansEnd', parts: ['ownerRelease'], why: 'orphans end in order before the next lab starts' },
  {
    whole: 'backendClosed',
    parts: ['deviceShutdown'],
    why: 'the toolstack gives up later than a guest that shuts down',
  },
  {
    whole: 'backendClosed',
    parts: ['foreignServerAnswer'],
    why: 'a foreign server that stands still must not hold up the removal of its device',
  },
  { whole: 'frameFence', parts: ['viewerAnswer'], why: 'a viewer that does not answer must not fail a fence' },
];
