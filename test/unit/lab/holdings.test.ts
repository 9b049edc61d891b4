// What the processes of a lab hold, asked of each.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { askHoldings } from '../../../lab/audit.js';
import { PeerDiedError } from '../../../lib/core/errors.js';
import { lockName, writeProcessEntry } from '../../../lib/node/process/run-dir.js';
import { prepareRunDir } from '../../../lib/node/process/run-dir-life.js';

t.test('a process that ends between its listing and the question is not waited for without end', async (t) => {
  const parent = mkdtempSync(join(tmpdir(), 'xw-'));
  t.teardown(() => rmSync(parent, { recursive: true, force: true }));
  const { runDir, release } = prepareRunDir(join(parent, 'lab'));
  release();
  const lock = lockName(runDir, 'guest-visitor')!;
  t.teardown(() => lock.release());
  writeProcessEntry(runDir, { name: 'guest-visitor', pid: process.pid, incarnation: 1, state: 'ready' });
  // Its wait is bounded by a signal: the connection's own would last as long as the session.
  const connect = async (server: string, signal?: AbortSignal): Promise<never> => {
    t.ok(signal instanceof AbortSignal, server);
    throw new PeerDiedError(server);
  };
  await t.rejects(askHoldings({ runDir, connect }), { message: 'guest-visitor ended' });
});
