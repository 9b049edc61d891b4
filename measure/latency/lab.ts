// A lab to measure: five processes with one guest that issues the load, started and ended here. Asks the guest for runs and
// hands over what everybody recorded meanwhile; costs no processor time while the guest measures.
// Leaves what the records mean to follow.ts.

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Claim, claimRunDir } from '../../lab/claim.js';
import { endProcesses, removeGuests } from '../../lab/end.js';
import { HistoryFeed } from '../../lab/feed.js';
import { firstFrame } from '../../lab/frames.js';
import { openSession, type Session } from '../../lab/session.js';
import { Lab } from '../../lab/supervisor.js';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { deviceServerProcess } from '../../lib/core/device-server.js';
import type { NotificationPath } from '../../lib/core/notification-path.js';
import type { NotifyMode } from '../../lib/core/notify.js';
import { needsEvtchnRaise } from '../../lib/events/evtchn-raise.js';
import { VIRTIO_GPU_QUEUE_CURSOR } from '../../lib/layout/virtio-gpu.js';
import { frontendPath, homePath, KIND_VIRTIO_MMIO, VIRTIO_MMIO_KEY } from '../../lib/layout/xenbus.js';
import {
  formatRun,
  LATENCY_KEY,
  type LatencyAnswer,
  type LatencyRun,
  parseAnswer,
} from '../../lib/trace/latency-run.js';
import type { TraceRecord } from '../../lib/trace/record.js';
import { createGuest, type Guest } from '../../toolstack/domain.js';
import { type GuestConfig, onPath } from '../../toolstack/guest-config.js';
import { readNode, whenStore } from '../../toolstack/toolstack.js';
import { memoryScratch } from '../owned/bench.js';
import type { Trail } from './follow.js';

export interface LabChoice {
  readonly path: NotificationPath;
  readonly notify: NotifyMode;
  /** 0: every process blocks as soon as nothing is there. Learnt if not given. */
  readonly pollUs?: number;
  readonly history: 'on' | 'off';
  readonly config: GuestConfig;
  readonly image: string;
}

export type LoadChoice = Pick<LatencyRun, 'count'> & Partial<Pick<LatencyRun, 'load' | 'rate' | 'gapUs'>>;

export interface Batch {
  readonly answer: Extract<LatencyAnswer, { ok: true }>;
  /** Of all processes, in order of time. */
  readonly records: readonly TraceRecord[];
  readonly trail: Trail;
}

/** A run of requests that take a millisecond each is slow. */
const REQUEST_MS_MAX = 1;

/** What went wrong in the lab, not in what was measured. */
export class LabError extends Error {
  override readonly name = 'LabError';
}

export class MeasuredLab {
  readonly #lab: Lab;
  readonly #claim: Claim;
  readonly #dir: string;
  readonly #session: Session;
  readonly #feed: HistoryFeed;
  readonly #guest: Guest;
  readonly #port: number;
  readonly #choice: LabChoice;
  readonly #failed: Promise<never>;
  #nextSequence = 1;
  #lastId = 0;
  #ended = false;

  private constructor(parts: {
    lab: Lab;
    claim: Claim;
    dir: string;
    session: Session;
    feed: HistoryFeed;
    guest: Guest;
    port: number;
    choice: LabChoice;
    failed: Promise<never>;
  }) {
    this.#lab = parts.lab;
    this.#claim = parts.claim;
    this.#dir = parts.dir;
    this.#session = parts.session;
    this.#feed = parts.feed;
    this.#guest = parts.guest;
    this.#port = parts.port;
    this.#choice = parts.choice;
    this.#failed = parts.failed;
  }

  /** Resolves when the guest has shown its picture and waits for runs. What was started is ended when that fails. */
  static async start(choice: LabChoice): Promise<MeasuredLab> {
    // Memory, where there is some: pages of a file on a disk are written back now and then, and fault after that.
    const dir = memoryScratch('xw-latency-');
    const claim = await claimRunDir(join(dir, 'lab'));
    const { runDir } = claim;
    const config = onPath(choice.config, choice.path);
    const lab = new Lab({
      runDir,
      notify: choice.notify,
      logLevel: 'warn',
      ...(choice.pollUs === undefined ? {} : { pollUs: choice.pollUs }),
      extraArguments: (program) => [
        ...['--history', choice.history],
        ...(program === 'hypervisor' && needsEvtchnRaise(choice.path) ? ['--dm-evtchn-raise'] : []),
        ...(program === 'guest' ? ['--measured'] : []),
      ],
    });
    const failed = lab.failed.then((sentence): never => {
      throw new LabError(sentence);
    });
    failed.catch(() => {}); // looked at when something waits
    const abort = new AbortController();
    const opening = openSession({ runDir, signal: abort.signal });
    try {
      lab.startGuest(config.name, choice.image);
      const session = await Promise.race([opening, failed]);
      const guest = await Promise.race([session.exclusively(() => createGuest(session, config)), failed]);
      await Promise.race([firstFrame(session, guest, DEADLINE_MS.measuredFrame), failed]);
      const done = `${homePath(guest.domid)}/${LATENCY_KEY.done}`;
      await Promise.race([
        whenStore(session, done, DEADLINE_MS.measuredFrame, () => readNode(session.store, done)),
        failed,
      ]);
      const front = frontendPath({ kind: KIND_VIRTIO_MMIO, domid: guest.domid, devid: 0 });
      const port = Number(await session.store.read(`${front}/${VIRTIO_MMIO_KEY.eventChannel}`));
      return new MeasuredLab({ lab, claim, dir, session, feed: new HistoryFeed(runDir), guest, port, choice, failed });
    } catch (error) {
      abort.abort();
      const closed = opening.then(
        (session) => session.close(),
        () => {}, // it gave up
      );
      await Promise.all([lab.abandon(), closed]);
      claim.release({ keep: false });
      rmSync(dir, { recursive: true, force: true });
      throw error;
    }
  }

  /** Every process of the lab. */
  get pids(): readonly number[] {
    return [...this.#lab.services.values(), ...this.#lab.guests.values()].map(({ pid }) => pid);
  }

  /** Has the guest issue requests and hands over what was recorded. Throws LabError when records were overwritten. */
  async run(load: LoadChoice): Promise<Batch> {
    this.#feed.read(); // what came before belongs to no measurement
    const lostBefore = new Map(this.#feed.lost);
    const first = this.#nextSequence;
    const answer = await this.load(load);
    const records = this.#feed.read();
    for (const [process, lost] of this.#feed.lost) {
      if (lost !== (lostBefore.get(process) ?? 0)) {
        throw new LabError(`the history of ${process} went round within one run: fewer requests a run are needed`);
      }
    }
    const trail: Trail = {
      path: this.#choice.path,
      domid: this.#guest.domid,
      guest: `guest-${this.#guest.name}`,
      server: deviceServerProcess(undefined),
      port: this.#port,
      queue: VIRTIO_GPU_QUEUE_CURSOR,
      first,
      count: load.count,
    };
    return { answer, records, trail };
  }

  /** Has the guest issue requests; its own figures of them. Throws LabError when it cannot. */
  async load({ count, load = 'closed', rate = 0, gapUs = 0 }: LoadChoice): Promise<Batch['answer']> {
    const session = this.#session;
    const home = homePath(this.#guest.domid);
    const run: LatencyRun = { id: ++this.#lastId, first: this.#nextSequence, count, load, rate, gapUs };
    this.#nextSequence += count;
    const gapMs = load === 'open' ? 1000 / rate : gapUs / 1000;
    const deadlineMs = DEADLINE_MS.measuredAnswerSlack + count * (gapMs + REQUEST_MS_MAX);
    await session.store.write(`${home}/${LATENCY_KEY.run}`, formatRun(run));
    const done = `${home}/${LATENCY_KEY.done}`;
    const answer = await Promise.race([
      whenStore(session, done, deadlineMs, async () => {
        const found = parseAnswer((await readNode(session.store, done)) ?? '');
        return found?.id === run.id ? found : undefined;
      }),
      this.#failed,
    ]);
    if (!answer.ok) throw new LabError(`the guest could not perform the load: ${answer.reason}`);
    return answer;
  }

  /** Ends everything in order; what is left behind is an error. */
  async stop(): Promise<void> {
    try {
      this.#lab.expectGuestsToEnd();
      const leaks = await removeGuests(this.#session, () => true);
      const server = await this.#session.connect('vhost-gpu');
      leaks.push(...(await endProcesses(this.#lab, this.#session, new Map([['vhost-gpu', server]]))));
      if (leaks.length > 0) throw new LabError(`left behind: ${leaks.join('; ')}`);
    } finally {
      await this.abandon();
    }
  }

  /** Ends everything at once; nothing is left to do after stop(). */
  async abandon(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await Promise.all([this.#lab.abandon(), this.#session.close()]);
    this.#feed.close();
    this.#claim.release({ keep: false });
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
