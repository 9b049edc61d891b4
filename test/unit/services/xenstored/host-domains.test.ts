// xenstored and the hypervisor: changes of domains are followed until xenstored ends, and no longer.
import t from 'tap';
import { ErrnoError } from '../../../../lib/core/errors.js';
import type { BusClient, ServiceContext } from '../../../../lib/core/service.js';
import { HostDomains } from '../../../../services/xenstored/node/host-domains.js';

/** A hypervisor whose answers about changes come when `answer` is called, and that refuses who has not VIRQ_DOM_EXC, as Xen does. */
function hypervisor() {
  let bound = false;
  const waiting: (() => void)[] = [];
  const remote = {
    dev_evtchn_open: async () => ({ fd: 1 }),
    dev_evtchn_bind_virq: async () => {
      bound = true;
      return { local_port: 7 };
    },
    dev_evtchn_eventfd: async () => ({}),
    dev_evtchn_close: async () => {
      bound = false;
      return {};
    },
    domctl_get_domain_state: () =>
      new Promise((_, reject) => {
        const code = bound ? 'ENOENT' : 'EACCES';
        waiting.push(() => reject(new ErrnoError(code, 'domctl.get_domain_state')));
      }),
  };
  return {
    client: { remote: () => remote } as unknown as BusClient,
    answer: () => waiting.shift()?.(),
    get askedCount() {
      return waiting.length;
    },
    get bound() {
      return bound;
    },
  };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

t.test('an end in the middle of a question asks nothing more of the hypervisor', async (t) => {
  const host = hypervisor();
  let ring = (): void => {};
  const owned: (() => void | Promise<void>)[] = [];
  const context = {
    doorbell: {
      bind: (action: () => void) => {
        ring = action;
        return { handle: 'bell', release: () => {} };
      },
    },
    own: (_what: string, release: () => void | Promise<void>) => owned.push(release),
  } as unknown as ServiceContext;
  const following = new HostDomains(host.client).follow(context, () => {});
  await turn();
  host.answer();
  await following;

  ring();
  ring(); // one more event while the first is asked about
  t.equal(host.askedCount, 1);
  const ending = (async () => {
    for (const release of owned.reverse()) await release();
  })();
  await turn();
  t.ok(host.bound, 'the question under way is answered first');
  host.answer();
  await ending;
  await turn();
  t.notOk(host.bound);
  t.equal(host.askedCount, 0, 'and no other is asked, which would be refused');
  ring();
  t.equal(host.askedCount, 0, 'nor by a late event');
});
