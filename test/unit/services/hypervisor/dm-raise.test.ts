// The dm_op evtchn_raise as the command ring of /dev/xen/evtchn carries it.

import t from 'tap';
import { EvtchnPort } from '../../../../lib/core/ids.js';
import { NO_LOG } from '../../../../lib/core/log.js';
import { COMMAND_DM_RAISE, COMMAND_SHIFT, DEV_EVTCHN } from '../../../../lib/layout/ours/dev-evtchn.js';
import { FakeGuest, FakeUser, makeLab } from '../../../../testkit/host-lab.js';
import type { SandboxOptions } from '../../../../testkit/sandbox.js';

/** A guest with a port that it shares with dom0, and dom0's user of it. */
function stage(options: SandboxOptions) {
  const lab = makeLab(options);
  const domain = lab.domain();
  const guest = new FakeGuest(lab, domain);
  const user = new FakeUser(lab);
  const port = lab.number(domain.domid, 'evtchn.alloc_unbound', { dom: 0x7ff0, remote_dom: 0 });
  lab.kernel.bindInterdomain(user.process, user.file.fd, domain.domid, EvtchnPort(port));
  const raise = (domid: number, ...rest: number[]): number[] => {
    user.put((COMMAND_DM_RAISE << COMMAND_SHIFT) | domid, ...rest);
    return guest.shared.take();
  };
  return { lab, domain, guest, user, port, raise };
}

t.test('an event at the guest’s own port, by the rules of the dm_op', async (t) => {
  const { lab, domain, guest, user, port, raise } = stage({ evtchnRaise: true });
  const other = lab.domain();
  t.same(raise(domain.domid, port), [port]);
  t.equal(guest.upcalls, 1);
  for (const [domid, wrong] of [
    [domain.domid, 0],
    [domain.domid, port + 1],
    [domain.domid, 0xffffffff],
    [other.domid, port],
    [0, port],
    [0x3fffffff, port],
  ] as const) {
    t.same(raise(domid, wrong), [], `domain ${domid} port ${wrong}`);
  }
  t.same(raise(domain.domid), [], 'a first word without its second');
  t.same(raise(domain.domid, port), [port], 'commands go on after it');
  user.words[DEV_EVTCHN.COMMAND_PROD >>> 2]! += 0xfffffff0;
  user.ringCommands();
  t.same(raise(domain.domid, port), [port], 'and after an index that claims too many');
});

t.test('a host without it raises nothing, and says so once a run of failures', async (t) => {
  const warnings: string[] = [];
  const warn = (...what: unknown[]): void => void warnings.push(String(what.at(-1)));
  const { domain, port, raise } = stage({ log: { ...NO_LOG, warn } });
  for (let count = 0; count < 3; count++) t.same(raise(domain.domid, port), []);
  t.same(warnings, ['the dm_op evtchn_raise failed']);
});
