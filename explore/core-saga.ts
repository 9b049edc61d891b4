// What Linux's xenbus core does to the reviewed protocol in its two versions: a section of docs/rfc1.md, made from searches. Leaves
// the patch as posted to rfc1-doc.ts and the rules of the cores to services/guest/core-rules.ts.
import type { FaultKind } from './faults.js';
import { Search } from './search.js';
import { modelOf } from './settings.js';
import { diagram, linesOf } from './telling.js';

const STATES_MAX = 100_000;

interface Chapter {
  readonly kind: FaultKind;
  readonly does: string;
  /** Why 6.12 rests where it does. */
  readonly older: string;
  /** What 7.2 does at the same place. */
  readonly newer: string;
}

const CHAPTERS: readonly Chapter[] = [
  {
    kind: 'reattach',
    does: 'A device is removed in order and attached again, before the guest has handled the event of the removal.',
    older:
      'the core finds a directory that is there, and a device that it knows: it does nothing. The device keeps the state of the one ' +
      'before, and no device of the guest belongs to the 1 in the new directory',
    newer:
      'the core finds the state at 1 and its device past 1: it unregisters that device without writing its state, and probes the ' +
      'new one',
  },
  {
    kind: 'reset',
    does: 'A toolstack provides another backend, and writes the state of the frontend to 1.',
    older: 'the core does not look at a state that is not its own writing, and a driver in a callback writes over it',
    newer: 'the core unregisters and probes as above, and refuses to write a state over a 1 that it did not write',
  },
];

export async function coreSaga(): Promise<string> {
  const sections: string[] = [];
  for (const { kind, does, older, newer } of CHAPTERS) {
    const chosen = { frontend: 'review', backend: 'review', core: '6.12', copies: 1, transactions: 'whole' } as const;
    const search = new Search(await modelOf({ ...chosen, faults: 1, kinds: [kind] }));
    // Without a clock: the document is the same wherever it is made.
    const [found] = search.run({ statesMax: STATES_MAX, violationsMax: 1 }, () => 0).found;
    if (found === undefined) throw new Error(`6.12 withstands ${kind}`);
    const { property, text } = found.violation;
    const lines = linesOf(search.explain(found), search.model.paths);
    sections.push(
      `### ${does}\n\nUnder 6.12 (${found.choices.length} steps), ${property}: ${text}.\n\n\`\`\`\n${diagram(lines)}\n\`\`\`\n\n` +
        `Why: ${older}. In 7.2 ${newer}.\nEvery order of steps with one such fault passes there (\`xenwire explore --core 7.2 --kinds ${kind}\`).`,
    );
  }
  return `## The reviewed protocol on the xenbus core of Linux 6.12, and of 7.2

No frontend can mend these by itself: its driver is not called. With deaths of the backend, of the guest and of the toolstack, and
with removals, both cores pass (\`docs/explore.md\`).

${sections.join('\n\n')}`;
}
