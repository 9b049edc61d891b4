// A parser's fuzzing as a test: so many inputs, none of which is a finding, with new code reached and memory bounded.
// XENWIRE_FUZZ_INPUTS: how many (five hundred in the first tier, ten thousand in the second, a million in npm run bench);
// XENWIRE_FUZZ_SEED: which. Leaves what an input means to the target.
import type { Test } from 'tap';
import { type FuzzTarget, fuzz } from './fuzzer.js';
import { tries } from './tier.js';

export const FUZZ_INPUTS = Number(process.env['XENWIRE_FUZZ_INPUTS'] ?? tries(500, 10_000));
const SEED = Number(process.env['XENWIRE_FUZZ_SEED'] ?? 1);
/** Of the heap, above what it was; a leak of 200 bytes an input shows with a million. */
const BYTES_MAX = 200 << 20;
/** A machine that is slow, and busy. */
const MS_MAX_EACH = 20;

export function fuzzTest(t: Test, target: FuzzTarget): void {
  t.test(`${target.name}: ${FUZZ_INPUTS} inputs`, { timeout: 30_000 + FUZZ_INPUTS * MS_MAX_EACH }, (t) => {
    const before = process.memoryUsage().heapUsed;
    const { inputs, kept, blocks, finding } = fuzz(target, { inputs: FUZZ_INPUTS, seed: SEED });
    if (finding !== undefined) {
      t.comment(`XENWIRE_FUZZ_SEED=${SEED}: ${Buffer.from(finding.input).toString('hex')}`);
      throw finding.error;
    }
    t.ok(inputs >= FUZZ_INPUTS);
    t.ok(kept > 0 && blocks > 10, `${kept} inputs reached something new, ${blocks} blocks in all`);
    t.ok(process.memoryUsage().heapUsed - before < BYTES_MAX, 'memory stays bounded');
    t.comment(`${kept} kept, ${blocks} blocks`);
    t.end();
  });
}
