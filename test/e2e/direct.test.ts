// Direct calls between two real processes that share the guest's pages: whatever the two do at the same moment, no event
// is lost.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { createPath } from '../../lib/node/files/shm.js';
import { startNode, temporaryRunDir } from '../../testkit/processes.js';
import { longTest } from '../../testkit/tier.js';

const GUEST = new URL('../fixtures/direct-guest.js', import.meta.url);
const SENDER = new URL('../fixtures/direct-sender.js', import.meta.url);
const CALLS = 200_000;

t.test('two hundred thousand calls, with masks and sleeps between them: none is lost', longTest(), async (t) => {
  const runDir = temporaryRunDir(t);
  for (const folder of ['bell', 'shm']) mkdirSync(join(runDir, folder));
  const counters = join(runDir, 'counters');
  createPath(counters, 4096).close();
  const guest = startNode(t, GUEST, [runDir, counters, String(CALLS)]);
  const handle = (await guest.line(/^bound/)).slice(6);
  const sender = startNode(t, SENDER, [runDir, counters, String(CALLS), handle]);
  t.equal(await sender.line(/^(sent|lost)/, 60_000), 'sent all');
  const result = JSON.parse((await guest.line(/^done/)).slice(5)) as Record<string, number>;
  t.equal(result['seen'], CALLS);
  for (const met of ['masked', 'sleepCount', 'handled']) t.ok(result[met]! > 100, `${met}: ${result[met]}`);
  t.equal(await guest.ended(), 0);
  t.equal(await sender.ended(), 0);
});
