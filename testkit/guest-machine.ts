// A whole guest in one process, for tests of its kernel: RAM, shared_info and exit page as plain buffers, the project's own
// store, GPU device and register file behind them, event channels that deliver as Xen does, and a backend that can be told
// to misbehave. Everything happens from setImmediate, so that the guest is outside while its exits are under way.

import { dmaAddressOf } from '../lib/core/dma-address.js';
import { ErrnoError } from '../lib/core/errors.js';
import { GrantMemory } from '../lib/core/grant-memory.js';
import { DomId, EvtchnPort } from '../lib/core/ids.js';
import { NO_LOG } from '../lib/core/log.js';
import { RegionMemory } from '../lib/core/memory.js';
import { NO_PROBE, type Probe } from '../lib/core/probe.js';
import { SHARED_INFO, VCPU_INFO } from '../lib/layout/evtchn.js';
import { GRANT_FRAMES_MAX } from '../lib/layout/grant-table.js';
import { EXIT_DIR, EXIT_REASON, VCPU_EXIT, VCPU_EXIT_PAGE_SIZE, VCPU_STATE } from '../lib/layout/ours/vcpu-exit.js';
import { VIRTIO_ID_GPU } from '../lib/layout/virtio-gpu.js';
import { VIRTIO_MMIO_QUEUE_NOTIFY } from '../lib/layout/virtio-mmio.js';
import { hasFeature, VIRTIO_F_ACCESS_PLATFORM } from '../lib/layout/virtio-ring.js';
import { XenbusState } from '../lib/layout/xenbus.js';
import { XS } from '../lib/layout/xs-wire.js';
import { freshBase } from '../lib/virtio/device-ring.js';
import { VirtioMmioDevice } from '../lib/virtio/mmio-device.js';
import type { MmioEffect, QueueSetup } from '../lib/virtio/mmio-registers.js';
import { ChannelStoreClient } from '../lib/xenstore/client.js';
import { CORES, type CoreVersion } from '../services/guest/core-rules.js';
import type { GpuChoices } from '../services/guest/gpu-options.js';
import { Kernel } from '../services/guest/kernel.js';
import { Vcpu } from '../services/guest/vcpu.js';
import type { Picture } from '../services/guest/workload.js';
import { GPU_FEATURES, GpuDevice } from '../services/vhost-gpu/device.js';
import { testUuids } from './gpu-tester.js';
import { StoreLab } from './store-lab.js';
import { TestClock } from './test-clock.js';

export const DOMID = DomId(5);
export const FRONT = 'device/virtio-mmio/0';
export const FRONT_PATH = `/local/domain/${DOMID}/${FRONT}`;
export const BACK_PATH = `/local/domain/0/backend/virtio-mmio/${DOMID}/0`;

export interface MachineOptions extends Partial<GpuChoices> {
  readonly ramMib?: number;
  readonly core?: CoreVersion;
  readonly picture?: Picture;
  readonly probe?: Probe;
  /** Queue sizes that the register file shows. */
  readonly queueSize?: number;
  /** Features that the register file offers. */
  readonly features?: bigint;
}

/** Lets everything that is under way come to rest: every step of this machine happens from setImmediate. */
const REST_TURNS = 40;

export class GuestMachine {
  readonly ram: Uint8Array;
  readonly memory: RegionMemory;
  readonly sharedInfo = new Uint8Array(4096);
  readonly page = new Uint8Array(VCPU_EXIT_PAGE_SIZE);
  readonly grantTable = new Uint8Array(GRANT_FRAMES_MAX * 4096);
  readonly clock = new TestClock();
  readonly store = new StoreLab();
  readonly gpu: GpuDevice;
  readonly vcpu: Vcpu;
  readonly kernel: Kernel;
  /** Register accesses as the recording of Linux has them: "R 0x070", "W 0x070 0x1". */
  readonly trace: string[] = [];
  readonly ports = new Set<number>();
  readonly states: string[] = [];
  /** What the guest said to the store (IN) and heard (OUT). */
  readonly conversation: string[] = [];
  halted: number | undefined;
  /** Set: exits are not answered until it is cleared and resume() is called. */
  paused = false;
  registers: VirtioMmioDevice | undefined;
  /** Kicks do not reach the device. */
  gpuDeaf = false;
  /** Runs after each write of a register. */
  onRegisterWrite: ((offset: number) => void) | undefined;
  /** Runs when a write of the frontend's state has reached the store, inside its transaction. */
  onStateWritten: (state: number) => void = () => {};
  base = 0;
  port = 0;
  #activity = 0;
  readonly #queueSize: number;
  readonly #features: bigint;
  #negotiated = 0n;

  constructor(options: MachineOptions = {}) {
    this.ram = new Uint8Array((options.ramMib ?? 16) << 20);
    this.memory = new RegionMemory([{ base: 0, bytes: this.ram }]);
    this.#queueSize = options.queueSize ?? 1024;
    this.#features = options.features ?? GPU_FEATURES;
    const probe = options.probe ?? NO_PROBE;
    this.gpu = new GpuDevice({
      ...{ name: 'test', log: NO_LOG, probe, clock: this.clock, displays: [{ width: 1280, height: 800 }] },
      makeUuid: testUuids(),
      defer: (action) => this.#later(action),
    });
    this.vcpu = new Vcpu({
      page: this.page,
      signalExit: () => this.#later(() => this.#exit()),
      defer: (action) => this.#later(action),
      probe,
    });
    this.kernel = new Kernel({
      ...{
        domid: DOMID,
        vcpu: this.vcpu,
        memory: this.memory,
        sharedInfo: this.sharedInfo,
        storePort: EvtchnPort(1),
        probe,
      },
      store: this.#storeClient(),
      calls: {
        allocUnbound: () => this.vcpu.hypercall(() => this.#soon(() => EvtchnPort(this.#allocUnbound()))),
        close: (port) => this.vcpu.hypercall(() => this.#soon(() => this.#close(port))),
        shutdown: (reason) => {
          const halt = () => Object.assign(this, { halted: reason });
          return this.vcpu.hypercall(() => this.#soon(halt)).then(() => {});
        },
        storeFrame: () => this.vcpu.hypercall(() => this.#soon(() => 0)),
        grantTable: () => this.vcpu.hypercall(() => this.#soon(() => this.grantTable)),
      },
      rules: CORES[options.core ?? '6.12'],
      ...{ personality: options.personality ?? 'restore', rings: options.rings ?? 'split' },
      buffers: options.buffers ?? 'copied',
      picture: options.picture ?? testPicture(64, 48),
      clock: this.clock,
      log: NO_LOG,
      onState: (state) => this.states.push(state),
      onHalted: () => {},
    });
    this.store.guest(DOMID);
  }

  // --- time ---------------------------------------------------------------------------------------------------------
  #later(action: () => void): void {
    this.#activity++;
    setImmediate(() => {
      this.#activity++;
      action();
    });
  }

  #soon<T>(action: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#later(() => {
        try {
          resolve(action());
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  /** Until nothing happens any more. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < REST_TURNS; quiet++) {
      const before = this.#activity;
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#activity !== before) quiet = 0;
    }
  }

  // --- the store ----------------------------------------------------------------------------------------------------
  #storeClient(): ChannelStoreClient {
    let deliver: (message: Parameters<StoreLab['store']['receive']>[1]) => void = () => {};
    const { store } = this.store;
    const show = (payload: string): string => payload.replaceAll('\0', ' ');
    this.store.hostDomains.set(DOMID, `${DOMID}00`);
    const connection = store.connectGuest(DOMID, {
      name: 'guest',
      onOutput: () =>
        this.#later(() => {
          for (const message of connection.outbox.take()) {
            this.conversation.push(`OUT ${message.type} ${show(message.payload)}`);
            deliver(message);
          }
        }),
      onDropped: () => {},
    });
    return new ChannelStoreClient({
      send: (message) => {
        this.conversation.push(`IN ${message.type} ${show(message.payload)}`);
        this.#later(() => {
          store.receive(connection, message);
          const state = message.payload.split(`${FRONT}/state\0`)[1];
          if (message.type === XS.XS_WRITE && state !== undefined) this.onStateWritten(Number(state));
        });
      },
      onMessage: (action) => {
        deliver = action;
      },
      onLost: () => {},
      close: () => {},
    });
  }

  read(path: string): string {
    return this.store.reply('dom0', 'READ', `${path}|`);
  }
  write(path: string, value: string): void {
    this.store.expectOk('dom0', 'WRITE', `${path}|${value}`);
  }
  remove(path: string): void {
    this.store.reply('dom0', 'RM', `${path}|`);
  }
  get front(): number {
    return Number(this.read(`${FRONT_PATH}/state`));
  }
  get back(): number {
    return Number(this.read(`${BACK_PATH}/state`));
  }

  /** The directories of a guest with one display, as the toolstack leaves them. */
  provision(front: Record<string, string> = {}): void {
    const home = `/local/domain/${DOMID}`;
    const mine = (path: string): void => this.store.expectOk('dom0', 'SET_PERMS', `${path}|n${DOMID}|`);
    this.write(home, '');
    this.store.expectOk('dom0', 'SET_PERMS', `${home}|n0|r${DOMID}|`);
    this.write(`${home}/control/platform-feature-xs_reset_watches`, '1');
    for (const path of ['control/shutdown', 'control/feature-poweroff', 'control/feature-reboot', 'data', 'error']) {
      this.write(`${home}/${path}`, '');
      mine(`${home}/${path}`);
    }
    this.write(`${home}/device`, '');
    this.addDevice(front);
  }

  addDevice(front: Record<string, string> = {}): void {
    const back = { frontend: FRONT_PATH, 'frontend-id': String(DOMID), online: '1', state: '1' };
    this.write(BACK_PATH, '');
    this.store.expectOk('dom0', 'SET_PERMS', `${BACK_PATH}|n0|r${DOMID}|`);
    for (const [key, value] of Object.entries(back)) this.write(`${BACK_PATH}/${key}`, value);
    const tx = this.store.begin('dom0');
    this.store.expectOk('dom0', 'MKDIR', `${FRONT_PATH}|`, tx);
    this.store.expectOk('dom0', 'SET_PERMS', `${FRONT_PATH}|n${DOMID}|r0|`, tx);
    for (const [key, value] of Object.entries({ backend: BACK_PATH, 'backend-id': '0', state: '1', ...front })) {
      this.store.expectOk('dom0', 'WRITE', `${FRONT_PATH}/${key}|${value}`, tx);
    }
    this.store.expectOk('dom0', 'TRANSACTION_END', 'T|', tx);
  }

  // --- the backend --------------------------------------------------------------------------------------------------
  /** Publishes and writes 2. */
  backendOffers(size = '0x200'): void {
    this.write(`${BACK_PATH}/size`, size);
    this.setBack(XenbusState.InitWait);
  }

  setBack(state: number): void {
    this.write(`${BACK_PATH}/state`, String(state));
  }

  /** Takes the frontend's keys, answers registers, writes 4. */
  backendConnects(): void {
    this.base = Number(this.read(`${FRONT_PATH}/base`));
    this.port = Number(this.read(`${FRONT_PATH}/event-channel`));
    this.backendReplaced(false);
    this.setBack(XenbusState.Connected);
  }

  /** The next backend's registers: `broken`, it found the device half-way and knows nothing of what was negotiated. */
  backendReplaced(broken = true): void {
    const queues = { queueSizesMax: [this.#queueSize, this.#queueSize], usedBit: 'tracked' } as const;
    const model = { deviceId: VIRTIO_ID_GPU, vendorId: 0x4d564b4c, features: this.#features, ...queues };
    const config = this.gpu.displays.readConfig(0, 16) ?? new Uint8Array(16);
    this.registers = new VirtioMmioDevice(model, config, { broken });
  }

  backendLetsGo(): void {
    this.registers = undefined;
    this.setBack(XenbusState.Closed);
  }

  /** From nothing to Connected with the picture shown. */
  async connect(): Promise<void> {
    this.provision();
    this.boot();
    await this.settle();
    this.backendOffers();
    await this.settle();
    this.backendConnects();
    await this.settle();
  }

  boot(): void {
    this.vcpu.run(() => void this.kernel.boot());
  }

  // --- Xen ----------------------------------------------------------------------------------------------------------
  #allocUnbound(): number {
    let port = 2;
    while (this.ports.has(port)) port++;
    this.ports.add(port);
    return port;
  }

  #close(port: number): void {
    if (!this.ports.delete(port)) throw new ErrnoError('EINVAL', `port ${port} is not open`);
    this.#bit('evtchn_pending', port, false);
  }

  #bit(words: 'evtchn_pending' | 'evtchn_mask', port: number, value?: boolean): boolean {
    const at = SHARED_INFO.offset[words] + (port >>> 3);
    const mask = 1 << (port & 7);
    const was = (this.sharedInfo[at]! & mask) !== 0;
    if (value === true) this.sharedInfo[at]! |= mask;
    if (value === false) this.sharedInfo[at]! &= ~mask;
    return was;
  }

  /** An event on a port of the guest: pending, selector, upcall, as Xen sets them. */
  raise(port: number): void {
    if (this.#bit('evtchn_pending', port, true) || this.#bit('evtchn_mask', port)) return;
    this.#select(port);
  }

  #select(port: number): void {
    const selector = SHARED_INFO.offset.vcpu_info + VCPU_INFO.offset.evtchn_pending_sel + (port >>> 9);
    this.sharedInfo[selector]! |= 1 << ((port >>> 6) & 7);
    this.sharedInfo[SHARED_INFO.offset.vcpu_info + VCPU_INFO.offset.evtchn_upcall_pending] = 1;
    this.#later(() => this.vcpu.wantUpcall());
  }

  resume(): void {
    this.paused = false;
    this.#later(() => this.#exit());
  }

  #exit(): void {
    const request = VCPU_EXIT.decode(this.page);
    if (this.paused || request.state !== VCPU_STATE.EXIT) return;
    let { data } = request;
    let rc = 0;
    if (request.reason === EXIT_REASON.MMIO) data = this.#access(Number(request.addr), request.size, request.dir, data);
    else if (request.reason === EXIT_REASON.EVTCHN_UNMASK) rc = this.#unmask(Number(data));
    VCPU_EXIT.encode({ ...request, data, rc: rc >>> 0, state: VCPU_STATE.ENTRY }, this.page);
    this.#later(() => this.vcpu.entered());
  }

  #unmask(port: number): number {
    if (!this.ports.has(port)) return -22;
    if (this.#bit('evtchn_mask', port, false) && this.#bit('evtchn_pending', port)) this.#select(port);
    return 0;
  }

  #access(addr: number, size: number, dir: number, data: bigint): bigint {
    const offset = addr - this.base;
    const device = offset >= 0 && offset < 0x200 ? this.registers : undefined;
    const at = `0x${offset.toString(16).padStart(3, '0')}`;
    if (dir === EXIT_DIR.READ) {
      this.trace.push(`R ${at}`);
      return device === undefined ? 2n ** 64n - 1n : BigInt(device.read(offset, size));
    }
    const value = Number(data);
    // QEMU's recording has no kicks: they went another way.
    if (offset !== VIRTIO_MMIO_QUEUE_NOTIFY) this.trace.push(`W ${at} 0x${value.toString(16)}`);
    for (const effect of device?.write(offset, size, value) ?? []) this.#perform(effect);
    this.onRegisterWrite?.(offset);
    return data;
  }

  #perform(effect: MmioEffect): void {
    switch (effect.type) {
      case 'activate':
        this.#negotiated = effect.features;
        this.gpu.setFeatures(effect.features);
        this.gpu.setMemory(
          hasFeature(effect.features, VIRTIO_F_ACCESS_PLATFORM)
            ? new GrantMemory({ ram: this.memory, table: this.grantTable, domid: 0 })
            : this.memory,
        );
        for (const queue of effect.queues) this.#startQueue(queue);
        break;
      case 'startQueue':
        this.#startQueue(effect.queue);
        break;
      case 'stopQueue':
        this.gpu.stopQueue(effect.index);
        break;
      case 'reset':
        for (const index of [0, 1]) this.gpu.stopQueue(index);
        this.gpu.reset();
        break;
      case 'kick':
        if (!this.gpuDeaf) this.#later(() => this.gpu.kick(effect.index));
        break;
      case 'writeConfig':
        this.gpu.displays.writeConfig(effect.offset, effect.data);
        this.registers?.setConfig(this.gpu.displays.readConfig(0, 16) ?? new Uint8Array(16));
        break;
      case 'interrupt':
        this.raise(this.port);
        break;
      default:
        effect satisfies never;
    }
  }

  #startQueue({ index, size, desc, avail, used }: QueueSetup): void {
    const places = { desc: dmaAddressOf(desc), avail: dmaAddressOf(avail), used: dmaAddressOf(used) };
    const layout = { size, base: freshBase(this.#negotiated), ...places };
    this.gpu.startQueue(index, layout, { call: () => this.#used(), error: () => {} });
  }

  #used(): void {
    for (const effect of this.registers?.usedBuffer() ?? []) this.#perform(effect);
  }

  /** The device server died: its state is gone, and the register file asks for a reset. */
  loseDevice(): void {
    this.#perform({ type: 'reset' });
    this.performAll(this.registers?.setNeedsReset() ?? []);
  }

  /** The device says that it changed. */
  performAll(effects: readonly MmioEffect[]): void {
    for (const effect of effects) this.#perform(effect);
  }

  /** What scanout 0 shows, as RGB bytes; undefined: nothing. */
  shown(): { width: number; height: number; rgb: Uint8Array } | undefined {
    const shown = this.gpu.scanouts.get(0)?.shown;
    if (shown === undefined) return undefined;
    const { width, height, pixels } = shown.surface;
    const rgb = new Uint8Array(width * height * 3);
    for (let pixel = 0; pixel < width * height; pixel++)
      for (let channel = 0; channel < 3; channel++) rgb[pixel * 3 + channel] = pixels[pixel * 4 + 2 - channel]!;
    return { width, height, rgb };
  }
}

/** Opaque, every pixel different from its neighbours in each channel. */
export function testPicture(width: number, height: number): Picture {
  const rgba = new Uint8Array(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++)
      rgba.set([(x * 7 + y) & 255, (y * 5 + 3 * x) & 255, (x ^ (y * 11)) & 255, 255], (y * width + x) * 4);
  }
  return { width, height, rgba };
}

/** The picture's colours alone. */
export function rgbOf({ rgba }: Picture): Uint8Array {
  return rgba.filter((_value, index) => index % 4 !== 3);
}
