// `xenwire up`: a whole lab from nothing to its guests' pictures and back to nothing. One run: claim the run directory,
// start the processes, make the guests, wait for their first frames, compare, stay, tear down, tell what was found.
// Leaves processes to lab.ts, guests to domain.ts, words to report.ts.

import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { DeadlineError, ErrnoError, errorMessage, PeerDiedError } from '../lib/core/errors.js';
import type { NotificationPath } from '../lib/core/notification-path.js';
import type { NotifyMode } from '../lib/core/notify.js';
import { type Picture, variation } from '../lib/core/picture.js';
import type { BusClient } from '../lib/core/service.js';
import { needsEvtchnRaise } from '../lib/events/evtchn-raise.js';
import { homePath } from '../lib/layout/xenbus.js';
import { writableFolder } from '../lib/node/files/given.js';
import { writePng } from '../lib/node/files/png.js';
import { EXIT } from '../lib/node/process/cli.js';
import { onOutputLost } from '../lib/node/process/output.js';
import { withDeadline } from '../lib/node/process/wait.js';
import { Handshakes } from '../lib/trace/handshakes.js';
import type { StoreTransport } from '../lib/xenstore/channel.js';
import { createGuest, type Guest } from '../toolstack/domain.js';
import { type GuestConfig, onPath } from '../toolstack/guest-config.js';
import { type Claim, claimRunDir } from './claim.js';
import { endProcesses, removeGuests } from './end.js';
import { HistoryFeed } from './feed.js';
import { checkFrame, firstFrame, type ShownFrame } from './frames.js';
import { Interruption } from './interruption.js';
import { Report } from './report.js';
import type { Session } from './session.js';
import { Lab } from './supervisor.js';

export interface UpSettings {
  readonly runDir: string;
  readonly config: GuestConfig;
  /** A PNG file by its absolute path, and what is in it. */
  readonly image: { readonly path: string; readonly picture: Picture };
  readonly guests: number;
  readonly notify: NotifyMode;
  /** Guest after guest takes the next one, from the first again; left out: what the configuration says. */
  readonly paths?: readonly NotificationPath[];
  readonly logLevel: string;
  readonly storeTransport: StoreTransport;
  readonly pollUs?: number;
  readonly once: boolean;
  readonly json: boolean;
  /** Leaves logs, history and frames in the run directory. */
  readonly keep: boolean;
  /** A folder for copies of the screens, made where it is missing. */
  readonly frames?: string;
  /** Uses the processes that run already, and starts none. */
  readonly attach: boolean;
  /** CLOCK_MONOTONIC when the command began. */
  readonly startNs: bigint;
}

const nth = <T>(list: readonly T[] | undefined, index: number): T | undefined => list?.[index % list.length];

/** Something in the lab failed; the message says what. */
class LabFailedError extends Error {
  override readonly name = 'LabFailedError';
}

/** Runs it all; resolves with whether the pictures were equal and nothing was left behind. */
export async function up(settings: UpSettings): Promise<boolean> {
  const interruption = new Interruption();
  if (settings.frames !== undefined && settings.attach) writableFolder(settings.frames, 'frames');
  if (settings.attach) return new Run(settings, undefined, interruption).run();
  const claim = await claimRunDir(settings.runDir, interruption.signal);
  let run: Run;
  try {
    if (settings.frames !== undefined) writableFolder(settings.frames, 'frames');
    run = new Run(settings, claim, interruption);
  } catch (error) {
    claim.release({ keep: false });
    throw error;
  }
  return run.run();
}

interface RunningGuest extends Guest {
  readonly index: number;
}

class Run {
  readonly #settings: UpSettings;
  readonly #claim: Claim | undefined;
  readonly #runDir: string;
  readonly #report: Report;
  readonly #handshakes = new Handshakes();
  readonly #feed: HistoryFeed;
  readonly #lab: Lab | undefined;
  readonly #abort = new AbortController();
  readonly #interrupted: Promise<void>;
  /** Rejects when a process of the lab ends without having been asked to, or what we say cannot be written. */
  readonly #failed: Promise<never>;
  #outputFailed: (problem: string) => void = () => {};
  #session: Session | undefined;
  #display: BusClient | undefined;
  readonly #guests: RunningGuest[] = [];
  readonly #watches: [path: string, token: string][] = [];

  constructor(settings: UpSettings, claim: Claim | undefined, interruption: Interruption) {
    this.#settings = settings;
    this.#claim = claim;
    this.#runDir = claim?.runDir ?? settings.runDir;
    this.#report = new Report(settings);
    this.#interrupted = interruption.happened;
    interruption.onSecond(() => this.#endNow());
    onOutputLost((problem) => {
      this.#report.mute();
      // A reader that has gone wants no more; a lab that cannot be watched has no use.
      if (problem === undefined) interruption.now();
      else this.#outputFailed(problem);
    });
    const raise = [...(settings.paths ?? []), ...settings.config.virtio.map(({ path }) => path)].some(needsEvtchnRaise);
    const extraArguments = (program: string): string[] => {
      if (program === 'guest') return ['--store-transport', settings.storeTransport];
      return raise && program === 'hypervisor' ? ['--dm-evtchn-raise'] : [];
    };
    this.#lab = settings.attach ? undefined : new Lab({ ...settings, runDir: this.#runDir, extraArguments });
    this.#lab?.startGuest(settings.config.name, settings.image.path);
    const outputFailed = new Promise<string>((resolve) => {
      this.#outputFailed = resolve;
    });
    this.#failed = Promise.race([outputFailed, ...(this.#lab === undefined ? [] : [this.#lab.failed])]).then(
      (sentence) => {
        throw new LabFailedError(sentence);
      },
    );
    this.#failed.catch(() => {}); // looked at when something waits
    this.#feed = new HistoryFeed(this.#runDir);
  }

  async run(): Promise<boolean> {
    let reason: string | undefined;
    try {
      const interrupted = this.#interrupted.then(() => {
        throw new LabFailedError('interrupted before the first frame');
      });
      interrupted.catch(() => {}); // it may come later, when it is no failure
      await this.#unlessFailed(Promise.race([this.#showPictures(), interrupted]));
      if (!this.#settings.once) {
        this.#report.stayingUp();
        await this.#unlessFailed(this.#interrupted);
      }
    } catch (error) {
      reason = this.#reason(error);
    }
    const leaks = reason === undefined || this.#settings.attach ? await this.#tearDown() : await this.#abandon();
    const ok = this.#report.finish(this.#handshakes.devices, { reason, leaks });
    this.#claim?.release({ keep: this.#settings.keep });
    return ok;
  }

  #reason(error: unknown): string {
    if (error instanceof ErrnoError || error instanceof PeerDiedError || error instanceof LabFailedError) {
      return error.message;
    }
    return errorMessage(error);
  }

  /** The user does not want to wait for order: whatever still runs is killed, and this process ends with it. */
  #endNow(): never {
    this.#lab?.kill();
    this.#claim?.release({ keep: this.#settings.keep });
    process.stderr.write('xenwire up: interrupted twice: all processes were killed\n');
    process.exit(EXIT.FAILED);
  }

  /** What `work` gives, or a rejection that says which process failed meanwhile. */
  async #unlessFailed<T>(work: Promise<T>): Promise<T> {
    work.catch(() => {}); // it may lose the race and fail later
    try {
      return await Promise.race([work, this.#failed]);
    } catch (error) {
      // A server's death shows on our connections before its exit status is known: the process is the reason.
      if (!(error instanceof PeerDiedError) || this.#lab === undefined) throw error;
      return await withDeadline(this.#failed, DEADLINE_MS.causeOfEnd, error.message).catch((late: unknown) => {
        throw late instanceof DeadlineError ? error : late;
      });
    }
  }

  async #showPictures(): Promise<void> {
    // Loaded while the processes start: ZeroMQ takes a while.
    const { openSession } = await import('./session.js');
    const session = await openSession({ runDir: this.#runDir, signal: this.#abort.signal, keepHistory: true });
    this.#session = session;
    for (let index = 0; index < this.#settings.guests; index++) await this.#startGuest(session, index);
    this.#display = await session.connect('vhost-gpu');
    const frames = await Promise.all(this.#guests.map((guest) => firstFrame(session, guest).then(() => guest)));
    this.#pump();
    const shown: ShownFrame[] = [];
    for (const guest of frames) shown.push(await this.#checkFrame(guest));
    this.#report.summary(shown, this.#handshakes.devices, this.#storeSocket());
  }

  async #startGuest(session: Session, index: number): Promise<void> {
    const { config, image, paths } = this.#settings;
    const name = index === 0 ? config.name : `${config.name}-${index + 1}`;
    if (index > 0 && this.#lab !== undefined) {
      const path = join(this.#runDir, 'frames', `${name}-given.png`);
      await writePng(path, this.#expected(index));
      this.#lab.startGuest(name, path);
    } else if (index === 0) {
      this.#lab?.onGuestEnd((ended) => this.#report.note(`guest ${ended} has ended`));
      await this.#tellSteps(session, '/local/domain/0/backend');
    }
    const guest = await session.exclusively(() => createGuest(session, { ...onPath(config, nth(paths, index)), name }));
    this.#guests.push({ ...guest, index });
    await this.#tellSteps(session, `${homePath(guest.domid)}/device`);
    this.#report.note(`guest ${name} is domain ${guest.domid}${index === 0 ? `, to show ${image.path}` : ''}`);
  }

  /** What happens below a path of the store is told as it happens. */
  async #tellSteps(session: Session, path: string): Promise<void> {
    if (this.#settings.json) return;
    const token = `up-${this.#watches.length}`;
    await session.store.watch(path, token, () => this.#pump());
    this.#watches.push([path, token]);
  }

  /** What guest `index` must show. */
  #expected(index: number): Picture {
    return variation(this.#settings.image.picture, this.#settings.attach ? 0 : index);
  }

  async #checkFrame(guest: RunningGuest): Promise<ShownFrame> {
    const path = join(this.#runDir, 'frames', `${guest.name}.png`);
    const frame = await checkFrame(this.#display!, `${guest.domid}/0`, path, this.#expected(guest.index));
    if (this.#settings.frames === undefined) return frame;
    const copy = join(this.#settings.frames, `${guest.name}.png`);
    copyFileSync(path, copy);
    return { ...frame, path: copy };
  }

  #storeSocket(): string | undefined {
    const path = join(this.#runDir, 'xenstored.socket');
    return existsSync(path) ? path : undefined;
  }

  /** Reads what the processes have recorded since the last time. */
  #pump(): void {
    for (const record of this.#feed.read()) {
      const line = this.#handshakes.take(record);
      if (line !== undefined) this.#report.step(line);
    }
  }

  /** Takes everything down in order; returns what is left behind. */
  async #tearDown(): Promise<string[]> {
    const session = this.#session;
    if (session === undefined) return this.#abandon();
    let leaks: string[];
    try {
      leaks = await this.#unlessFailed(this.#end(session));
    } catch (error) {
      leaks = [`tearing down: ${errorMessage(error)}`];
      await this.#abandon();
    }
    this.#pump();
    this.#feed.close();
    return leaks;
  }

  async #end(session: Session): Promise<string[]> {
    const lab = this.#lab;
    lab?.expectGuestsToEnd();
    // In a lab of our own all guests go, those that `xenwire create` added too.
    const own = new Set(this.#guests.map(({ domid }) => domid));
    const leaks = await removeGuests(session, (domid) => lab !== undefined || own.has(domid));
    this.#pump();
    for (const [path, token] of this.#watches) await session.store.unwatch(path, token);
    if (lab === undefined) await session.close();
    else leaks.push(...(await endProcesses(lab, session, this.#display ?? (await session.connect('vhost-gpu')))));
    return leaks;
  }

  /** After a failure there is no order to keep: all processes end, and with them what they held. */
  async #abandon(): Promise<string[]> {
    this.#abort.abort();
    await Promise.all([this.#lab?.abandon(), this.#session?.close()]);
    this.#pump();
    this.#feed.close();
    return [];
  }
}
