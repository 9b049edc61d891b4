// The whole catalogue of points: scenarios of real processes, each with the points that it passes. docs/tracing.md has a row for
// every other entry, which says why no scenario passes it and what tests it: a new entry without either fails here.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { HistoryFeed } from '../../lab/feed.js';
import { animate } from '../../lab/frame-watch.js';
import { openRunningSession } from '../../lab/session.js';
import { ErrnoError } from '../../lib/core/errors.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { lookAgain, withDeadline } from '../../lib/node/process/wait.js';
import { POINT, POINTS, type PointName } from '../../lib/trace/points.js';
import type { TestProcess } from '../../testkit/processes.js';
import { findGuest } from '../../toolstack/domain.js';
import { registered, startXenwire, temporaryLabDir, xenwire } from '../fixtures/lab.js';

t.setTimeout(180_000);
const DEADLINE_MS = 20_000;
/** How often rings are looked at, which wake no reader. */
const LOOK_MS = 5;
const CONFIG = join(PACKAGE_ROOT, 'examples', 'gpu-guest.cfg');

/** The points that processes of a run directory have passed so far. */
class Passed {
  readonly points = new Set<PointName>();
  readonly #feed: HistoryFeed;

  constructor(t: Test, runDir: string) {
    this.#feed = new HistoryFeed(runDir);
    t.teardown(() => this.#feed.close());
  }

  look(): void {
    for (const { point } of this.#feed.read()) this.points.add(point.name as PointName);
  }

  /** Looks at the rings until `process` has passed a point after this call. */
  async until(name: PointName, process: RegExp, what: () => void | Promise<void>): Promise<void> {
    this.look();
    await what();
    const found = async (): Promise<void> => {
      for (;;) {
        const records = this.#feed.read();
        for (const { point } of records) this.points.add(point.name as PointName);
        if (records.some((record) => record.point === POINT[name] && process.test(record.process))) return;
        await setTimeout(LOOK_MS);
      }
    };
    await withDeadline(found(), DEADLINE_MS, `${name} in ${process}`);
  }
}

/** One run of `xenwire up` to its end, its rings kept. */
async function up(t: Test, args: readonly string[]): Promise<Passed> {
  const runDir = temporaryLabDir(t);
  const { status, stderr } = await xenwire(t, ['up', '--once', '--keep', '--json', '--run-dir', runDir, ...args]);
  t.equal(status, 0, stderr);
  const passed = new Passed(t, runDir);
  passed.look();
  return passed;
}

interface ByHand {
  readonly runDir: string;
  readonly passed: Passed;
  start(name: string, ...args: string[]): TestProcess;
}

function byHand(t: Test): ByHand {
  const runDir = temporaryLabDir(t);
  return {
    runDir,
    passed: new Passed(t, runDir),
    start: (name, ...args) => startXenwire(t, [name, ...args, '--run-dir', runDir]),
  };
}

async function end(...processes: TestProcess[]): Promise<void> {
  for (const process_ of processes) {
    process_.child.kill('SIGTERM');
    await process_.ended();
  }
}

const SCENARIOS: Readonly<Record<string, (t: Test) => Promise<Passed>>> = {
  'guests on every path, from nothing to nothing': (t) =>
    up(t, ['--guests', '6', '--path', 'dmop,relay,irqfd,evtchnfd,evtchn,direct']),
  'store rings, and doorbells as messages': (t) => up(t, ['--store-transport', 'ring', '--notify', 'zmq']),
  'granted pages': (t) => {
    const config = `${temporaryLabDir(t)}.cfg`;
    const text = readFileSync(CONFIG, 'utf8');
    t.match(text, 'grant_usage=0');
    writeFileSync(config, text.replace('grant_usage=0', 'grant_usage=1'));
    return up(t, ['--config', config]);
  },
  'a device server on a unix socket, with its display': async (t) => {
    const { runDir, passed, start } = byHand(t);
    const socket = `${runDir}.sock`;
    const services = [
      start('vhost-frontend', '--device-socket', socket),
      start('vhost-gpu', '--socket-path', socket),
      start('xenstored'),
      start('hypervisor'),
    ];
    start('guest', '--name', 'gpu-guest');
    await passed.until('display.serve', /vhost-frontend/, async () => {
      const made = await xenwire(t, ['create', CONFIG, '--no-process', '--wait-for-lab', '--run-dir', runDir]);
      t.equal(made.status, 0, made.stderr);
    });
    await passed.until('descriptor.give', /vhost-frontend/, async () => {
      t.equal((await xenwire(t, ['destroy', 'gpu-guest', '--run-dir', runDir])).status, 0);
    });
    await end(...services);
    passed.look();
    return passed;
  },
  'the device server dies, the guest dies, a client is refused, a guest is shut down': async (t) => {
    const { runDir, passed, start } = byHand(t);
    const [frontend, store, hypervisor] = [start('vhost-frontend'), start('xenstored'), start('hypervisor')];
    const gpu = start('vhost-gpu');
    const guest = start('guest', '--name', 'gpu-guest');
    const made = await xenwire(t, [
      ...['create', CONFIG, '--no-process', '--wait', '--wait-for-lab', '--run-dir', runDir],
    ]);
    t.equal(made.status, 0, made.stderr);
    await passed.until('gpu.restore', /^guest/, async () => {
      gpu.child.kill('SIGKILL');
      await gpu.ended();
      start('vhost-gpu');
      await registered(runDir, 'vhost-gpu', /ready/);
    });
    const session = await openRunningSession(runDir);
    const display = (await session.connect('vhost-gpu')).remote('Display');
    const size = { width: 640, height: 480 };
    await passed.until('vhost-user.backend-request', /vhost-frontend/, async () => {
      // A guest begins to restore before its device is there again.
      const resized = async (): Promise<true | undefined> => {
        try {
          await display.resize({ name: '1/0', scanout: 0, ...size });
          return true;
        } catch (error) {
          if (!(error instanceof ErrnoError) || error.code !== 'ENOENT') throw error;
          return undefined;
        }
      };
      t.ok(await lookAgain(resized, LOOK_MS, AbortSignal.timeout(DEADLINE_MS)));
    });
    await passed.until('bus.refused', /guest-other/, () => {
      start('guest', '--name', 'other', '--token', '0'.repeat(64));
    });
    await passed.until('domain.crash', /hypervisor/, () => void guest.child.kill('SIGKILL'));
    t.equal((await xenwire(t, ['destroy', 'gpu-guest', '--run-dir', runDir])).status, 0);
    start('guest', '--name', 'gpu-guest');
    const again = await xenwire(t, ['create', CONFIG, '--no-process', '--wait', '--run-dir', runDir]);
    t.equal(again.status, 0, again.stderr);
    const { domid } = await findGuest(session, 'gpu-guest');
    await passed.until('gpu.cursor', /^guest/, () => animate(session, domid, 10));
    await passed.until('domain.shutdown', /hypervisor/, () =>
      session.store.write(`/local/domain/${domid}/control/shutdown`, 'poweroff'),
    );
    await session.close();
    await end(frontend, store, hypervisor);
    passed.look();
    return passed;
  },
};

const covered = new Map<PointName, string>();
for (const [title, scenario] of Object.entries(SCENARIOS)) {
  t.test(title, async (t) => {
    const { points } = await scenario(t);
    for (const name of points) if (!covered.has(name)) covered.set(name, title);
    t.comment(`${points.size} points`);
  });
}

t.test('each entry of the catalogue is passed by a scenario, or docs/tracing.md says why not', async (t) => {
  const page = readFileSync(join(PACKAGE_ROOT, 'docs', 'tracing.md'), 'utf8');
  const rows = new Map([...page.matchAll(/^\| `([a-z.-]+)` \| (.+) \|$/gm)].map(([, name, why]) => [name!, why!]));
  for (const { name } of POINTS) {
    const scenario = covered.get(name as PointName);
    const row = rows.get(name);
    if (scenario !== undefined) t.equal(row, undefined, `${name} is passed: ${scenario}`);
    else t.ok(row !== undefined && row.length > 10, `${name} is passed by no scenario: docs/tracing.md says why`);
  }
});
