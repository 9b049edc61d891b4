// The daemons that are measured beside each other, each a process of its own, fresh for every turn: ours, Debian's C one and its OCaml
// one, which run without Xen by a preloaded library (testkit/xenstored-shim.c). A daemon that is not installed is left out and named.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import type { Owner } from '../../testkit/processes.js';
import {
  C_DAEMON_NEEDS,
  type Daemon,
  missing,
  OXENSTORED_NEEDS,
  startC,
  startOurRings,
  startOurs,
  startOxenstored,
  TEST_XENSTORE,
} from '../../testkit/xenstored-peers.js';

export type Who = 'ours' | 'c' | 'ocaml';

export const TITLE: Readonly<Record<Who, string>> = { ours: 'ours', c: 'C daemon', ocaml: 'oxenstored' };

const built = (path: string): URL => pathToFileURL(join(PACKAGE_ROOT, 'dist', path));
const MAIN = built('services/xenstored/main.js');
const RING_DAEMON = built('test/peers/diff/ring-daemon.js');

/** Why there is nothing to compare with; undefined when the C daemon is there. */
export const absent = (): string | undefined => missing(...C_DAEMON_NEEDS, TEST_XENSTORE) || undefined;

export const installed = (): Who[] => (missing(...OXENSTORED_NEEDS) === false ? ['ours', 'c', 'ocaml'] : ['ours', 'c']);

/** One daemon, with sockets only. Ended with its owner. */
export function startDaemon(who: Who, owner: Owner): Promise<Daemon> {
  if (who === 'ours') return startOurs(owner, [], [], MAIN);
  return who === 'c' ? startC(owner) : startOxenstored(owner);
}

/** One daemon that serves guests' rings, pages and wake-ups alike for all; oxenstored can serve none so. */
export function startRings(who: Exclude<Who, 'ocaml'>, owner: Owner, domids: readonly number[]): Promise<Daemon> {
  return who === 'ours' ? startOurRings(owner, domids, RING_DAEMON) : startC(owner, domids);
}

/** What is started in a turn, given back at its end in the opposite order. */
export class Teardowns implements Owner {
  readonly #actions: (() => void | Promise<void>)[] = [];

  teardown(action: () => void | Promise<void>): void {
    this.#actions.push(action);
  }

  async run(): Promise<void> {
    for (let action = this.#actions.pop(); action !== undefined; action = this.#actions.pop()) await action();
  }
}

/** Runs `use` with a fresh owner, whose belongings are given back afterwards. */
export async function owned<T>(use: (owner: Owner) => Promise<T>): Promise<T> {
  const owner = new Teardowns();
  try {
    return await use(owner);
  } finally {
    await owner.run();
  }
}
