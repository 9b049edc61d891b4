// Every bound of ours in one place; those of a specification stand in its layout file. A test drives each to its edge.

/** Longest path a unix socket can have: sun_path is 108 bytes with its NUL (unix(7)); ZeroMQ's ipc:// is bound by it. */
export const SOCKET_PATH_BYTES_MAX = 107;
/** Largest message on the bus: a store payload is 4096, a vhost-user payload 4096, screenshots travel as files. */
export const BUS_MESSAGE_BYTES_MAX = 1 << 20;
/** Requests of one client under way at one server; one more is answered EBUSY. */
export const BUS_REQUESTS_IN_FLIGHT_MAX = 1024;
/** Messages waiting for one peer of a ROUTER before that peer counts as stuck and is dropped. */
export const BUS_SEND_QUEUE_MAX = 16384;
/** Bits in one doorbell page. */
export const BELL_BITS = 1024;
/** Guest memory, MiB: least to hold queues and a frame; most that is tested. Each process maps it in windows of 1 GiB. */
export const GUEST_MEMORY_MIB_MIN = 8;
export const GUEST_MEMORY_MIB_MAX = 65536;
/** Domains a hypervisor holds at once. */
export const DOMAINS_MAX = 256;
/** Guests that `xenwire up` starts: DOMAINS_MAX less dom0 and those that a user may create beside them. */
export const LAB_GUESTS_MAX = 128;
/** vCPUs of a domain: those with a vcpu_info inside shared_info. */
export const VCPUS_MAX = 32;
/** Open files of /dev/xen/evtchn of all processes together; each takes a doorbell bit. */
export const DEV_EVTCHN_FILES_MAX = 64;
/** Mappings of all grants of all domains together. */
export const GRANT_HANDLES_MAX = 65536;
/** Longest that a process may be told to look at its pages after an activity: more would be looking for ever. */
export const POLL_US_MAX = 1_000_000;
/** Frames a second that a guest is asked to draw. */
export const ANIMATION_FPS_MAX = 240;
/** Of a scanout's row, what a client that watches it may ask to be told; and how many may watch. */
export const DISPLAY_ROW_BYTES_MAX = 4096;
export const DISPLAY_WATCHES_MAX = 1024;
/** Records of a history ring; a power of two. */
export const HISTORY_RECORDS = 32768;
/** Points with a label that a process tells apart and counts by themselves; clients name paths without end. */
export const POINT_LABELS_MAX = 16384;
/** Bytes of an image file a user names; checked before reading. */
export const IMAGE_FILE_BYTES_MAX = 64 << 20;
/** Pixels of such an image, checked before decoding: what the host memory of one GPU holds, unless configured. */
export const IMAGE_PIXELS_MAX = 64 << 20;
/**
 * Descriptors of one chain through an indirect table; the spec's bound is the queue size, but Linux makes longer tables on
 * short queues (a cursor queue has 16 entries), so a device takes the larger of the two.
 */
export const CHAIN_DESCRIPTORS_MAX = 1024;
/** Pieces of backing that one RESOURCE_ATTACH_BACKING may bring, as QEMU's devices take: 64 MiB in single pages. */
export const GPU_MEM_ENTRIES_MAX = 16384;
/** Pieces of backing that all resources of one device hold together: 1 GiB in single pages. */
export const GPU_MEM_ENTRIES_HELD_MAX = 262144;
/** Resources of one device: none need take host memory, since a resource may have no pixels. */
export const GPU_RESOURCES_MAX = 4096;
/** Bytes of host memory for the resources of one device, unless configured; QEMU's default too. */
export const GPU_HOST_BYTES_DEFAULT = 256 << 20;
/** Pixels across or down of one resource: bounds the rows that one transfer walks. */
export const GPU_RESOURCE_SIDE_MAX = 16384;
/** What a device serves of one queue before others get a turn: commands, and pixel bytes copied by them. */
export const GPU_COMMANDS_PER_TURN = 64;
export const GPU_COPY_BYTES_PER_TURN = 16 << 20;
/** Messages of one vhost-user connection that are handled before others get a turn. */
export const VHOST_USER_MESSAGES_PER_TURN = 32;
/** Device servers of one lab that vhost-frontend drives, the one without a name among them. */
export const DEVICE_SERVERS_MAX = 16;
/** Front-ends that vhost-gpu serves at once on its unix socket; each takes a process of some 50 MiB. */
export const GPU_FRONT_ENDS_MAX = 16;
/** Memory regions of one vhost-user connection; a guest has a handful. */
export const GPU_MEMORY_REGIONS_MAX = 64;
/** Bytes of the log of written pages, a bit a page: 4 TiB of guest memory. */
export const VHOST_USER_LOG_BYTES_MAX = 128 << 20;
/** Requests of one socket client that xenstored does before others get a turn. */
export const STORE_REQUESTS_PER_TURN = 64;
/** Bytes that wait for one client of xenstored: past the first its requests wait, past the second it is dropped. */
export const STORE_OUTBOX_BYTES_PAUSE = 1 << 20;
export const STORE_OUTBOX_BYTES_MAX = 64 << 20;
/** Bytes of xenstored's stream over the bus that its client has not taken: as much as a socket's buffer holds. */
export const STORE_BUS_WINDOW = 256 << 10;
/** Requests of one client over the bus that have no reply yet; xenstored drops a client that sends one more. */
export const STORE_BUS_REQUESTS_MAX = 1024;
/** Bytes of one trace that CONTROL turned on in xenstored. */
export const STORE_TRACE_BYTES_MAX = 64 << 20;
/** Clients on xenstored's socket at once. */
export const STORE_SOCKETS_MAX = 1024;
/** An event that a guest has not begun to take is dropped after this: xenstored's own time-out for watch events. */
export const STORE_EVENT_SECONDS_MAX = 20;
/** Room that the store's file is given at a time, bytes. */
export const STORE_JOURNAL_WINDOW = 1 << 20;
/** xenstored's file: bytes below which it is never written anew, growth at which it is, nodes written in one go. */
export const STORE_JOURNAL_SMALL = 4 << 20;
export const STORE_JOURNAL_GROWTH = 4;
export const STORE_JOURNAL_SLICE = 512;
/** Broken queues of one device that are logged as errors; the rest only in the history ring and at level debug. */
export const BROKEN_QUEUES_LOGGED_MAX = 16;

/** Connections of programs with the preloaded library (xenwire run): one an open file of a device, one a process. */
export const DEV_CONNECTIONS_MAX = 512;
/** Bytes that one ioctl may have copied in or out: an array of 2^20 frames. */
export const DEV_COPY_BYTES_MAX = 8 << 20;
/** Bytes that wait for a program that does not read. */
export const DEV_BACKLOG_BYTES_MAX = 1 << 20;
