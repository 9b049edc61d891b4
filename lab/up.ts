// `xenwire up`: a whole lab from nothing to its guests' pictures and back to nothing. One run: claim the run directory,
// start the processes, make the guests, wait for their first frames, compare, stay, tear down, tell what was found.
// Leaves one life of the host to host.ts, words to report.ts.

import { ErrnoError, errorMessage, PeerDiedError } from '../lib/core/errors.js';
import { writableFolder } from '../lib/node/files/given.js';
import { EXIT } from '../lib/node/process/cli.js';
import { onOutputLost } from '../lib/node/process/output.js';
import { listProcesses } from '../lib/node/process/run-dir.js';
import { type Claim, claimRunDir } from './claim.js';
import { Host, LabFailedError } from './host.js';
import { Interruption } from './interruption.js';
import { PageProcess, requirePort } from './page-process.js';
import { afterDeath, type DeathRecord, NO_DEATHS } from './policy.js';
import { type GuestFrame, Report } from './report.js';
import { requireFiles, requireRoom } from './room.js';
import { requireLab } from './running.js';
import { Story } from './story.js';
import type { UpSettings } from './up-settings.js';

/** Runs it all; resolves with whether the pictures were equal and nothing was left behind. */
export async function up(settings: UpSettings): Promise<boolean> {
  if (settings.attach) requireLab(settings.runDir);
  if (settings.dashboard !== undefined) await requirePort(settings.dashboard);
  const interruption = new Interruption();
  if (settings.frames !== undefined && settings.attach) writableFolder(settings.frames, 'frames');
  if (settings.attach) return new Run(settings, undefined, interruption).run();
  const claim = await claimRunDir(settings.runDir, interruption.signal);
  let run: Run;
  try {
    requireFiles(settings.guests);
    requireRoom(claim.runDir, new Array(settings.guests).fill(settings.config.memoryMib), { wholeLab: true });
    if (settings.frames !== undefined) writableFolder(settings.frames, 'frames');
    run = new Run(settings, claim, interruption);
  } catch (error) {
    claim.release({ keep: false });
    throw error;
  }
  return run.run();
}

class Run {
  readonly #settings: UpSettings;
  readonly #claim: Claim | undefined;
  readonly #runDir: string;
  readonly #report: Report;
  readonly #story: Story;
  readonly #interrupted: Promise<void>;
  readonly #outputFailed: Promise<never>;
  #host: Host;
  #record: DeathRecord = NO_DEATHS;
  readonly #page: PageProcess | undefined;

  constructor(settings: UpSettings, claim: Claim | undefined, interruption: Interruption) {
    this.#settings = settings;
    this.#claim = claim;
    this.#runDir = claim?.runDir ?? settings.runDir;
    this.#report = new Report(settings);
    this.#story = new Story(this.#runDir, this.#report, settings.startNs);
    this.#interrupted = interruption.happened;
    interruption.onSecond(() => this.#endNow());
    this.#outputFailed = new Promise((_, reject) => {
      onOutputLost((problem) => {
        this.#report.mute();
        // A reader that has gone wants no more; a lab that cannot be watched has no use.
        if (problem === undefined) interruption.now();
        else reject(new LabFailedError(problem));
      });
    });
    this.#outputFailed.catch(() => {}); // looked at when something waits
    const what = settings.guests === 1 ? `guest ${settings.config.name}` : `${settings.guests} guests`;
    if (claim !== undefined) {
      const servers = settings.servers === undefined ? 'vhost-gpu' : `${settings.servers.length} times vhost-gpu`;
      this.#story.note(`starting hypervisor, xenstored, ${servers}, vhost-frontend and ${what} in ${this.#runDir}`);
    }
    this.#page = settings.dashboard === undefined ? undefined : new PageProcess(this.#runDir, settings.dashboard);
    this.#host = new Host(settings, this.#runDir, this.#story);
  }

  async run(): Promise<boolean> {
    let reason: string | undefined;
    try {
      const interrupted = this.#interrupted.then(() => {
        throw new LabFailedError('interrupted before the first frame');
      });
      interrupted.catch(() => {}); // it may come later, when it is no failure
      // Rejects when the page cannot be served: a user who asked for it does not want a lab without.
      const page = this.#page?.url.then((url) => this.#story.note(`the live page: ${url}`));
      await this.#unlessOutputFailed(Promise.race([Promise.all([this.#showPictures(), page]), interrupted]));
      if (!this.#settings.once) {
        this.#report.stayingUp();
        await this.#unlessOutputFailed(Promise.race([this.#stay(), this.#interrupted]));
      }
    } catch (error) {
      reason = this.#reason(error);
    }
    let leaks: string[] = [];
    if (reason === undefined || this.#settings.attach) leaks = await this.#host.end();
    else await this.#host.abandon();
    await this.#page?.close();
    this.#story.close();
    const ok = this.#report.finish(this.#story.devices, { reason, leaks });
    this.#claim?.release({ keep: this.#settings.keep });
    return ok;
  }

  #reason(error: unknown): string {
    if (error instanceof ErrnoError || error instanceof PeerDiedError || error instanceof LabFailedError) {
      return error.message;
    }
    return errorMessage(error);
  }

  #unlessOutputFailed<T>(work: Promise<T>): Promise<T> {
    work.catch(() => {}); // it may lose the race and fail later
    return Promise.race([work, this.#outputFailed]);
  }

  /** The user does not want to wait for order: whatever still runs is killed, and this process ends with it. */
  #endNow(): never {
    this.#host.lab?.kill();
    this.#page?.kill();
    this.#claim?.release({ keep: this.#settings.keep });
    process.stderr.write('xenwire up: interrupted twice: all processes were killed\n');
    process.exit(EXIT.FAILED);
  }

  /** The first frames; a host that is lost before has another try, as long as the policy gives one. */
  async #showPictures(): Promise<void> {
    const frames = await this.#shown();
    this.#report.summary(frames, this.#story.devices, this.#settings.once ? undefined : this.#host.storeSocket);
  }

  async #shown(): Promise<readonly GuestFrame[]> {
    for (;;) {
      const host = this.#host;
      const shown = host.unlessFailed(host.show());
      const outcome = await Promise.race([shown, host.lost]);
      if (typeof outcome !== 'string') return outcome;
      shown.catch(() => {}); // it was the lost host's
      await this.#nextHost(outcome, false);
    }
  }

  /** Never resolves; rejects when the lab cannot go on. A host that is lost is made anew, its guests with it. */
  async #stay(): Promise<never> {
    for (;;) {
      const host = this.#host;
      const sentence = await Promise.race([host.failed, host.lost]);
      const lostNs = process.hrtime.bigint();
      await this.#nextHost(sentence, true);
      const frames = await this.#shown();
      const ms = Number(process.hrtime.bigint() - lostNs) / 1e6;
      const wrong = frames.filter(({ mismatchedPixels }) => mismatchedPixels > 0).length;
      const guests = frames.length === 1 ? 'its guest' : `all ${frames.length} guests`;
      const pictures = wrong === 0 ? 'pictures equal' : `${wrong} pictures DIFFER`;
      this.#story.note(`${sentence}; the host and ${guests} booted again, ${pictures} after ${ms.toFixed(0)} ms`);
    }
  }

  /** The hypervisor's end takes the host: nothing of it is left when the next one starts in the same directory. */
  async #nextHost(sentence: string, wasReady: boolean): Promise<void> {
    const { record, verdict } = afterDeath(this.#record, { ns: process.hrtime.bigint(), wasReady });
    this.#record = record;
    if (verdict.kind === 'give up') throw new LabFailedError(`${sentence}; it is not started again: ${verdict.why}`);
    await this.#host.goDown();
    const [left] = listProcesses(this.#runDir).filter(
      ({ name, state }) => state !== 'dead' && !/^(guest|monitor)-/.test(name),
    );
    if (left !== undefined) throw new LabFailedError(`${sentence}; ${left.name} (pid ${left.pid}) did not end with it`);
    this.#host = new Host(this.#settings, this.#runDir, this.#story);
  }
}
