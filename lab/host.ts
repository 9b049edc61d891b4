// One life of a host under `xenwire up`: its processes, the toolstack's session, the guests and their monitors. It goes with
// its hypervisor; up.ts makes the next one. Leaves processes to supervisor.ts, guests' ends to guest-end.ts, words to its story.
import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { type DeviceServerProcess, deviceServerProcess } from '../lib/core/device-server.js';
import { DeadlineError, ErrnoError, errorMessage, GuestFailedError, PeerDiedError } from '../lib/core/errors.js';
import { type Picture, variation } from '../lib/core/picture.js';
import type { BusClient } from '../lib/core/service.js';
import { needsEvtchnRaise } from '../lib/events/evtchn-raise.js';
import { homePath, XenbusState } from '../lib/layout/xenbus.js';
import { writePng } from '../lib/node/files/png.js';
import { removeDead } from '../lib/node/process/run-dir.js';
import { lookAgain, withDeadline } from '../lib/node/process/wait.js';
import { createGuest, type Guest } from '../toolstack/domain.js';
import { type GuestConfig, onPath, onServer } from '../toolstack/guest-config.js';
import { giveUpGuest, watchGuest } from '../toolstack/guest-end.js';
import { readNode } from '../toolstack/toolstack.js';
import { backendFirst, backendLooked, backendStatePath } from './backend-first.js';
import { firstFrameThroughDeaths, shownThroughDeaths } from './boot-frames.js';
import { type Exit, howItEnded, type LabProcess } from './child.js';
import { endProcesses, removeGuests } from './end.js';
import { animate, FrameWatch } from './frame-watch.js';
import { checkFrame, checkSocketFrame, firstFrame } from './frames.js';
import type { GuestFrame } from './report.js';
import type { Session } from './session.js';
import type { Story } from './story.js';
import { Lab, type LabRestart, type LabService } from './supervisor.js';
import type { UpSettings } from './up-settings.js';

/** Something in the lab failed; the message says what. */
export class LabFailedError extends Error {
  override readonly name = 'LabFailedError';
}

/** How often a picture that is not right yet is looked at again. */
const LOOK_MS = 20;

const nth = <T>(list: readonly T[] | undefined, index: number): T | undefined => list?.[index % list.length];

/** The process that serves a guest's first device, which is its screen. */
const serverIn = ({ virtio }: GuestConfig): DeviceServerProcess => deviceServerProcess(virtio[0]?.server);

interface RunningGuest {
  readonly index: number;
  readonly config: GuestConfig;
  /** The domain changes with each restart. */
  guest: Guest;
  /** False once it is removed, or kept as it ended. */
  runs: boolean;
  /** Looks at its frames, while it draws. */
  watch?: FrameWatch;
}

export class Host {
  readonly lab: Lab | undefined;
  /** Resolves with a sentence when the hypervisor ended unasked, in a lab with restarts. */
  readonly lost: Promise<string>;
  /** Rejects with LabFailedError when the host cannot go on. */
  readonly failed: Promise<never>;
  readonly #settings: UpSettings;
  readonly #runDir: string;
  readonly #story: Story;
  readonly #abort = new AbortController();
  readonly #guests: RunningGuest[] = [];
  readonly #watches: [path: string, token: string][] = [];
  #lastWatch = 0;
  readonly #imagePaths = new Map<string, string>();
  #session: Session | undefined;
  /** A process that is started again did, or a guest's process. */
  #died = false;
  /** Guests whose process ended while they had no domain yet. */
  readonly #endedEarly = new Set<string>();
  /** Connections to the device servers that live. */
  readonly #displays = new Map<DeviceServerProcess, BusClient>();
  #fail!: (error: Error) => void;

  /** Starts the processes, unless the lab is another's; the guest's first process with them, to wait for its domain. */
  constructor(settings: UpSettings, runDir: string, story: Story) {
    this.#settings = settings;
    this.#runDir = runDir;
    this.#story = story;
    this.lab = settings.attach ? undefined : this.#startLab();
    this.lost = this.lab?.hostLost ?? new Promise(() => {});
    this.failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.failed.catch(() => {}); // looked at when something waits
    void this.lab?.failed.then((sentence) => this.#fail(new LabFailedError(sentence)));
    if (!backendFirst(this.#settings)) this.#startProcess(settings.config.name, settings.image.path);
    this.lab?.onGuestEnd((ended) => story.note(`guest ${ended} has ended`));
  }

  #startLab(): Lab {
    const settings = this.#settings;
    const raise = [...(settings.paths ?? []), ...settings.config.virtio.map(({ path }) => path)].some(needsEvtchnRaise);
    const extraArguments = (program: string): string[] => {
      const speaks = ['--frontend', settings.frontend];
      const core = settings.core === undefined ? [] : ['--core', settings.core];
      if (program === 'guest') return ['--store-transport', settings.storeTransport, ...speaks, ...core];
      if (program === 'vhost-frontend') return [...speaks, '--backend', settings.backend];
      if (program === 'hypervisor') return ['--dom0', settings.dom0, ...(raise ? ['--dm-evtchn-raise'] : [])];
      return [];
    };
    const { notify, logLevel, pollUs, deadAfterMs, backendCommand, foreignStore } = settings;
    const named = settings.servers ?? settings.config.virtio.map(({ server }) => server);
    return new Lab({
      ...{ runDir: this.#runDir, notify, logLevel, extraArguments },
      ...(pollUs === undefined ? {} : { pollUs }),
      foreignStore,
      serverNames: [...new Set(named.filter((name) => name !== undefined))],
      ...(backendCommand === undefined ? {} : { backendCommand }),
      ...(settings.restart ? { restart: this.#restart() } : {}),
      ...(settings.restart && deadAfterMs > 0 ? { deadAfterMs } : {}),
    });
  }

  #restart(): LabRestart {
    const pending = new Map<LabService, { sentence: string; slow: NodeJS.Timeout }>();
    return {
      onDied: (service, sentence) => {
        this.#died = true;
        const slow = setTimeout(() => this.#story.note(`${sentence}; it is being started again`), DEADLINE_MS.silence);
        pending.set(service, { sentence, slow });
      },
      onReady: (service, process_, ms) => {
        const died = pending.get(service);
        clearTimeout(died?.slow);
        pending.delete(service);
        void this.#recovered(process_, ms, died?.sentence ?? service);
      },
      onGuestEnded: (name, process_, exit) => void this.#guestEnded(name, process_, exit),
    };
  }

  /** Tells how long it took until every picture was right again. */
  async #recovered(process_: LabProcess, readyMs: number, sentence: string): Promise<void> {
    const sinceNs = process.hrtime.bigint() - BigInt(Math.round(readyMs * 1e6));
    const back = `${sentence}; pid ${process_.pid} was ready after ${readyMs.toFixed(0)} ms`;
    const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(DEADLINE_MS.recovery)]);
    const right = await lookAgain(() => this.#allRight(sinceNs), LOOK_MS, signal);
    if (this.#abort.signal.aborted || process_.exit !== undefined) return;
    const ms = Number(process.hrtime.bigint() - sinceNs) / 1e6;
    const pictures = this.#guests.length === 1 ? 'the picture was' : 'all pictures were';
    this.#story.note(
      right === undefined
        ? `${back}, but ${pictures} not right again within ${DEADLINE_MS.recovery} ms`
        : `${back}, ${pictures} right again after ${ms.toFixed(0)} ms`,
    );
  }

  /**
   * True when each guest's device is connected at both ends and shows what it was given, or has shown a numbered frame
   * since then; undefined: not yet.
   */
  async #allRight(sinceNs: bigint): Promise<true | undefined> {
    const session = this.#session;
    if (session === undefined || this.#guests.length === 0) return true;
    // Of a device server that died: its next process is being connected to.
    if (this.#deviceServers.some((server) => !this.#displays.has(server))) return undefined;
    try {
      for (const running of this.#guests.filter(({ runs }) => runs)) {
        const path = backendStatePath(running.guest, this.#settings.frontend);
        const state = await readNode(session.store, path);
        if (state !== String(XenbusState.Connected)) return undefined;
        const { watch } = running;
        if (watch !== undefined) {
          if ((watch.viewed.lastNs ?? 0n) <= sinceNs) return undefined;
        } else if ((await this.#check(session, running)).mismatchedPixels > 0) return undefined;
      }
      return true;
    } catch (error) {
      // Not there yet, or dying once more: the next look tells.
      if (error instanceof ErrnoError || error instanceof PeerDiedError) return undefined;
      throw error;
    }
  }

  /** Makes the guests and resolves with their first frames, compared. */
  async show(): Promise<GuestFrame[]> {
    // Loaded while the processes start: ZeroMQ takes a while.
    const { openSession } = await import('./session.js');
    const { signal } = this.#abort;
    signal.throwIfAborted(); // a session would make its files in a directory that is given up
    const { hold, restart, attach } = this.#settings;
    const how = { keepHistory: true, say: this.#slow, hold, awaitsStore: restart && !attach };
    const session = await openSession({ runDir: this.#runDir, signal, ...how });
    this.#session = session;
    for (let index = 0; index < this.#settings.guests; index++) await this.#startGuest(session, index);
    for (const server of this.#deviceServers) await this.#connectDisplay(session, server);
    const frames: GuestFrame[] = [];
    await Promise.all(
      this.#guests.map((running) => firstFrameThroughDeaths(session, running, this.#slow, this.#abort.signal)),
    );
    this.#story.pump();
    for (const running of this.#guests) {
      const look = (): Promise<GuestFrame> => this.#check(session, running);
      frames.push(await shownThroughDeaths(look, () => this.#died, this.#abort.signal));
    }
    if (this.#settings.animate > 0) for (const running of this.#guests) await this.#animate(session, running);
    return frames;
  }

  /** Has a guest draw, and looks at each frame: of a guest that was made anew from its first frame on. */
  async #animate(session: Session, running: RunningGuest): Promise<void> {
    await running.watch?.close();
    const watch = new FrameWatch(() => session.connect(serverIn(running.config)), `${running.guest.domid}/0`);
    running.watch = watch;
    await watch.start();
    await animate(session, running.guest.domid, this.#settings.animate);
  }

  /** What was seen of the frames of all guests, a sentence each. */
  get seen(): string[] {
    return this.#guests.flatMap(({ watch, guest }) => {
      if (watch === undefined) return [];
      const { count, tornCount, backwardsCount, gapMsMax } = watch.viewed;
      const wrong =
        tornCount + backwardsCount === 0 ? 'none torn' : `${tornCount} torn, ${backwardsCount} out of order`;
      return [`guest ${guest.name}: ${count} frames, ${wrong}, longest time between two ${gapMsMax.toFixed(0)} ms`];
    });
  }

  readonly #slow = (sentence: string): void => this.#story.note(sentence);

  /** Those of a lab of our own; in another's, those of our guests. */
  get #deviceServers(): readonly DeviceServerProcess[] {
    return this.lab?.deviceServers ?? [...new Set(this.#guests.map(({ config }) => serverIn(config)))];
  }

  async #connectDisplay(session: Session, server: DeviceServerProcess): Promise<void> {
    const client = await session.connect(server);
    this.#displays.set(server, client);
    client.onLost(() => {
      if (this.#displays.get(server) === client) this.#displays.delete(server);
      // Its next process shows the pictures again.
      if (!this.#settings.restart || this.#abort.signal.aborted) return;
      this.#connectDisplay(session, server).catch(() => {}); // the session has ended
    });
  }

  #startProcess(name: string, image: string): void {
    this.#imagePaths.set(name, image);
    this.lab?.startGuest(name, image);
  }

  async #startGuest(session: Session, index: number): Promise<void> {
    const { image, paths, servers } = this.#settings;
    const first = this.#settings.config.name;
    const name = index === 0 ? first : `${first}-${index + 1}`;
    const onItsPath = onPath(this.#settings.config, nth(paths, index));
    const config = { ...(servers === undefined ? onItsPath : onServer(onItsPath, nth(servers, index))), name };
    const given = index === 0 ? image.path : join(this.#runDir, 'frames', `${name}-given.png`);
    if (index > 0 && this.lab !== undefined) {
      await writePng(given, this.#expected(index));
      if (!backendFirst(this.#settings)) this.#startProcess(name, given);
    } else if (index === 0) await this.#tellSteps(session, '/local/domain/0/backend');
    const guest = await session.exclusively(() => createGuest(session, config));
    if (backendFirst(this.#settings)) {
      await backendLooked(session, guest, this.#settings.frontend);
      this.#startProcess(name, given);
    }
    const running = { guest, index, config, runs: true };
    this.#guests.push(running);
    await this.#tellSteps(session, `${homePath(guest.domid)}/device`);
    this.#story.note(`guest ${name} is domain ${guest.domid}${index === 0 ? `, to show ${image.path}` : ''}`);
    if (this.#settings.restart && this.lab !== undefined) this.#monitor(session, running);
    if (this.#endedEarly.delete(name)) await this.#giveUp(session, running);
  }

  /** As xl's monitor of the domain: what its configuration says of its end is done. */
  #monitor(session: Session, running: RunningGuest): void {
    const { name } = running.config;
    const done = watchGuest(session, running.guest, running.config, {
      exclusively: (sequence) => session.exclusively(sequence),
      say: (sentence) => this.#story.note(sentence),
      dump: async (guest) => (await import('./guest-dump.js')).dumpGuest(session, this.#runDir, guest),
      restarted: (guest) => {
        void this.#tellNoMore(session, running.guest);
        running.guest = guest;
        if (this.#settings.animate > 0) void this.#animateAgain(session, running);
        void this.#startAgain(session, guest, name);
        void this.#tellSteps(session, `${homePath(guest.domid)}/device`).catch(() => {}); // only lines are lost
      },
    });
    done.then(
      () => {
        running.runs = false;
        void this.#tellNoMore(session, running.guest);
        void this.lab?.guests.get(name)?.endWithDomain();
      },
      (error: unknown) => {
        if (!this.#abort.signal.aborted) this.#fail(error instanceof Error ? error : new Error(String(error)));
      },
    );
  }

  async #startAgain(session: Session, guest: Guest, name: string): Promise<void> {
    try {
      if (backendFirst(this.#settings)) await backendLooked(session, guest, this.#settings.frontend);
      this.#startProcess(name, this.#imagePaths.get(name)!);
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  async #animateAgain(session: Session, running: RunningGuest): Promise<void> {
    try {
      await firstFrame(session, running.guest);
      await this.#animate(session, running);
    } catch (error) {
      // It ended once more, or the lab does.
      if (
        !(error instanceof GuestFailedError) &&
        !(error instanceof PeerDiedError) &&
        !(error instanceof DeadlineError)
      )
        throw error;
    }
  }

  /** One that never attached to its domain: no connection tells the hypervisor that it is gone. */
  async #guestEnded(name: string, process_: LabProcess, exit: Exit): Promise<void> {
    removeDead(this.#runDir, process_.pid);
    this.#died ||= exit.code !== 0;
    const running = this.#guests.find(({ config }) => config.name === name);
    if (exit.code !== 0) this.#story.note(`guest ${name} (pid ${process_.pid}) ${howItEnded(exit)}`);
    // What it was told is wrong, by its own word: a restart would end as this one did.
    if (exit.code === 2) this.#fail(new LabFailedError(`guest ${name} (pid ${process_.pid}) ${howItEnded(exit)}`));
    else if (exit.code !== 0 && running === undefined) this.#endedEarly.add(name);
    else if (exit.code !== 0) await this.#giveUp(this.#session!, running!);
  }

  async #giveUp(session: Session, { guest }: RunningGuest): Promise<void> {
    await giveUpGuest(session, guest.domid).catch((error: unknown) => {
      if (!(error instanceof PeerDiedError)) throw error; // the host's end is told by others
    });
  }

  /** What happens below a path of the store is told as it happens. */
  async #tellSteps(session: Session, path: string): Promise<void> {
    if (this.#settings.json) return;
    const token = `up-${++this.#lastWatch}`;
    this.#watches.push([path, token]);
    await session.store.watch(path, token, () => this.#story.pump());
  }

  /** A guest has ended for good: nothing happens below its devices any more. */
  async #tellNoMore(session: Session, { domid }: Guest): Promise<void> {
    const devices = `${homePath(domid)}/device`;
    const at = this.#watches.findIndex(([path]) => path === devices);
    if (at < 0) return;
    const [watch] = this.#watches.splice(at, 1);
    await session.store.unwatch(...watch!).catch(() => {}); // the lab ends
  }

  /** What guest `index` must show. */
  #expected(index: number): Picture {
    return variation(this.#settings.image.picture, this.#settings.attach ? 0 : index);
  }

  async #check(session: Session, { guest, index, config }: RunningGuest): Promise<GuestFrame> {
    const path = join(this.#runDir, 'frames', `${guest.name}.png`);
    const server = serverIn(config);
    const display =
      this.#displays.get(server) ?? (await withDeadline(session.connect(server), DEADLINE_MS.recovery, server));
    const expected = this.#expected(index);
    const frame =
      this.#settings.backendCommand === undefined
        ? await checkFrame(display, `${guest.domid}/0`, path, expected)
        : await checkSocketFrame(session, path, expected);
    if (this.#settings.frames === undefined) return { ...frame, guest: guest.name };
    const copy = join(this.#settings.frames, `${guest.name}.png`);
    copyFileSync(path, copy);
    return { ...frame, guest: guest.name, path: copy };
  }

  /** The store's socket for unmodified tools, if xenstored serves one. */
  get storeSocket(): string | undefined {
    const path = join(this.#runDir, 'xenstored.socket');
    return existsSync(path) ? path : undefined;
  }

  /** What `work` gives, or a rejection that says which process failed meanwhile. */
  async unlessFailed<T>(work: Promise<T>): Promise<T> {
    work.catch(() => {}); // it may lose the race and fail later
    try {
      return await Promise.race([work, this.failed]);
    } catch (error) {
      // A death shows on our connections and in the store before the exit status is known: the process is the reason.
      const shows = error instanceof PeerDiedError || error instanceof GuestFailedError;
      if (!shows || this.lab === undefined) throw error;
      return await withDeadline(this.failed, DEADLINE_MS.causeOfEnd, error.message).catch((late: unknown) => {
        throw late instanceof DeadlineError ? error : late;
      });
    }
  }

  /** Takes everything down in order; returns what is left behind. */
  async end(): Promise<string[]> {
    const session = this.#session;
    if (session === undefined) {
      await this.abandon();
      return [];
    }
    try {
      return await this.unlessFailed(this.#endInOrder(session));
    } catch (error) {
      await this.abandon();
      return [`tearing down: ${errorMessage(error)}`];
    }
  }

  async #endInOrder(session: Session): Promise<string[]> {
    const { lab } = this;
    for (const sentence of this.seen) this.#story.note(sentence);
    for (const { watch } of this.#guests) await watch?.close();
    lab?.expectGuestsToEnd();
    // In a lab of our own all guests go, those that `xenwire create` added too.
    const own = new Set(this.#guests.map(({ guest }) => guest.domid));
    const leaks = await removeGuests(session, (domid) => lab !== undefined || own.has(domid));
    this.#story.pump();
    this.#abort.abort();
    for (const [path, token] of this.#watches) await session.store.unwatch(path, token);
    if (lab === undefined) await session.close();
    else {
      for (const server of lab.deviceServers.filter((each) => !this.#displays.has(each)))
        this.#displays.set(server, await session.connect(server));
      leaks.push(...(await endProcesses(lab, session, this.#displays)));
    }
    return leaks;
  }

  /** After a failure there is no order to keep: all processes end, and with them what they held. */
  async abandon(): Promise<void> {
    this.#abort.abort();
    await Promise.all([this.lab?.abandon(), this.#session?.close()]);
  }

  /** The hypervisor has ended: the others end by themselves, or are ended. */
  async goDown(): Promise<void> {
    await this.lab?.hostDown();
    this.#abort.abort();
    await this.#session?.close();
  }
}
