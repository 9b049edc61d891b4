// `xenwire latency` in its smallest size: what it measures checks itself. No time is asserted.
import { readFileSync } from 'node:fs';
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
    t.match(result, { cores: Number, node: /^v/, floor: { zeromqJs: { oneWayNs: FIGURES }, sharedMemorySpin: {} } });
    t.equal(result.paths.length, 4);
    for (const path of result.paths) {
      t.equal(path.samples, 200);
      t.match(path, { guestToDeviceNs: FIGURES, deviceToGuestNs: FIGURES, roundTripNs: FIGURES });
      t.match(path.hops[0], { from: String, to: String, ns: FIGURES });
    }
    t.match(readFileSync(html, 'utf8'), /^<!doctype html>[\s\S]*<polyline[\s\S]*<\/html>/);
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
    [['--html', '/nowhere/at/all.html'], /cannot write/],
  ] as const) {
    const { status, stderr } = await xenwire(t, ['latency', ...args]);
    t.equal(status, 2, args.join(' '));
    t.match(stderr, words);
  }
});
