// A campaign as its page has it: cells as they fill, cases of a cell, failures in words, and what cannot be on a line of its own.
import t from 'tap';
import { CampaignView, type PageCase } from '../../../chaos/report/campaign-view.js';

const AT = 'vhost-frontend:back.state(backend/virtio-mmio/1/0/state)#1';
const KILL = `${AT}/KILL vhost-gpu/restart`;
const LATE = `${AT}/KILL vhost-gpu/late`;
const PAUSE = `${AT}/PAUSE 16 xenstored/restart`;
const judged = (text: string, outcome: PageCase['outcome'], more: Partial<PageCase> = {}): PageCase => ({
  ...{ case: text, outcome, violations: [], ms: 700, runs: [outcome] },
  ...more,
});

t.test('a campaign is told line by line; its cells fill, its failures are told in words', (t) => {
  let now = 0;
  const view = CampaignView.of(
    JSON.stringify({ due: [KILL, LATE, PAUSE], earlier: [judged(KILL, 'pass')] }),
    () => now,
  );
  const cell = { fault: 'KILL', standing: 'vhost-frontend', victim: 'vhost-gpu' };
  const pause = { fault: 'PAUSE', standing: 'vhost-frontend', victim: 'xenstored' };
  const counts = { pass: 0, broken: 0, wedged: 0, harness: 0 };
  t.same(view.cells(), [
    { ...cell, judged: 1, bad: 0, counts: { ...counts, pass: 1 }, worst: 'pass', due: 2 },
    { ...pause, judged: 0, bad: 0, counts, worst: 'pass', due: 1 },
  ]);
  t.match(view.progress(), { due: 3, done: 1, pace: 'the first case is under way' });
  t.same(view.cases(cell), [{ case: KILL, outcome: 'pass', ms: 700 }, { case: LATE }], 'in the order of the campaign');
  t.same(view.failures(), []);
  now = 2000;
  view.takeLine(
    JSON.stringify(judged(LATE, 'wedged', { violations: [{ check: 'picture', what: 'late' }], trouble: 'x' })),
  );
  t.match(view.progress(), { done: 2, pace: '0.50 a second, 2 s left', counts: { pass: 1, wedged: 1 } });
  t.match(view.cells()[0], { judged: 2, bad: 1, worst: 'wedged', due: 2 });
  t.match(view.failures(), [{ case: LATE, outcome: 'wedged', words: /There vhost-gpu gets KILL .* come to rest\.$/ }]);
  t.match(view.failures()[0]?.why, ['x', /^picture: late \(the rule: /]);
  view.takeLine(JSON.stringify(judged(PAUSE, 'pass')));
  t.match(view.progress(), { done: 3, pace: 'all are judged' });
  t.match(view.words(PAUSE), /PAUSE 16/);
  t.equal(view.words(PAUSE.replace('16', '17')), undefined, 'a case of another campaign');
  t.same([view.replayOptions, view.replayLine(KILL)], [[], `xenwire replay '${KILL}'`]);
  const foreign = new CampaignView({ due: [KILL], earlier: [], backendCommand: './x {gpu}' }, () => 0);
  t.same(foreign.replayOptions, ['--backend-command', './x {gpu}'], 'a replay is of the same backend');
  t.same(view.cases({ ...cell, victim: 'hypervisor' }), []);
  t.end();
});

t.test('the failures that are told are the last ones, the newest first', (t) => {
  const due = Array.from({ length: 100 }, (_, index) => `${AT.replace('#1', `#${index + 1}`)}/KILL vhost-gpu/restart`);
  const view = new CampaignView({ due, earlier: [] }, () => 0);
  for (const text of due) view.take(judged(text, 'broken'));
  t.equal(view.failures().length, 40);
  t.equal(view.failures()[0]?.case, due.at(-1));
  t.end();
});
