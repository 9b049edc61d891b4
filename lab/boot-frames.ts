// The first frames of guests whose lab loses processes while they boot: a guest that is made anew is waited for again, and a picture
// that a death took from the screen is looked at until it is back. Without a death the first look counts. Leaves one look, and
// waiting for one domain, to frames.ts.
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { ErrnoError, PeerDiedError } from '../lib/core/errors.js';
import { lookAgain } from '../lib/node/process/wait.js';
import type { Guest } from '../toolstack/domain.js';
import type { GuestConfig } from '../toolstack/guest-config.js';
import type { Toolstack } from '../toolstack/toolstack.js';
import { firstFrame, GuestEndedError } from './frames.js';
import type { GuestFrame } from './report.js';

const LOOK_MS = 20;

/** A guest of the lab; its monitor puts another domain in when the guest is made anew, and clears `runs` when it is not. */
export interface Booting {
  readonly config: GuestConfig;
  readonly guest: Guest;
  readonly runs: boolean;
}

/**
 * Resolves once the guest's first frame is shown, by the domain that runs it then. Rejects as firstFrame does, and with GuestEndedError
 * when the domain ended and its configuration makes no other of it.
 */
export async function firstFrameThroughDeaths(
  toolstack: Toolstack,
  booting: Booting,
  say: (sentence: string) => void,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const { guest, config } = booting;
    try {
      return await firstFrame(toolstack, guest, DEADLINE_MS.firstFrame, say);
    } catch (error) {
      if (!(error instanceof GuestEndedError) || !config.onCrash.endsWith('restart')) throw error;
      const until = AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS.firstFrame)]);
      const settled = async (): Promise<true | undefined> =>
        booting.guest !== guest || !booting.runs ? true : undefined;
      if ((await lookAgain(settled, LOOK_MS, until)) === undefined || booting.guest === guest) throw error;
    }
  }
}

/**
 * What a guest shows, compared, by `look`. Where `died` says that a process did, or a look finds one dead, the picture has
 * DEADLINE_MS.firstFrame to be right again; then the last look counts, or its error.
 */
export async function shownThroughDeaths(
  look: () => Promise<GuestFrame>,
  died: () => boolean,
  signal: AbortSignal,
): Promise<GuestFrame> {
  let last: GuestFrame | undefined;
  const right = async (): Promise<GuestFrame | undefined> => {
    try {
      last = await look();
    } catch (error) {
      if (!(error instanceof PeerDiedError) && !(error instanceof ErrnoError && died())) throw error;
      last = undefined;
      return undefined;
    }
    return last.mismatchedPixels === 0 || !died() ? last : undefined;
  };
  const until = AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS.firstFrame)]);
  return (await lookAgain(right, LOOK_MS, until)) ?? last ?? look();
}
