// What the page's server serves: a lab (live.ts), or a campaign with the lab of the case that is replayed, if any (campaign.ts).
import type { Action } from './actions.js';
import type { Sections } from './changes.js';
import type { HistoryWindow } from './history.js';
import type { ShownRing } from './rings.js';
import type { ScreenCursor } from './screens.js';
import type { StoreChange } from './store-view.js';

/** What a page is told: `nowMs` is the lab's time, so that the page can go on counting by itself. */
export interface PageMessage {
  readonly nowMs: number;
  readonly runs: boolean;
  /** What is not in it is not there. */
  readonly whole?: true;
  readonly sections: Sections;
  /** What changed, in the order in which it was read; with `whole` it is everything. */
  readonly store?: { readonly whole: boolean; readonly changes: readonly StoreChange[] };
}

export interface PageSource {
  /** What has changed since the last look; undefined: nothing. */
  look(): Promise<PageMessage | undefined>;
  whole(): PageMessage;
  /** Of which lab windows, rings and screens are; undefined: of none now. */
  readonly lab: ShownLab | undefined;
  readonly campaign?: ShownCampaign;
  close(): Promise<void>;
}

/** What is asked of the lab that is shown. */
export interface ShownLab {
  readonly history: {
    window(spanMs: number, untilMs?: number): HistoryWindow;
    instancesOf(process: string): string[];
  };
  /** Throws UserError, one sentence. */
  readonly actions: { act(name: string, action: Action, at?: string): Promise<void> };
  /** false: it is looked at from outside alone, and nothing may be done to it. */
  readonly asks: boolean;
  rings(domid: number): ShownRing[];
  /** A screen as PNG; undefined where there is none now. */
  frame(device: string): Promise<Uint8Array | undefined>;
  /** The cursor over that screen; undefined where there is no screen now. */
  cursor(device: string): Promise<ScreenCursor | undefined>;
  /** The image of the cursor that was told last, as PNG. */
  cursorImage(device: string): Uint8Array | undefined;
}

/** A cell of the matrix: what happens, while which process stands, to which process. */
export interface CellName {
  readonly fault: string;
  readonly standing: string;
  readonly victim: string;
}

/** A case of a cell, judged or due. */
export interface ShownCase {
  readonly case: string;
  /** undefined: not judged yet. */
  readonly outcome?: string;
  readonly ms?: number;
}

/** The campaign of a page. Both orders throw UserError where they cannot be obeyed. */
export interface ShownCampaign {
  cases(cell: CellName): readonly ShownCase[];
  replay(text: string): Promise<void>;
  /** Ends the replay that is under way. */
  stop(): Promise<void>;
}
