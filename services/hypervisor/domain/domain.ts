// What a domain is made of: identity, vCPUs, event-channel ports, ioreq servers, life. Data with the little that keeps it
// whole; the rules are in event-channels.ts, ioreq-servers.ts and domains.ts.
import type { DomId } from '../../../lib/core/ids.js';
import type { RegionMemory } from '../../../lib/core/memory.js';
import { TwoLevelWords } from '../../../lib/events/two-level.js';
import { SHARED_INFO_PAGE_SIZE } from '../../../lib/layout/evtchn.js';
import { MAX_NR_IOREQ_SERVERS } from '../../../lib/layout/ioreq.js';
import type { EventAbi } from '../event/event-abi.js';
import { PortTable } from '../event/ports.js';
import type { IoreqServer } from '../ioreq/ioreq-servers.js';
import { Platform } from './platform.js';
import { Vcpu } from './vcpu.js';

/** The life of a domain; it only moves to the right. `dying` ends when no process maps its memory any more. */
export type Life = 'alive' | 'dying' | 'gone';

export interface DomainSpec {
  readonly domid: DomId;
  readonly uniqueId: bigint;
  readonly name: string;
  readonly token: string;
  readonly memoryMib: number;
  readonly maxVcpus: number;
  /** Highest permitted port number. */
  readonly maxEvtchnPort: number;
  /** The control domain: may act on all others. */
  readonly privileged: boolean;
  /** shared_info, one page, zeroed. */
  readonly sharedInfo: Uint8Array;
  /** Guest-physical 0 onwards; dom0's is not ours. */
  readonly memory: RegionMemory | undefined;
}

export class Domain {
  readonly domid: DomId;
  readonly uniqueId: bigint;
  /** For people; the toolstack's to change. */
  name: string;
  readonly token: string;
  readonly memoryMib: number;
  readonly privileged: boolean;
  readonly vcpus: readonly Vcpu[];
  readonly ports: PortTable;
  readonly ioreqServers: (IoreqServer | null)[] = new Array(MAX_NR_IOREQ_SERVERS).fill(null);
  readonly platform = new Platform();
  /** HVM params set by the toolstack, by index. */
  readonly params = new Map<number, number>();
  /** How events reach this domain; set by domains.ts when it makes the domain, changed by init_control and reset. */
  abi!: EventAbi;
  sharedInfo: Uint8Array;
  /** The event words of shared_info; made anew when that is dropped. */
  words: TwoLevelWords;
  memory: RegionMemory | undefined;
  life: Life = 'alive';
  /** Reason of a shutdown, while the domain exists shut down. */
  shutdownReason: number | undefined;
  /** Pauses of the toolstack that were not undone; a new domain starts with one. */
  pauseCount = 1;
  /** A guest process runs it. */
  attached = false;
  /** Event-channel reset under way. */
  resetting = false;
  /** Mappings of its memory by others, and its own process: the domid is not free before they are gone. */
  holders = 0;

  constructor(spec: DomainSpec) {
    this.domid = spec.domid;
    this.uniqueId = spec.uniqueId;
    this.name = spec.name;
    this.token = spec.token;
    this.memoryMib = spec.memoryMib;
    this.privileged = spec.privileged;
    this.sharedInfo = spec.sharedInfo;
    this.words = new TwoLevelWords(spec.sharedInfo);
    this.memory = spec.memory;
    this.vcpus = Array.from({ length: spec.maxVcpus }, (_, id) => new Vcpu(this, id));
    this.ports = new PortTable(spec.maxEvtchnPort);
  }

  get dying(): boolean {
    return this.life !== 'alive';
  }

  /** Whether its vCPUs run. */
  get running(): boolean {
    return this.life === 'alive' && this.pauseCount === 0 && this.shutdownReason === undefined;
  }

  /** Before its files are unmapped: code that still has the domain writes into a blank page, or nowhere. */
  dropMemory(): void {
    this.sharedInfo = new Uint8Array(SHARED_INFO_PAGE_SIZE);
    this.words = new TwoLevelWords(this.sharedInfo);
    this.memory?.close();
    this.memory = undefined;
    this.abi.dropPages();
  }
}
