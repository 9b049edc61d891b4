// xenstored as a process: one store, its transports, and the hypervisor that knows the domains. Wiring only; each part
// is in node/, the store itself in store.ts.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { errorMessage, PeerDiedError } from '../../lib/core/errors.js';
import type { ServiceContext } from '../../lib/core/service.js';
import type { XsdError } from '../../lib/layout/xs-wire.js';
import { runPaths } from '../../lib/node/process/run-dir.js';
import { COMPAT, type CompatName } from './compat.js';
import type { Connection } from './connection.js';
import type { Question } from './failure.js';
import { serveBus } from './node/bus-transport.js';
import { FileTrace } from './node/control-host.js';
import { HostDomains } from './node/host-domains.js';
import { JournalFile } from './node/journal-file.js';
import { type LiveUpdaterParts, liveUpdateHost, takeLiveState, takeUp } from './node/live-update.js';
import { RingTransport } from './node/ring-transport.js';
import { SocketTransport } from './node/socket-transport.js';
import { type CarriedRing, resumeKept } from './ring-resume.js';
import type { StoreHost } from './state.js';
import { Store } from './store.js';

export interface XenstoredOptions {
  /** Where foreign programs connect; default: `xenstored.socket` in the run directory. */
  readonly socket?: string;
  /** Without a hypervisor: every client is dom0, and no other domain exists. */
  readonly alone?: boolean;
  /** The domains that exist when alone. */
  readonly domids?: readonly number[];
  /** The release of the C daemon to behave as. */
  readonly compat?: CompatName;
}

export async function start(context: ServiceContext, options: XenstoredOptions): Promise<void> {
  const before = takeLiveState();
  const control = new FileTrace({ log: context.log, traceFile: join(context.runDir, 'xenstored-trace.log') });
  context.own('trace', () => control.close());
  const hypervisor = options.alone === true ? undefined : await context.connect('hypervisor');
  const domains = hypervisor === undefined ? undefined : new HostDomains(hypervisor);
  let rings: RingTransport | undefined;
  let parts: LiveUpdaterParts | undefined;
  let flush = (): void => {};
  const existsAlone = (domid: number): boolean => options.domids?.includes(domid) === true;
  const lookUp = async (domid: number): Promise<{ uniqueId: string } | null> => {
    if (domains !== undefined) return domains.lookUp(domid);
    return existsAlone(domid) ? { uniqueId: '' } : null;
  };
  const introduce = async (domid: number, port: number): Promise<XsdError | 'ok'> => {
    if ((await lookUp(domid)) === null) return 'ENOENT';
    const bound = (await rings?.introduce(domid, port)) ?? 'ok';
    if (bound !== 'ok' || (await lookUp(domid)) !== null) return bound;
    // It ended meanwhile, and the store, which did not know it yet, was not told.
    rings?.drop(domid);
    return 'ENOENT';
  };
  const answer = async (connection: Connection, question: Question): Promise<void> => {
    const { domid } = question;
    if (question.kind === 'domain') store.answerDomain(connection, domid, await lookUp(domid));
    else if (domains === undefined) store.answerIntroduce(connection, domid, 'ok');
    else store.answerIntroduce(connection, domid, await introduce(domid, question.port));
    flush();
  };
  const liveUpdate = liveUpdateHost({ parts: () => parts, flush: () => flush() });
  const host: StoreHost = {
    control,
    trace: control,
    onQuota: (hit) => context.log.warn({ ...hit }, 'a guest met its quota'),
    time: liveUpdate,
    ask: (connection, question) => {
      answer(connection, question).catch((error) => {
        // The connection to the hypervisor ends this process by itself; all else is a bug here, and ends it too.
        if (!(error instanceof PeerDiedError)) throw error;
      });
    },
    probe: context.probe,
    onRemoved: (domid) => rings?.drop(domid),
    liveUpdate,
  };
  const store = new Store(host, COMPAT[options.compat ?? '4.22']);
  const journal = JournalFile.open(
    runPaths.journal(context.runDir),
    bootId(context.runDir, domains !== undefined),
    store,
    context.log,
  );
  context.own('store file', () => journal.close());
  const beforeSend = (): void => {
    try {
      journal.flush();
    } catch (error) {
      // Nothing may be acknowledged any more.
      void context.stop(`cannot write the store: ${errorMessage(error)}`);
      throw error;
    }
  };
  let flushBus = (): void => {};
  const path = resolve(options.socket ?? join(context.runDir, 'xenstored.socket'));
  const socket = new SocketTransport({
    store,
    path,
    log: context.log,
    onActivity: () => context.activity(),
    beforeSend,
    afterRequests: () => {
      flushBus();
      rings?.flush();
    },
  });
  const taken = before === undefined ? undefined : takeUp(before, store, socket);
  const carried = taken?.rings ?? new Map<number, CarriedRing>();
  for (const [domid, kept] of [...journal.rings]) carried.set(domid, resumeKept(store, domid, kept));
  if (domains !== undefined) await dropTheDead(store, domains);

  if (hypervisor !== undefined) {
    rings = await RingTransport.open({
      context,
      hypervisor,
      store,
      carried,
      beforeSend,
      afterRequests: () => flush(),
    });
    for (const domain of [...store.domains.all()]) {
      if (domain.introduced && domain.domid !== 0) await rings.restore(domain.domid, domain.port);
    }
  }

  const server = await context.serve(
    domains === undefined ? {} : { authenticate: ({ token }) => domains.identify(token) },
  );
  flushBus = serveBus({
    store,
    server,
    beforeSend,
    afterRequests: () => socket.flush(),
  });
  server.handle('Control', { audit: () => ({ held: [...store.audit(), ...(rings?.held() ?? [])] }) });
  await socket.listen(before?.listeningFd);
  context.own('xenstore socket', () => socket.close());
  flush = () => socket.flush();
  parts = { context, sockets: socket, rings, beforeSend };
  context.log.info(`XENSTORED_PATH=${path}`);
  await domains?.follow(context, (changes) => {
    for (const { domid, dying } of changes) if (dying === true) rings?.drop(domid);
    store.domainsChanged(changes);
    flush();
  });
  taken?.resume();
  flush();
  context.ready();
}

/** The host's boot: a store of another one means nothing here. The token of dom0 is made at each start of the hypervisor. */
function bootId(runDir: string, withHypervisor: boolean): string {
  const secret = withHypervisor
    ? readFileSync(runPaths.dom0Token(runDir))
    : readFileSync('/proc/sys/kernel/random/boot_id');
  return createHash('sha256').update(secret).digest('hex');
}

/** Ends domains that died while no xenstored ran. */
async function dropTheDead(store: Store, domains: HostDomains): Promise<void> {
  const known = [...store.domains.all()].filter(({ domid }) => domid !== 0);
  const changes = await Promise.all(
    known.map(async ({ domid }) => {
      const found = await domains.lookUp(domid);
      return { domid, uniqueId: found?.uniqueId ?? '', shutdown: false, dead: false };
    }),
  );
  store.domainsChanged(changes);
}
