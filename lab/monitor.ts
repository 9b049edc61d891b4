// The monitor of one guest that `xenwire create` made, as xl's: starts the process that runs its kernel, and does at the
// guest's end what its configuration says. Runs in the foreground (create -F) or as a process of its own (bin/monitor.ts),
// and ends when there is no guest to watch any more. Leaves what is done to toolstack/guest-end.ts.
import { PeerDiedError } from '../lib/core/errors.js';
import type { NotifyMode } from '../lib/core/notify.js';
import { lockName, removeDead, removeProcessEntry, writeProcessEntry } from '../lib/node/process/run-dir.js';
import type { StoreTransport } from '../lib/xenstore/channel.js';
import type { Guest } from '../toolstack/domain.js';
import type { GuestConfig } from '../toolstack/guest-config.js';
import { giveUpGuest, watchGuest } from '../toolstack/guest-end.js';
import { howItEnded, LabProcess } from './child.js';
import { dumpGuest } from './guest-dump.js';
import { openSession } from './session.js';

export interface MonitorJob {
  readonly runDir: string;
  readonly guest: Guest;
  readonly config: GuestConfig;
  /** The guest's process, of this monitor; left out: its kernel runs elsewhere. */
  readonly process?: {
    readonly notify: NotifyMode;
    /** Absolute path. */
    readonly image: string;
    readonly storeTransport: StoreTransport;
    /** More of its arguments: which protocol its driver speaks, which xenbus core it has. */
    readonly speaks?: readonly string[];
  };
}

/** Names of monitors in the registry begin so: a lab that ends waits for them as for guests (supervisor.ts). */
const MONITOR_PREFIX = 'monitor-';

/**
 * Runs until there is no guest to watch. `say` is told what happens, `failed` how a process of the guest ended that
 * should not have. Rejects with PeerDiedError when the host is gone.
 */
export async function monitor(
  job: MonitorJob,
  hooks: { say(sentence: string): void; failed(sentence: string): void; signal?: AbortSignal },
): Promise<void> {
  const { runDir, config } = job;
  const { signal } = hooks;
  const session = await openSession({ runDir, awaitsStore: true, ...(signal === undefined ? {} : { signal }) });
  const name = `${MONITOR_PREFIX}${config.name.toLowerCase().replace(/[^a-z0-9-]/g, '-')}`.slice(0, 32);
  const lock = lockName(runDir, name);
  writeProcessEntry(runDir, { name, pid: process.pid, incarnation: Date.now() * 4096, state: 'watching' });
  let { guest } = job;
  let running: LabProcess | undefined;
  const start = (): void => {
    if (job.process === undefined) return;
    const { notify, image, storeTransport, speaks = [] } = job.process;
    const args = ['--run-dir', runDir, '--notify', notify, '--name', config.name, '--domid', String(guest.domid)];
    const started = new LabProcess('guest', `guest ${config.name}`, [
      ...args,
      ...['--image', image, '--store-transport', storeTransport, ...speaks],
    ]);
    running = started;
    void started.exited.then(async (exit) => {
      if (exit.code === 0 || started.stopping) return;
      hooks.failed(`guest ${config.name} (pid ${started.pid}) ${howItEnded(exit)}`);
      removeDead(runDir, started.pid);
      // One that never attached has no connection that tells the hypervisor.
      await giveUpGuest(session, guest.domid).catch((error: unknown) => {
        if (!(error instanceof PeerDiedError)) throw error;
      });
    });
  };
  try {
    start();
    const hostGone = new Promise<never>((_, reject) => {
      session.hypervisorClient.onLost(() => reject(new PeerDiedError('hypervisor')));
    });
    const watching = watchGuest(session, guest, config, {
      exclusively: (sequence) => session.exclusively(sequence),
      say: hooks.say,
      dump: (dumped) => dumpGuest(session, runDir, dumped),
      restarted: (next) => {
        guest = next;
        start();
      },
    });
    watching.catch(() => {}); // the host's end is told once
    await Promise.race([watching, hostGone]);
    // Its domain is gone or stands still.
    await running?.endWithDomain();
  } finally {
    running?.expectEnd();
    removeProcessEntry(runDir, name);
    lock?.release();
    await session.close();
  }
}
