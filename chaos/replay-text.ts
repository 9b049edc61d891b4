// What the result of a case means: as sentences for a person, as an object for a program.
import { type ChaosCase, formatCase } from './case.js';
import { type CaseResult, OUTCOMES } from './engine.js';

/** What a result means, as sentences. */
export function verdictOf({ outcome, violations, trouble, recoveryMs, ms }: CaseResult): string[] {
  const word = { pass: 'pass', broken: 'broken', wedged: 'wedged', harness: 'no verdict' }[outcome];
  const recovery = recoveryMs === undefined ? '' : `, the next right frame ${recoveryMs.toFixed(0)} ms after the fault`;
  return [
    ...violations.map(({ check, what }) => `${check}: ${what}`),
    ...(trouble === undefined ? [] : [trouble]),
    `${OUTCOMES[outcome]} ${word} in ${ms.toFixed(0)} ms${recovery}`,
  ];
}

export function jsonOf(chaosCase: ChaosCase, result: CaseResult): Readonly<Record<string, unknown>> {
  const { outcome, violations, trouble, recoveryMs, ms } = result;
  return {
    case: formatCase(chaosCase),
    outcome,
    violations,
    ...(trouble === undefined ? {} : { trouble }),
    ...(recoveryMs === undefined ? {} : { recovery_ms: Math.round(recoveryMs) }),
    ms: Math.round(ms),
  };
}
