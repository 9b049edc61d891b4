// A rig that is ready for cases: started, and warmed up by a free run, after which everything that is opened at first use is open.
import { type CaseResult, HarnessError, runCase } from './engine.js';
import { verdictOf } from './replay-text.js';
import { Rig } from './rig.js';

/** `onWarm` gets the free run. Throws HarnessError when a lab without any fault is not right. */
export async function openRig(runDir: string, onWarm: (free: CaseResult) => void = () => {}): Promise<Rig> {
  const rig = await Rig.start(runDir);
  try {
    const free = await runCase(rig, undefined);
    if (free.outcome !== 'pass') throw new HarnessError(`a run without a fault fails: ${verdictOf(free).join('; ')}`);
    await rig.warmedUp();
    onWarm(free);
    return rig;
  } catch (error) {
    await rig.close();
    throw error;
  }
}
