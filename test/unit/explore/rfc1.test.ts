// The patch as posted: it connects when nothing goes wrong, every defect of it that the protocol can show is shown, and the
// document says what the searches say.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { DEFECTS } from '../../../explore/rfc1-defects.js';
import { rfc1Document, type SearchShown, searchFor, textOf } from '../../../explore/rfc1-doc.js';
import { WIDTH_MAX } from '../../../explore/telling.js';
import { PACKAGE_ROOT } from '../../../lib/node/process/package-root.js';
import { memparse, RFC1_START, type Rfc1Event, type Rfc1State, rfc1Step } from '../../../lib/xenbus/rfc1.js';

async function texts(shown: Partial<SearchShown>): Promise<string[]> {
  return (await searchFor(shown)).found.map(textOf);
}

/** Runs the machine from a finished probe; its last effect, or the phase it rests in. */
function run(events: readonly Rfc1Event[]): string {
  let state: Rfc1State = { ...RFC1_START, phase: 'bound', held: { base: 0xf0000000, size: 0x200, port: 5, irq: true } };
  let last = '';
  for (const event of events) {
    last = '';
    let step = rfc1Step(state, event);
    while (step.effect !== undefined) {
      last = 'freed' in step.effect && step.effect.freed ? 'unregister freed' : step.effect.type;
      if (last === 'unregister freed') return last;
      step = rfc1Step(step.state, { type: 'done' });
    }
    state = step.state;
  }
  return last === '' ? state.phase : last;
}

t.test('the patch as posted connects in every order when nothing goes wrong', async (t) => {
  const { found, whole } = await searchFor({});
  t.same([found.map(textOf), whole], [[], true]);
});

for (const { id, title, shown } of DEFECTS) {
  if (shown.by === 'nothing') continue;
  t.test(`defect ${id}: ${title}`, async (t) => {
    if (shown.by === 'machine') t.equal(run(shown.events), shown.ends);
    else {
      const found = await texts(shown);
      t.ok(
        found.some((text) => shown.finds.test(text)),
        found.join('\n'),
      );
    }
  });
}

t.test('every defect from 1 to 25 has an entry', async (t) => {
  const ids = new Set(DEFECTS.flatMap(({ id }) => id.split(', ').map((each) => Number.parseInt(each, 10))));
  for (let id = 1; id <= 25; id++) t.ok(ids.has(id), `defect ${id}`);
});

t.test('base and size are read as the patch reads them', async (t) => {
  t.same(['512', '0x200', '1M', 'rubbish', ''].map(memparse), [512, 512, 2 ** 20, 0, 0]);
  const read = (base: string): string =>
    rfc1Step(rfc1Step(RFC1_START, { type: 'probe' }).state, { type: 'done', value: base }).state.phase;
  t.same(['0xf0000000', '4026531840', 'f0000000'].map(read), ['readingSize', 'reporting', 'reporting']);
});

t.test('docs/rfc1.md says what the searches say (npm run docs writes it), and its diagrams fit a mail', async (t) => {
  const text = readFileSync(join(PACKAGE_ROOT, 'docs', 'rfc1.md'), 'utf8');
  t.ok(text === (await rfc1Document()), 'the file is the one that the searches make');
  const diagrams = [...text.matchAll(/```\n([^`]+)```/g)].map((match) => match[1]!);
  t.ok(diagrams.length >= 8, `${diagrams.length} diagrams`);
  for (const row of diagrams.flatMap((each) => each.split('\n'))) if (row.length > WIDTH_MAX) t.fail(row);
});
