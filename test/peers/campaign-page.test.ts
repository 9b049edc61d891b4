// A chaos campaign in Debian's Chromium, as a person watches it: the matrix fills, a failure is told in words, a click replays a case in
// a lab that the page then shows; what it refuses; that it stays until Ctrl-C and leaves nothing.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import t from 'tap';
import { type CampaignResult, type JudgedCase, RESULT_FORMAT } from '../../chaos/results.js';
import { launch, NEEDS_BROWSER, open, seriousOf } from '../fixtures/browser.js';
import { startXenwire, temporaryLabDir } from '../fixtures/lab.js';
import { campaignLinkOf, PageViewer } from '../fixtures/page.js';

t.setTimeout(180_000);
const AT = 'vhost-frontend:back.state(backend/virtio-mmio/1/0/state)#1';
const CASES = [`${AT}/KILL vhost-gpu/restart`, `${AT}/KILL xenstored/restart`, `${AT}/STOP vhost-gpu/restart`];
/** Judged in an earlier run of the campaign, which is resumed. */
const FAILED = `${AT}/KILL vhost-gpu/late`;

t.test(
  'a person watches a campaign in a browser and replays a case of it',
  { ...NEEDS_BROWSER, timeout: 170_000 },
  async (t) => {
    const runDir = temporaryLabDir(t);
    const out = join(dirname(runDir), 'out.json');
    const failed: JudgedCase = {
      ...{ case: FAILED, outcome: 'wedged', ms: 9000, runs: ['wedged', 'wedged'] },
      violations: [{ check: 'picture', what: 'numbered frame did not come <b>within</b> 8000 ms' }],
    };
    const earlier: CampaignResult = {
      ...{ format: RESULT_FORMAT, version: '0', catalogue: 'c', seed: undefined, shard: { index: 1, count: 1 } },
      ...{ planned: [...CASES, FAILED], judged: [failed] },
    };
    writeFileSync(out, JSON.stringify(earlier));
    const args = ['--out', out, '--resume', '--jobs', '1', '--twice-every', '0', '--run-dir', runDir];
    const campaign = startXenwire(t, ['chaos', '--dashboard', ...args]);
    const link = await campaignLinkOf(campaign);
    const browser = await launch();
    t.teardown(() => browser.close());
    const window = await open(browser, link);
    const { page } = window;
    const cell = page.getByRole('button', { name: /^KILL of vhost-gpu while vhost-frontend stands: / });
    await cell
      .filter({ hasText: 'W 1 of 1' })
      .or(cell.filter({ hasText: 'W 1 of 2' }))
      .waitFor();
    const words = page.getByRole('listitem').filter({ hasText: 'There vhost-gpu gets KILL' });
    await words.getByText('picture: numbered frame did not come <b>within</b> 8000 ms').waitFor();
    await cell.click();
    const case_ = page.getByRole('button', { name: `Replay ${CASES[0]}` });
    await page.locator('.cases li').filter({ has: case_ }).locator('.outcome.pass').waitFor();

    const viewer = await PageViewer.open(t, link);
    // The lab of the replay is on the page while it runs, and stays.
    await case_.click();
    await page.getByText(`xenwire replay '${CASES[0]}'`).waitFor();
    await page
      .getByRole('heading', { name: /^Device 1\/0 of guest gpu-guest$/ })
      .first()
      .waitFor();
    const refused = await viewer.post('api/act', { process: 'xenstored', action: 'kill' });
    t.same([refused.status, /is being judged/.test(refused.body)], [409, true], 'a replay is left alone');
    t.equal(
      (await viewer.post('api/replay', { case: `${AT}/TERM xenstored/restart` })).body,
      'that is no case of this campaign\n',
    );
    t.match((await viewer.post('api/replay', { case: CASES[1] })).body, /^another case is being replayed/);
    await page.getByRole('status').filter({ hasText: 'The replay passed.' }).waitFor({ timeout: 60_000 });
    t.match(
      await page.locator('#replay .told').innerText(),
      /vhost-frontend stands at the point[\s\S]*vhost-gpu was killed by SIGKILL[\s\S]*pass in/,
    );
    await page.getByText('the lab has ended: what it left is shown').waitFor();

    // All are judged, and the page stays.
    await page.getByText('4 of 4 cases, all are judged').waitFor({ timeout: 60_000 });
    await cell.filter({ hasText: 'W 1 of 2' }).waitFor();
    await campaign.logged(/The page stays until Ctrl-C/);
    const judged = JSON.parse(readFileSync(out, 'utf8')).judged as { case: string; outcome: string }[];
    const counts = await page.getByRole('list', { name: 'Outcomes' }).innerText();
    t.match(
      counts,
      new RegExp(`\\. ${judged.filter(({ outcome }) => outcome === 'pass').length} passed`),
      'as the file has it',
    );

    // A replay that is under way as the campaign is left goes with it.
    await page
      .getByRole('button', { name: `Replay ${FAILED}` })
      .first()
      .click();
    await page.getByRole('status').filter({ hasText: 'The replay runs.' }).waitFor();
    campaign.child.kill('SIGINT');
    t.equal(await campaign.ended(20_000), 1, 'a case did not pass');
    await page
      .getByRole('status')
      .filter({ hasText: /its page with it|lost its server/ })
      .waitFor();
    t.same(seriousOf(window), []);
    const left = readdirSync(dirname(runDir)).filter((name) => name.startsWith(basename(runDir)));
    t.same(left, [], 'no lab is left');
    t.notOk(existsSync(`${runDir}-replay-1`));
  },
);
