// The event-channel and scheduler hypercalls as named operations. Leaves their rules to event-channels.ts.
import { ERRNO } from '../../../lib/core/errno.js';
import { EVTCHN_FIFO_LINK_BITS, SCHED_POLL_PORTS_MAX } from '../../../lib/layout/evtchn.js';
import { operation } from '../operation.js';

const { EINVAL } = ERRNO;
const port = (rc: number) => (rc < 0 ? rc : { port: rc });
const localPort = (rc: number) => (rc < 0 ? rc : { local_port: rc });

export const EVTCHN_OPERATIONS = {
  'evtchn.alloc_unbound': operation({
    caller: 'any',
    args: { dom: 'domid', remote_dom: 'domid' },
    run: (host, caller, { dom, remote_dom }) => port(host.channels.allocUnbound(caller, dom, remote_dom)),
  }),
  'evtchn.bind_interdomain': operation({
    caller: 'any',
    args: { remote_dom: 'domid', remote_port: 'port' },
    run: (host, caller, args) => localPort(host.channels.bindInterdomain(caller, args.remote_dom, args.remote_port)),
  }),
  'evtchn.bind_virq': operation({
    caller: 'any',
    args: { virq: 'u32', vcpu: 'u32' },
    run: (host, caller, { virq, vcpu }) => port(host.channels.bindVirq(caller, virq, vcpu)),
  }),
  'evtchn.bind_pirq': operation({
    caller: 'any',
    args: { pirq: 'u32', flags: 'u32' },
    run: (host) => host.channels.bindPirq(),
  }),
  'evtchn.bind_ipi': operation({
    caller: 'any',
    args: { vcpu: 'u32' },
    run: (host, caller, { vcpu }) => port(host.channels.bindIpi(caller, vcpu)),
  }),
  'evtchn.close': operation({
    caller: 'any',
    args: { port: 'port' },
    run: (host, caller, args) => host.channels.close(caller, args.port),
  }),
  'evtchn.send': operation({
    caller: 'any',
    args: { port: 'port' },
    run: (host, caller, args) => host.channels.send(caller, args.port),
  }),
  'evtchn.status': operation({
    caller: 'any',
    args: { dom: 'domid', port: 'port' },
    run: (host, caller, args) => {
      const status = host.channels.status(caller, args.dom, args.port);
      return typeof status === 'number' ? status : { ...status };
    },
  }),
  'evtchn.bind_vcpu': operation({
    caller: 'any',
    args: { port: 'port', vcpu: 'u32' },
    run: (host, caller, args) => host.channels.bindVcpu(caller, args.port, args.vcpu),
  }),
  'evtchn.unmask': operation({
    caller: 'any',
    args: { port: 'port' },
    run: (host, caller, args) => host.channels.unmask(caller, args.port),
  }),
  'evtchn.reset': operation({
    caller: 'any',
    args: { dom: 'domid' },
    run: (host, caller, { dom }) => host.channels.reset(caller, dom),
  }),
  'evtchn.init_control': operation({
    caller: 'any',
    args: { control_gfn: 'u64', offset: 'u32', vcpu: 'u32' },
    run: (host, caller, { control_gfn, offset, vcpu }) => {
      const rc = host.channels.initControl(caller, control_gfn, offset, vcpu);
      return rc < 0 ? rc : { link_bits: EVTCHN_FIFO_LINK_BITS };
    },
  }),
  'evtchn.expand_array': operation({
    caller: 'any',
    args: { array_gfn: 'u64' },
    run: (host, caller, { array_gfn }) => host.channels.expandArray(caller, array_gfn),
  }),
  'evtchn.set_priority': operation({
    caller: 'any',
    args: { port: 'port', priority: 'u32' },
    run: (host, caller, args) => host.channels.setPriority(caller, args.port, args.priority),
  }),
  'sched.shutdown': operation({
    caller: 'any',
    args: { reason: 'u32' },
    run: (host, caller, { reason }) => host.shutdown(caller, reason),
  }),
  /** Answers {blocked: true} where the vCPU would wait: a caller on the bus has no vCPU to stop. */
  'sched.poll': operation({
    caller: 'any',
    args: { ports: 'ports', vcpu: 'u32' },
    run: (host, caller, { ports, vcpu }) => {
      if (ports.length > SCHED_POLL_PORTS_MAX || caller.vcpus[vcpu] === undefined) return -EINVAL;
      const rc = host.channels.poll(caller, vcpu, ports);
      return rc === 'blocked' ? { blocked: true } : rc;
    },
  }),
};
