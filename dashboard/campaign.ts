// The page of a campaign: how far it is, and the lab of the case that a person replays. Leaves what a campaign is to the data that it
// is given (chaos/report/campaign-view.ts), the lab to live.ts and the replay to replay-run.ts.
import { UserError } from '../lib/core/errors.js';
import { Changes, listed, type Sections } from './changes.js';
import { LivePage } from './live.js';
import { ReplayRun } from './replay-run.js';
import type { CellName, PageMessage, PageSource, ShownCampaign, ShownCase } from './source.js';

export interface CampaignData {
  progress(): object;
  cells(): readonly CellName[];
  failures(): readonly { readonly case: string }[];
  cases(cell: CellName): readonly ShownCase[];
  /** undefined: no case of this campaign. */
  words(text: string): string | undefined;
  readonly replayOptions: readonly string[];
  replayLine(text: string): string;
}

export class CampaignPage implements PageSource, ShownCampaign {
  readonly #data: CampaignData;
  readonly #runDir: string;
  readonly #changes = new Changes();
  #lab: LivePage | undefined;
  #replay: ReplayRun | undefined;
  #replays = 0;
  /** Another lab is shown than at the last look. */
  #isNew = false;
  #busy = false;

  /** Labs of replays are made in folders of this name with a number behind it. */
  constructor(data: CampaignData, runDir: string) {
    this.#data = data;
    this.#runDir = runDir;
  }

  get campaign(): ShownCampaign {
    return this;
  }

  get lab(): LivePage | undefined {
    return this.#lab;
  }

  async look(): Promise<PageMessage | undefined> {
    const lab = await this.#lab?.look();
    const own = this.#sections();
    if (this.#isNew) {
      this.#isNew = false;
      return this.whole();
    }
    if (lab === undefined && Object.keys(own).length === 0) return undefined;
    return { ...this.#clock, ...lab, sections: { ...lab?.sections, ...own } };
  }

  get #clock(): { nowMs: number; runs: boolean } {
    return this.#lab?.clock ?? { nowMs: 0, runs: false };
  }

  whole(): PageMessage {
    const lab: PageMessage = this.#lab?.whole() ?? { ...this.#clock, whole: true, sections: {} };
    return { ...lab, sections: { ...lab.sections, ...this.#changes.whole() } };
  }

  #sections(): Sections {
    const replay = this.#replay;
    const shown = replay === undefined ? {} : this.#shownReplay(replay);
    return this.#changes.of({
      campaign: this.#data.progress(),
      cells: listed(this.#data.cells(), ({ fault, standing, victim }) => `${fault}|${standing}|${victim}`),
      failures: listed(this.#data.failures(), (failure) => failure.case),
      replay: shown,
    });
  }

  #shownReplay({ case: text, state, lines }: ReplayRun): object {
    return { case: text, line: this.#data.replayLine(text), words: this.#data.words(text), state, lines };
  }

  cases(cell: CellName): readonly ShownCase[] {
    return this.#data.cases(cell);
  }

  /** One at a time; the lab of the one before goes. */
  async replay(text: string): Promise<void> {
    if (this.#data.words(text) === undefined) throw new UserError('that is no case of this campaign');
    if (this.#busy || this.#replay?.state === 'runs') throw new UserError('another case is being replayed');
    this.#busy = true;
    try {
      await this.#drop();
      const runDir = `${this.#runDir}-replay-${++this.#replays}`;
      this.#replay = new ReplayRun(text, runDir, this.#data.replayOptions);
      this.#lab = new LivePage(runDir, { asks: false });
      this.#isNew = true;
    } finally {
      this.#busy = false;
    }
  }

  async stop(): Promise<void> {
    await this.#replay?.stop();
  }

  async #drop(): Promise<void> {
    const [lab, replay] = [this.#lab, this.#replay];
    this.#lab = undefined;
    this.#replay = undefined;
    await lab?.close();
    await replay?.close();
  }

  async close(): Promise<void> {
    await this.#drop();
  }
}
