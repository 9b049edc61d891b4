// One case, run: a guest is made, draws and is removed, in a lab that stands ready; at the point of the case the fault happens;
// then everything is healed, and the picture must come, the removal must work and nothing may be left. Leaves what a fault
// does to faults/, which rules hold to checkers/, and the processes to rig.ts.
import { join } from 'node:path';
import { animate } from '../lab/frame-watch.js';
import { checkFrame } from '../lab/frames.js';
import { GateError } from '../lab/gates.js';
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { DeadlineError, errorMessage, isOurBug, PeerDiedError } from '../lib/core/errors.js';
import { errorKey, homePath } from '../lib/layout/xenbus.js';
import { withDeadline } from '../lib/node/process/wait.js';
import type { TraceRecord } from '../lib/trace/record.js';
import { createGuest, destroyGuest, finishUnfinished, type Guest, listGuests } from '../toolstack/domain.js';
import { readNode } from '../toolstack/toolstack.js';
import { CHAOS_GUEST, type ChaosCase, faultsOf, GUEST_PROCESS } from './case.js';
import { CHECKERS, type CheckName } from './checkers/table.js';
import { faultNamed } from './faults/table.js';
import { Infliction, type Moment } from './inflict.js';
import { type Display, type Rig, SERVICES } from './rig.js';
import { Screen, shownFirst } from './screen.js';
import { hasSecret, plantSecret } from './secrets.js';
import { type LabSnapshot, takeSnapshot } from './snapshot.js';
import { frontendBegun } from './stories.js';

export interface Violation {
  readonly check: CheckName;
  readonly what: string;
}

/** How a case ended: all rules held; one was broken; the lab did not come back in time; the harness could not judge. */
export const OUTCOMES = { pass: '.', broken: 'F', wedged: 'W', harness: '?' } as const;
export type Outcome = keyof typeof OUTCOMES;

export interface CaseResult {
  readonly outcome: Outcome;
  readonly violations: readonly Violation[];
  /** Why the harness could not judge. */
  readonly trouble?: string;
  /** That was because a process did not come to a point of the case; all rules held. */
  readonly unreached?: true;
  /** From the end of the fault to the next right frame; 0 where that frame came while the fault was being ended. */
  readonly recoveryMs?: number;
  readonly ms: number;
  readonly records: readonly TraceRecord[];
  /** Those of `records` that show a violation. */
  readonly breaches: readonly TraceRecord[];
  /** CLOCK_MONOTONIC of the verdict. */
  readonly endNs: bigint;
  /** CLOCK_MONOTONIC of the moment at which the first fault began. */
  readonly faultNs?: bigint;
  /** Of each fault that has begun, in the order of the case. */
  readonly moments: readonly Moment[];
  /** CLOCK_MONOTONIC of the end of the guest's life: what is recorded later, the audits among it, is no point of a case. */
  readonly storyEndNs?: bigint;
  /** What the lab held as the fault began (asked between `sinceNs` and `faultNs`), and at the end; only of a run that was asked for them. */
  readonly before?: LabSnapshot & { readonly sinceNs: bigint };
  readonly after?: LabSnapshot;
}

export interface RunOptions {
  /** Gets a line for each step. */
  readonly tell?: (line: string) => void;
  /** Asks the lab what it holds, at the fault and at the end: for the report of a case that failed before. */
  readonly snapshots?: boolean;
}

/** Frames a second while a guest proves that it draws. */
const FPS = 100;
/** The first one may be under way already as the proof begins; the last follows all others through every queue. */
const FRAMES = 3;

/** Breaches of one rule that a result names. */
const SHOWN_MAX = 3;

/** The lab did not come back: the case is wedged. */
class WedgedError extends Error {
  override readonly name = 'WedgedError';
  readonly check: CheckName;
  constructor(check: CheckName, message: string) {
    super(message);
    this.check = check;
  }
}

/** The case could not be run as it is written. */
export class HarnessError extends Error {
  override readonly name = 'HarnessError';
}

/** Runs one case; undefined: none, a free run. Never rejects but for bugs of ours. */
export async function runCase(
  rig: Rig,
  chaosCase: ChaosCase | undefined,
  options: RunOptions = {},
): Promise<CaseResult> {
  return new CaseRun(rig, chaosCase, options).run();
}

class CaseRun {
  readonly #rig: Rig;
  readonly #tell: (line: string) => void;
  readonly #violations: Violation[] = [];
  readonly #breaches: TraceRecord[] = [];
  readonly #faults: Infliction;
  #recoveryMs: number | undefined;
  #storyEndNs: bigint | undefined;
  readonly #snapshots: boolean;
  readonly #survivors = new Set<number>();
  #earlier: ReadonlySet<number> = new Set();
  /** A fault of the case may cost a guest its device. */
  readonly #mayRefuse: boolean;

  constructor(rig: Rig, chaosCase: ChaosCase | undefined, { tell = () => {}, snapshots = false }: RunOptions) {
    this.#rig = rig;
    this.#tell = tell;
    this.#snapshots = snapshots;
    const faults = chaosCase === undefined ? [] : faultsOf(chaosCase);
    this.#mayRefuse = faults.some(({ fault }) => faultNamed(fault)?.fault.mayRefuse === true);
    this.#faults = new Infliction(rig, faults, {
      ...{ tell, snapshots },
      violated: (what) => this.#violations.push({ check: 'order', what }),
      remove: () =>
        this.#remove().catch((error: unknown) => {
          if (isOurBug(error)) throw error;
          tell(`the guest is not removed: ${errorMessage(error)}`);
        }),
    });
  }

  /** How many faults have begun. */
  get #begun(): number {
    return this.#faults.moments.length;
  }

  async run(): Promise<CaseResult> {
    const start = performance.now();
    let trouble: string | undefined;
    let wedged = false;
    try {
      await withDeadline(this.#whole(), DEADLINE_MS.chaosCase, 'the case');
    } catch (error) {
      if (error instanceof WedgedError) this.#violations.push({ check: error.check, what: error.message });
      else if (error instanceof HarnessError || error instanceof GateError) trouble = error.message;
      else if (error instanceof DeadlineError) this.#violations.push({ check: 'picture', what: error.message });
      else throw error;
      wedged = error instanceof WedgedError || error instanceof DeadlineError;
    } finally {
      this.#faults.close();
    }
    const records = this.#rig.histories.records();
    const whole = trouble === undefined && !wedged;
    // A process that ended by itself is why its point was never passed.
    if (this.#rig.unexpected.length > 0) trouble = undefined;
    if (trouble === undefined) this.#judge(records, !wedged);
    // A fault that did not happen is no reason why a rule may be broken.
    const unreached = whole && this.#violations.length === 0 ? this.#faults.unreached : undefined;
    trouble ??= unreached;
    const after = this.#snapshots ? await takeSnapshot(this.#rig) : undefined;
    const { moments, before } = this.#faults;
    const found = wedged ? 'wedged' : this.#violations.length > 0 ? 'broken' : 'pass';
    return {
      outcome: trouble === undefined ? found : 'harness',
      violations: this.#violations,
      breaches: this.#breaches,
      endNs: process.hrtime.bigint(),
      ...(trouble === undefined ? {} : { trouble }),
      ...(unreached === undefined ? {} : { unreached: true }),
      ...(this.#recoveryMs === undefined ? {} : { recoveryMs: this.#recoveryMs }),
      ms: performance.now() - start,
      records,
      moments,
      ...(moments[0] === undefined ? {} : { faultNs: moments[0].faultNs }),
      ...(this.#storyEndNs === undefined ? {} : { storyEndNs: this.#storyEndNs }),
      ...(before === undefined ? {} : { before }),
      ...(after === undefined ? {} : { after }),
    };
  }

  async #whole(): Promise<void> {
    const rig = this.#rig;
    rig.begin();
    for (const name of SERVICES)
      if (!rig.isAlive(name)) throw new HarnessError(`${name} does not run as the case begins`);
    for (const each of [...rig.livingIncarnations(), ...rig.histories.own]) this.#survivors.add(each);
    this.#earlier = new Set(this.#survivors);
    await this.#faults.begin();
    const over = new AbortController();
    const meanwhile = rig.story.meanwhile?.(() => rig.toolstack, over.signal);
    try {
      await this.#life();
    } finally {
      over.abort();
      for (const what of (await meanwhile) ?? []) this.#violations.push({ check: 'acknowledged', what });
    }
    for (const what of await rig.companions.wrong()) this.#violations.push({ check: 'picture', what });
    this.#storyEndNs = process.hrtime.bigint();
    await this.#atRest();
  }

  async #life(): Promise<void> {
    for (let round = 0; round < (this.#rig.story.rounds ?? 0); round++) {
      await this.#step(() => (round % 2 === 0 ? this.#draw() : this.#begin()));
      await this.#step(() => this.#remove());
    }
    await this.#step(() => this.#draw());
    for (let before = -1; before !== this.#begun; ) {
      before = this.#begun;
      await this.#step(() => this.#remove());
      // What the removal sets off in other processes comes after it, and a fault may be there.
      await this.#step(() => this.#rig.histories.rest());
      // A fault in the removal: the next guest lives a whole life.
      if (before !== this.#begun) await this.#step(() => this.#draw());
    }
  }

  /** A guest is there, and its device is under way. */
  async #begin(): Promise<void> {
    const { domid } = await this.#guest();
    await frontendBegun(this.#rig.toolstack, domid);
  }

  /** Does a step of the story, and does it again as often as a fault began while it was done. */
  async #step(step: () => Promise<void>): Promise<void> {
    for (let before = -1; before !== this.#begun; ) {
      before = this.#faults.isQuiet ? this.#begun : -1;
      try {
        await Promise.race([step(), this.#faults.failed]);
      } catch (error) {
        if (isOurBug(error) && !(error instanceof WedgedError)) throw error;
        if (error instanceof HarnessError || error instanceof GateError) throw error;
        if (before === this.#begun) {
          throw error instanceof WedgedError ? error : new WedgedError('picture', errorMessage(error));
        }
        this.#tell(`meanwhile: ${errorMessage(error)}`);
      }
      await withDeadline(this.#faults.settled(), DEADLINE_MS.chaosPoint, 'the end of the fault').catch(
        (error: unknown) => {
          if (error instanceof GateError || isOurBug(error)) throw error;
          throw new WedgedError('order', errorMessage(error));
        },
      );
    }
  }

  /** A guest is there and draws: frames with numbers first, then its picture, in every pixel. */
  async #draw(): Promise<void> {
    const guest = await this.#guest();
    const { exited } = this.#rig.process(GUEST_PROCESS)!;
    await shownFirst(this.#rig.toolstack.store, guest.domid, exited);
    const ended = exited.then((): never => {
      throw new PeerDiedError(GUEST_PROCESS);
    });
    await Promise.race([this.#frames(guest), ended]);
  }

  async #frames(guest: Guest): Promise<void> {
    const end = performance.now() + DEADLINE_MS.chaosPicture;
    for (;;) {
      let display: Display | undefined;
      try {
        display = await this.#rig.display(guest.domid);
        await this.#look(guest, display);
        return;
      } catch (error) {
        // A backend that connects anew has another server.
        const again = error instanceof PeerDiedError && this.#rig.displayMoves && performance.now() < end;
        if (!again) throw error;
      } finally {
        await display?.close();
      }
    }
  }

  async #look(guest: Guest, { client, device }: Display): Promise<void> {
    const rig = this.#rig;
    const screen = await Screen.open(client, device);
    const since = process.hrtime.bigint();
    await animate(rig.toolstack, guest.domid, FPS);
    for (let frame = 0; frame < FRAMES; frame++) {
      const right = await screen.next(
        ({ ns, number }) => ns > since && number !== undefined,
        DEADLINE_MS.chaosPicture,
        'numbered frame',
      );
      const healedNs = this.#faults.moments.at(-1)?.healedNs;
      if (healedNs !== undefined && this.#faults.isQuiet)
        this.#recoveryMs ??= Math.max(0, Number(right.ns - healedNs) / 1e6);
    }
    await animate(rig.toolstack, guest.domid, 0);
    await screen.next(({ number, torn }) => number === undefined && !torn, DEADLINE_MS.chaosPicture, 'picture');
    const path = join(rig.runDir, 'frames', 'seen.png');
    const { mismatchedPixels } = await checkFrame(client, device, path, rig.picture);
    if (mismatchedPixels > 0) this.#violations.push({ check: 'picture', what: `${mismatchedPixels} pixels differ` });
    plantSecret(rig.runDir, guest.domid);
    this.#tell(`domain ${guest.domid} draws`);
  }

  /** The guest that runs, or a new one where its process has ended or its domain is not running: what on_crash = restart does. */
  async #guest(): Promise<Guest> {
    const rig = this.#rig;
    const { toolstack } = rig;
    const running = (await listGuests(toolstack)).find(
      ({ name, state }) => name === CHAOS_GUEST && state === 'running',
    );
    const refused = running === undefined ? undefined : await this.#refusal(running);
    if (refused !== undefined) this.#tell(`the device is in error: ${refused}`);
    else if (running !== undefined && rig.isAlive(GUEST_PROCESS)) return running;
    await this.#remove();
    if (!rig.isAlive(GUEST_PROCESS)) rig.start(GUEST_PROCESS);
    this.#tell('a guest is made');
    const guest = await rig.session.exclusively(() => createGuest(toolstack, rig.config));
    if (hasSecret(rig.runDir, guest.domid)) {
      this.#violations.push({
        check: 'memory',
        what: `domain ${guest.domid} has what an earlier one left in its memory`,
      });
    }
    return guest;
  }

  /** Why an end of the guest's device has given up, where the fault allows it to: then its user makes the guest anew. */
  async #refusal({ domid }: Guest): Promise<string | undefined> {
    if (!this.#mayRefuse || this.#begun === 0 || !this.#faults.isQuiet) return undefined;
    const { store } = this.#rig.toolstack;
    return (
      (await readNode(store, `${homePath(0)}/${errorKey(`backend/virtio-mmio/${domid}/0`)}`)) ??
      (await readNode(store, `${homePath(domid)}/${errorKey('device/virtio-mmio/0')}`))
    );
  }

  /** No guest is there any more, nor anything that a toolstack left half done. */
  async #remove(): Promise<void> {
    const rig = this.#rig;
    const { toolstack } = rig;
    await rig.session.exclusively(async () => {
      await finishUnfinished(toolstack);
      for (const guest of await listGuests(toolstack)) {
        if (guest.name !== CHAOS_GUEST) continue;
        await rig.story.beforeRemoval?.(toolstack, guest.domid);
        const alive = rig.isAlive(GUEST_PROCESS);
        const had = this.#begun;
        const inOrder = await destroyGuest(toolstack, guest, { deadlineMs: DEADLINE_MS.chaosPicture });
        // A fault in the middle may have cost a guest its last word, and a guest that is dead has none.
        const disturbed = rig.story.beforeRemoval !== undefined || had !== this.#begun || !this.#faults.isQuiet;
        if (!inOrder && alive && !disturbed) {
          this.#violations.push({ check: 'teardown', what: 'the device did not close in order' });
        }
        const process_ = rig.process(GUEST_PROCESS);
        if (process_ !== undefined && alive) {
          await withDeadline(process_.exited, DEADLINE_MS.chaosEnd, 'the end of the guest whose domain was destroyed');
        }
      }
    });
    this.#tell('no guest is there');
  }

  async #atRest(): Promise<void> {
    const rig = this.#rig;
    await rig.histories.rest();
    // A hypervisor may be busy with a domain's memory for longer than a lab at rest is silent: it is looked at again.
    const end = performance.now() + DEADLINE_MS.chaosGivenBack;
    let held = await rig.heldTooMuch();
    while (held.length > 0 && performance.now() < end) {
      await rig.histories.rest();
      held = await rig.heldTooMuch();
    }
    for (const what of held) this.#violations.push({ check: 'held', what });
    const living = new Set([...rig.livingIncarnations(), ...rig.histories.own]);
    for (const each of [...this.#survivors]) if (!living.has(each)) this.#survivors.delete(each);
  }

  #judge(records: readonly TraceRecord[], atRest: boolean): void {
    for (const what of this.#rig.unexpected) this.#violations.push({ check: 'alive', what });
    for (const { name, check, atRest: needsRest } of CHECKERS) {
      if (needsRest && !atRest) continue;
      const found = check({ records, survivors: this.#survivors, earlier: this.#earlier });
      for (const { what, at } of found.slice(0, SHOWN_MAX)) {
        this.#violations.push({ check: name, what });
        if (at !== undefined) this.#breaches.push(at);
      }
      if (found.length > SHOWN_MAX) this.#violations.push({ check: name, what: `${found.length - SHOWN_MAX} more` });
    }
  }
}
