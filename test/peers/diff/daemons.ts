// The daemons that scripts are run against: by name, side by side, replaced when one has died.
import { type Daemon, startC, startOurRings, startOurs, startOxenstored } from '../../../testkit/xenstored-peers.js';
import { Comparison, describeDisagreement } from './run.js';
import { DOMIDS, type Script } from './script.js';

/** `rings` is ours too: without a hypervisor, but with guests. */
export const KINDS = ['own', 'rings', 'c', 'ocaml'] as const;
export type Kind = (typeof KINDS)[number];

/** Owns what an arena has started. */
class Teardowns {
  readonly #actions: (() => void | Promise<void>)[] = [];

  teardown(action: () => void | Promise<void>): void {
    this.#actions.push(action);
  }

  async run(): Promise<void> {
    for (let action = this.#actions.pop(); action !== undefined; action = this.#actions.pop()) await action();
  }
}

const START: Readonly<Record<Kind, (owner: Teardowns) => Promise<Daemon>>> = {
  own: (owner) => startOurs(owner, ['--compat', '4.17', '--log-level', 'warn'], DOMIDS),
  rings: (owner) => startOurRings(owner, DOMIDS),
  c: (owner) => startC(owner, DOMIDS),
  ocaml: (owner) => startOxenstored(owner),
};

/** Daemons of the kinds asked for. End it. */
export class Arena {
  readonly #kinds: readonly Kind[];
  #owner = new Teardowns();
  #comparison: Comparison | undefined;

  constructor(...kinds: readonly Kind[]) {
    this.#kinds = kinds;
  }

  /** Undefined when all agree on the script, else what went wrong, for people. */
  async run(script: Script): Promise<string | undefined> {
    try {
      this.#comparison ??= await this.#start();
      const found = await this.#comparison.run(script);
      return found === undefined ? undefined : describeDisagreement(found);
    } catch (error) {
      // Dead, or mute: in either case the next script needs another.
      await this.end();
      return String(error);
    }
  }

  async end(): Promise<void> {
    this.#comparison?.close();
    this.#comparison = undefined;
    await this.#owner.run();
  }

  async #start(): Promise<Comparison> {
    const sides = [];
    for (const kind of this.#kinds) {
      const daemon = await START[kind](this.#owner);
      const ended = (): string | undefined => {
        const { child, stderr } = daemon.process;
        if (child.exitCode === null && child.signalCode === null) return undefined;
        return `ended with ${child.signalCode ?? child.exitCode}: ${stderr.slice(-STDERR_SHOWN)}`;
      };
      sides.push({ name: `${kind} xenstored`, socket: daemon.socket, dir: daemon.dir, ended });
    }
    return await Comparison.of(...sides);
  }
}

/** The end of what a daemon said is what it died of. */
const STDERR_SHOWN = 300;
