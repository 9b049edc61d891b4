// Every notification path under both ways of waking, for the whole workload: pictures equal, nothing left, and each
// notification passes exactly the processes that lib/trace/hops.ts says, in their order.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { NOTIFICATION_PATHS, type NotificationPath } from '../../lib/core/notification-path.js';
import type { NotifyMode } from '../../lib/core/notify.js';
import { VIRTIO_MMIO_QUEUE_NOTIFY } from '../../lib/layout/virtio-mmio.js';
import { HistoryReader, historyFiles } from '../../lib/node/files/history-reader.js';
import { HOP, type HopPoint, PATH_HOPS } from '../../lib/trace/hops.js';
import { POINT } from '../../lib/trace/points.js';
import type { TraceRecord } from '../../lib/trace/record.js';
import { longTest } from '../../testkit/tier.js';
import { startLab, temporaryLabDir, xenwire } from '../fixtures/lab.js';

/** Registers lie on a page of their own. */
const PAGE_MASK = 0xfff;
/** The probe, the frame buffer, the picture: a batch each at least. */
const ARRIVALS_MIN = 2;

function readHistory(runDir: string): TraceRecord[] {
  const records = historyFiles(runDir).flatMap((file) => {
    const reader = new HistoryReader(file);
    const all = reader.read();
    if (reader.lostCount > 0) throw new Error(`${reader.process} has lost ${reader.lostCount} records`);
    reader.close();
    return all;
  });
  return records.sort((one, other) => Number(one.ns - other.ns));
}

/** What the records of one guest have in common. */
interface Subject {
  readonly guest: string;
  readonly domid: number;
  readonly session: number;
  /** The guest's port of the interrupt: it takes that one before those of its queues. */
  readonly port: number;
}

function subjectOf(records: readonly TraceRecord[], guest: string, domid: number): Subject {
  const session = records.find(({ point, label }) => point === POINT['session.take'] && label === `${domid}/0`)!.a;
  const port = records.find((record) => record.process === guest && record.point === POINT['port.take'])!.a;
  return { guest, domid, session, port };
}

/** Whether a record is this point of a notification of that guest. */
function isPoint({ guest, domid, session, port }: Subject, point: HopPoint, record: TraceRecord): boolean {
  if (record.point !== point.point) return false;
  switch (point) {
    case HOP.guestKick:
      return record.process === guest;
    case HOP.guestUpcall:
      return record.process === guest && record.a === port;
    case HOP.exitMmio:
    case HOP.frontendSlot:
      return record.domid === domid && (record.a & PAGE_MASK) === VIRTIO_MMIO_QUEUE_NOTIFY;
    case HOP.serverKick:
    case HOP.serverCall:
      return record.process === 'vhost-gpu' && record.b === session;
    case HOP.hypervisorEvent:
      return record.domid === domid && record.a === port;
    default:
      return record.process === point.process && (record.domid === undefined || record.domid === domid);
  }
}

/**
 * Arrivals at the last point of notifications that went through all the others before, each after the one before it. Several
 * that begin before one arrives may have become that one.
 */
function arrivals(subject: Subject, points: readonly HopPoint[], records: readonly TraceRecord[]): number {
  const last = new Set<TraceRecord>();
  for (const [begin, record] of records.entries()) {
    if (!isPoint(subject, points[0]!, record)) continue;
    let at = 1;
    for (let index = begin + 1; index < records.length; index++) {
      if (!isPoint(subject, points[at]!, records[index]!) || ++at < points.length) continue;
      last.add(records[index]!);
      break;
    }
  }
  return last.size;
}

async function drawOn(t: Test, notify: NotifyMode, paths: readonly NotificationPath[]): Promise<void> {
  const runDir = temporaryLabDir(t);
  const choice = ['--notify', notify, '--path', paths.join(), '--guests', String(paths.length)];
  const { status, stdout, stderr } = await xenwire(t, [
    ...['up', '--once', '--json', '--keep', '--run-dir', runDir],
    ...choice,
  ]);
  t.equal(status, 0, stderr);
  const run = JSON.parse(stdout);
  t.match(run, { result: 'ok', frame: { mismatchedPixels: 0 } });
  t.same(run.leaks, []);
  const records = readHistory(runDir);
  for (const [index, path] of paths.entries()) {
    await t.test(`${path} under ${notify}`, async (t) => {
      const name = index === 0 ? 'guest-gpu-guest' : `guest-gpu-guest-${index + 1}`;
      const subject = subjectOf(records, name, index + 1);
      const { toDevice, toGuest } = PATH_HOPS[path];
      const mine = records.filter((record) => !record.process.startsWith('guest-') || record.process === name);
      const kicks = arrivals(subject, toDevice, mine);
      const calls = arrivals(subject, toGuest, mine);
      t.ok(kicks >= ARRIVALS_MIN, `${kicks} kicks passed all points`);
      t.ok(calls >= ARRIVALS_MIN, `${calls} calls passed all points`);
      // Points of other paths are not passed at all; vhost-frontend's own kicks begin each queue on every path.
      const passed = new Set<HopPoint>([...toDevice, ...toGuest]);
      const others = [HOP.exitMmio, HOP.frontendSlot, HOP.hypervisorKick, HOP.frontendCall].filter(
        (point) => !passed.has(point),
      );
      for (const point of others) {
        const found = mine.filter((record) => record.domid !== undefined && isPoint(subject, point, record));
        // The kernel half takes no kick until vhost-frontend has written the port back (hops.ts, WRITE_BACK_HOPS): one that
        // comes before is found in its slot and served by vhost-frontend, as on Linux. Most come after.
        const early = point === HOP.frontendSlot && passed.has(HOP.exitMmio);
        if (early) t.ok(found.length < kicks, `${found.length} kicks came before a write-back, ${kicks} did not`);
        else t.same(found, [], `no ${point.process} ${point.name}`);
      }
    });
  }
}

t.test('all six at once in one lab, woken by doorbells', async (t) => drawOn(t, 'doorbell', NOTIFICATION_PATHS));

t.test('five at once in one lab, woken by messages', longTest(), async (t) => {
  await drawOn(
    t,
    'zmq',
    NOTIFICATION_PATHS.filter((path) => path !== 'direct'),
  );
});

t.test('what a lab cannot do is one sentence and status 2', async (t) => {
  const runDir = temporaryLabDir(t);
  const none = ['--run-dir', runDir];
  const refusals: [args: string[], sentence: RegExp][] = [
    [['up', '--once', '--path', 'pigeon', ...none], /must be one of dmop, relay, irqfd, evtchnfd, evtchn, direct$/],
    [['up', '--once', '--path', 'evtchnfd,', ...none], /must be one of/],
    [['up', '--once', '--path', 'dmop,direct', '--notify', 'zmq', ...none], /direct .*needs --notify doorbell$/],
  ];
  for (const [args, sentence] of refusals) {
    const { status, stderr } = await xenwire(t, args);
    t.equal(status, 2, args.join(' '));
    t.match(stderr.trim(), sentence);
    t.notMatch(stderr.trim(), /\n/);
  }
});

t.test('what a running lab cannot do is refused, and leaves what it can', longTest(), async (t) => {
  const runDir = temporaryLabDir(t);
  const config = join(runDir, '..', 'second.cfg');
  writeFileSync(config, 'name = "second"\nmemory = 32\nvirtio = [ "type=virtio,device10,transport=mmio" ]\n');
  const lab = await startLab(t, runDir, ['--notify', 'zmq']);
  const create = (path: string) => xenwire(t, ['create', config, '--wait', '--path', path, '--run-dir', runDir]);
  const direct = await create('direct');
  t.same(
    [direct.status, direct.stderr],
    [2, 'xenwire: path direct is shared memory all the way: it needs --notify doorbell\n'],
  );
  const dmop = await create('dmop');
  t.same(
    [dmop.status, dmop.stderr],
    [2, 'xenwire: path dmop needs a hypervisor that was started with --dm-evtchn-raise\n'],
  );
  const relay = await create('relay');
  t.equal(relay.status, 0, relay.stderr);
  t.match(relay.stdout, /picture equal/, 'what was refused has left nothing behind');
  lab.child.kill('SIGINT');
  t.equal(await lab.ended(), 0, lab.stderr);
});
