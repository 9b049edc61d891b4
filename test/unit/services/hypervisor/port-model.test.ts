// The port table against a small model: what a port is bound to, nothing else, in plain objects.

import fc from 'fast-check';
import t from 'tap';
import { DOMID_SELF } from '../../../../lib/core/ids.js';
import { makeLab } from '../../../../testkit/host-lab.js';
import { tries } from '../../../../testkit/tier.js';

const SELF = DOMID_SELF;
const LIMIT = 70;

type Bound =
  | { kind: 'unbound'; dom: number }
  | { kind: 'inter'; dom: number; port: number }
  | { kind: 'ipi' }
  | { kind: 'virq'; virq: number };

/** Domains 0 (dom0) to 2; ports are a map; the lowest free number is taken. */
class Model {
  readonly ports = [new Map<number, Bound>(), new Map<number, Bound>(), new Map<number, Bound>()];
  readonly slots = [64, 64, 64];

  #free(dom: number): number {
    let port = 1;
    while (this.ports[dom]!.has(port)) port++;
    if (dom !== 0 && port > LIMIT) return -28;
    if (port >= 4096) return -28;
    return port;
  }
  #take(dom: number, port: number, bound: Bound): number {
    this.ports[dom]!.set(port, bound);
    return port;
  }
  #grow(dom: number, port: number): void {
    while (port >= this.slots[dom]!) this.slots[dom]! += 64;
  }

  alloc(caller: number, dom: number, remote: number): number {
    const target = dom === SELF ? caller : dom;
    if (target > 2) return -3;
    const port = this.#free(target);
    if (port < 0) return port;
    this.#grow(target, port);
    if (caller !== 0 && caller !== target) return -1;
    return this.#take(target, port, { kind: 'unbound', dom: remote === SELF ? caller : remote });
  }
  bind(caller: number, dom: number, port: number): number {
    const target = dom === SELF ? caller : dom;
    if (target > 2) return -3;
    const local = this.#free(caller);
    if (local < 0) return local;
    this.#grow(caller, local);
    const there = this.ports[target]!.get(port);
    if (there?.kind !== 'unbound' || there.dom !== caller) return -22;
    this.ports[target]!.set(port, { kind: 'inter', dom: caller, port: local });
    return this.#take(caller, local, { kind: 'inter', dom: target, port });
  }
  ipi(caller: number, vcpu: number): number {
    if (vcpu > 0) return -2;
    const port = this.#free(caller);
    if (port < 0) return port;
    this.#grow(caller, port);
    return this.#take(caller, port, { kind: 'ipi' });
  }
  virq(caller: number, virq: number): number {
    if (virq >= 24) return -22;
    const perVcpu = [0, 1, 7, 13].includes(virq);
    if (!perVcpu && virq !== 11 && caller !== 0) return -16;
    for (const bound of this.ports[caller]!.values()) if (bound.kind === 'virq' && bound.virq === virq) return -17;
    const port = this.#free(caller);
    if (port < 0) return port;
    this.#grow(caller, port);
    return this.#take(caller, port, { kind: 'virq', virq });
  }
  close(caller: number, port: number): number {
    const bound = this.ports[caller]!.get(port);
    if (bound === undefined) return -22;
    if (bound.kind === 'inter') this.ports[bound.dom]!.set(bound.port, { kind: 'unbound', dom: caller });
    // A port bound to itself through a loopback pair goes last, so that the pair is two ports.
    this.ports[caller]!.delete(port);
    return 0;
  }
  send(caller: number, port: number): number {
    const bound = this.ports[caller]!.get(port);
    return bound === undefined || bound.kind === 'virq' ? -22 : 0;
  }
  status(caller: number, dom: number, port: number): unknown {
    const target = dom === SELF ? caller : dom;
    if (target > 2) return -3;
    if (port >= this.slots[target]!) return -22;
    if (caller !== 0 && caller !== target) return -1;
    const bound = this.ports[target]!.get(port);
    const vcpu = 0;
    if (bound === undefined) return { status: 0, vcpu };
    if (bound.kind === 'unbound') return { status: 1, vcpu, unbound_dom: bound.dom };
    if (bound.kind === 'inter') return { status: 2, vcpu, remote_dom: bound.dom, remote_port: bound.port };
    return bound.kind === 'virq' ? { status: 4, vcpu, virq: bound.virq } : { status: 5, vcpu };
  }
  reset(caller: number): number {
    for (let port = 1; port < this.slots[caller]!; port++) this.close(caller, port);
    return 0;
  }
}

const caller = fc.nat({ max: 2 });
const dom = fc.constantFrom(0, 1, 2, SELF, 3, 0x7ff4);
const port = fc.oneof(
  { weight: 8, arbitrary: fc.nat({ max: 8 }) },
  fc.constantFrom(63, 64, 127, 4096, 131072, 0xffffffff),
);
const call = fc.oneof(
  fc.record({ op: fc.constant('alloc' as const), caller, dom, remote: dom }),
  fc.record({ op: fc.constant('bind' as const), caller, dom, port }),
  fc.record({ op: fc.constant('close' as const), caller, port }),
  fc.record({ op: fc.constant('send' as const), caller, port }),
  fc.record({ op: fc.constant('status' as const), caller, dom, port }),
  fc.record({ op: fc.constant('ipi' as const), caller, vcpu: fc.constantFrom(0, 0, 1) }),
  fc.record({ op: fc.constant('virq' as const), caller, virq: fc.constantFrom(0, 1, 3, 7, 11, 12, 23, 24) }),
  fc.record({ op: fc.constant('fill' as const), caller }),
  fc.record({ op: fc.constant('reset' as const), caller: fc.constantFrom(1, 2) }),
);

t.test('any sequence of calls answers as the model does', async () => {
  fc.assert(
    fc.property(fc.array(call, { minLength: 10, maxLength: 60 }), (calls) => {
      const lab = makeLab();
      lab.domain({ maxPort: LIMIT });
      lab.domain({ maxPort: LIMIT });
      const model = new Model();
      for (const step of calls) {
        const [got, expected] = both(lab, model, step);
        if (JSON.stringify(got) !== JSON.stringify(expected)) {
          throw new Error(`${JSON.stringify(step)}: ${JSON.stringify(got)} instead of ${JSON.stringify(expected)}`);
        }
      }
    }),
    { numRuns: tries(100, 300) },
  );
});

function both(
  lab: ReturnType<typeof makeLab>,
  model: Model,
  step: typeof call extends fc.Arbitrary<infer T> ? T : never,
) {
  const { caller } = step;
  switch (step.op) {
    case 'alloc':
      return [
        lab.number(caller, 'evtchn.alloc_unbound', { dom: step.dom, remote_dom: step.remote }),
        model.alloc(caller, step.dom, step.remote),
      ];
    case 'bind':
      return [
        lab.number(caller, 'evtchn.bind_interdomain', { remote_dom: step.dom, remote_port: step.port }),
        model.bind(caller, step.dom, step.port),
      ];
    case 'close':
      return [lab.number(caller, 'evtchn.close', { port: step.port }), model.close(caller, step.port)];
    case 'send':
      return [lab.number(caller, 'evtchn.send', { port: step.port }), model.send(caller, step.port)];
    case 'status':
      return [
        lab.call(caller, 'evtchn.status', { dom: step.dom, port: step.port }),
        model.status(caller, step.dom, step.port),
      ];
    case 'ipi':
      return [lab.number(caller, 'evtchn.bind_ipi', { vcpu: step.vcpu }), model.ipi(caller, step.vcpu)];
    case 'virq':
      return [lab.number(caller, 'evtchn.bind_virq', { virq: step.virq, vcpu: 0 }), model.virq(caller, step.virq)];
    case 'reset':
      return [lab.number(caller, 'evtchn.reset', { dom: SELF }), model.reset(caller)];
    case 'fill': {
      const results: [number[], number[]] = [[], []];
      for (let n = 0; n < 30; n++) {
        results[0].push(lab.number(caller, 'evtchn.alloc_unbound', { dom: SELF, remote_dom: 1 }));
        results[1].push(model.alloc(caller, SELF, 1));
      }
      return results;
    }
  }
}
