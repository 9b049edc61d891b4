// `xenwire latency` in its smallest size: what it measures checks itself. No time is asserted.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { temporaryRunDir } from '../../testkit/processes.js';
import { xenwire } from '../fixtures/lab.js';

const SMALL = ['--quick', '--samples', '200', '--mode', 'hot'];
const FIGURES = { p50: Number, p99: Number, p999: Number, max: Number };

t.test(
  'two combinations: every notification is seen once, and the figures have the shape that programs rely on',
  async (t) => {
    const html = join(temporaryRunDir(t), 'latency.html');
    const { status, stdout, stderr } = await xenwire(t, [
      ...['latency', ...SMALL, '--path', 'evtchnfd,direct', '--notify', 'doorbell', '--json', '--html', html],
    ]);
    t.equal(status, 0, stderr);
    const result = JSON.parse(stdout) as { paths: { hops: unknown[]; samples: number }[] };
    t.match(result, {
      cores: Number,
      node: /^v/,
      floor: { zeromqJs: { oneWayNs: FIGURES }, zeromqJsCalls: { oneWayNs: FIGURES }, sharedMemorySpin: {} },
    });
    t.equal(result.paths.length, 4);
    for (const path of result.paths) {
      t.equal(path.samples, 200);
      t.match(path, { guestToDeviceNs: FIGURES, deviceToGuestNs: FIGURES, roundTripNs: FIGURES });
      t.match(path.hops[0], { from: String, to: String, ns: FIGURES });
    }
    t.match(readFileSync(html, 'utf8'), /^<!doctype html>[\s\S]*<polyline[\s\S]*<\/html>/);
  },
);

t.test(
  'a run of a given time, on given CPUs: histograms for other programs, and a bound that it is held to',
  async (t) => {
    const dir = temporaryRunDir(t);
    const file = join(dir, 'histfile');
    const args = [
      'latency',
      '--quick',
      '-D',
      '1',
      '--mode',
      'hot',
      '--load',
      'closed',
      '--path',
      'evtchnfd',
      '--notify',
      'doorbell',
    ];
    const { status, stdout, stderr } = await xenwire(t, [
      ...[...args, '--affinity', '0', '--histfile', file, '--hgrm', join(dir, 'hgrm'), '--max', '1'],
    ]);
    t.equal(status, 1, 'no way of two hops takes a microsecond');
    t.match(stderr, /1 of 1: evtchnfd doorbell hot closed, at most 1 s/);
    t.match(stderr, /xenwire: a notification took \d+ us one way, more than 1\n$/);
    t.match(stdout, /^(warning: .*\n)*governor .*; idle states .*; mitigations .*; clock \S+/);
    t.match(stdout, /count +min +p50 +p99 +p99\.9 +max/);
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    const rows = lines.filter((line) => /^\d{6} /.test(line)).map((line) => line.split(/[ \t]/).map(Number));
    t.ok(rows.every(([us, ...counts], index) => us === index && counts.length === 3));
    const totals = lines
      .find((line) => line.startsWith('# Total: '))!
      .split(' ')
      .slice(2)
      .map(Number);
    const overflows = lines
      .find((line) => line.startsWith('# Histogram Overflows: '))!
      .split(' ')
      .slice(3)
      .map(Number);
    for (const [column, total] of totals.entries()) {
      const sum = rows.reduce((all, row) => all + row[column + 1]!, 0);
      t.equal(sum + overflows[column]!, total, `column ${column} adds up`);
    }
    t.same(
      readdirSync(join(dir, 'hgrm')).sort(),
      ['device-to-guest', 'guest-to-device', 'round-trip'].map((way) => `evtchnfd-doorbell-hot-closed-${way}.hgrm`),
    );
    t.match(
      readFileSync(join(dir, 'hgrm', 'evtchnfd-doorbell-hot-closed-round-trip.hgrm'), 'utf8'),
      /Value +Percentile +TotalCount/,
    );
  },
);

t.test('the first notification above a threshold ends the run with its timeline', async (t) => {
  const { status, stdout } = await xenwire(t, [
    'latency',
    ...SMALL,
    '--path',
    'relay',
    '--load',
    'closed',
    '--threshold',
    '1',
  ]);
  t.equal(status, 1);
  // A request that the device finds by itself, while it still looks, needs no kick: what every request has is looked for.
  t.match(stdout, /guest-gpu-guest +load\.request +sequence=\d+ late-ns=0/);
  t.match(stdout, /guest-gpu-guest +event\.taken +port=\d+/);
  t.match(stdout, /vhost-gpu +gpu\.executed MOVE_CURSOR +type=0x301 resource=\d+/);
});

t.test('what cannot be measured is a mistake of the user', async (t) => {
  for (const [args, words] of [
    [['--path', 'direct', '--notify', 'zmq'], /direct is shared memory/],
    [['--path', 'sideways'], /Choices are/],
    [['--samples', '0'], /whole number/],
    [['--affinity', 'all'], /It must be a list of CPUs, as 0-1 or 0,2/],
    [['--histfile', '/nowhere/x'], /cannot write/],
    [['-D', '0'], /whole number/],
    [['--html', '/nowhere/at/all.html'], /cannot write/],
  ] as const) {
    const { status, stderr } = await xenwire(t, ['latency', ...args]);
    t.equal(status, 2, args.join(' '));
    t.match(stderr, words);
  }
});
