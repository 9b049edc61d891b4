// One lab as the page sees it: reads the histories as they grow, looks at the processes, keeps a session as dom0 for the store and the
// screens while a host runs, and gives what has changed since the last look. Of a lab that has ended it has what the rings hold.
import { HistoryFeed } from '../lab/feed.js';
import { InOrder, SETTLED_NS } from '../lab/follow.js';
import { type ProcessRates, Rates } from '../lab/rates.js';
import { openSession, type Session } from '../lab/session.js';
import { flowsOf } from '../lib/trace/flows.js';
import { POINT } from '../lib/trace/points.js';
import type { TraceRecord } from '../lib/trace/record.js';
import { Actions } from './actions.js';
import { Changes, listed, type Sections } from './changes.js';
import { Devices } from './devices.js';
import { isGone } from './gone.js';
import { PageHistory } from './history.js';
import { Latencies, PERCENTILES, Ports } from './percentiles.js';
import { ringsOf, type ShownRing } from './rings.js';
import { type ScreenCursor, Screens } from './screens.js';
import type { PageMessage, PageSource, ShownLab } from './source.js';
import { type StoreChange, StoreView } from './store-view.js';
import { Wires } from './wires.js';

/** The looks at processes and states, which cost more than reading rings: a quarter as often. */
const LOOKS_A_SAMPLE = 2;
/** Processor time is told in hundredths of a second: less would jump. */
const RATES_MS = 1000;
/** Names of guests by their domains that are remembered: more than a lab has at a time. */
const GUESTS_MAX = 1024;
const MEASURED_NS = 1_000_000_000n;

export type LabState = 'starts' | 'runs' | 'no host' | 'ended';

interface ShownProcess extends Pick<ProcessRates, 'name' | 'pid' | 'state' | 'condition' | 'at'> {
  readonly incarnation: string;
  readonly cpuPercent: number;
  readonly residentMib: number;
  readonly recordsPerSecond: number;
  readonly wakeUpsPerSecond: number;
  readonly historyFill: number;
}

export class LivePage implements PageSource, ShownLab {
  readonly history = new PageHistory();
  readonly actions: Actions;
  readonly asks: boolean;
  readonly #runDir: string;
  readonly #feed: HistoryFeed;
  readonly #inOrder = new InOrder();
  readonly #rates: Rates;
  readonly #devices = new Devices();
  readonly #ports = new Ports();
  readonly #latencies = new Latencies();
  readonly #wires = new Wires();
  readonly #store = new StoreView();
  readonly #guests = new Map<number, string>();
  readonly #changes = new Changes();
  readonly #end = new AbortController();
  #processes: ProcessRates[] = [];
  #looks = 0;
  #measuredNs: bigint | undefined;
  #session: Session | undefined;
  #hostLife = 0;
  #storeLife = 0;
  readonly #screens: Screens;
  #opening: Promise<void> | undefined;

  /** `asks` false: looks from outside alone, without a session, so that the lab holds nothing of the page's. */
  constructor(runDir: string, { asks = true }: { asks?: boolean } = {}) {
    this.#runDir = runDir;
    this.asks = asks;
    this.actions = new Actions(runDir);
    this.#feed = new HistoryFeed(runDir);
    this.#screens = new Screens(
      runDir,
      (name) => this.#processes.find((each) => each.name === name && each.condition === 'runs')?.incarnation ?? 0,
    );
    this.#rates = new Rates(runDir, this.#feed, RATES_MS);
  }

  get lab(): this {
    return this;
  }

  async look(): Promise<PageMessage | undefined> {
    this.#take(this.#inOrder.take(this.#feed.read(), process.hrtime.bigint() - SETTLED_NS));
    if (this.#looks++ % LOOKS_A_SAMPLE === 0) this.#sample();
    this.#measure();
    const changes = await this.#storeChanges();
    this.#devices.stored(changes, process.hrtime.bigint());
    const sections = this.#sections();
    if (changes.length === 0 && Object.keys(sections).length === 0) return undefined;
    return { ...this.clock, sections, ...(changes.length === 0 ? {} : { store: { whole: false, changes } }) };
  }

  /** Everything, for a page that has just been opened. */
  whole(): PageMessage {
    const changes = [...this.#store.nodes].map(([path, node]) => ({ path, node }));
    return { ...this.clock, whole: true, sections: this.#changes.whole(), store: { whole: true, changes } };
  }

  /** The lab's time, which stands still once it has ended. */
  get clock(): { nowMs: number; runs: boolean } {
    const runs = this.state !== 'ended';
    return { nowMs: this.history.msOf(runs ? process.hrtime.bigint() : this.history.lastNs), runs };
  }

  #take(records: readonly TraceRecord[]): void {
    this.history.take(records);
    this.#devices.take(records);
    this.#ports.take(records);
    this.#store.take(records);
    this.#rates.take(records);
    for (const { process: name, domid, point, a } of records) {
      if (point === POINT['domain.give']) this.#latencies.gone(a);
      if (domid === undefined || !name.startsWith('guest-')) continue;
      this.#guests.set(domid, name.slice('guest-'.length));
      const [oldest] = this.#guests.keys();
      if (this.#guests.size > GUESTS_MAX) this.#guests.delete(oldest!);
    }
  }

  /** Notifications and wires, of a second at a time, and at once what is left of a lab that has ended. */
  #measure(): void {
    const isOver = this.state === 'ended';
    const nowNs = isOver ? this.history.lastNs : process.hrtime.bigint() - SETTLED_NS;
    const fromNs = this.#measuredNs ?? this.history.startNs;
    if (nowNs <= fromNs || (!isOver && nowNs - fromNs < MEASURED_NS)) return;
    this.#measuredNs = nowNs;
    const records = this.history.since(fromNs);
    const before = this.history.sessions.filter(({ ns }) => ns < (records[0]?.ns ?? 0n));
    const flows = flowsOf([...before, ...records]);
    this.#latencies.take(flows);
    this.#wires.take(flows, Number(nowNs - fromNs) / 1e9);
  }

  #sample(): void {
    this.#processes = this.#rates.sample(process.hrtime.bigint());
    this.actions.look(new Set(this.#processes.filter(({ condition }) => condition !== 'dead').map(({ pid }) => pid)));
    const life = (name: string): number =>
      this.#processes.find((each) => each.name === name && each.condition !== 'dead')?.incarnation ?? 0;
    if (life('hypervisor') !== this.#hostLife) {
      this.#hostLife = life('hypervisor');
      this.#dropSession();
    }
    if (life('xenstored') !== this.#storeLife) {
      this.#storeLife = life('xenstored');
      this.#store.all();
    }
    if (
      this.asks &&
      this.#session === undefined &&
      this.#opening === undefined &&
      this.#hostLife !== 0 &&
      this.#storeLife !== 0
    )
      this.#opening = this.#open().finally(() => {
        this.#opening = undefined;
      });
  }

  async #open(): Promise<void> {
    const life = this.#hostLife;
    try {
      const session = await openSession({
        runDir: this.#runDir,
        name: 'dashboard',
        signal: this.#end.signal,
        say: () => {},
      });
      if (life !== this.#hostLife || this.#end.signal.aborted) return await session.close();
      this.#session = session;
      this.#screens.session = session;
      this.#store.all();
    } catch (error) {
      // The next look tries again.
      if (!isGone(error)) throw error;
    }
  }

  #dropSession(): void {
    void this.#session?.close();
    this.#session = undefined;
    this.#screens.session = undefined;
  }

  async #storeChanges(): Promise<StoreChange[]> {
    // xenstored answers no request while it is stopped, and its silence must not hold up the rest of the page.
    const runs = this.#processes.some(({ name, condition }) => name === 'xenstored' && condition === 'runs');
    if (this.#session === undefined || !runs) return [];
    try {
      return await this.#store.look(this.#session.store);
    } catch (error) {
      if (!isGone(error)) throw error;
      return [];
    }
  }

  get state(): LabState {
    if (this.#processes.length === 0 && this.history.isEmpty) return 'starts';
    if (this.#processes.every(({ condition }) => condition === 'dead')) return 'ended';
    return this.#hostLife === 0 ? 'no host' : 'runs';
  }

  #sections(): Sections {
    const { history } = this;
    const lost = [...this.#feed.lost].reduce((sum, [, count]) => sum + count, 0);
    const processes = this.#processes.map(shownProcess);
    this.#screens.keep((device) => this.#devices.framesOf(device) !== undefined);
    const all = this.#devices.shown(this.#processes, this.#guests, history.startNs);
    const ports = this.#ports.shown();
    const wires = this.#wires.shown(new Set(processes.map(({ name }) => name)));
    // A device that only draws changes nothing of its handshake: what moves with each frame is told apart.
    const devices = all.map(
      ({ frames: _frames, cursors: _cursors, status: _status, slot: _slot, queues: _queues, ...device }) => device,
    );
    const screens = all.map(({ name, frames, cursors, earlier, status, slot }) => ({
      name,
      frames,
      cursors,
      earlier,
      status,
      slot,
    }));
    return this.#changes.of({
      processes: listed(processes, ({ name }) => name),
      wires: listed(wires, ({ ends }) => ends.join(' ')),
      devices: listed(devices, ({ name }) => name),
      screens: listed(screens, ({ name }) => name),
      ports: listed(ports, ({ domid, port }) => `${domid}/${port}`),
      lab: {
        runDir: this.#runDir,
        state: this.state,
        lost,
        asks: this.asks,
        portsEarlier: this.#feed.lost.has('hypervisor'),
      },
      grants: this.#ports.grants(),
      gates: this.actions.standing,
      latency: { percentiles: PERCENTILES, series: this.#latencies.shown() },
    });
  }

  rings(domid: number): ShownRing[] {
    return ringsOf(this.#runDir, domid, this.#devices.queuesOf(domid));
  }

  /** What the screen of `1/0` shows, as PNG; undefined where there is none now. One look a flush, however many ask. */
  frame(device: string): Promise<Uint8Array | undefined> {
    return this.#screens.frame(device, this.#devices.framesOf(device));
  }

  cursor(device: string): Promise<ScreenCursor | undefined> {
    return this.#screens.cursor(device);
  }

  cursorImage(device: string): Uint8Array | undefined {
    return this.#screens.cursorImage(device);
  }

  async close(): Promise<void> {
    this.#end.abort();
    this.actions.close();
    await this.#opening;
    await this.#session?.close();
    this.#feed.close();
  }
}

/** Rates and sizes as a person reads them: what is told anew changes what is seen. */
function shownProcess(each: ProcessRates): ShownProcess {
  const { name, pid, state, condition, at } = each;
  return {
    ...{ name, pid, state, condition, ...(at === undefined ? {} : { at }) },
    incarnation: each.incarnation.toString(36),
    cpuPercent: Math.round(each.cpuPercent),
    residentMib: Math.round(each.residentBytes / (1 << 20)),
    recordsPerSecond: Math.round(each.recordsPerSecond),
    wakeUpsPerSecond: Math.round(each.wakeUpsPerSecond),
    historyFill: Math.round(each.historyFill * 100) / 100,
  };
}
