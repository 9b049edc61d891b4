// Guests that boot together while processes of their lab are killed, each kind in turn: every picture is right in the end and nothing is
// left. `xenwire up --once` waits for a guest that is made anew, and for pictures that a death took from their screens.

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { type Kill, killWhileBooting, RESTARTING } from '../../bench/storm/kills.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { startNode, temporaryRunDir } from '../../testkit/processes.js';

const GUESTS = 8;
const KILLS = 4;
const STORM_MS = 180_000;

t.test(`${GUESTS} guests come to their pictures while ${KILLS} processes are killed`, async (t) => {
  const runDir = join(temporaryRunDir(t), 'lab');
  const xenwire = pathToFileURL(join(PACKAGE_ROOT, 'dist/bin/xenwire.js'));
  const args = ['up', '--run-dir', runDir, '--guests', String(GUESTS), '--config', RESTARTING, '--once', '--json'];
  const up = startNode(t, xenwire, args);
  const over = new AbortController();
  const ended = up.ended(STORM_MS).finally(() => over.abort());
  const kills: Kill[] = await killWhileBooting(runDir, GUESTS, KILLS, over.signal);
  t.equal(await ended, 0, up.stderr);
  t.same(
    kills.map(({ victim }) => victim.replace(/^guest-.*/, 'a guest')),
    ['vhost-gpu', 'xenstored', 'vhost-frontend', 'a guest'],
  );
  const { result, leaks, frame } = JSON.parse(up.lines.join('')) as {
    result: string;
    leaks: string[];
    frame: { mismatchedPixels: number };
  };
  t.same({ result, leaks, mismatched: frame.mismatchedPixels }, { result: 'ok', leaks: [], mismatched: 0 });
});
