// The guest as a process: finds its token, takes its domain's pages, and lets the kernel run on them. What comes from sockets
// and doorbells is handed to the vCPU; everything else is in the pure files beside this one.
import { readFile } from 'node:fs/promises';
import { ErrnoError, passOver, UserError } from '../../lib/core/errors.js';
import { isBackedOnDemand, mapRam } from '../../lib/core/guest-ram.js';
import { DOMID_SELF, domIdFrom, evtchnPortFrom } from '../../lib/core/ids.js';
import { RegionMemory } from '../../lib/core/memory.js';
import { type Probe, probeOfDomain } from '../../lib/core/probe.js';
import type { GuestPages } from '../../lib/core/proto-types.js';
import type { BusClient, ServiceContext } from '../../lib/core/service.js';
import type { Mapping } from '../../lib/core/shared.js';
import { HVM_PARAM } from '../../lib/layout/evtchn.js';
import { GRANT_FRAMES_MAX } from '../../lib/layout/grant-table.js';
import { readPng } from '../../lib/node/files/png.js';
import { serveControl } from '../../lib/node/process/control.js';
import { parseGuestToken, runPaths } from '../../lib/node/process/run-dir.js';
import { retryOnChange } from '../../lib/node/process/wait.js';
import { POINT } from '../../lib/trace/points.js';
import type { FrontendName } from '../../lib/xenbus/protocols.js';
import { lastingStoreClient } from '../../lib/xenstore/bus-client.js';
import type { StoreTransport } from '../../lib/xenstore/channel.js';
import { CORES, type CoreVersion } from './core-rules.js';
import { DirectWrites } from './direct-kicks.js';
import { framebufferPages } from './framebuffer.js';
import type { GpuBuffers, GpuPersonality, GpuRings } from './gpu-options.js';
import { type HyperCalls, Kernel } from './kernel.js';
import { PAGE_SIZE, Pages } from './pages.js';
import { Vcpu } from './vcpu.js';
import type { Picture } from './workload.js';

export interface GuestOptions {
  /** The domain's name; says where the toolstack put its token. */
  readonly name: string;
  /** The token itself, instead of the file. */
  readonly token?: string;
  /** Its domain, where that is known: a later one of the same name is another's to run. */
  readonly domid?: number;
  readonly image: string;
  readonly frontend: FrontendName;
  readonly core: CoreVersion;
  readonly driver: GpuPersonality;
  readonly buffers: GpuBuffers;
  readonly rings: GpuRings;
  readonly measured?: boolean;
  /** How the kernel reaches its store. */
  readonly storeTransport?: StoreTransport;
}

/** Pages that rings, commands and tables take beside a frame buffer. */
const OVERHEAD_PAGES = 64;

export async function start(context: ServiceContext, options: GuestOptions): Promise<void> {
  const picture = readPng(options.image);
  context.ready(`waiting for domain ${options.name}`);
  // Looked for once the hypervisor is there: it has removed the tokens of a host that died before it.
  let token = options.token ?? '';
  const proof = async (): Promise<string> => {
    token = options.token ?? (await findToken(context, options)) ?? '';
    return token;
  };
  const hypervisor = await context.connect('hypervisor', { token: proof });
  hypervisor.on('HypervisorEvents', 'domain_gone', () => {
    context.log.info('the domain is gone');
    void context.stop();
  });
  const { vcpu, pages, memory, sharedInfo, mapGrants, probe } = await attach(context, hypervisor);
  checkMemory(picture, memory.size, options, context);
  const kernel = new Kernel({
    ...{ vcpu, memory, sharedInfo, picture },
    domid: domIdFrom(pages.domid),
    storePort: evtchnPortFrom(pages.store_port),
    ...(options.storeTransport === 'ring'
      ? {}
      : { store: lastingStoreClient(() => context.connect('xenstored', { token, onLost: 'keep' }), probe) }),
    onStoreLost: (error) => void context.stop(`the store's ring page: ${error.message}`),
    calls: hypercalls(hypervisor, vcpu, mapGrants),
    frontend: options.frontend,
    rules: CORES[options.core],
    personality: options.driver,
    buffers: options.buffers,
    rings: options.rings,
    measured: options.measured ?? false,
    clock: context.clock,
    probe,
    log: context.log,
    ...(isBackedOnDemand(pages.ram.size) && {
      backRam: (offset, size) => context.shared.back(pages.ram, { offset, size }),
    }),
    onState: (state) => context.ready(state),
    onHalted: () => void context.stop(),
  });
  context.log.info({ domid: pages.domid, memory: memory.size }, 'attached');
  vcpu.run(() => {
    kernel.boot().catch((error: unknown) => {
      if (!(error instanceof ErrnoError)) throw error;
      void context.stop(`the kernel cannot boot: ${error.message}`);
    });
  });
  // Last: no guest waits for it.
  await serveControl(context, () => kernel.held().map((name) => ({ kind: 'guest', name })));
}

/** Waits until the toolstack has written it; undefined when this process is stopped first, or its domain is gone already. */
async function findToken(context: ServiceContext, { name, domid }: GuestOptions): Promise<string | undefined> {
  const path = runPaths.guestToken(context.runDir, name);
  const abort = new AbortController();
  context.own('wait for the token', () => abort.abort());
  const read = async () => parseGuestToken((await readFile(path, 'utf8').catch(passOver)) ?? '');
  const found = await retryOnChange(path, read, abort.signal);
  if (found === undefined || domid === undefined || found.domid === domid) return found?.token;
  context.log.info({ domid, later: found.domid }, 'the domain is gone, and its name is that of a later one');
  void context.stop();
  return undefined;
}

interface Attached {
  readonly vcpu: Vcpu;
  readonly pages: GuestPages;
  readonly memory: RegionMemory;
  readonly sharedInfo: Uint8Array;
  /** Maps the grant table, once; it stays until the vCPU has stopped. */
  readonly mapGrants: (file: GuestPages['ram']) => Uint8Array;
  readonly probe: Probe;
}

async function attach(context: ServiceContext, hypervisor: BusClient): Promise<Attached> {
  const { doorbell, shared } = context;
  // The bells come before the pages: what they ring for is set below, before anything can ring.
  let vcpu: Vcpu | undefined;
  const entry = doorbell.bind(() => vcpu?.entered());
  context.own('entry bell', () => entry.release());
  const upcall = doorbell.bind(() => vcpu?.wantUpcall());
  context.own('upcall bell', () => upcall.release());
  const pages = await hypervisor.remote('Hypervisor').guest_attach({ entry: entry.handle, upcall: upcall.handle });
  const probe = probeOfDomain(context.probe, pages.domid);
  const map = (what: string, handle: GuestPages['ram']): Uint8Array => {
    const mapping = shared.map(handle);
    context.own(what, () => {
      mapping.close();
      probe.at(POINT['map.give'], what, handle.size);
    });
    probe.at(POINT['map.take'], what, handle.size);
    return mapping.bytes;
  };
  const ram = mapRam(shared, pages.ram);
  probe.at(POINT['map.take'], 'RAM', pages.ram.size);
  const memory = new RegionMemory(ram.regions);
  context.own('RAM', () => {
    memory.close();
    ram.close();
    probe.at(POINT['map.give'], 'RAM', pages.ram.size);
  });
  const sharedInfo = map('shared_info', pages.shared_info);
  const direct = new DirectWrites(map('direct table', pages.direct), doorbell);
  context.own('direct kicks', () => direct.close());
  // Given back after the vCPU has stopped, as whatever runs there uses it.
  let grants: Mapping | undefined;
  context.own('grant table', () => grants?.close());
  const mapGrants = (file: GuestPages['ram']): Uint8Array => {
    grants ??= shared.map(file);
    return grants.bytes;
  };
  const exit = doorbell.open(pages.exit);
  context.own('exit bell', () => exit.close());
  vcpu = new Vcpu({
    page: map('exit page', pages.vcpu),
    signalExit: () => exit.signal(),
    direct: (addr, size, value) => direct.write(addr, size, value),
    defer: (action) => setImmediate(action),
    probe,
  });
  const running = vcpu;
  context.own('vCPU', () => running.stop());
  return { vcpu, pages, memory, sharedInfo, mapGrants, probe };
}

function checkMemory(picture: Picture, ramBytes: number, { image }: GuestOptions, { probe }: ServiceContext): void {
  const { free } = new Pages(ramBytes, probe);
  const needed = framebufferPages(picture.width, picture.height) + OVERHEAD_PAGES;
  if (needed <= free) return;
  const mib = (pages: number): string => ((pages * PAGE_SIZE) / 2 ** 20).toFixed(1);
  throw new UserError(
    `${image} (${picture.width}x${picture.height}) needs ${mib(needed)} MiB, and the domain has ${mib(free)} MiB free`,
  );
}

function hypercalls(hypervisor: BusClient, vcpu: Vcpu, mapGrants: Attached['mapGrants']): HyperCalls {
  const remote = hypervisor.remote('Hypervisor');
  return {
    allocUnbound: async (remoteDomid) => {
      const { port } = await vcpu.hypercall(() =>
        remote.evtchn_alloc_unbound({ dom: DOMID_SELF, remote_dom: remoteDomid }),
      );
      return evtchnPortFrom(port);
    },
    close: async (port) => {
      await vcpu.hypercall(() => remote.evtchn_close({ port }));
    },
    shutdown: async (reason) => {
      await vcpu.hypercall(() => remote.sched_shutdown({ reason }));
    },
    grantTable: async () => {
      const { file } = await vcpu.hypercall(() => remote.gnttab_setup_table({ nr_frames: GRANT_FRAMES_MAX }));
      return mapGrants(file);
    },
    storeFrame: async () => {
      const index = HVM_PARAM.STORE_PFN;
      const { value } = await vcpu.hypercall(() => remote.hvm_get_param({ domid: DOMID_SELF, index }));
      return Number(value);
    },
  };
}
