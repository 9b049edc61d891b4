// Our xenstored with guests on ring pages and no hypervisor, as xenstored-shim.c makes it of the C daemon: the store, its
// socket and its ring sessions are the real ones; domain N's page is the file ring.N of the folder, and a byte in the FIFO
// `events` there makes the daemon look at its rings. Run as: ring-daemon.js DIR DOMIDS COMPAT
import { constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { NO_LOG } from '../../../lib/core/log.js';
import type { Mapping } from '../../../lib/core/shared.js';
import { Poller } from '../../../lib/node/bell/poller.js';
import { mapPath } from '../../../lib/node/files/shm.js';
import { RingEnd } from '../../../lib/xenstore/ring-stream.js';
import { COMPAT, type CompatName } from '../../../services/xenstored/compat.js';
import { FileTrace } from '../../../services/xenstored/node/control-host.js';
import { SocketTransport } from '../../../services/xenstored/node/socket-transport.js';
import { RingSession } from '../../../services/xenstored/ring-session.js';
import { Store } from '../../../services/xenstored/store.js';
import { EVENTS_FIFO, ringFile } from '../../../testkit/store-ring-client.js';

const PAGE_SIZE = 4096;
const MS_PER_S = 1000;

const [dir = '.', domidList = '', compat = '4.17'] = process.argv.slice(2);
const domids = new Set(domidList.split(',').map(Number));

interface Ring {
  readonly session: RingSession;
  readonly page: Mapping;
}
const rings = new Map<number, Ring>();
const dirty = new Set<Ring>();

const store: Store = new Store(
  {
    control: new FileTrace({ log: NO_LOG, traceFile: '/dev/null' }),
    time: {
      seconds: () => performance.now() / MS_PER_S,
      later(seconds, action) {
        const timer = setTimeout(() => {
          action();
          sockets.flush();
        }, seconds * MS_PER_S);
        return () => clearTimeout(timer);
      },
    },
    ask(connection, { kind, domid }) {
      const exists = domids.has(domid);
      if (kind === 'domain') store.answerDomain(connection, domid, exists ? { uniqueId: '1' } : null);
      else {
        if (exists) introduce(domid);
        store.answerIntroduce(connection, domid, exists ? 'ok' : 'ENOENT');
      }
    },
    onRemoved: drop,
  },
  COMPAT[compat as CompatName],
);
store.plant();

function drop(domid: number): void {
  const ring = rings.get(domid);
  if (ring === undefined) return;
  rings.delete(domid);
  dirty.delete(ring);
  ring.session.end();
  ring.page.close();
}

function introduce(domid: number): void {
  drop(domid);
  const page = mapPath(join(dir, ringFile(domid)), PAGE_SIZE, true);
  const options = { store, ring: new RingEnd(page.bytes, 'server'), notify: () => {}, beforeSend: () => {} };
  const session = new RingSession(
    domid,
    `ring-${domid}`,
    options,
    () => dirty.add(ring),
    () => drop(domid),
  );
  const ring: Ring = { session, page };
  rings.set(domid, ring);
  session.introduced();
}

const sockets = new SocketTransport({
  store,
  path: join(dir, 'socket'),
  log: NO_LOG,
  onActivity: () => {},
  beforeSend: () => {},
  afterRequests: flushRings,
});

function flushRings(): void {
  store.resume();
  for (const ring of dirty) {
    dirty.delete(ring);
    ring.session.turn();
  }
}

/** All rings, as the daemon looks at them after any wake-up. True when something moved. */
function lookAtRings(): boolean {
  let moved = false;
  for (const { session } of rings.values()) moved = session.turn() || moved;
  sockets.flush();
  return moved;
}

/** Looks on for a while after a wake-up, as xenstored does for the event channels of its guests. */
const poller = new Poller();
poller.add({ poll: lookAtRings, sleep: () => !lookAtRings() });

await sockets.listen();
const events = new Socket({
  fd: openSync(join(dir, EVENTS_FIFO), constants.O_RDWR | constants.O_NONBLOCK),
  readable: true,
  writable: false,
});
// What a wake-up cost is not known here: the window stays as it begins.
events.on('data', () => poller.wake(0));
