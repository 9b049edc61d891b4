// A rig that is ready for cases: started, and warmed up by a free run, after which everything that is opened at first use is open.
import { UnfitError } from '../lib/core/errors.js';
import { type CaseResult, runCase } from './engine.js';
import { verdictOf } from './replay-text.js';
import { type Personality, Rig } from './rig.js';

/** A lab without any fault is not right: nothing that is found in it would say anything of a fault. */
export class FreeRunError extends UnfitError {
  override readonly name = 'FreeRunError';
  readonly #result: CaseResult;
  constructor(result: CaseResult) {
    super(`a run without a fault fails:\n${verdictOf(result).join('\n')}`);
    this.#result = result;
  }

  /** No property of its own: Node prints those of an error that no code catches, and this has thousands of records. */
  get result(): CaseResult {
    return this.#result;
  }
}

/** `onWarm` gets the free run. Throws FreeRunError. */
export async function openRig(
  runDir: string,
  onWarm: (free: CaseResult) => void = () => {},
  speaks: Personality = {},
): Promise<Rig> {
  const rig = await Rig.start(runDir, speaks);
  try {
    // Guests that stay have booted, to the last of their watches.
    await rig.histories.rest();
    // A backend of others does not say when it is ready: what it takes once, it takes during a first life of a guest.
    if (speaks.backendCommand !== undefined) {
      const first = await runCase(rig, undefined);
      // Its guest is still there: the next life would only tell of that.
      if (first.outcome === 'wedged') throw new FreeRunError(first);
    }
    const free = await runCase(rig, undefined);
    if (free.outcome !== 'pass') throw new FreeRunError(free);
    await rig.warmedUp();
    onWarm(free);
    return rig;
  } catch (error) {
    await rig.close();
    throw error;
  }
}
