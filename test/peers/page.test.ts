// The live page in Debian's Chromium, as a person uses it: what is shown equals what the lab says, a process is killed and comes back,
// a handshake is stopped and the page says where and why, by mouse and by keyboard; light, dark and narrow; two browsers; a link
// without its token; the end of the lab while the page is open. Nothing is asked of other hosts, nothing breaks the page's policy.
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import t from 'tap';
import { cursorPath } from '../../lib/core/cursor-path.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { launch, NEEDS_BROWSER, open, seriousOf } from '../fixtures/browser.js';
import { processNamed, startXenwire, temporaryLabDir, xenwire } from '../fixtures/lab.js';
import { linkOf } from '../fixtures/page.js';

const CONFIG = join(PACKAGE_ROOT, 'examples', 'restarting-guest.cfg');
t.setTimeout(130_000);
/** Below this the columns are one. */
const NARROW = { width: 420, height: 900 };

/** Where the guide has its pictures; drawn anew with XENWIRE_PICTURES=1. */
const PICTURES = process.env['XENWIRE_PICTURES'] === '1' ? join(PACKAGE_ROOT, 'docs') : undefined;

async function picture(page: Page, name: string): Promise<void> {
  if (PICTURES !== undefined) await page.screenshot({ path: join(PICTURES, `${name}.jpg`), type: 'jpeg', quality: 70 });
}

/** Runs in the page. The arrow's tip is 8 and 6 pixels from its image's corner (services/guest/cursor-image.ts). */
const LOOK_AT_CURSOR = (screen: unknown): { words: string; tip: { x: number; y: number } } => {
  interface Box {
    readonly left: number;
    readonly top: number;
    readonly width: number;
  }
  interface Part {
    readonly textContent: string;
    readonly naturalWidth: number;
    getBoundingClientRect(): Box;
  }
  const find = (what: string): Part => (screen as { querySelector(what: string): Part }).querySelector(what);
  const img = find('img');
  const [under, over] = [img.getBoundingClientRect(), find('.cursor').getBoundingClientRect()];
  const scale = img.naturalWidth / under.width;
  const tip = { x: (over.left - under.left) * scale + 8, y: (over.top - under.top) * scale + 6 };
  return { words: find('.pointer').textContent, tip };
};
const BACKGROUND = (over: unknown): string => (over as { style: { backgroundImage: string } }).style.backgroundImage;

const card = (page: Page, name: string) => page.getByRole('article', { name, exact: true });
const says = (page: Page, name: string, text: RegExp) => card(page, name).filter({ hasText: text }).waitFor();
const device = (page: Page, title: RegExp) =>
  page.locator('.device').filter({ has: page.getByRole('heading', { name: title }) });

t.test(
  'a person watches a lab in a browser, breaks it and sees why it stands',
  { ...NEEDS_BROWSER, timeout: 120_000 },
  async (t) => {
    const runDir = temporaryLabDir(t);
    const lab = startXenwire(t, ['up', '--dashboard', '--animate', '5', '--config', CONFIG, '--run-dir', runDir]);
    const link = await linkOf(lab);
    await lab.line(/until Ctrl-C/);
    const browser = await launch();
    t.teardown(() => browser.close());
    const first = await open(browser, link, { viewport: { width: 1400, height: 1000 } });
    const { page } = first;

    t.equal(new URL(page.url()).search, '', 'the token does not stay in the address');
    const one = device(page, /^Device 1\/0 of guest gpu-guest$/);
    await one.waitFor();
    for (const end of ['Frontend', 'Backend']) {
      const current = one.getByRole('list', { name: end }).locator('[aria-current]');
      t.match(await current.innerText(), /4 Connected/, `${end} is Connected`);
    }
    const ps = JSON.parse((await xenwire(t, ['ps', '--json', '--run-dir', runDir])).stdout) as {
      name: string;
      pid: number;
    }[];
    for (const { name, pid } of ps) await says(page, name, new RegExp(`pid ${pid},`));
    t.equal(
      await page
        .getByRole('article')
        .filter({ has: page.getByRole('button', { name: /^Kill / }) })
        .count(),
      ps.length,
    );
    await page.getByRole('searchbox').fill('backend/virtio-mmio/1/0/state');
    await page.locator('#store').getByText('= 4').waitFor();
    await page.getByRole('searchbox').fill('');
    // The search has scrolled to the store: a screen out of sight asks for no picture.
    await one.locator('.screen').scrollIntoViewIfNeeded();
    await one.getByRole('img', { name: 'Screen of device 1/0' }).waitFor();
    const shown = one.locator('.screen img');
    await one.locator('.screen img[src]').waitFor();
    t.equal(await shown.evaluate((img) => (img as unknown as { naturalWidth: number }).naturalWidth), 1024);
    await one.locator(`.screen img[src]:not([src="${await shown.getAttribute('src')}"])`).waitFor();
    t.pass('the picture moves');
    // Where its tip is in the picture as it is shown, by the words and by the eye, in one look.
    await one.getByText(/^The cursor points at \d+, \d+$/).waitFor();
    await one.locator('.cursor:not([hidden])').waitFor();
    const { words, tip } = await one.locator('.screen').evaluate(LOOK_AT_CURSOR);
    const [x, y] = words.match(/\d+/g)!.map(Number) as [number, number];
    t.ok(
      Array.from({ length: 100_000 }, (_, frame) => cursorPath(frame, 1024, 768)).some(
        (at) => at.x === x && at.y === y,
      ),
      `a place on the path: ${x}, ${y}`,
    );
    t.ok(Math.abs(tip.x - x) < 2 && Math.abs(tip.y - y) < 2, `the tip is seen at ${tip.x}, ${tip.y}: ${words}`);
    t.match(await one.locator('.cursor').evaluate(BACKGROUND), /api\/cursor\/1\/0\/image/);
    await picture(page, 'tour-lab');
    await page.locator('#latency canvas').waitFor();
    await one.getByText('Rings, registers, ioreq slot').click();
    await one
      .getByText(/available \d+, used \d+: the device has/)
      .first()
      .waitFor();

    // The timeline by keyboard: a record and its fields; the window stands still meanwhile.
    await page.locator('#canvas').focus();
    await page.keyboard.press('ArrowLeft');
    await page.locator('#record dd').first().waitFor();
    t.match(await page.locator('#record').innerText(), /record\s+\S+:.+#\d+/);
    t.equal(await page.getByLabel('live').isChecked(), false);
    await page.getByLabel('live').check();

    // Another person, on a phone, in the dark; and one without the token.
    const second = await open(browser, link, { viewport: NARROW, colorScheme: 'dark' });
    await device(second.page, /^Device 1\/0/).waitFor();
    const width: number = await second.page.evaluate('document.documentElement.scrollWidth');
    t.ok(width <= NARROW.width, `nothing stands out on a narrow screen: ${width}`);
    const stranger = await (await browser.newContext()).newPage();
    const answer = await stranger.goto(new URL(link).origin);
    t.equal(answer?.status(), 401);
    t.match(await stranger.locator('body').innerText(), /open the link that xenwire has printed/);

    // Killed by its button, and back: both see it.
    const before = processNamed(runDir, 'vhost-gpu').pid;
    await page.getByRole('button', { name: 'Kill vhost-gpu' }).click();
    for (const each of [page, second.page]) {
      const gone = card(each, 'vhost-gpu').filter({ hasNotText: `pid ${before},` });
      await gone
        .filter({ hasText: /pid \d+/ })
        .filter({ hasText: 'ready' })
        .waitFor();
    }

    // A handshake is stopped at a step, by keyboard alone: the page says where each end is, and which process keeps it.
    const point = 'vhost-frontend:back.state-written(backend/virtio-mmio/2/0/state)';
    await card(page, 'vhost-frontend').getByRole('combobox').focus();
    await page.keyboard.type(point);
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Pause vhost-frontend' }).press('Enter');
    await page.getByText(`pause at ${point}: waits`).waitFor();
    await page.getByRole('button', { name: 'Kill guest-gpu-guest' }).press('Enter');
    await says(page, 'vhost-frontend', /stands/);
    const two = device(page, /^Device 2\/0 of guest gpu-guest$/);
    await two.getByText(/^vhost-frontend stands just after back\.state-written/).waitFor();
    await two.getByText(/^frontend 3 Initialised for .*, backend 2 InitWait for /).waitFor();
    await two.getByText(/^vhost-frontend writes backend state 4 Connected, which says: keys are valid/).waitFor();
    await page.getByRole('link', { name: /^Device 2\/0: vhost-frontend stands just after/ }).waitFor();
    t.match(await two.getByRole('list', { name: 'Backend' }).locator('[aria-current]').innerText(), /2 InitWait/);
    await two.scrollIntoViewIfNeeded();
    await picture(page, 'tour-stopped');
    await page.getByRole('button', { name: 'Let go vhost-frontend' }).click();
    await two
      .getByRole('list', { name: 'Frontend' })
      .locator('[aria-current]')
      .filter({ hasText: '4 Connected' })
      .waitFor();

    lab.child.kill('SIGINT');
    t.equal(await lab.ended(), 0, lab.stderr);
    for (const each of [page, second.page]) {
      await each
        .getByRole('status')
        .filter({ hasText: /ended|lost its server/ })
        .waitFor();
    }
    t.same(seriousOf(first, second), [], 'no error, no breach of the policy, no other host');
  },
);
