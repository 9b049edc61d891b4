// The catalogue: every boundary of a process at which it records, counts and can be stopped (lib/core/probe.ts), once. What a
// record means stands here and nowhere else: readers switch on these entries and never parse a record's text. The page is
// docs/tracing.md. Leaves which points a notification passes, and in what order, to hops.ts.
import type { NumberField, NumberShown, Point, PointKind } from '../core/probe.js';

interface Spec {
  readonly kind: PointKind;
  readonly gate: Point['gate'];
  readonly a?: NumberField;
  readonly b?: NumberField;
  readonly label?: string;
}

const field = (name: string, shown: NumberShown = 'number'): NumberField => ({ name, shown });
/** Before the thing is done: sends, rings, writes, commands. */
const before = (kind: PointKind, label?: string, a?: NumberField, b?: NumberField): Spec =>
  spec(kind, 'before', label, a, b);
/** After it was done: receipts, allocations, states that the store has. */
const after = (kind: PointKind, label?: string, a?: NumberField, b?: NumberField): Spec =>
  spec(kind, 'after', label, a, b);

function spec(kind: PointKind, gate: Point['gate'], label?: string, a?: NumberField, b?: NumberField): Spec {
  return { kind, gate, ...(label === undefined ? {} : { label }), ...(a && { a }), ...(b && { b }) };
}

const ID = field('id');
const RC = field('rc');
const PID = field('pid');
const PORT = field('port');
const QUEUE = field('queue');
const BIT = field('bit');
const DEVID = field('devid');
const EDGE = field('edge', 'edge');
const ADDR = field('addr', 'hex');
const DATA = field('data', 'hex');
const ERRNO = field('errno', 'errno');
const SESSION = field('session');
const BYTES = field('bytes');
const VALUE = field('value', 'hex');

const CATALOGUE = {
  // A process's own life.
  'life.start': after('life', undefined, PID),
  'life.state': after('life', 'state', PID),
  'life.stop': before('life', undefined, PID),
  'life.failed': before('life', undefined, PID),
  'life.live-update': before('life', undefined, PID),

  // The calling end of the bus.
  'bus.hello': before('send', 'server'),
  'bus.welcomed': after('receive', 'server', field('domid')),
  'bus.refused': after('receive', 'server', ERRNO),
  'bus.call': before('send', 'method', ID),
  'bus.answered': after('receive', 'method', ID, RC),
  'bus.emit': before('send', 'method'),
  'bus.event': after('receive', 'method'),
  'bus.lost': after('receive', 'server'),
  // The answering end.
  'bus.greeted': after('receive', 'client', PID),
  'bus.welcome': before('send', 'client', PID),
  'bus.refuse': before('send', 'client', ERRNO),
  'bus.serve': after('receive', 'method and client', ID),
  'bus.answer': before('send', 'method and client', ID, RC),
  'bus.tell': before('send', 'method and client'),
  'bus.told': after('receive', 'method and client'),
  'bus.peer-gone': after('receive', 'client', PID),

  // The store's client: over whatever transport.
  'store.request': before('send', 'operation and path', ID, field('tx')),
  'store.reply': after('receive', 'operation and path', ID),
  'store.event': after('receive', 'path'),
  // xenstored: over bus, socket and ring alike.
  'store.serve': after('receive', 'operation, path and client', ID, field('tx')),
  'store.answer': before('send', 'operation and client', ID),
  'store.tell': before('send', 'path and client'),
  // `value`: of a node that holds a decimal number, a state for one; else 0.
  'store.commit': after('commit', 'path', field('removed'), field('value')),

  // vhost-user, front-end, of one of which several servers may give sessions the same number: the record's domain and `devid` tell.
  'vhost-user.request': before('send', 'request', SESSION, DEVID),
  'vhost-user.reply': after('receive', 'request', SESSION, DEVID),
  'vhost-user.backend-request': after('receive', 'request', SESSION, DEVID),
  // vhost-user, back-end.
  'vhost-user.serve': after('receive', 'request', SESSION),
  'vhost-user.answer': before('send', 'request', SESSION),
  'vhost-user.ask': before('send', 'request', SESSION),

  // The GPU's display socket (vhost-user-gpu.rst): the device server asks and shows, its front-end's viewer answers.
  'display.request': before('send', 'request', BYTES),
  'display.reply': after('receive', 'request', BYTES),
  'display.serve': after('receive', 'request', BYTES),
  'display.answer': before('send', 'request', BYTES),

  // A vCPU leaves its guest and goes back in: in the guest's process, then in the hypervisor's.
  'exit.leave': before('exit', undefined, ADDR, DATA),
  'exit.enter': after('entry', undefined, ADDR, DATA),
  'exit.mmio': after('exit', undefined, ADDR, DATA),
  'exit.hypercall': after('exit', undefined, field('reason'), PORT),
  'exit.complete': before('entry', undefined, DATA, RC),
  // ioreq slots, in the hypervisor: before a slot is READY, before the buffered page has it, after its answer was taken.
  'ioreq.fill': before('send', undefined, ADDR, VALUE),
  'ioreq.buffer': before('send', undefined, ADDR, VALUE),
  'ioreq.done': after('receive', undefined, field('vcpu'), VALUE),
  // And in vhost-frontend.
  'ioreq.read': after('receive', undefined, ADDR, VALUE),
  'ioreq.write': after('receive', undefined, ADDR, VALUE),
  'ioreq.answer': before('send', undefined, ADDR, VALUE),
  'ioreq.passed-by': after('receive', undefined, PORT),
  'ioreq.write-back': after('receive', undefined, PORT),

  // The wake-up of a process that sleeps at its doorbell: the byte in its FIFO (under notify=zmq the message that is the ring).
  'bell.wake': before('notify', undefined, BIT, field('rings')),
  'bell.woken': after('receive', undefined, field('count')),
  // Doorbells and event channels on their way. `bit`: of the receiver's doorbell.
  'kick.guest': before('notify', undefined, QUEUE, field('count')),
  'kick.hypervisor': before('notify', undefined, QUEUE, BIT),
  'kick.frontend': before('notify', undefined, QUEUE),
  'kick.taken': after('receive', undefined, QUEUE, SESSION),
  'call.ring': before('notify', undefined, BIT, SESSION),
  'call.frontend': after('receive', undefined, PORT),
  'call.hypervisor': after('receive', undefined, PORT),
  'event.raise': before('notify', undefined, PORT),
  'event.upcall': before('notify', undefined, field('vcpu')),
  'event.inject': before('notify', undefined, field('vector'), field('vcpu')),
  'event.msi': before('notify', undefined, field('vector')),
  'event.config': before('notify', undefined, PORT),
  'event.taken': after('upcall', undefined, PORT),

  // xenbus, both ends and the toolstack. The domain of the record is the device's guest.
  'front.state': before('state', 'path', DEVID, EDGE),
  'front.state-written': after('state', 'path', DEVID, EDGE),
  'front.key': before('key', 'path and value', DEVID),
  'front.other-state': after('receive', 'path', DEVID, field('state', 'state')),
  'front.effect': before('effect', 'effect', DEVID),
  'front.probe': before('step', 'path', DEVID),
  'back.state': before('state', 'path', DEVID, EDGE),
  'back.state-written': after('state', 'path', DEVID, EDGE),
  'back.key': before('key', 'path and value', DEVID),
  'back.effect': before('effect', 'effect', DEVID),
  // The register file's effects, in vhost-frontend.
  'mmio.effect': before('effect', 'effect', field('device-type')),

  // What a process takes and gives back, with the number that names it. Before it is given back a process can only stand
  // at the effect that asked for it.
  'port.take': after('acquire', undefined, PORT, field('remote')),
  'port.give': after('release', undefined, PORT),
  'range.take': after('acquire', undefined, field('start', 'hex'), field('end', 'hex')),
  'range.give': after('release', undefined, field('start', 'hex'), field('end', 'hex')),
  'pages.take': after('acquire', undefined, ADDR, BYTES),
  'pages.give': after('release', undefined, ADDR, BYTES),
  'grants.take': after('acquire', undefined, field('first'), field('count')),
  'grants.give': after('release', undefined, field('first'), field('count')),
  'watch.take': after('acquire', 'path'),
  'watch.give': after('release', 'path'),
  'transaction.take': after('acquire', undefined, field('tx')),
  'transaction.give': after('release', undefined, field('tx')),
  'map.take': after('acquire', 'what', BYTES),
  'map.give': after('release', 'what', BYTES),
  'descriptor.take': after('acquire', 'what', field('fd')),
  'descriptor.give': after('release', 'what', field('fd')),
  'store-ring.take': after('acquire', undefined, PORT),
  'store-ring.give': after('release', undefined, PORT),
  'domain.take': after('acquire', undefined, field('domid')),
  'domain.give': after('release', undefined, field('domid')),
  'ioreq-server.take': after('acquire', undefined, ID),
  'ioreq-server.give': after('release', undefined, ID),
  'eventfd.take': after('acquire', undefined, PORT, field('direction')),
  'eventfd.give': after('release', undefined, PORT, field('direction')),
  'ioeventfd.take': after('acquire', undefined, ADDR, QUEUE),
  'ioeventfd.give': after('release', undefined, ADDR, QUEUE),
  'irqfd.take': after('acquire', undefined, BIT),
  'irqfd.give': after('release', undefined, BIT),
  'kernel.take': after('acquire', 'what', field('domid')),
  'kernel.give': after('release', 'what', field('domid')),
  'held.take': after('acquire', 'what', field('number')),
  'held.give': after('release', 'what', field('number')),
  'session.take': after('acquire', 'device', SESSION),
  'session.give': after('release', 'device', SESSION),
  'resource.take': after('acquire', undefined, ID),
  'resource.give': after('release', undefined, ID),
  'grant.take': after('acquire', undefined, field('ref'), field('gfn')),
  'grant.give': after('release', undefined, field('ref')),

  // The GPU: commands of the guest's driver, and in the device server.
  'gpu.submit': before('command', 'command', field('type', 'hex'), field('fence')),
  'gpu.reply': after('command', 'command', field('type', 'hex'), field('fence')),
  // On the cursor queue, where nothing is answered; what moves the measuring load has records of its own.
  'gpu.cursor': before('command', 'command', field('resource'), field('scanout')),
  'gpu.execute': after('command', 'command', field('type', 'hex'), field('resource')),
  'gpu.executed': before('command', 'command', field('type', 'hex'), field('resource')),
  'gpu.flush': after('frame', 'device', field('scanout'), field('resource')),
  'gpu.shown': after('frame', undefined, field('scanout'), field('resource')),
  'gpu.restore': before('step'),

  // Steps of longer sequences.
  'guest.frame': before('step'),
  'guest.shutdown': before('step', undefined, field('reason')),
  'guest.halt': before('step', undefined, field('reason')),
  'domain.shutdown': after('life', undefined, field('reason')),
  'domain.crash': after('error'),
  'toolstack.step': before('step', 'step'),

  // The load of a measurement (latency-run.ts).
  'load.request': before('command', undefined, field('sequence'), field('late-ns')),
  'load.used': after('command', undefined, field('sequence')),

  // What was refused or failed.
  'error.leak': after('error', undefined, field('count')),
  'error.dm-op': after('error', undefined, ERRNO),
  'error.xenbus': after('error', 'path', ERRNO),
  'error.effect': after('error', 'effect', ERRNO),
  'error.device': after('error', 'what', ERRNO),
  'error.command': after('error', 'command', field('response', 'hex'), field('resource')),
  // In the device server, and in the guest's driver.
  'error.queue': after('error', 'code', QUEUE),
} as const satisfies Record<string, Spec>;

export type PointName = keyof typeof CATALOGUE;

/** Every point by its name. */
export const POINT = Object.fromEntries(
  Object.entries(CATALOGUE).map(([name, { kind, gate, label, a, b }]: [string, Spec], index): [string, Point] => [
    name,
    { number: index + 1, name, kind, gate, label, a, b },
  ]),
) as Readonly<Record<PointName, Point>>;

/** In the order of their numbers: the point with number n is at n - 1. */
export const POINTS: readonly Point[] = Object.values(POINT);

/** undefined for a number that no point has: the record is of another version, or torn. */
export const pointOf = (number: number): Point | undefined => POINTS[number - 1];

/** Two builds whose catalogues differ do not understand each other's rings: FNV-1a over the names, in the ring's header. */
export const CATALOGUE_HASH =
  POINTS.reduce((hash, { name }) => {
    for (const char of `${name}\n`) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193);
    return hash;
  }, 0x811c9dc5) >>> 0;

/** A step from one xenbus state to another as one number, shown as `from>to`. Both lie below 16 (xenbus.h has eight). */
export const edge = (from: number, to: number): number => from * 16 + to;
export const edgeFrom = (number: number): number => number >>> 4;
export const edgeTo = (number: number): number => number & 15;
