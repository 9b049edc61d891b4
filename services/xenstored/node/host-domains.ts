// What xenstored asks the hypervisor: who a peer is, whether a domain exists, and which domains changed when VIRQ_DOM_EXC
// says that some did. Leaves what follows from that to the store.

import { ErrnoError, passOver } from '../../../lib/core/errors.js';
import { DOMID_INVALID } from '../../../lib/core/ids.js';
import type { DomainState } from '../../../lib/core/proto-types.js';
import type { BusClient, ServiceContext } from '../../../lib/core/service.js';
import { DOMSTATE_DEAD, DOMSTATE_DYING, DOMSTATE_EXIST, DOMSTATE_SHUTDOWN, VIRQ } from '../../../lib/layout/evtchn.js';
import { EVENTFD_DIRECTION } from '../../../lib/layout/ours/dev-evtchn.js';
import type { DomainChange } from '../domain-life.js';

/** What the hypervisor says of a number that is no domain's, or cannot be one's. */
const NO_DOMAIN_ERRORS: ReadonlySet<string> = new Set(['ESRCH', 'ENOENT', 'EINVAL']);

export class HostDomains {
  readonly #hypervisor;

  constructor(client: BusClient) {
    this.#hypervisor = client.remote('Hypervisor');
  }

  /** The domain that a token proves; rejects with what the hypervisor says of a bad one. */
  async identify(token: string): Promise<number> {
    return (await this.#hypervisor.identify({ token })).domid;
  }

  /** The domain's unique id, null when there is none of that number. */
  async lookUp(domid: number): Promise<{ uniqueId: string } | null> {
    try {
      const state = await this.#hypervisor.domctl_get_domain_state({ domid });
      return exists(state) ? { uniqueId: state.unique_id } : null;
    } catch (error) {
      if (error instanceof ErrnoError && NO_DOMAIN_ERRORS.has(error.code)) return null;
      throw error;
    }
  }

  /** Calls `onChanges` with every batch of changed domains, from now on. Resolves once no change can be missed. */
  async follow(context: ServiceContext, onChanges: (changes: DomainChange[]) => void): Promise<void> {
    let running: Promise<void> | undefined;
    let again = false;
    let ended = false;
    const poll = async (): Promise<void> => {
      do {
        again = false;
        const changes = await this.#changed();
        if (changes.length > 0) onChanges(changes);
      } while (again && !ended);
      running = undefined;
    };
    const bell = context.doorbell.bind(() => {
      if (ended) return;
      again = true;
      running ??= poll();
    });
    context.own('VIRQ_DOM_EXC bell', () => bell.release());
    const { fd } = await this.#hypervisor.dev_evtchn_open({ readable: bell.handle });
    context.own('event channels', async () => {
      ended = true;
      // Only the domain that has VIRQ_DOM_EXC bound may ask what changed: a question after the close would be refused.
      await running?.catch(passOver);
      await this.#hypervisor.dev_evtchn_close({ fd }).catch(passOver);
    });
    const { local_port: port } = await this.#hypervisor.dev_evtchn_bind_virq({ fd, virq: VIRQ.DOM_EXC });
    // An event descriptor needs no write-back: each event is a ring of our doorbell, and rings coalesce as events do.
    await this.#hypervisor.dev_evtchn_eventfd({
      fd,
      port,
      direction: EVENTFD_DIRECTION.FROM_PORT,
      handle: bell.handle,
    });
    running ??= poll();
    await running;
  }

  async #changed(): Promise<DomainChange[]> {
    const changes: DomainChange[] = [];
    for (;;) {
      try {
        const state = await this.#hypervisor.domctl_get_domain_state({ domid: DOMID_INVALID });
        changes.push({
          domid: state.domid,
          uniqueId: exists(state) ? state.unique_id : '',
          shutdown: (state.state & DOMSTATE_SHUTDOWN) !== 0,
          dying: (state.state & DOMSTATE_DYING) !== 0,
          dead: (state.state & DOMSTATE_DEAD) !== 0,
        });
      } catch (error) {
        if (error instanceof ErrnoError && error.code === 'ENOENT') return changes;
        throw error;
      }
    }
  }
}

function exists(state: DomainState): boolean {
  return (state.state & DOMSTATE_EXIST) !== 0 && state.unique_id !== '' && state.unique_id !== '0';
}
