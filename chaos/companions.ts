// Guests that stay while the guest of each case comes and goes: what happens to that one must not harm them, and what happens to a server
// that they use must heal for them too. They belong to one life of the host. Leaves the guest of the case to engine.ts.
import { join } from 'node:path';
import { type Exit, howItEnded, LabProcess } from '../lab/child.js';
import { checkFrame, firstFrame } from '../lab/frames.js';
import type { Session } from '../lab/session.js';
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { errorMessage, isOurBug } from '../lib/core/errors.js';
import type { Picture } from '../lib/core/picture.js';
import type { BusClient } from '../lib/core/service.js';
import { withDeadline } from '../lib/node/process/wait.js';
import { createGuest } from '../toolstack/domain.js';
import type { GuestConfig } from '../toolstack/guest-config.js';
import type { Toolstack } from '../toolstack/toolstack.js';
import { COMPANION_DOMID } from './case.js';

const LOOK_MS = 50;

/** What they need of the lab in which they are: of rig.ts. */
export interface Host {
  readonly runDir: string;
  readonly config: GuestConfig;
  /** What each of them shows. */
  readonly picture: Picture;
  readonly session: Session;
  toolstackFor(domid: number): Toolstack;
  /** Where the screen of a guest is seen now. */
  display(domid: number): Promise<{ readonly client: BusClient; readonly device: string }>;
}

interface Companion {
  readonly domid: number;
  readonly process: LabProcess;
}

export class Companions {
  readonly #rig: Host;
  readonly #count: number;
  readonly #args: (name: string) => readonly string[];
  #all: Companion[] = [];

  /** `args`: of a guest's process of that name. */
  constructor(rig: Host, count: number, args: (name: string) => readonly string[]) {
    this.#rig = rig;
    this.#count = count;
    this.#args = args;
  }

  /** Makes them all at once, in the place of those of an earlier host, and waits for their first frames. */
  async start(): Promise<void> {
    await Promise.all(this.#all.map(({ process }) => this.#ended(process)));
    const rig = this.#rig;
    this.#all = await Promise.all(
      Array.from({ length: this.#count }, async (_, index) => {
        const name = `companion-${index + 1}`;
        const process = new LabProcess('guest', `guest-${name}`, this.#args(name));
        const toolstack = rig.toolstackFor(COMPANION_DOMID + index);
        const { domid } = await rig.session.exclusively(() => createGuest(toolstack, { ...rig.config, name }));
        await firstFrame(toolstack, { domid, name }, DEADLINE_MS.chaosStart);
        return { domid, process };
      }),
    );
  }

  /** They end with their host; one that was only about to start waits for the next. */
  async #ended(process: LabProcess): Promise<void> {
    await withDeadline(process.exited, DEADLINE_MS.chaosEnd, 'the end of a companion').catch(() => process.kill());
  }

  /** One text for each that does not show its picture within the deadline, or that has ended. */
  async wrong(): Promise<string[]> {
    const found = await Promise.all(this.#all.map((each) => this.#wrongOf(each)));
    return found.flatMap((what) => what ?? []);
  }

  async #wrongOf({ domid, process }: Companion): Promise<string | undefined> {
    const rig = this.#rig;
    const end = performance.now() + DEADLINE_MS.chaosPicture;
    const path = join(rig.runDir, 'frames', `seen-${domid}.png`);
    for (let last = 'nothing was seen'; ; ) {
      const exit: Exit | undefined = process.exit;
      if (exit !== undefined) return `${process.label} ${howItEnded(exit)}`;
      try {
        const { client, device } = await rig.display(domid);
        const { mismatchedPixels } = await checkFrame(client, device, path, rig.picture);
        if (mismatchedPixels === 0) return undefined;
        last = `${mismatchedPixels} pixels differ`;
      } catch (error) {
        if (isOurBug(error)) throw error;
        last = errorMessage(error);
      }
      if (performance.now() > end) return `the screen of ${process.label} is not right: ${last}`;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /** By force. */
  async close(): Promise<void> {
    for (const { process } of this.#all) process.kill();
    await Promise.all(this.#all.map(({ process }) => process.exited));
  }
}
