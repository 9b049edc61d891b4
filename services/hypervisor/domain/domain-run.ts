// What the hypervisor holds for one guest besides the domain itself: its RAM, shared_info and exit page as files, its
// vCPU's exits, and the doorbells of the process that runs it. Owned by host.ts, which closes it once.
import { ErrnoError } from '../../../lib/core/errors.js';
import { mapRam, ramBackedAtStart, ramFileSize } from '../../../lib/core/guest-ram.js';
import type { MappedPart } from '../../../lib/core/memory-windows.js';
import type { BellNotifier, BoundBell, Doorbell, Notifier, NotifyHandle } from '../../../lib/core/notify.js';
import type { Probe } from '../../../lib/core/probe.js';
import type { FileHandle } from '../../../lib/core/proto-types.js';
import type { MadeFile, SharedFiles } from '../../../lib/core/shared.js';
import { SHARED_INFO_PAGE_SIZE } from '../../../lib/layout/evtchn.js';
import { DIRECT_FILE_SIZE } from '../../../lib/layout/ours/direct.js';
import { VCPU_EXIT_PAGE_SIZE } from '../../../lib/layout/ours/vcpu-exit.js';
import { POINT } from '../../../lib/trace/points.js';
import { DirectTable } from '../event/direct-table.js';
import type { Domain } from './domain.js';
import { ExitPage } from './exit-page.js';
import { type ExitEnvironment, VcpuExits } from './vcpu-exits.js';

type SharedFile = ReturnType<SharedFiles['create']>;

/** The files of a domain, made before the domain is. */
export class DomainFiles {
  readonly ram: MadeFile & MappedPart;
  readonly sharedInfo: SharedFile;
  readonly vcpu: SharedFile;
  readonly direct: SharedFile;

  /** Throws ErrnoError with nothing left behind. */
  constructor(files: SharedFiles, domid: number, memoryMib: number) {
    const made: { remove(): void }[] = [];
    const make = (suffix: string, size: number): SharedFile => {
      const file = files.create(`shm/dom${domid}.${suffix}`, size);
      made.push(file);
      return file;
    };
    try {
      this.sharedInfo = make('shared_info', SHARED_INFO_PAGE_SIZE);
      this.vcpu = make('vcpu0', VCPU_EXIT_PAGE_SIZE);
      this.direct = make('direct', DIRECT_FILE_SIZE);
      const size = ramFileSize(memoryMib * 2 ** 20);
      const ram = files.createSparse(`shm/dom${domid}.ram`, size, ramBackedAtStart(size));
      made.push(ram);
      const { regions, close } = mapRam(files, ram.handle);
      const remove = (): void => {
        close();
        ram.remove();
      };
      this.ram = { handle: ram.handle, regions, close, remove };
    } catch (error) {
      for (const file of made) file.remove();
      throw error;
    }
  }

  remove(): void {
    this.ram.remove();
    this.sharedInfo.remove();
    this.vcpu.remove();
    this.direct.remove();
  }
}

export class DomainRun {
  readonly domain: Domain;
  readonly files: DomainFiles;
  readonly direct: DirectTable;
  readonly #page: ExitPage;
  readonly #exits: VcpuExits;
  readonly #doorbell: Doorbell;
  readonly #probe: Probe;
  #exitBell: BoundBell | undefined;
  #entry: Notifier | undefined;
  #upcall: BellNotifier | undefined;
  /** The process that runs it. */
  #process: object | undefined;

  constructor(domain: Domain, files: DomainFiles, env: ExitEnvironment & { readonly doorbell: Doorbell }) {
    this.domain = domain;
    this.files = files;
    this.#doorbell = env.doorbell;
    this.#probe = env.probe;
    this.#page = new ExitPage(files.vcpu.bytes);
    this.direct = new DirectTable(files.direct.bytes);
    const vcpu = domain.vcpus[0]!;
    this.#exits = new VcpuExits(vcpu, this.#page, env, () => this.#entry?.signal());
    vcpu.onUpcall = (insist) => {
      this.#probe.at(POINT['event.upcall'], '', vcpu.id, 0, domain.domid);
      if (insist) this.#upcall?.insist();
      else this.#upcall?.signal();
    };
  }

  get process(): object | undefined {
    return this.#process;
  }

  /** The guest's process takes the vCPU. Throws EBUSY when another has it. */
  attach(process: object, entry: NotifyHandle, upcall: NotifyHandle): NotifyHandle {
    if (this.#process !== undefined)
      throw new ErrnoError('EBUSY', `domain ${this.domain.domid} runs in a process already`);
    const entryNotifier = this.#doorbell.open(entry);
    try {
      this.#upcall = this.#doorbell.open(upcall);
      this.#exitBell = this.#doorbell.bind(() => this.#exits.look());
    } catch (error) {
      entryNotifier.close();
      this.#upcall?.close();
      this.#upcall = undefined;
      throw error;
    }
    this.#entry = entryNotifier;
    this.#process = process;
    this.direct.setUpcall(upcall);
    this.domain.attached = true;
    this.domain.holders++;
    // Events that came before this process attached.
    if (this.domain.vcpus[0]!.upcallPending) this.#upcall.signal();
    return this.#exitBell.handle;
  }

  /** The process ended. */
  detach(): void {
    if (this.#process === undefined) return;
    this.#process = undefined;
    this.direct.setUpcall(undefined);
    this.domain.attached = false;
    this.domain.holders--;
    this.#releaseBells();
  }

  /** The domain runs again, or for the first time: exits that waited are taken. */
  resume(): void {
    this.#exits.look();
  }

  pages(): { ram: FileHandle; shared_info: FileHandle; vcpu: FileHandle; direct: FileHandle } {
    return {
      ram: this.files.ram.handle,
      shared_info: this.files.sharedInfo.handle,
      vcpu: this.files.vcpu.handle,
      direct: this.files.direct.handle,
    };
  }

  /** The domain dies: its pages go, nothing of ours touches them afterwards. The process stays a holder until it ends. */
  close(): void {
    this.#releaseBells();
    this.#page.drop();
    this.direct.drop();
    this.domain.dropMemory();
    this.files.remove();
  }

  #releaseBells(): void {
    this.#exitBell?.release();
    this.#entry?.close();
    this.#upcall?.close();
    this.#exitBell = undefined;
    this.#entry = undefined;
    this.#upcall = undefined;
  }
}
