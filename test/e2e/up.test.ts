// Whole labs, as a user starts them: pictures equal, nothing left behind, with one guest and with many.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { longTest } from '../../testkit/tier.js';
import { leftovers, temporaryLabDir, xenwire } from '../fixtures/lab.js';

interface UpResult {
  readonly result: string;
  readonly handshakeMs: number;
  readonly firstFrameMs: number;
  readonly frame: { width: number; height: number; mismatchedPixels: number };
  readonly guests: { domid: number; frontend: number[]; backend: number[] }[];
  readonly leaks: string[];
}

async function once(t: Test, args: readonly string[]): Promise<UpResult> {
  const runDir = temporaryLabDir(t);
  const { status, stdout, stderr } = await xenwire(t, ['up', '--once', '--json', '--run-dir', runDir, ...args]);
  t.equal(status, 0, stderr);
  t.equal(stderr, '', 'no warning');
  t.same(leftovers(runDir), []);
  return JSON.parse(stdout) as UpResult;
}

t.test('one guest: handshake in order, picture equal, nothing left, all in one JSON object', async (t) => {
  const run = await once(t, []);
  t.equal(run.result, 'ok');
  t.same(run.frame, { width: 1024, height: 768, mismatchedPixels: 0 });
  t.same(run.guests, [{ domid: 1, frontend: [1, 3, 4, 6], backend: [1, 2, 4, 5, 6] }]);
  t.same(run.leaks, []);
  t.ok(run.handshakeMs > 0 && run.handshakeMs < run.firstFrameMs);
  t.same(Object.keys(run), ['result', 'handshakeMs', 'firstFrameMs', 'frame', 'guests', 'leaks']);
});

t.test('twelve guests with a picture each', longTest(), async (t) => {
  const run = await once(t, ['--guests', '12']);
  t.equal(run.frame.mismatchedPixels, 0);
  t.same(
    run.guests.map(({ domid }) => domid),
    Array.from({ length: 12 }, (_, index) => index + 1),
  );
  for (const { frontend, backend } of run.guests) {
    t.same(frontend, [1, 3, 4, 6]);
    t.same(backend, [1, 2, 4, 5, 6]);
  }
});

t.test('four guests whose stores are on their ring pages', longTest(), async (t) => {
  const run = await once(t, ['--guests', '4', '--store-transport', 'ring']);
  t.equal(run.frame.mismatchedPixels, 0);
  t.same(run.leaks, []);
  t.equal(run.guests.length, 4);
  for (const { frontend } of run.guests) t.same(frontend, [1, 3, 4, 6]);
});

t.test('wake-ups as messages instead of doorbells', longTest(), async (t) => {
  t.equal((await once(t, ['--notify', 'zmq'])).frame.mismatchedPixels, 0);
});

t.test('frames are copied, and with --keep logs, history and frames stay until the next lab', longTest(), async (t) => {
  const runDir = temporaryLabDir(t);
  const frames = `${runDir}-frames`;
  const args = ['up', '--once', '--keep', '--frames', frames, '--run-dir', runDir];
  const { status, stdout } = await xenwire(t, args);
  t.equal(status, 0);
  t.match(stdout, /picture +equal: 0 of 1024x768 pixels differ/);
  t.same(readdirSync(frames), ['gpu-guest.png']);
  for (const kept of ['logs/hypervisor.ndjson', 'frames/gpu-guest.png']) t.ok(existsSync(join(runDir, kept)), kept);
  const trace = await xenwire(t, ['trace', '--run-dir', runDir, '--point', 'front.state-written', '--json']);
  const states = trace.stdout.split('\n').map((line) => JSON.parse(line) as object);
  const label = 'device/virtio-mmio/0/state';
  t.match(
    states,
    [1, 3, 4, 6].map((to, index) => ({
      process: /^(toolstack|guest-)/,
      label,
      devid: 0,
      from: [0, 1, 3, 4][index],
      to,
    })),
  );
  t.equal(states.length, 4);
  const [line] = readFileSync(join(runDir, 'logs', 'hypervisor.ndjson'), 'utf8').split('\n');
  t.equal(JSON.parse(line!).msg, 'ready', 'logs are NDJSON');
  t.equal((await xenwire(t, ['up', '--once', '--run-dir', runDir])).status, 0, 'the next lab starts in it');
  t.notOk(existsSync(runDir));
});
