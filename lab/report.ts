// What `xenwire up` says: lines as things happen and a summary for a person, or one JSON object for a program.
import { type DeviceStates, handshakeMs, type StepLine, showLine } from '../lib/trace/handshakes.js';
import type { ShownFrame } from './frames.js';

export interface ReportSettings {
  readonly json: boolean;
  readonly once: boolean;
  readonly keep: boolean;
  readonly runDir: string;
  readonly startNs: bigint;
}

const round = (ms: number): number => Math.round(ms * 1000) / 1000;

export class Report {
  readonly #settings: ReportSettings;
  #frames: readonly ShownFrame[] = [];
  #muted = false;

  constructor(settings: ReportSettings) {
    this.#settings = settings;
  }

  /** Nothing is said any more: standard output is gone. */
  mute(): void {
    this.#muted = true;
  }

  #say(line: string): void {
    if (!this.#settings.json && !this.#muted) process.stdout.write(`${line}\n`);
  }

  note(sentence: string): void {
    const ms = Number(process.hrtime.bigint() - this.#settings.startNs) / 1e6;
    this.#say(`${ms.toFixed(1).padStart(8)} ms  ${sentence}`);
  }

  /** One step of a handshake, as it happens. */
  step(line: StepLine): void {
    this.#say(showLine(line, this.#settings.startNs));
  }

  summary(frames: readonly ShownFrame[], devices: readonly DeviceStates[], storeSocket: string | undefined): void {
    this.#frames = frames;
    const { handshake, firstFrame } = this.#times(devices);
    this.#say('');
    this.#say(`handshake         ${handshake === null ? 'not seen' : `${handshake.toFixed(1)} ms`}`);
    this.#say(`first frame       ${firstFrame === null ? 'none' : `${firstFrame.toFixed(0)} ms after the start`}`);
    for (const frame of frames) {
      const equal = frame.mismatchedPixels === 0 ? 'equal' : 'DIFFERENT';
      this.#say(
        `picture           ${equal}: ${frame.mismatchedPixels} of ${frame.width}x${frame.height} pixels differ, ${frame.path}`,
      );
    }
    if (storeSocket !== undefined) this.#say(`XENSTORED_PATH=${storeSocket}`);
    this.#say('');
  }

  stayingUp(): void {
    this.#say(`The lab runs in ${this.#settings.runDir} until Ctrl-C.`);
  }

  /** The last words; returns whether all is well. `reason` says what failed before the end. */
  finish(devices: readonly DeviceStates[], outcome: { reason: string | undefined; leaks: readonly string[] }): boolean {
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
    if (leaks.length > 0) return `${leaks.length} things were left behind: ${leaks[0]}`;
    return undefined;
  }

  /** Milliseconds: the slowest handshake, and the first frame of the last guest. */
  #times(devices: readonly DeviceStates[]): { handshake: number | null; firstFrame: number | null } {
    const handshakes = devices.map(handshakeMs).filter((ms) => ms !== undefined);
    const flushes = this.#frames.map(({ firstFlushNs }) => Number(firstFlushNs - this.#settings.startNs) / 1e6);
    return {
      handshake: handshakes.length === 0 ? null : round(Math.max(...handshakes)),
      firstFrame: flushes.length === 0 ? null : round(Math.max(...flushes)),
    };
  }
}
