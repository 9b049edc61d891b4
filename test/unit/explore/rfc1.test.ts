// The patch as posted: it connects when nothing goes wrong, and every defect of it that the protocol can show is shown.
import t from 'tap';
import { XVF_BACKEND } from '../../../explore/back-xvf.js';
import { RFC1_DRIVER } from '../../../explore/front-rfc1.js';
import { Model } from '../../../explore/model.js';
import { besideRfc1, DEFECTS, type Shown } from '../../../explore/rfc1-defects.js';
import { type Result, Search } from '../../../explore/search.js';
import { FRONTENDS } from '../../../explore/settings.js';
import { recordAttach } from '../../../explore/tool.js';
import { memparse, RFC1, RFC1_START, type Rfc1Event, type Rfc1State, rfc1Step } from '../../../lib/xenbus/rfc1.js';
import { CORES } from '../../../services/guest/core-rules.js';

async function search(shown: Partial<Extract<Shown, { by: 'search' }>>): Promise<{ result: Result; texts: string[] }> {
  const { kinds = [], core = '7.2', backend = 'review', sizeBy } = shown;
  const { base, size } = FRONTENDS.rfc1.keys;
  const model = new Model({
    ...{ protocol: RFC1, driver: RFC1_DRIVER, core: CORES[core], kinds, mode: 'whole' },
    backend: backend === 'xvf' ? XVF_BACKEND : besideRfc1,
    attach: await recordAttach(RFC1_DRIVER.kind, sizeBy === 'backend' ? { base } : { base, size }),
    faults: kinds.length === 0 ? 0 : 1,
  });
  const result = new Search(model).run({ statesMax: 400_000, violationsMax: 12 }, () => performance.now());
  return { result, texts: result.found.map(({ violation }) => `${violation.property}: ${violation.text}`) };
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
  const { result, texts } = await search({});
  t.same([texts, result.whole], [[], true]);
});

for (const { id, title, shown } of DEFECTS) {
  if (shown.by === 'nothing') continue;
  t.test(`defect ${id}: ${title}`, async (t) => {
    if (shown.by === 'machine') t.equal(run(shown.events), shown.ends);
    else {
      const { texts } = await search(shown);
      t.ok(
        texts.some((text) => shown.finds.test(text)),
        texts.join('\n'),
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
