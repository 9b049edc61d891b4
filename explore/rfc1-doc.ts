// docs/rfc1.md: each defect of the patch as posted, the shortest order of steps that shows it, and what the reviewed protocol does
// instead. Made by `npm run docs` from the searches themselves; leaves the list to rfc1-defects.ts.
import { VIRTIO_MMIO_KEY } from '../lib/layout/xenbus.js';
import { RFC1 } from '../lib/xenbus/rfc1.js';
import { CORES } from '../services/guest/core-rules.js';
import { coreSaga } from './core-saga.js';
import { RFC1_DRIVER } from './front-rfc1.js';
import { Model } from './model.js';
import { besideRfc1, DEFECTS, type Shown } from './rfc1-defects.js';
import { type Found, Search } from './search.js';
import { backendFor } from './settings.js';
import { chaosCase, diagram, linesOf } from './telling.js';
import { recordAttach } from './tool.js';

export type SearchShown = Extract<Shown, { by: 'search' }>;
const STATES_MAX = 400_000;
const VIOLATIONS_MAX = 12;

/** The search that shows a defect, and all that it finds, shortest paths first. */
export async function searchFor(
  shown: Partial<SearchShown>,
): Promise<{ search: Search; found: readonly Found[]; whole: boolean }> {
  const { kinds = [], core = '7.2', backend = 'review', sizeBy } = shown;
  const script = await recordAttach(RFC1_DRIVER.kind);
  const withoutSize = script.filter(({ path }) => !path.endsWith(`/${VIRTIO_MMIO_KEY.size}`));
  const model = new Model({
    ...{ protocol: RFC1, driver: RFC1_DRIVER, core: CORES[core], kinds, mode: 'whole' },
    backend: backend === 'review' ? besideRfc1 : backendFor(backend, RFC1),
    attach: sizeBy === 'backend' ? withoutSize : script,
    faults: kinds.length === 0 ? 0 : 1,
  });
  const search = new Search(model);
  // Without a clock: the document is the same wherever it is made.
  const { found, whole } = search.run({ statesMax: STATES_MAX, violationsMax: VIOLATIONS_MAX }, () => 0);
  return { search, found, whole };
}

export const textOf = ({ violation }: Found): string => `${violation.property}: ${violation.text}`;

interface Told {
  readonly text: string;
  /** Cells of the table: what shows it, in how many steps, and the fault or case that does. */
  readonly row: readonly [by: string, steps: string, fault: string];
}

async function shownAs(shown: Shown): Promise<Told> {
  if (shown.by === 'nothing') return { text: `Not shown: ${shown.because}.`, row: ['not shown', '', ''] };
  if (shown.by === 'machine') {
    const events = shown.events.map((event) => (event.type === 'backend' ? `${event.state}` : event.type)).join(', ');
    const text = `Shown by the machine itself: once bound, with the backend reading ${events} one after the other, it ends in: ${shown.ends}.`;
    return { text, row: ['the machine', '', `backend at ${events}`] };
  }
  const { search, found } = await searchFor(shown);
  const first = found.find((each) => shown.finds.test(textOf(each)));
  if (first === undefined) throw new Error(`${shown.finds} was not found`);
  const lines = linesOf(search.explain(first), search.model.paths);
  const replay = chaosCase(search, first);
  const beside = shown.backend === 'xvf' ? 'xen-vhost-frontend' : 'a backend that keeps the protocol';
  const text = [
    `Shortest order of steps, beside ${beside} (${first.choices.length} steps; the core is ${shown.core ?? '7.2'}'s):`,
    `${textOf(first)}.`,
    '',
    '```',
    diagram(lines),
    '```',
    ...(replay === '' ? [] : ['', `Case: \`${replay}\``]),
  ].join('\n');
  const fault = replay === '' ? 'none' : `\`${replay}\``;
  return { text, row: [`search, ${shown.core ?? '7.2'}`, String(first.choices.length), fault] };
}

export async function rfc1Document(): Promise<string> {
  const sections: string[] = [];
  const rows: string[] = [];
  for (const { id, title, shown, review } of DEFECTS) {
    const { text, row } = await shownAs(shown);
    sections.push(`## ${id}: ${title}\n\n${text}\n\nThe reviewed protocol: ${review}`);
    rows.push(`| ${[id, title, ...row].join(' | ')} |`);
  }
  return `# virtio-mmio over xenbus as posted, and as reviewed

<!-- Written by scripts/make-protocol-doc.mjs from explore/; change the list in explore/rfc1-defects.ts. -->

The patch "virtio-mmio: add xenbus probing" (RFC, 29 April 2026) as a machine (\`lib/xenbus/rfc1.ts\`: its calls in its order)
is searched beside a backend, a toolstack, a store and Linux's xenbus core: every order of their steps, with one fault anywhere.
It connects in every order when nothing goes wrong. What follows is what may go wrong, each with the shortest order of steps that
shows it. FE and BE are the directories of the two ends; a number is a xenbus state: 1 Initialising, 2 InitWait, 3 Initialised,
4 Connected, 5 Closing, 6 Closed. \`xenwire explore --frontend rfc1\` repeats the searches.

The same machine drives the guest of \`xenwire up --frontend rfc1\`, which draws its picture under both cores. A death that stands
below as a case is repeated on real processes by \`xenwire replay --frontend rfc1 CASE\`; they confirm it: the picture does not come
back, and with the reviewed frontend at the same place it does (\`test/long/rfc1.test.ts\`). Refusals and orders of the toolstack
stand as words. Two refusals are made on real processes (\`test/long/explore-replay.test.ts\`), which confirm 4, 5 and 14: a guest
that may not make a key in its directory closes its event channel a second time, which Xen answers with EINVAL; a guest whose
backend is refused its device server keeps its event channel. The reviewed frontend does neither.

| | defect | shown by | steps | fault or case |
|---|---|---|---|---|
${rows.join('\n')}

${sections.join('\n\n')}

${await coreSaga()}
`;
}
