// The domains that the store has heard of: features, quotas, accounts, and whether their connection is open. A domain is
// known from the first time something names it (a permission entry, a quota), which is before its introduction.
// Leaves hypervisor calls to the server: what is not known here is asked with Unanswered.
import { DOM0 } from '../../lib/core/ids.js';
import type { Compat } from './compat.js';
import { Unanswered } from './failure.js';
import { Account, type Limits } from './quota.js';

export interface Domain {
  readonly domid: number;
  /** Decimal u64 that tells a domain from a later one of the same number; '' while unknown. */
  uniqueId: string;
  /** XENSTORE_SERVER_FEATURE_* bits that it may use. */
  features: number;
  readonly account: Account;
  /** Store generation when it was first heard of: older permission entries with its number meant another domain. */
  readonly generation: number;
  introduced: boolean;
  /** Its shutdown was already announced. */
  shutdown: boolean;
  /** Whose rights it has beside its own. */
  targetDomid: number | undefined;
  /** Store event channel as given to INTRODUCE. */
  port: number;
}

/** Answers of the host by domid; null: no such domain. */
export type HostAnswers = ReadonlyMap<number, { readonly uniqueId: string } | null>;

export class Domains {
  /** Limits that a domain gets when it is first heard of. */
  readonly limits: Limits;
  readonly #byDomid = new Map<number, Domain>();
  /** A record was made. */
  onMade: (domain: Domain) => void = () => {};
  readonly #compat: Compat;

  constructor(limits: Limits, compat: Compat) {
    this.limits = limits;
    this.#compat = compat;
  }

  get(domid: number): Domain | undefined {
    return this.#byDomid.get(domid);
  }

  introduced(domid: number): Domain | undefined {
    const domain = this.#byDomid.get(domid);
    return domain?.introduced ? domain : undefined;
  }

  all(): IterableIterator<Domain> {
    return this.#byDomid.values();
  }

  /** The domain's record, made now if need be. */
  make(domid: number, uniqueId: string, generation: number): Domain {
    let domain = this.#byDomid.get(domid);
    if (domain === undefined) {
      domain = {
        domid,
        uniqueId,
        features: this.#compat.features,
        account: new Account(this.#compat.quotasAreGlobal ? this.limits : new Map(this.limits)),
        generation,
        introduced: false,
        shutdown: false,
        targetDomid: undefined,
        port: 0,
      };
      this.#byDomid.set(domid, domain);
      this.onMade(domain);
    } else if (uniqueId !== '') domain.uniqueId = uniqueId;
    return domain;
  }

  /** The record of a domain that is known here or exists in the host; undefined when it exists nowhere. */
  existing(domid: number, answers: HostAnswers, generation: number): Domain | undefined {
    const known = this.#byDomid.get(domid);
    if (known !== undefined || domid === DOM0) return known ?? this.make(domid, '', generation);
    const answer = answers.get(domid);
    if (answer === undefined) throw new Unanswered({ kind: 'domain', domid });
    return answer === null ? undefined : this.make(domid, answer.uniqueId, generation);
  }

  forget(domid: number): void {
    this.#byDomid.delete(domid);
  }
}

/** Sockets and the control domain are privileged: nothing limits them. */
export function isPrivileged(domid: number): boolean {
  return domid === DOM0;
}
