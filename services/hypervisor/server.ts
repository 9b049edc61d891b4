// The hypervisor process: a host over real files, doorbells and the bus. Hands every decision to the pure files beside it.
import { randomBytes } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import type { Peer } from '../../lib/core/bus.js';
import type { Dom0Mode } from '../../lib/core/dom0-modes.js';
import { ErrnoError } from '../../lib/core/errors.js';
import { DomId } from '../../lib/core/ids.js';
import type { Held } from '../../lib/core/proto-types.js';
import type { ServiceContext } from '../../lib/core/service.js';
import { removeStaleHost, runPaths } from '../../lib/node/process/run-dir.js';
import { hypervisorHandlers } from './bus-handlers.js';
import type { Domain } from './domain/domain.js';
import { domainInfo } from './domain/domctl.js';
import { Host } from './host.js';
import { KernelHalf } from './kernel/kernel-half.js';
import { DevServer } from './node/dev-server.js';

export interface HypervisorOptions {
  readonly dom0: Dom0Mode;
  readonly dmEvtchnRaise: boolean;
}

export async function start(context: ServiceContext, options: HypervisorOptions): Promise<void> {
  removeStaleHost(context.runDir);
  const { doorbell, log, probe, shared } = context;
  const random = { token: () => randomBytes(32).toString('hex'), u64: () => randomBytes(8).readBigUInt64LE() };
  const host = new Host({ doorbell, probe, log, files: shared, random, evtchnRaise: options.dmEvtchnRaise });
  const kernel = new KernelHalf(host, options.dom0);
  context.own('domains', () => {
    kernel.close();
    host.close();
  });

  const domainOfPeer = new Map<Peer, Domain>();
  const domainOf = (peer: Peer): Domain => {
    const domain = domainOfPeer.get(peer);
    if (domain === undefined || domain.life === 'gone') throw new ErrnoError('ESRCH', 'the domain is gone');
    return domain;
  };
  const server = await context.serve({
    authenticate: ({ name, token }) => {
      const domain = host.domains.byToken(token);
      if (domain === undefined) throw new ErrnoError('EACCES', `${name} has no token of a domain here`);
      return domain.domid;
    },
  });
  server.handle('Hypervisor', hypervisorHandlers({ host, kernel, domainOf }));
  server.handle('Control', { audit: () => ({ held: [...held(host, kernel)] }) });
  server.onPeer((peer) => {
    const domain = host.domains.find(DomId(peer.domid));
    if (domain !== undefined) domainOfPeer.set(peer, domain);
    peer.onClose(() => {
      domainOfPeer.delete(peer);
      kernel.processEnded(peer);
      host.processEnded(peer);
    });
  });
  const tellGone = (domain: Domain): void => {
    const process = host.runOf(domain)?.process;
    if (process !== undefined) (process as Peer).emit('HypervisorEvents', 'domain_gone', domainInfo(domain));
  };
  host.onDying(tellGone);
  host.onStopped(tellGone);

  await new DevServer(context, host, kernel).listen();

  const tokenPath = runPaths.dom0Token(context.runDir);
  writeFileSync(tokenPath, host.dom0.token, { mode: 0o600 });
  context.own('dom0 token', () => rmSync(tokenPath, { force: true }));
  context.ready();
}

/** What would have to be given back: domains with their servers and ranges, and what processes of dom0 hold. */
function* held(host: Host, kernel: KernelHalf): Iterable<Held> {
  for (const domain of host.domains.all()) {
    if (domain !== host.dom0) yield { kind: 'domain', name: `${domain.domid}` };
    for (const server of domain.ioreqServers) {
      if (!server) continue;
      const name = `${domain.domid}/${server.id}`;
      yield { kind: 'ioreq-server', name };
      for (const set of server.ranges)
        for (const { start, end } of set.ranges) {
          yield { kind: 'range', name: `${name} 0x${start.toString(16)}-0x${end.toString(16)}` };
        }
    }
    yield* heldPorts(domain, kernel);
  }
  yield* kernel.held();
}

/** Ports taken by hypercalls; those behind /dev/xen/evtchn are in the kernel half's own list. */
function* heldPorts(domain: Domain, kernel: KernelHalf): Iterable<Held> {
  for (const port of domain.ports.all()) {
    if (!port.usable || (domain.privileged && kernel.holdsPort(port.number))) continue;
    yield { kind: 'port', name: `${domain.domid}/${port.number}` };
  }
}
