// A page that is open for long, in Debian's Chromium: updates of a busy lab go through the page's own code as fast as it takes them, and
// neither its memory nor its elements grow. The server and its files are real; what it tells is made up here. XENWIRE_PAGE_UPDATES
// says how many: an hour at ten a second is 36,000.
import t from 'tap';
import { Changes, listed } from '../../dashboard/changes.js';
import { PageHistory } from '../../dashboard/history.js';
import { servePage } from '../../dashboard/server.js';
import type { PageMessage, PageSource } from '../../dashboard/source.js';
import { launch, NEEDS_BROWSER, open } from '../fixtures/browser.js';

const UPDATES = Number(process.env['XENWIRE_PAGE_UPDATES'] ?? 1200);
/** What the page has built by then is what it needs. */
const WARM = 400;
/** Far above what they take on a machine that has other things to do. */
const DEADLINE_MS = 60_000 + UPDATES * 20;
t.setTimeout(DEADLINE_MS);
const GUESTS = 4;
/** Updates of a domain: as if every guest crashed each half second. */
const LIFE = 5;
const GROWTH_BYTES_MAX = 1_500_000;
/** Five an update. What the collector leaves of removed ones differs by up to 2,000 from look to look. */
const GROWTH_ELEMENTS_MAX = 4000;

/** What a lab of guests that draw, and of domains that come and go, tells with its nth look. */
function tell(changes: Changes, at: number): PageMessage {
  const each = Array.from({ length: GUESTS }, (_, index) => index);
  // A domain for so many looks: its predecessor's device is gone.
  const domid = (guest: number): number => 1 + guest + GUESTS * Math.floor(at / LIFE);
  const ms = at * 100;
  const names = [...each.map((guest) => `guest-${guest}`), 'hypervisor', 'xenstored', 'vhost-frontend', 'vhost-gpu'];
  const processes = names.map((name, index) => ({
    ...{ name, pid: 100 + index, state: 'ready', condition: at % 50 === index ? 'paused' : 'runs', incarnation: 'x' },
    ...{ cpuPercent: (at + index) % 100, residentMib: 60, recordsPerSecond: at % 1000, wakeUpsPerSecond: at % 77 },
    historyFill: 0.5,
  }));
  const devices = each.map((guest) => ({
    ...{ name: `${domid(guest)}/0`, guest: String(guest), gone: false, connected: true, reason: { causes: [] } },
    front: [1, 3, 4].map((state) => ({ state, name: 'Connected', ms })),
    back: [1, 2, 4].map((state) => ({ state, name: 'Connected', ms })),
    steps: Array.from({ length: 14 }, (_, step) => ({
      at: String(at),
      from: 'guest',
      to: 'xenstored',
      text: `${step}`,
    })),
    last: { by: 'guest', text: `step ${at}`, ms },
  }));
  const home = `/local/domain/${domid(0)}`;
  const before = `/local/domain/${domid(0) - GUESTS}`;
  const isFirst = at % LIFE === 0;
  const node = { value: '', perms: ['n0'] };
  return {
    ...{ nowMs: ms, runs: true },
    sections: changes.of({
      processes: listed(processes, ({ name }) => name),
      wires: listed([{ ends: ['guest-0', 'hypervisor'], carries: { kick: at % 90 } }], ({ ends }) => ends.join(' ')),
      devices: listed(devices, ({ name }) => name),
      screens: listed(
        devices.map(({ name }) => ({ name, frames: 0, status: at % 16 })),
        ({ name }) => name,
      ),
      ports: listed(
        each.map((guest) => ({ domid: domid(guest), port: 3, remote: 2, raised: at })),
        (port) => `${port.domid}/3`,
      ),
      lab: { runDir: '/lab', state: 'runs', lost: 0, asks: true },
      gates: [{ action: 'pause', at: `x${at % 10}`, state: 'waits' }],
      grants: [],
      latency: {
        percentiles: [0, 50, 90, 99, 100],
        series: each.map((guest) => ({
          name: `domain ${domid(guest)} to device`,
          count: at,
          us: [1, 2, 3, 4, 5 + (at % 9)],
        })),
      },
    }),
    store: {
      whole: false,
      changes: [
        ...(at === 0 ? ['/local', '/local/domain'].map((path) => ({ path, node })) : []),
        ...(isFirst && at > 0 ? [{ path: `${before}/data` }, { path: before }] : []),
        ...(isFirst ? [{ path: home, node }] : []),
        { path: `${home}/data`, node: { value: String(at), perms: ['n0'] } },
      ],
    },
  };
}

t.test('many updates leave a page as large as a few do', { ...NEEDS_BROWSER, timeout: DEADLINE_MS }, async (t) => {
  const changes = new Changes();
  const first = tell(changes, 0);
  const source: PageSource = {
    look: async () => undefined,
    whole: () => ({ ...first, whole: true, sections: changes.whole() }),
    lab: {
      history: { window: (spanMs) => new PageHistory().window(spanMs), instancesOf: () => [] },
      actions: { act: async () => {} },
      asks: true,
      rings: () => [],
      frame: async () => undefined,
      cursor: async () => undefined,
      cursorImage: () => undefined,
    },
    close: async () => {},
  };
  const server = await servePage(source, 0);
  t.teardown(() => server.close());
  const browser = await launch();
  t.teardown(() => browser.close());
  const { page, problems } = await open(browser, server.url);
  await page.getByRole('heading', { name: 'Device 1/0 of guest 0' }).waitFor();

  // As the page's EventSource hands them over, and a frame drawn now and then.
  await page.evaluate(`globalThis.told = async (messages) => {
      const { take } = await import('/app.js');
      for (const [index, message] of messages.entries()) {
        take(JSON.parse(message));
        if (index % 25 === 0) await new Promise((resolve) => requestAnimationFrame(resolve));
      }
    }; 0`);
  const told = async (from: number, until: number): Promise<void> => {
    for (let at = from; at < until; ) {
      const some = Array.from({ length: Math.min(500, until - at) }, () => tell(changes, at++));
      await page.evaluate(`told(${JSON.stringify(some.map((message) => JSON.stringify(message)))})`);
    }
  };
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable');
  const collected = async (): Promise<{ bytes: number; elements: number; listeners: number }> => {
    // What the last frame drew is held until the next one.
    await page.evaluate('new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))');
    await session.send('HeapProfiler.collectGarbage');
    const { metrics } = await session.send('Performance.getMetrics');
    const of = (name: string): number => metrics.find((metric) => metric.name === name)!.value;
    return { bytes: of('JSHeapUsedSize'), elements: of('Nodes'), listeners: of('JSEventListeners') };
  };
  /** Once a collection finds nothing more: removed elements may take several. */
  const size = async (): Promise<Awaited<ReturnType<typeof collected>>> => {
    for (let last = await collected(); ; ) {
      const next = await collected();
      if (next.elements >= last.elements && next.bytes >= last.bytes * 0.99) return next;
      last = next;
    }
  };
  await told(1, WARM);
  const before = await size();
  await told(WARM, UPDATES);
  const after = await size();
  const grown = after.bytes - before.bytes;
  t.comment(
    `heap ${before.bytes} to ${after.bytes}, elements ${before.elements} to ${after.elements}, listeners ${before.listeners} to ${after.listeners}`,
  );
  t.ok(grown < GROWTH_BYTES_MAX, `the heap has grown by ${grown} bytes`);
  t.ok(after.elements - before.elements < GROWTH_ELEMENTS_MAX, `elements: ${before.elements}, ${after.elements}`);
  t.ok(after.listeners < before.listeners * 1.5, `listeners: ${before.listeners}, ${after.listeners}`);
  t.match(await page.locator('#store').innerText(), new RegExp(String(UPDATES - 1)), 'the page has shown the last one');
  t.same(problems, []);
});
