// Derived from proto/ by scripts/derive-proto.mjs; not edited by hand. 64-bit integers are numbers below 2^53.
export interface Envelope {
  kind: number;
  incarnation: number;
  id: number;
  method: string;
  rc: number;
  body: Uint8Array;
  error: string;
  flow: number;
}
export interface Hello {
  name: string;
  token: string;
  pid: number;
}
export interface Welcome {
  name: string;
  domid: number;
  pid: number;
}
export type Empty = Record<never, never>;
export interface Held {
  kind: string;
  name: string;
}
export interface AuditReply {
  held: Held[];
}
export interface Usage {
  descriptors: number;
  resident_bytes: number;
}
export interface DomctlCreate {
  domid: number;
  name: string;
  memory_mib: number;
  max_vcpus: number;
  max_evtchn_port: number;
}
export interface DomctlCreated {
  domid: number;
  unique_id: string;
  token: string;
}
export interface DomctlDomain {
  domid: number;
}
export interface DomctlRename {
  domid: number;
  name: string;
}
export interface DomainInfo {
  domid: number;
  name: string;
  unique_id: string;
  memory_mib: number;
  max_vcpus: number;
  state: string;
  shutdown_reason: number;
  attached: boolean;
}
export interface DomainInfoList {
  domains: DomainInfo[];
}
export interface DomainState {
  domid: number;
  state: number;
  caps: number;
  unique_id: string;
}
export interface HvmParam {
  domid: number;
  index: number;
  value: number;
}
export interface Token {
  token: string;
}
export interface EvtchnAllocUnbound {
  dom: number;
  remote_dom: number;
}
export interface EvtchnBindInterdomain {
  remote_dom: number;
  remote_port: number;
}
export interface EvtchnBindVirq {
  virq: number;
  vcpu: number;
}
export interface EvtchnBindIpi {
  vcpu: number;
}
export interface EvtchnPortArg {
  port: number;
}
export interface EvtchnLocalPort {
  local_port: number;
}
export interface EvtchnStatus {
  dom: number;
  port: number;
}
export interface EvtchnStatusReply {
  status: number;
  vcpu: number;
  dom: number;
  port: number;
  pirq: number;
  virq: number;
}
export interface EvtchnBindVcpu {
  port: number;
  vcpu: number;
}
export interface EvtchnReset {
  dom: number;
}
export interface GuestAttach {
  entry: BellHandle;
  upcall: BellHandle;
}
export interface GuestPages {
  domid: number;
  unique_id: string;
  ram: FileHandle;
  shared_info: FileHandle;
  vcpu: FileHandle;
  exit: BellHandle;
  store_port: number;
  console_port: number;
  direct: FileHandle;
}
export interface SchedShutdown {
  reason: number;
}
export interface DmCreateIoreqServer {
  domid: number;
  handle_bufioreq: number;
}
export interface DmIoreqServer {
  domid: number;
  id: number;
}
export interface DmIoreqServerInfo {
  bufioreq_port: number;
}
export interface DmIoRange {
  domid: number;
  id: number;
  type: number;
  start: number;
  end: number;
}
export interface DmIoreqServerState {
  domid: number;
  id: number;
  enabled: boolean;
}
export interface DmEvtchnRaise {
  domid: number;
  port: number;
}
export interface DmRemoteShutdown {
  domid: number;
  reason: number;
}
export interface DmDomain {
  domid: number;
}
export interface DmNrVcpus {
  vcpus: number;
}
export interface AcquireResource {
  domid: number;
  type: number;
  id: number;
  frame: number;
  nr_frames: number;
}
export interface AcquiredResource {
  file: FileHandle;
  files: FileHandle[];
  nr_frames: number;
}
export interface ForeignMap {
  domid: number;
}
export interface ForeignMemory {
  file: FileHandle;
}
export interface ForeignUnmap {
  domid: number;
}
export interface DevEvtchnOpen {
  readable: BellHandle;
}
export interface DevEvtchnPage {
  fd: number;
  page: FileHandle;
  written: BellHandle;
}
export interface DevEvtchnBindInterdomain {
  fd: number;
  remote_dom: number;
  remote_port: number;
}
export interface DevEvtchnBindVirq {
  fd: number;
  virq: number;
}
export interface DevEvtchnBindUnbound {
  fd: number;
  remote_dom: number;
}
export interface DevEvtchnPort {
  fd: number;
  port: number;
}
export interface DevFd {
  fd: number;
}
export interface DevEvtchnEventfd {
  fd: number;
  port: number;
  direction: number;
  deassign: boolean;
  handle: BellHandle;
  direct: boolean;
}
export interface DevEvtchnEventfdReply {
  handle: BellHandle;
}
export interface PrivcmdIoeventfd {
  domid: number;
  server: number;
  addr: number;
  addr_len: number;
  vq: number;
  handle: BellHandle;
  ports: number[];
  fd: number;
  deassign: boolean;
  direct: boolean;
}
export interface PrivcmdIrqfd {
  domid: number;
  dm_op: Uint8Array;
  deassign: boolean;
  handle: BellHandle;
}
export interface PrivcmdIrqfdReply {
  handle: BellHandle;
}
export interface GnttabSetup {
  nr_frames: number;
}
export interface GnttabTable {
  file: FileHandle;
  nr_frames: number;
}
export interface GntdevOpen {
  domid: number;
}
export interface GntdevMap {
  domid: number;
  refs: number[];
  readonly: boolean;
}
export interface GntdevMapped {
  status: number;
  handle: number;
  gfn: number;
}
export interface GntdevMapReply {
  mapped: GntdevMapped[];
}
export interface GntdevUnmap {
  handles: number[];
}
export interface GntdevUnmapReply {
  statuses: number[];
}
export interface Hypercall {
  op: string;
  args: string;
}
export interface HypercallReply {
  rc: number;
  out: string;
}
export interface BellHandle {
  bell: string;
  bit: number;
}
export interface FileHandle {
  path: string;
  size: number;
  offset: number;
}
export interface GrantHandle {
  ram: FileHandle;
  table: FileHandle;
}
export interface Ring {
  bits: number[];
}
export interface VhostUserHandle {
  file: FileHandle;
  bell: BellHandle;
  grants: GrantHandle;
}
export interface VhostUserMessage {
  session: number;
  request: number;
  flags: number;
  payload: Uint8Array;
  handles: VhostUserHandle[];
}
export interface VhostUserOpen {
  name: string;
  queue_count: number;
}
export interface VhostUserSession {
  session: number;
  first_kick: BellHandle;
}
export interface VhostUserClose {
  session: number;
}
export interface ScreenshotRequest {
  name: string;
  scanout: number;
  path: string;
}
export interface Screenshot {
  width: number;
  height: number;
  flush_count: number;
  first_flush_ns: number;
}
export interface DisplayResize {
  name: string;
  scanout: number;
  width: number;
  height: number;
}
export interface DisplayWatch {
  name: string;
  scanout: number;
  row_bytes: number;
}
export interface DisplayFrame {
  name: string;
  scanout: number;
  flush_count: number;
  ns: number;
  width: number;
  height: number;
  top: Uint8Array;
  bottom: Uint8Array;
}
export interface DisplayScanout {
  name: string;
  scanout: number;
}
export interface DisplayCursor {
  visible: boolean;
  x: number;
  y: number;
  hot_x: number;
  hot_y: number;
  image: Uint8Array;
}
export interface StoreMessage {
  type: number;
  req_id: number;
  tx_id: number;
  payload: Uint8Array;
}
export interface StoreTaken {
  bytes: number;
}

export interface Services {
  Process: {
    usage: { req: Empty; res: Usage };
  };
  Control: {
    audit: { req: Empty; res: AuditReply };
  };
  Hypervisor: {
    domctl_create: { req: DomctlCreate; res: DomctlCreated };
    domctl_destroy: { req: DomctlDomain; res: Empty };
    domctl_pause: { req: DomctlDomain; res: Empty };
    domctl_unpause: { req: DomctlDomain; res: Empty };
    domctl_rename: { req: DomctlRename; res: Empty };
    domctl_getdomaininfolist: { req: Empty; res: DomainInfoList };
    domctl_get_domain_state: { req: DomctlDomain; res: DomainState };
    hvm_set_param: { req: HvmParam; res: Empty };
    hvm_get_param: { req: HvmParam; res: HvmParam };
    identify: { req: Token; res: DomctlDomain };
    evtchn_alloc_unbound: { req: EvtchnAllocUnbound; res: EvtchnPortArg };
    evtchn_bind_interdomain: { req: EvtchnBindInterdomain; res: EvtchnLocalPort };
    evtchn_bind_virq: { req: EvtchnBindVirq; res: EvtchnPortArg };
    evtchn_bind_ipi: { req: EvtchnBindIpi; res: EvtchnPortArg };
    evtchn_close: { req: EvtchnPortArg; res: Empty };
    evtchn_send: { req: EvtchnPortArg; res: Empty };
    evtchn_status: { req: EvtchnStatus; res: EvtchnStatusReply };
    evtchn_bind_vcpu: { req: EvtchnBindVcpu; res: Empty };
    evtchn_unmask: { req: EvtchnPortArg; res: Empty };
    evtchn_reset: { req: EvtchnReset; res: Empty };
    guest_attach: { req: GuestAttach; res: GuestPages };
    sched_shutdown: { req: SchedShutdown; res: Empty };
    dm_create_ioreq_server: { req: DmCreateIoreqServer; res: DmIoreqServer };
    dm_get_ioreq_server_info: { req: DmIoreqServer; res: DmIoreqServerInfo };
    dm_map_io_range_to_ioreq_server: { req: DmIoRange; res: Empty };
    dm_unmap_io_range_from_ioreq_server: { req: DmIoRange; res: Empty };
    dm_set_ioreq_server_state: { req: DmIoreqServerState; res: Empty };
    dm_destroy_ioreq_server: { req: DmIoreqServer; res: Empty };
    dm_evtchn_raise: { req: DmEvtchnRaise; res: Empty };
    dm_remote_shutdown: { req: DmRemoteShutdown; res: Empty };
    dm_nr_vcpus: { req: DmDomain; res: DmNrVcpus };
    xenmem_acquire_resource: { req: AcquireResource; res: AcquiredResource };
    privcmd_map_foreign: { req: ForeignMap; res: ForeignMemory };
    privcmd_unmap_foreign: { req: ForeignUnmap; res: Empty };
    privcmd_ioeventfd: { req: PrivcmdIoeventfd; res: Empty };
    privcmd_irqfd: { req: PrivcmdIrqfd; res: PrivcmdIrqfdReply };
    dev_evtchn_open: { req: DevEvtchnOpen; res: DevEvtchnPage };
    dev_evtchn_bind_interdomain: { req: DevEvtchnBindInterdomain; res: EvtchnLocalPort };
    dev_evtchn_bind_virq: { req: DevEvtchnBindVirq; res: EvtchnLocalPort };
    dev_evtchn_bind_unbound_port: { req: DevEvtchnBindUnbound; res: EvtchnLocalPort };
    dev_evtchn_unbind: { req: DevEvtchnPort; res: Empty };
    dev_evtchn_notify: { req: DevEvtchnPort; res: Empty };
    dev_evtchn_eventfd: { req: DevEvtchnEventfd; res: DevEvtchnEventfdReply };
    dev_evtchn_reset: { req: DevFd; res: Empty };
    dev_evtchn_close: { req: DevFd; res: Empty };
    gnttab_setup_table: { req: GnttabSetup; res: GnttabTable };
    gntdev_open: { req: GntdevOpen; res: GrantHandle };
    gntdev_close: { req: GntdevOpen; res: Empty };
    gntdev_map: { req: GntdevMap; res: GntdevMapReply };
    gntdev_unmap: { req: GntdevUnmap; res: GntdevUnmapReply };
    hypercall: { req: Hypercall; res: HypercallReply };
  };
  HypervisorEvents: {
    domain_gone: { req: DomainInfo; res: Empty };
  };
  NotifyEvents: {
    ring: { req: Ring; res: Empty };
  };
  VhostUser: {
    open: { req: VhostUserOpen; res: VhostUserSession };
    message: { req: VhostUserMessage; res: VhostUserMessage };
    close: { req: VhostUserClose; res: Empty };
  };
  VhostUserEvents: {
    backend_message: { req: VhostUserMessage; res: Empty };
  };
  DisplayEvents: {
    flushed: { req: DisplayFrame; res: Empty };
  };
  Display: {
    screenshot: { req: ScreenshotRequest; res: Screenshot };
    screenshot_with_cursor: { req: ScreenshotRequest; res: Screenshot };
    cursor: { req: DisplayScanout; res: DisplayCursor };
    resize: { req: DisplayResize; res: Empty };
    watch: { req: DisplayWatch; res: Empty };
  };
  XenstoreEvents: {
    message: { req: StoreMessage; res: Empty };
    taken: { req: StoreTaken; res: Empty };
  };
}
