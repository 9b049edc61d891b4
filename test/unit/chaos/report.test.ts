// What people see of a campaign: the screen while it runs, the matrix, the page.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { formatCase, parseCase } from '../../../chaos/case.js';
import type { CaseResult, Outcome } from '../../../chaos/engine.js';
import { exhibitOf, isExhibit } from '../../../chaos/report/exhibit.js';
import { htmlReport } from '../../../chaos/report/html.js';
import { durationText, LiveReport } from '../../../chaos/report/live.js';
import { Matrix, matrixLines } from '../../../chaos/report/matrix.js';
import { caseWords, replayLine } from '../../../chaos/report/words.js';
import { type CampaignResult, type JudgedCase, parseResult, RESULT_FORMAT } from '../../../chaos/results.js';
import { UserError } from '../../../lib/core/errors.js';
import { PACKAGE_ROOT } from '../../../lib/node/process/package-root.js';
import { POINT } from '../../../lib/trace/points.js';
import type { TraceRecord } from '../../../lib/trace/record.js';

const ESCAPE = '\u001b';
const UP = new RegExp(`${ESCAPE}\\[\\d+A\\r`);
const ERASE = new RegExp(`${ESCAPE}\\[[KJ]`, 'g');

const CASES = ['KILL', 'STOP', 'TERM', 'PAUSE 16'].map(
  (fault) => `vhost-frontend:back.state(backend/virtio-mmio/1/0/state)#1/${fault} vhost-gpu/restart`,
);

const record = (ns: number, process: string, incarnation: number): TraceRecord => ({
  ...{
    process,
    incarnation,
    index: 0,
    ns: BigInt(ns),
    point: POINT['store.commit'],
    label: '</script><b>',
    occurrence: 1,
  },
  ...{ a: 0, b: 0, domid: 1, flow: 0, sender: 0 },
});

const failed = (records: readonly TraceRecord[], faultNs?: bigint): CaseResult => ({
  ...{
    outcome: 'broken',
    violations: [],
    breaches: records.slice(0, 1),
    endNs: 9_000_000n,
    ms: 1,
    moments: [],
    records,
  },
  ...(faultNs === undefined ? {} : { faultNs }),
});

const judged = (index: number, outcome: Outcome): JudgedCase => ({
  ...{ case: CASES[index]!, outcome, ms: 700, recoveryMs: 90, runs: [outcome] },
  violations: outcome === 'pass' ? [] : [{ check: 'picture', what: '</script><img src=x onerror=alert(1)>' }],
  ...(outcome === 'pass' ? {} : { exhibit: exhibitOf(failed([record(1, 'xenstored', 1)], 2n), 1) }),
});

const result = (...some: readonly JudgedCase[]): CampaignResult => ({
  ...{ format: RESULT_FORMAT, version: '1', catalogue: 'c', seed: 7, shard: { index: 1, count: 1 } },
  planned: CASES,
  judged: some,
});

t.test('a case in words says who stands where, and what happens to whom', (t) => {
  t.equal(
    caseWords(parseCase(CASES[0]!)),
    'vhost-frontend stands just before it does back.state (backend/virtio-mmio/1/0/state). There vhost-gpu gets KILL (SIGKILL, then a replacement); the replacement starts at once.',
  );
  t.equal(
    caseWords(parseCase('vhost-gpu:gpu.flush(1/0)#12/PAUSE 16 vhost-gpu/restart')),
    'vhost-gpu stands just after gpu.flush (1/0), which it passes for the 12th time. There it gets PAUSE 16 (SIGSTOP for so many ms, then SIGCONT).',
  );
  t.equal(replayLine("it's"), "xenwire replay 'it'\\''s'", 'a line for a shell');
  t.end();
});

t.test('a field of the matrix tells how many are judged of how many, and its worst outcome', (t) => {
  const matrix = new Matrix([CASES[0]!, CASES[1]!]);
  matrix.take(judged(0, 'wedged'));
  t.match(matrixLines(matrix, 'KILL')[2], /^at frontend +- +- +W 1\/1 /);
  t.match(matrixLines(matrix, 'STOP')[2], /^at frontend +- +- +\. 0\/1 /);
  const mixed = new Matrix();
  for (const outcome of ['pass', 'harness', 'broken', 'harness'] as const) mixed.take(judged(0, outcome));
  t.match(matrixLines(mixed, 'KILL')[2], /^at frontend +- +- +F1 \?2\/4 /, 'each mark with its count');
  t.same(matrix.faults, ['KILL', 'STOP'], 'in the order of their table');
  t.end();
});

t.test('on a terminal the screen is drawn over in place and never larger than it; elsewhere lines are printed', (t) => {
  let nowMs = 0;
  for (const rows of [6, 12, 30]) {
    let text = '';
    const live = new LiveReport(
      { isTTY: true, columns: 60, rows, write: (more: string) => (text += more) },
      CASES,
      [],
      () => nowMs,
    );
    for (const [index, outcome] of (['pass', 'broken', 'pass', 'wedged'] as const).entries()) {
      nowMs += 1000;
      live.show(judged(index, outcome));
    }
    const screens = text.split(UP);
    t.equal(screens.length, 5, 'one drawn at the start, one after each case');
    for (const screen of screens) {
      const lines = screen.replace(ERASE, '').split('\n');
      t.ok(lines.length <= rows, `${lines.length} lines on ${rows}`);
      t.ok(lines.every((line) => line.length < 60));
    }
    t.match(screens.at(-1), /^4 of 4, 1\.00 a second, 0 s left: 2 pass, 1 F, 1 W, 0 \?/);
    live.end();
    t.ok(text.endsWith(`A\r${ESCAPE}[J`), 'the screen is taken away at the end');
  }
  let plain = '';
  const live = new LiveReport({ write: (more: string) => (plain += more) }, CASES, [], () => nowMs);
  for (const index of [0, 1, 2, 3]) live.show(judged(index, index === 1 ? 'broken' : 'pass'));
  t.notOk(plain.includes(ESCAPE));
  t.match(plain, `F ${CASES[1]}\n`);
  t.match(plain, /4 of 4/);
  t.same([7, 61, 3725].map(durationText), ['7 s', '1 min 01 s', '1 h 02 min']);
  t.end();
});

t.test(
  'what is kept of a failure is bounded, begins near the fault and has the end; lives of a process are told apart',
  (t) => {
    const many = Array.from({ length: 5000 }, (_, index) => record(index * 1000, 'xenstored', index < 2500 ? 1 : 2));
    const exhibit = exhibitOf(failed(many, 2_000_500n), 2);
    t.equal(exhibit.records.length, 1500);
    t.equal(exhibit.left.first + exhibit.left.middle + exhibit.records.length, 5000, 'what is left out is counted');
    t.same(exhibit.processes, ['xenstored', 'xenstored (2)']);
    t.equal(exhibit.records[499]![0], -0, 'the last record before the fault');
    t.equal(exhibit.records.at(-1)![0], 2999, 'the last record of all, in microseconds since the fault');
    t.equal(exhibit.endUs, 7000, 'the verdict');
    t.same(exhibit.marked, [], 'the record that shows the breach is not kept');
    t.same(exhibitOf(failed(many.slice(0, 9), 5000n), 1).marked, [0]);
    t.ok(isExhibit(JSON.parse(JSON.stringify(exhibit))));
    t.notOk(isExhibit({ ...exhibit, records: [[1, 2, 3]] }));
    t.notOk(isExhibit({ ...exhibit, marked: ['0'] }));
    const explained = { minimal: CASES[0]!, fails: CASES[0]!, passes: CASES[1]!, between: 0, runs: 2 };
    const text = (passed: object): string =>
      JSON.stringify(result({ ...judged(0, 'broken'), explained: { ...explained, passed } as never }));
    t.same(parseResult(text(exhibit), 'file').judged[0]?.explained?.passed?.run, 2);
    t.throws(() => parseResult(text({ run: 1 }), 'file'), UserError, 'a run that went well is checked like any other');
    t.notOk(isExhibit({ ...exhibit, after: { notAsked: [], ports: [{}] } }));
    t.end();
  },
);

t.test('a snapshot takes no time of the story, and what it asked is no part of it', (t) => {
  const records = [record(1000, 'vhost-gpu', 3), record(5000, 'xenstored', 1), record(12_000, 'vhost-gpu', 3)];
  const before = { sinceNs: 2000n, notAsked: [] };
  const { records: kept } = exhibitOf({ ...failed(records, 10_000n), before }, 1);
  t.same(
    kept.map(([us]) => us),
    [-1, 2],
  );
  t.end();
});

t.test('the page holds everything itself, runs its own script only, and shows texts as texts', (t) => {
  const page = htmlReport(result(judged(0, 'pass'), judged(1, 'broken')));
  t.match(page, /default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-[A-Za-z0-9+/]{43}='/);
  t.notMatch(page, /(src|href)="?(https?:)?\/\//, 'nothing is fetched');
  t.equal(page.split('</script>').length, 3, 'no text of a record ends the element that it stands in');
  t.notMatch(page, '<img');
  t.match(page, 'FAILED: 1 of 4 cases did not pass');
  t.match(page, `xenwire replay '${CASES[1]}'`);
  t.end();
});

t.test('merge writes the page and the JUnit file that it is asked for', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'xw-report-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = (name: string): string => join(folder, name);
  writeFileSync(
    path('one.json'),
    JSON.stringify({ ...result(judged(0, 'pass'), judged(1, 'broken')), shard: { index: 1, count: 2 } }),
  );
  writeFileSync(
    path('two.json'),
    JSON.stringify({ ...result(judged(2, 'pass'), judged(3, 'pass')), shard: { index: 2, count: 2 } }),
  );
  const xenwire = join(PACKAGE_ROOT, 'dist', 'bin', 'xenwire.js');
  const args = ['chaos', 'merge', path('one.json'), path('two.json'), '--into', path('all.json')];
  const { status, stdout } = spawnSync(
    process.execPath,
    [xenwire, ...args, '--html', path('page.html'), '--junit', path('junit.xml')],
    { encoding: 'utf8' },
  );
  t.equal(status, 1, 'one of them failed');
  t.match(stdout, /4 of 4 run, 0 skipped: 3 pass, 1 F/);
  t.match(readFileSync(path('page.html'), 'utf8'), /FAILED: 1 of 4 cases did not pass/);
  t.match(readFileSync(path('junit.xml'), 'utf8'), /tests="4" failures="1"/);
  t.equal(parseResult(readFileSync(path('all.json'), 'utf8'), 'all').judged.length, 4);
  t.end();
});

const CHROMIUM = '/usr/bin/chromium';

t.test(
  "the page's script shows a case that its address names",
  { skip: existsSync(CHROMIUM) ? false : 'Chromium is not installed' },
  (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'xw-page-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    const page = join(folder, 'page.html');
    const reset = { ...record(3_000_000, 'vhost-frontend', 1), point: POINT['event.config'] };
    const well = [record(1, 'xenstored', 1), reset];
    const explained = {
      ...{ minimal: CASES[1]!, fails: CASES[1]!, passes: CASES[0]!, between: 0, runs: 2 },
      passed: exhibitOf({ ...failed(well, 2n), outcome: 'pass', breaches: [] }, 1),
    };
    writeFileSync(page, htmlReport(result(judged(0, 'pass'), { ...judged(1, 'broken'), explained })));
    const dom = execFileSync(
      CHROMIUM,
      [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        `--user-data-dir=${folder}/profile`,
        '--dump-dom',
        `file://${page}#case-1`,
      ],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 60_000 },
    );
    const dialog = dom.slice(dom.indexOf('<dialog'), dom.indexOf('</dialog>'));
    t.match(dialog, /open=""/);
    t.match(dialog, formatCase(parseCase(CASES[1]!)));
    t.match(dialog, '&lt;/script&gt;&lt;b&gt;', 'a record of the timeline');
    t.match(dialog, 'this breaks the rule');
    t.match(dialog, 'the verdict, 9.0 ms after the last record', 'the verdict ends the timeline');
    t.match(dialog, /<th scope="row">xenstored<.th><td>.0.000<.td>/, 'what each process did last');
    t.match(dialog, /What did not happen here.*<td>.3.000<.td><td>vhost-frontend<.td>.*1, here 0/);
    t.match(dom, /<td class="broken[^>]*data-case="1"/);
    t.end();
  },
);
