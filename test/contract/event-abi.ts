// What a guest may rely on whatever the event ABI: exported for each of them. A guest's end (`EventGuest`) is made by whoever
// runs the suite, with the same few verbs for both.

import fc from 'fast-check';
import type t from 'tap';
import { DOMID_SELF } from '../../lib/core/ids.js';
import type { Domain } from '../../services/hypervisor/domain/domain.js';
import { type Lab, makeLab } from '../../testkit/host-lab.js';

export interface EventGuest {
  /** What a vCPU does at an upcall: takes all its events, tells their ports in the order it met them. */
  take(vcpu?: number): number[];
  setMask(port: number, masked: boolean): void;
  pending(port: number): boolean;
  upcall(vcpu?: number): boolean;
}

const SELF = DOMID_SELF;

export function eventAbiContract(
  test: typeof t,
  name: string,
  makeGuest: (lab: Lab, domain: Domain) => EventGuest,
): void {
  const stage = (options: { ports?: number } = {}) => {
    const lab = makeLab();
    const domain = lab.domain({ vcpus: 2 });
    const guest = makeGuest(lab, domain);
    const call = (op: string, args: object) => lab.number(domain.domid, `evtchn.${op}`, { ...args });
    /** Ports of loopback pairs: a send on `from` is an event on `to`. */
    const pairs = Array.from({ length: options.ports ?? 1 }, () => {
      const from = call('alloc_unbound', { dom: SELF, remote_dom: SELF });
      return { from, to: call('bind_interdomain', { remote_dom: SELF, remote_port: from }) };
    });
    for (const vcpu of [0, 1]) guest.take(vcpu);
    return { lab, domain, guest, call, pairs, from: pairs[0]!.from, to: pairs[0]!.to };
  };

  test.test(`${name}: an event is one upcall and one port, however often it is sent`, async (t) => {
    const { guest, call, from, to } = stage();
    for (let n = 0; n < 3; n++) t.equal(call('send', { port: from }), 0);
    t.ok(guest.upcall());
    t.same(guest.take(), [to]);
    t.notOk(guest.pending(to));
    t.same(guest.take(), []);
    call('send', { port: from });
    t.same(guest.take(), [to], 'and again');
  });

  test.test(`${name}: a masked event waits for the unmask hypercall`, async (t) => {
    const { guest, call, from, to } = stage();
    guest.setMask(to, true);
    call('send', { port: from });
    t.ok(guest.pending(to));
    t.notOk(guest.upcall());
    t.equal(call('unmask', { port: to }), 0);
    t.ok(guest.upcall());
    t.same(guest.take(), [to]);
  });

  test.test(`${name}: the target vCPU is told, after a move the new one`, async (t) => {
    const { guest, call, from, to } = stage();
    t.equal(call('bind_vcpu', { port: to, vcpu: 1 }), 0);
    call('send', { port: from });
    t.notOk(guest.upcall(0));
    t.ok(guest.upcall(1));
    t.same(guest.take(1), [to]);
    const ipi = call('bind_ipi', { vcpu: 1 });
    call('send', { port: ipi });
    t.same(guest.take(1), [ipi]);
    t.same(guest.take(0), []);
  });

  test.test(`${name}: a closed port is not pending, nor is its successor`, async (t) => {
    const { guest, call, from, to } = stage();
    guest.setMask(to, true);
    call('send', { port: from });
    t.equal(call('close', { port: to }), 0);
    t.notOk(guest.pending(to));
    guest.setMask(to, false);
    t.equal(call('alloc_unbound', { dom: SELF }), to);
    t.same(guest.take(), []);
  });

  test.test(`${name}: a binding is pending at once`, async (t) => {
    const { guest, call } = stage();
    const from = call('alloc_unbound', { dom: SELF, remote_dom: SELF });
    t.same(guest.take(), []);
    const to = call('bind_interdomain', { remote_dom: SELF, remote_port: from });
    t.same(guest.take(), [to]);
  });

  test.test(`${name}: a poll ends with an event on its port, masked or not`, async (t) => {
    const { lab, domain, guest, call, from, to } = stage();
    guest.setMask(to, true);
    let ended = 0;
    domain.vcpus[0]!.onPollEnd = () => ended++;
    t.same(lab.call(domain.domid, 'sched.poll', { ports: [to] }), { blocked: true });
    call('send', { port: from });
    t.equal(ended, 1);
  });

  test.test(`${name}: no event is lost or made up in any order of sends, masks, moves and takes`, async () => {
    const PORTS = 40;
    const index = fc.nat({ max: PORTS - 1 });
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ op: fc.constant('send' as const), index }) },
      fc.record({ op: fc.constant('mask' as const), index }),
      fc.record({ op: fc.constant('unmask' as const), index }),
      fc.record({ op: fc.constant('move' as const), index }),
      fc.record({ op: fc.constant('take' as const), index: fc.nat({ max: 1 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const { guest, call, pairs } = stage({ ports: PORTS });
        const expected = new Set<number>();
        const masked = new Set<number>();
        const vcpu = new Map<number, number>();
        const takeAll = (which: number): void => {
          for (const port of guest.take(which)) {
            if (!expected.delete(port)) throw new Error(`port ${port} was not sent`);
            if (masked.has(port)) throw new Error(`port ${port} is masked`);
          }
        };
        for (const { op, index } of steps) {
          const { from, to } = pairs[op === 'take' ? 0 : index]!;
          if (op === 'send') {
            call('send', { port: from });
            expected.add(to);
          } else if (op === 'mask') {
            guest.setMask(to, true);
            masked.add(to);
          } else if (op === 'unmask') {
            call('unmask', { port: to });
            masked.delete(to);
          } else if (op === 'move') {
            // Under the mask, as Linux moves an interrupt: an event that waits is delivered anew where the port is now.
            vcpu.set(to, 1 - (vcpu.get(to) ?? 0));
            guest.setMask(to, true);
            call('bind_vcpu', { port: to, vcpu: vcpu.get(to)! });
            if (!masked.has(to)) call('unmask', { port: to });
          } else takeAll(index);
        }
        for (const { to } of pairs) call('unmask', { port: to });
        masked.clear();
        for (let round = 0; round < 2; round++) for (const which of [0, 1]) takeAll(which);
        if (expected.size > 0) throw new Error(`lost: ${[...expected]}`);
      }),
      { numRuns: 150 },
    );
  });
}
