// What `xenwire up` says: lines in the order of their time and a summary for a person, or one JSON object for a program.
import { colour } from '../lib/node/process/output.js';
import { type DeviceStates, handshakeMs, type StepLine, showLine } from '../lib/trace/handshakes.js';
import type { ShownFrame } from './frames.js';

export interface ReportSettings {
  readonly json: boolean;
  readonly once: boolean;
  readonly keep: boolean;
  readonly runDir: string;
  readonly startNs: bigint;
  /** Where copies of the screens lie that stay. */
  readonly frames?: string;
}

export interface GuestFrame extends ShownFrame {
  readonly guest: string;
}

const round = (ms: number): number => Math.round(ms * 1000) / 1000;

export class Report {
  readonly #settings: ReportSettings;
  #frames: readonly GuestFrame[] = [];
  #muted = false;
  #waiting: { ns: bigint; text: (ns: bigint) => string }[] = [];
  #lastNs: bigint;

  constructor(settings: ReportSettings) {
    this.#settings = settings;
    this.#lastNs = settings.startNs;
  }

  /** Nothing is said any more: standard output is gone. */
  mute(): void {
    this.#muted = true;
  }

  #say(line: string): void {
    if (!this.#settings.json && !this.#muted) process.stdout.write(`${line}\n`);
  }

  /** Something happened now. */
  note(sentence: string): void {
    const text = (ns: bigint): string => `${colour('dim', `${this.#ms(ns).padStart(8)} ms`)}  ${sentence}`;
    this.#waiting.push({ ns: process.hrtime.bigint(), text });
  }

  /** One step of a handshake. What the processes recorded is read some time after it happened, and not in order. */
  step(line: StepLine): void {
    this.#waiting.push({ ns: line.ns, text: (ns) => showLine({ ...line, ns }, this.#settings.startNs) });
  }

  /**
   * Says what is noted and older than `untilNs`, by time; never one before what has been said already. Answers whether there
   * is more to say later.
   */
  flush(untilNs?: bigint): boolean {
    const due = this.#waiting.filter(({ ns }) => untilNs === undefined || ns <= untilNs);
    this.#waiting = this.#waiting.filter(({ ns }) => untilNs !== undefined && ns > untilNs);
    due.sort((a, b) => (a.ns < b.ns ? -1 : a.ns > b.ns ? 1 : 0));
    for (const { ns, text } of due) {
      if (ns > this.#lastNs) this.#lastNs = ns;
      this.#say(text(this.#lastNs));
    }
    return this.#waiting.length > 0;
  }

  #ms(ns: bigint): string {
    return (Number(ns - this.#settings.startNs) / 1e6).toFixed(1);
  }

  summary(frames: readonly GuestFrame[], devices: readonly DeviceStates[], storeSocket: string | undefined): void {
    this.flush();
    this.#frames = frames;
    const { handshake, firstFrame } = this.#times(devices);
    this.#say('');
    this.#say(`handshake         ${handshake === null ? 'not seen' : `${handshake.toFixed(1)} ms`}`);
    this.#say(`first frame       ${firstFrame === null ? 'none' : `${firstFrame.toFixed(0)} ms after the start`}`);
    for (const frame of frames) this.#say(`picture           ${this.#compared(frame)}`);
    if (storeSocket !== undefined) this.#say(`XENSTORED_PATH=${storeSocket}`);
    this.#say('');
  }

  #compared({ guest, mismatchedPixels, width, height, path }: GuestFrame): string {
    const equal = mismatchedPixels === 0 ? colour('green', 'equal') : colour('red', 'DIFFERENT');
    // In the run directory it goes with the lab.
    const stays = this.#settings.frames !== undefined || this.#settings.keep || !this.#settings.once;
    return `${equal}: ${mismatchedPixels} of ${width}x${height} pixels differ, guest ${guest}${stays ? `, ${path}` : ''}`;
  }

  stayingUp(): void {
    this.#say(`The lab runs in ${this.#settings.runDir} until Ctrl-C.`);
  }

  /** The last words; returns whether all is well. `reason` says what failed before the end. */
  finish(devices: readonly DeviceStates[], outcome: { reason: string | undefined; leaks: readonly string[] }): boolean {
    this.flush();
    const { handshake, firstFrame } = this.#times(devices);
    const mismatched = this.#frames.reduce((sum, frame) => sum + frame.mismatchedPixels, 0);
    const reason = outcome.reason ?? this.#whatIsWrong(mismatched, outcome.leaks);
    const [frame] = this.#frames;
    if (this.#settings.json && !this.#muted) {
      const result = {
        result: reason === undefined ? 'ok' : 'failed',
        ...(reason === undefined ? {} : { reason }),
        handshakeMs: handshake,
        firstFrameMs: firstFrame,
        frame: frame === undefined ? null : { width: frame.width, height: frame.height, mismatchedPixels: mismatched },
        guests: devices.map(({ domid, frontend, backend }) => ({ domid, frontend, backend })),
        leaks: outcome.leaks,
      };
      process.stdout.write(`${JSON.stringify(result)}\n`);
    }
    for (const leak of outcome.leaks) this.#say(`left behind: ${leak}`);
    if (reason !== undefined) process.stderr.write(`xenwire up: ${reason}\n`);
    else this.#say('Everything is torn down, nothing is left behind.');
    if (this.#settings.keep) this.#say(`Logs, history and frames stay in ${this.#settings.runDir} until its next lab.`);
    return reason === undefined;
  }

  #whatIsWrong(mismatched: number, leaks: readonly string[]): string | undefined {
    if (mismatched > 0) return `${mismatched} pixels differ from what was given`;
    if (leaks.length > 0) {
      return leaks.length === 1 ? `something was left behind: ${leaks[0]}` : `${leaks.length} things were left behind`;
    }
    return undefined;
  }

  /** Milliseconds: the slowest handshake, and the first frame of the last guest. */
  #times(devices: readonly DeviceStates[]): { handshake: number | null; firstFrame: number | null } {
    const handshakes = devices.map(handshakeMs).filter((ms) => ms !== undefined);
    const flushes = this.#frames.map(({ firstFlushNs }) => Number(firstFlushNs - this.#settings.startNs) / 1e6);
    return {
      handshake: handshakes.length === 0 ? null : round(Math.max(...handshakes)),
      // One that a lab to attach to has shown before we came is no first frame of ours.
      firstFrame: flushes.length === 0 ? null : Math.max(0, round(Math.max(...flushes))),
    };
  }
}
