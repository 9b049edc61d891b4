// Debian's C xenstored as the store of a lab (`xenwire up --store c`): runs it as a program of dom0 and stands in xenstored's
// place on the bus, where each process of dom0 gets a connection of its own to the daemon's socket. Guests reach the daemon by
// their ring pages (docs/dom0-programs.md).
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { accepting } from '../lab/accepting.js';
import { dom0Environment } from '../lab/preload.js';
import type { Peer, Remote } from '../lib/core/bus.js';
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { ErrnoError, PeerDiedError, passOver } from '../lib/core/errors.js';
import { DOMID_SELF } from '../lib/core/ids.js';
import type { StoreMessage } from '../lib/core/proto-types.js';
import type { ServiceContext } from '../lib/core/service.js';
import { GNTTAB_RESERVED_XENSTORE, GRANT_ENTRY_V1, GTF_permit_access } from '../lib/layout/grant-table.js';
import { XS, XSD_SOCKMSG } from '../lib/layout/xs-wire.js';
import { runPaths } from '../lib/node/process/run-dir.js';
import { runService } from '../lib/node/process/service.js';

interface Options {
  readonly daemon: string;
}

void runService<Options>({
  program: 'store',
  name: () => 'xenstored',
  describe: "Debian's C xenstored in the place of ours",
  options: (command) => void command.option('--daemon <path>', 'the program', '/usr/lib/xen-4.17/bin/xenstored'),
  start,
});

async function start(context: ServiceContext, { daemon }: Options): Promise<void> {
  const hypervisor = (await context.connect('hypervisor')).remote('Hypervisor');
  const path = await startDaemon(context, hypervisor, daemon);
  const server = await context.serve({
    authenticate: async ({ token }) => {
      const { domid } = await hypervisor.identify({ token });
      if (domid !== 0) throw new ErrnoError('EACCES', 'guests reach this store by their ring pages');
      return domid;
    },
  });
  const connections = new Map<Peer, DaemonConnection>();
  server.handle('Control', { audit: () => ({ held: [] }) });
  server.on('XenstoreEvents', 'message', (message, peer) => {
    const forward = (): void => void connections.get(peer)?.write(wire(message));
    // A domain builder of Xen's grants the ring page before it introduces the domain; ours leaves it to the guest's kernel.
    if (message.type === XS.XS_INTRODUCE) void seedGrant(context, hypervisor, message.payload).then(forward, forward);
    else forward();
  });
  server.on('XenstoreEvents', 'taken', () => {}); // the daemon's socket has the kernel's buffers
  server.onPeer((peer) => {
    let rest = Buffer.alloc(0);
    const connection = new DaemonConnection(path, (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      for (let found = take(rest); found !== undefined; found = take(rest)) {
        rest = rest.subarray(XSD_SOCKMSG.size + found.payload.length);
        peer.emit('XenstoreEvents', 'message', found);
      }
    });
    connections.set(peer, connection);
    peer.onClose(() => {
      connections.delete(peer);
      connection.close();
    });
  });
  context.own('connections to the daemon', () => {
    for (const connection of connections.values()) connection.close();
  });
  context.ready();
}

const LOOK_MS = 5;

/** One client's connection. The daemon listens for one at a time: connecting to it while another waits is refused with EAGAIN. */
class DaemonConnection {
  readonly #path: string;
  readonly #onData: (chunk: Buffer) => void;
  #socket: Socket | undefined;
  #waiting: Buffer[] = [];
  #connected = false;
  #closed = false;

  constructor(path: string, onData: (chunk: Buffer) => void) {
    this.#path = path;
    this.#onData = onData;
    this.#connect();
  }

  write(bytes: Buffer): void {
    if (this.#connected) this.#socket?.write(bytes);
    else this.#waiting.push(bytes);
  }

  close(): void {
    this.#closed = true;
    this.#socket?.destroy();
  }

  #connect(): void {
    if (this.#closed) return;
    const socket = connect(this.#path);
    this.#socket = socket;
    socket.on('connect', () => {
      this.#connected = true;
      for (const bytes of this.#waiting.splice(0)) socket.write(bytes);
    });
    socket.on('data', this.#onData);
    socket.on('error', () => {
      // Once connected, the daemon's end is told by its exit.
      if (!this.#connected) setTimeout(() => this.#connect(), LOOK_MS);
    });
  }
}

/** Resolves with the path of its socket, once that is there. */
async function startDaemon(context: ServiceContext, hypervisor: Remote<'Hypervisor'>, daemon: string): Promise<string> {
  // The kernel's end of dom0's own ring, which no driver uses here.
  const { port } = await hypervisor.evtchn_alloc_unbound({ dom: DOMID_SELF, remote_dom: 0 });
  context.own('port of the store', () => hypervisor.evtchn_close({ port }).then(() => {}, passOver));
  const dir = join(context.runDir, 'shm', 'store');
  mkdirSync(dir, { recursive: true });
  const path = runPaths.store(context.runDir);
  rmSync(path, { force: true });
  const child = spawn(daemon, ['--no-fork', '--pid-file', join(dir, 'pid')], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...process.env,
      ...dom0Environment(context.runDir),
      XENSTORED_RUNDIR: dir,
      XENWIRE_STORE_PORT: String(port),
    },
  });
  const ended = new Promise<void>((resolve) => {
    child.on('error', (error) => {
      void context.stop(`cannot run ${daemon}: ${error.message}`);
      resolve();
    });
    child.on('exit', (code, signal) => {
      void context.stop(`the C xenstored ended: ${signal ?? `status ${code}`}`);
      resolve();
    });
  });
  context.own('C xenstored', async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS.failedProcessStop);
    await ended;
    clearTimeout(late);
    rmSync(dir, { recursive: true, force: true });
    rmSync(path, { force: true });
  });
  const abort = new AbortController();
  void ended.then(() => abort.abort());
  if (!(await accepting(path, abort.signal))) throw new PeerDiedError('the C xenstored');
  return path;
}

/** INTRODUCE: domid, frame of the ring page, port. */
async function seedGrant(
  context: ServiceContext,
  hypervisor: Remote<'Hypervisor'>,
  payload: Uint8Array,
): Promise<void> {
  const [domid, frame] = Buffer.from(payload).toString('latin1').split('\0').map(Number) as [number, number];
  const { table } = await hypervisor.gntdev_open({ domid });
  const mapping = context.shared.map(table);
  const entry = { flags: GTF_permit_access, domid: 0, frame };
  GRANT_ENTRY_V1.encode(entry, mapping.bytes, GNTTAB_RESERVED_XENSTORE * GRANT_ENTRY_V1.size);
  mapping.close();
  await hypervisor.gntdev_close({ domid });
}

function wire({ type, req_id: reqId, tx_id: txId, payload }: StoreMessage): Buffer {
  const bytes = Buffer.alloc(XSD_SOCKMSG.size + payload.length);
  XSD_SOCKMSG.encode({ type, req_id: reqId, tx_id: txId, len: payload.length }, bytes);
  bytes.set(payload, XSD_SOCKMSG.size);
  return bytes;
}

/** The first whole message. */
function take(bytes: Buffer): StoreMessage | undefined {
  if (bytes.length < XSD_SOCKMSG.size) return undefined;
  const { type, req_id, tx_id, len } = XSD_SOCKMSG.decode(bytes);
  if (bytes.length < XSD_SOCKMSG.size + len) return undefined;
  return { type, req_id, tx_id, payload: new Uint8Array(bytes.subarray(XSD_SOCKMSG.size, XSD_SOCKMSG.size + len)) };
}
