// vhost-frontend's devices in one process with the real hypervisor and store, and a device server that does nothing but

// say what it was asked: for tests of the backend from the guest's vCPU to the device server's door.
import type { Handlers, Peer, Remote } from '../lib/core/bus.js';
import type { Clock, Timer } from '../lib/core/clock.js';
import { ErrnoError, PeerDiedError } from '../lib/core/errors.js';
import { NO_LOG } from '../lib/core/log.js';
import type { NotWanted } from '../lib/core/not-wanted.js';
import type { Doorbell, Notifier, NotifyHandle } from '../lib/core/notify.js';
import { NO_PROBE } from '../lib/core/probe.js';
import type { ServiceContext } from '../lib/core/service.js';
import { VHOST_USER_PROTOCOL_F } from '../lib/layout/vhost-user.js';
import { backendNode, errorKey, frontendPath, KIND_VIRTIO_MMIO } from '../lib/layout/xenbus.js';
import { methodCodec, serviceMethods } from '../lib/node/bus/proto.js';
import { BackendSession } from '../lib/vhost-user/backend-session.js';
import type { RingSetup, VhostUserDevice } from '../lib/vhost-user/device.js';
import { FrontendSession } from '../lib/vhost-user/frontend-session.js';
import type { MappedRegion } from '../lib/vhost-user/memory-map.js';
import type { StoreClient } from '../lib/xenstore/api.js';
import { ChannelStoreClient } from '../lib/xenstore/client.js';
import { hypervisorHandlers } from '../services/hypervisor/bus-handlers.js';
import type { Domain } from '../services/hypervisor/domain/domain.js';
import type {
  DeviceServer,
  ServerHandle,
  ServerSession,
  SessionEvents,
} from '../services/vhost-frontend/device-server.js';
import { Devices } from '../services/vhost-frontend/devices.js';
import { EvtchnClient } from '../services/vhost-frontend/evtchn-client.js';
import { IoreqClients } from '../services/vhost-frontend/ioreq-clients.js';
import { Ledger } from '../services/vhost-frontend/ledger.js';
import { FakeGuest, type Lab, makeLab } from './host-lab.js';
import type { SandboxOptions } from './sandbox.js';
import { localChannel } from './store-channel.js';
import { StoreLab } from './store-lab.js';

/** A clock that stands still until told to go on. */
export class ManualClock implements Clock {
  readonly #timers = new Map<object, { atMs: number; action: () => void }>();
  #nowMs = 0;
  nowNs(): bigint {
    return BigInt(this.#nowMs) * 1_000_000n;
  }
  after(delayMs: number, action: () => void): Timer {
    const key = {};
    this.#timers.set(key, { atMs: this.#nowMs + delayMs, action });
    return { cancel: () => void this.#timers.delete(key) };
  }
  get waiting(): number {
    return this.#timers.size;
  }
  advance(ms: number): void {
    this.#nowMs += ms;
    for (const [key, { atMs, action }] of [...this.#timers]) {
      if (atMs > this.#nowMs) continue;
      this.#timers.delete(key);
      action();
    }
  }
}

/** A device behind vhost-user that only writes down what happens to it. */
export class RecordingDevice implements VhostUserDevice<ServerHandle> {
  features = (1n << 1n) | (1n << 24n) | (1n << 28n) | (1n << 32n);
  readonly protocolFeatures = 1n << BigInt(VHOST_USER_PROTOCOL_F.RESET_DEVICE);
  readonly queueCount = 2;
  readonly queueSizeMax = 1024;
  readonly memorySlotsMax = 8;
  readonly running = new Map<number, RingSetup<ServerHandle>>();
  readonly calls: string[] = [];
  readonly config = Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
  readonly kicks: number[] = [];
  accepted = 0n;
  memory: readonly MappedRegion<ServerHandle>[] = [];
  readonly #doorbell: Doorbell;
  constructor(doorbell: Doorbell) {
    this.#doorbell = doorbell;
  }
  check(): void {}
  openNotifier(handle: ServerHandle): Notifier {
    return this.#doorbell.open((handle as { bell: NotifyHandle }).bell);
  }
  setFeatures(features: bigint): void {
    this.accepted = features;
  }
  setMemory(regions: readonly MappedRegion<ServerHandle>[]): void {
    this.memory = regions;
  }
  startRing(index: number, setup: RingSetup<ServerHandle>): void {
    this.running.set(index, setup);
    this.calls.push(`start ${index}`);
  }
  stopRing(index: number): number {
    this.running.delete(index);
    this.calls.push(`stop ${index}`);
    return 0;
  }
  reset(): void {
    this.calls.push('reset');
  }
  readConfig(offset: number, size: number): Uint8Array | undefined {
    return offset + size <= this.config.length ? this.config.slice(offset, offset + size) : undefined;
  }
  writeConfig(offset: number, data: Uint8Array): void {
    // events_clear clears in events_read, and reads 0 itself.
    if (offset === 4) this.config[0]! &= ~data[0]!;
    this.calls.push(`config ${offset}`);
  }
  setDisplay(): void {}
  setBackendChannel(): void {}
  release(): void {}
}

/** The device server: may be killed and started again, and made to keep messages back. */
export class RecordingServer implements DeviceServer {
  readonly devices = new Map<string, RecordingDevice>();
  /** Name of a request that is not answered until release(). */
  holding: number | undefined;
  refuses: Error | undefined;
  readonly #lab: Lab;
  #alive = true;
  #waiting: (() => void)[] = [];
  #held: (() => void)[] = [];
  readonly #sessions = new Map<SessionEvents, () => void>();

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  async open(name: string, queueCount: number, events: SessionEvents, notWanted: NotWanted): Promise<ServerSession> {
    if (!this.#alive)
      await new Promise<void>((resolve, reject) => {
        this.#waiting.push(resolve);
        notWanted.listen((reason) => {
          this.#waiting = this.#waiting.filter((waits) => waits !== resolve);
          reject(reason);
        });
      });
    if (this.refuses !== undefined) throw this.refuses;
    if (this.devices.has(name)) throw new ErrnoError('EEXIST', `${name} has a session`);
    const device = new RecordingDevice(this.#lab.doorbell);
    this.devices.set(name, device);
    const backend = new BackendSession<ServerHandle>(device);
    const bell = this.#lab.doorbell.bind((index) => device.kicks.push(index), queueCount);
    let open = true;
    const end = (): void => {
      open = false;
      this.#sessions.delete(events);
      this.devices.delete(name);
      bell.release();
      backend.close();
    };
    this.#sessions.set(events, end);
    const frontend = new FrontendSession<ServerHandle>({
      exchange: async (message) => {
        if (!open) throw new PeerDiedError('vhost-gpu');
        if (message.request === this.holding) await new Promise<void>((resolve) => this.#held.push(resolve));
        if (!open) throw new PeerDiedError('vhost-gpu');
        return backend.handle(message);
      },
    });
    await frontend.connect(queueCount);
    const { bell: page, bit } = bell.handle;
    return {
      frontend,
      kicks: Array.from({ length: queueCount }, (_, index) => ({ bell: page, bit: bit + index })),
      memoryHandle: (file) => ({ file }) as ServerHandle,
      bellHandle: (handle) => ({ bell: handle }) as ServerHandle,
      close: async () => {
        if (open) end();
      },
    };
  }

  /** What waits for an answer gets it. */
  release(): void {
    this.holding = undefined;
    for (const go of this.#held.splice(0)) go();
  }
  /** Devices that wait for it to start. */
  get waitingCount(): number {
    return this.#waiting.length;
  }
  get heldCount(): number {
    return this.#held.length;
  }

  /** Its front-end ended: no handler is told. */
  forget(): void {
    for (const end of [...this.#sessions.values()]) end();
  }

  /** The process ends. */
  kill(): void {
    this.#alive = false;
    const lost = [...this.#sessions];
    for (const [, end] of lost) end();
    this.release();
    for (const [events] of lost) events.onLost();
  }

  start(): void {
    this.#alive = true;
    for (const go of this.#waiting.splice(0)) go();
  }

  /** A used buffer: the device rings its call. */
  call(name: string, index: number): void {
    this.devices.get(name)!.running.get(index)!.call();
  }

  configChange(events = [...this.#sessions.keys()]): void {
    for (const session of events)
      session.onBackendRequest({ type: 'CONFIG_CHANGE_MSG', needReply: false, handles: [] });
  }
}

/** Hypercalls of dom0's process, as the bus carries them: fields left out read as 0. */
function remoteOf(handlers: Handlers<'Hypervisor'>, peer: Peer): Remote<'Hypervisor'> {
  const remote: Record<string, (request: object) => Promise<object>> = {};
  for (const method of serviceMethods('Hypervisor')) {
    const codec = methodCodec(`Hypervisor.${method}`)!;
    remote[method] = async (request) => {
      const arrived = codec.request.decode(codec.request.encode(request));
      const handler = handlers[method as keyof typeof handlers] as (request: object, peer: Peer) => object;
      const answer = codec.reply.encode(await handler(arrived, peer));
      await new Promise<void>((resolve) => setImmediate(resolve));
      return codec.reply.decode(answer);
    };
  }
  return remote as Remote<'Hypervisor'>;
}

export class Dom0Lab {
  readonly lab: Lab;
  readonly storeLab = new StoreLab();
  readonly server: RecordingServer;
  /** Further servers, made when a device names them. */
  readonly namedServers = new Map<string, RecordingServer>();
  readonly clock = new ManualClock();
  ledger = new Ledger(NO_PROBE);
  readonly failures: unknown[] = [];
  readonly store: StoreClient;
  /** Requests of the backend to the store. */
  backendSent: readonly unknown[] = [];
  /** What the backend is given for its store. */
  backendStore = (store: StoreClient): StoreClient => store;
  devices!: Devices;
  evtchn!: EvtchnClient;
  #peer = { name: 'vhost-frontend', domid: 0 } as Peer;
  #crash = (): void => {};

  readonly #sharedBells: boolean;

  constructor(options: SandboxOptions & { readonly sharedBells?: boolean } = {}) {
    this.#sharedBells = options.sharedBells ?? true;
    this.lab = makeLab(options);
    this.server = new RecordingServer(this.lab);
    this.store = new ChannelStoreClient(localChannel(this.storeLab.store, 'toolstack'));
  }

  /** Starts the backend. */
  async start(): Promise<this> {
    const { host, kernel, doorbell, files } = this.lab;
    const hypervisor = remoteOf(hypervisorHandlers({ host, kernel, domainOf: () => host.dom0 }), this.#peer);
    const context = { doorbell, shared: files, clock: this.clock, own: () => {} } as unknown as ServiceContext;
    this.ledger = new Ledger(NO_PROBE);
    const { ledger, clock, server } = this;
    this.evtchn = await EvtchnClient.open(context, hypervisor, ledger);
    const channel = localChannel(this.storeLab.store, 'backend');
    this.backendSent = channel.sent;
    const store = this.backendStore(new ChannelStoreClient(channel));
    const common = { hypervisor, evtchn: this.evtchn, ledger, probe: NO_PROBE, log: NO_LOG };
    const onFailure = (error: unknown): void => void this.failures.push(error);
    const ioreqs = new IoreqClients({ ...common, shared: files, onFailure });
    this.devices = new Devices({
      ...common,
      doorbell,
      clock,
      serverNamed: (name) => (name === undefined ? server : this.serverNamed(name)),
      store,
      kind: KIND_VIRTIO_MMIO,
      ioreqs,
      sharedBells: this.#sharedBells,
      onFailure,
    });
    await this.devices.watch();
    this.#crash = () => {
      channel.close();
      for (const each of [this.server, ...this.namedServers.values()]) each.forget();
      kernel.processEnded(this.#peer);
    };
    return this;
  }

  serverNamed(name: string): RecordingServer {
    const known = this.namedServers.get(name) ?? new RecordingServer(this.lab);
    this.namedServers.set(name, known);
    return known;
  }

  /** The backend's process is killed; start() gives the next one. */
  crash(): void {
    this.#crash();
    this.#peer = { name: 'vhost-frontend', domid: 0 } as Peer;
  }

  /** A domain with its process. */
  guest(vcpus = 1): { domain: Domain; vcpu: FakeGuest; process: object } {
    const domain = this.lab.domain({ vcpus });
    const process = {};
    return { domain, vcpu: new FakeGuest(this.lab, domain, process), process };
  }

  /** What the toolstack writes for a device. */
  async create(domid: number, devid = 0, keys: Record<string, string> = {}): Promise<void> {
    const front = frontendPath({ kind: KIND_VIRTIO_MMIO, domid, devid });
    const back = `/local/domain/0/${backendNode({ kind: KIND_VIRTIO_MMIO, domid, devid })}`;
    const all = {
      frontend: front,
      'frontend-id': `${domid}`,
      online: '1',
      state: '1',
      type: 'virtio,device10',
      transport: 'mmio',
      grant_usage: '0',
      ...keys,
    };
    await this.store.transaction(async (tx) => {
      for (const [key, value] of Object.entries({ backend: back, 'backend-id': '0', state: '1' }))
        await tx.write(`${front}/${key}`, value);
      for (const [key, value] of Object.entries(all)) await tx.write(`${back}/${key}`, value);
    });
  }

  back(domid: number, devid = 0): Promise<string> {
    return this.read(`${backendNode({ kind: KIND_VIRTIO_MMIO, domid, devid })}/state`);
  }
  error(domid: number, devid = 0): Promise<string> {
    return this.read(errorKey(backendNode({ kind: KIND_VIRTIO_MMIO, domid, devid })));
  }
  async read(path: string): Promise<string> {
    return this.store.read(path).catch(() => '');
  }

  /** Writes keys of the frontend's directory, in order. */
  async front(domid: number, keys: Record<string, string | number>, devid = 0): Promise<void> {
    const path = frontendPath({ kind: KIND_VIRTIO_MMIO, domid, devid });
    for (const [key, value] of Object.entries(keys)) await this.store.write(`${path}/${key}`, `${value}`);
  }

  /** A port of the guest, unbound for dom0. */
  port(domain: Domain): number {
    return this.lab.number(domain.domid, 'evtchn.alloc_unbound', { dom: 0x7ff0, remote_dom: 0 });
  }

  /** Waits for a condition; fails loudly. Every await here is a turn of the loop. */
  async until(what: string, condition: () => Promise<boolean> | boolean): Promise<void> {
    const deadline = Date.now() + 5000;
    while (!(await condition())) {
      if (this.failures.length > 0) throw new Error(`${what}: failed`, { cause: this.failures[0] });
      if (Date.now() > deadline) throw new Error(`${what}: not within 5 s`);
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  untilBack(state: number, domid: number, devid = 0): Promise<void> {
    return this.until(
      `backend ${domid}/${devid} at ${state}`,
      async () => (await this.back(domid, devid)) === `${state}`,
    );
  }

  /** A device from creation to Connected; answers its guest's port. */
  async connect(domain: Domain, base = 0xf0000000, devid = 0): Promise<number> {
    await this.create(domain.domid, devid);
    await this.untilBack(2, domain.domid, devid);
    const port = this.port(domain);
    await this.front(domain.domid, { base: `0x${base.toString(16)}`, 'event-channel': port, state: 3 }, devid);
    await this.untilBack(4, domain.domid, devid);
    await this.front(domain.domid, { state: 4 }, devid);
    return port;
  }

  /** What Xen and the dom0 kernel hold for us. */
  get held(): string[] {
    const kernel = [...this.lab.kernel.held()].map(({ kind, name }) => `${kind} ${name}`);
    const servers = [...this.lab.host.domains.all()].flatMap((d) =>
      d.ioreqServers.filter(Boolean).map((s) => `ioreq server ${d.domid}/${s!.id}`),
    );
    return [...kernel, ...servers];
  }
}
