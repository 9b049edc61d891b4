// Which domains exist, who they are, and whose state changed. Domids increase and come back only when no process holds the
// old domain's memory; (domid, unique id) is the identity. Leaves what a domain owns to host.ts.
import { ERRNO } from '../../../lib/core/errno.js';
import { DOM0, DOMID_FIRST_RESERVED, DomId } from '../../../lib/core/ids.js';
import { DOMAINS_MAX, GUEST_MEMORY_MIB_MAX, GUEST_MEMORY_MIB_MIN, VCPUS_MAX } from '../../../lib/core/limits.js';
import type { RegionMemory } from '../../../lib/core/memory.js';
import {
  DOMCAP_CONTROL,
  DOMCAP_HARDWARE,
  DOMCAP_XENSTORE,
  DOMSTATE_DEAD,
  DOMSTATE_EXIST,
  DOMSTATE_SHUTDOWN,
  EVTCHN_FIFO_NR_CHANNELS,
  SHARED_INFO_PAGE_SIZE,
} from '../../../lib/layout/evtchn.js';
import { TwoLevel } from '../event/event-2l.js';
import type { DomainLookup } from '../event/event-channels.js';
import { Domain } from './domain.js';

const { EACCES, EEXIST, EINVAL, ENOENT, ENOMEM } = ERRNO;

/** libxl's default for max_evtchn_port. */
const MAX_EVTCHN_PORT_DEFAULT = 1023;

export interface DomainRequest {
  /** 0: the next free one. */
  readonly domid: number;
  readonly name: string;
  readonly memoryMib: number;
  /** 0 counts as 1. */
  readonly maxVcpus: number;
  /** 0: libxl's default; -1: no limit. */
  readonly maxEvtchnPort: number;
}

export interface DomainStateOut {
  readonly domid: number;
  readonly state: number;
  readonly caps: number;
  readonly unique_id: string;
}

/** Random things, injected. */
export interface Randomness {
  /** A token that cannot be guessed. */
  token(): string;
  /** 64 random bits. */
  u64(): bigint;
}

export class Domains implements DomainLookup {
  readonly hardwareDomain: Domain;
  readonly #random: Randomness;
  readonly #byId = new Map<DomId, Domain>();
  readonly #byToken = new Map<string, Domain>();
  /** Domids whose state changed since get_domain_state told of them. */
  readonly #changed = new Set<DomId>();
  #nextDomid = 1;
  #nextUniqueId: bigint;

  constructor(random: Randomness) {
    this.#random = random;
    this.#nextUniqueId = random.u64();
    this.hardwareDomain = this.#add({
      domid: DOM0,
      name: 'Domain-0',
      memoryMib: 0,
      maxVcpus: 1,
      maxEvtchnPort: EVTCHN_FIFO_NR_CHANNELS - 1,
      privileged: true,
      sharedInfo: new Uint8Array(SHARED_INFO_PAGE_SIZE),
      memory: undefined,
    });
    this.hardwareDomain.pauseCount = 0;
    this.#changed.delete(DOM0);
  }

  find(domid: DomId): Domain | undefined {
    return this.#byId.get(domid);
  }

  byToken(token: string): Domain | undefined {
    return this.#byToken.get(token);
  }

  all(): Domain[] {
    return [...this.#byId.values()].sort((a, b) => a.domid - b.domid);
  }

  /** The domid that a request would get, or -errno: checked before anything is allocated for it. */
  check(request: DomainRequest): number {
    const { domid, memoryMib, maxVcpus, maxEvtchnPort } = request;
    if (domid >= DOMID_FIRST_RESERVED || maxVcpus > VCPUS_MAX || maxEvtchnPort < -1) return -EINVAL;
    if (memoryMib < GUEST_MEMORY_MIB_MIN || memoryMib > GUEST_MEMORY_MIB_MAX) return -EINVAL;
    if (domid !== 0 && this.#byId.has(DomId(domid))) return -EEXIST;
    if (this.#byId.size > DOMAINS_MAX) return -ENOMEM;
    return domid === 0 ? this.#freeDomid() : domid;
  }

  /** Makes the domain that check() allowed under that domid. */
  create(domid: number, request: DomainRequest, pages: { sharedInfo: Uint8Array; memory: RegionMemory }): Domain {
    if (request.domid === 0) this.#nextDomid = domid + 1;
    const { maxEvtchnPort } = request;
    const maxPort =
      maxEvtchnPort === 0
        ? MAX_EVTCHN_PORT_DEFAULT
        : maxEvtchnPort === -1
          ? EVTCHN_FIFO_NR_CHANNELS - 1
          : Math.min(maxEvtchnPort, EVTCHN_FIFO_NR_CHANNELS - 1);
    return this.#add({
      domid: DomId(domid),
      name: request.name,
      memoryMib: request.memoryMib,
      maxVcpus: Math.max(1, request.maxVcpus),
      maxEvtchnPort: maxPort,
      privileged: false,
      ...pages,
    });
  }

  /** Its token proves nothing any more. */
  revoke(domain: Domain): void {
    this.#byToken.delete(domain.token);
  }

  forget(domain: Domain): void {
    this.revoke(domain);
    this.#byId.delete(domain.domid);
    this.markChanged(domain);
  }

  markChanged(domain: Domain): void {
    this.#changed.add(domain.domid);
  }

  /** domctl 90: with `domid` undefined the next domain whose state changed; only for who is told of changes. */
  state(domid: DomId | undefined, mayHear: boolean): DomainStateOut | number {
    if (domid === undefined) {
      if (!mayHear) return -EACCES;
      const [next] = [...this.#changed].sort((a, b) => a - b);
      if (next === undefined) return -ENOENT;
      this.#changed.delete(next);
      return this.#stateOf(next);
    }
    return this.#stateOf(domid);
  }

  #stateOf(domid: DomId): DomainStateOut {
    const domain = this.#byId.get(domid);
    if (domain === undefined) return { domid, state: 0, caps: 0, unique_id: '0' };
    let state: number = DOMSTATE_EXIST;
    if (domain.shutdownReason !== undefined) state |= DOMSTATE_SHUTDOWN;
    // Destruction is one step here, so a domain that still exists afterwards has given everything back already.
    if (domain.dying) state |= DOMSTATE_DEAD;
    const caps = domain.privileged ? DOMCAP_CONTROL | DOMCAP_HARDWARE | DOMCAP_XENSTORE : 0;
    return { domid, state, caps, unique_id: domain.uniqueId.toString() };
  }

  #freeDomid(): number {
    let domid = this.#nextDomid;
    for (;;) {
      if (domid >= DOMID_FIRST_RESERVED) domid = 1;
      if (!this.#byId.has(DomId(domid))) return domid;
      domid++;
    }
  }

  #add(spec: Omit<ConstructorParameters<typeof Domain>[0], 'uniqueId' | 'token'>): Domain {
    const uniqueId = this.#nextUniqueId;
    this.#nextUniqueId = BigInt.asUintN(64, uniqueId + 1n) || 1n;
    const domain = new Domain({ ...spec, uniqueId, token: this.#random.token() });
    domain.abi = new TwoLevel(domain);
    domain.ports.init(domain);
    this.#byId.set(domain.domid, domain);
    this.#byToken.set(domain.token, domain);
    this.#changed.add(domain.domid);
    return domain;
  }
}
