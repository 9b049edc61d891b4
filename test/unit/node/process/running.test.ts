// Which processes of a run directory live: their locks say so, however many look at once.
import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { trySharedLock } from '../../../../lib/node/files/libc.js';
import {
  isRunning,
  listProcesses,
  lockName,
  removeDead,
  runPaths,
  writeProcessEntry,
} from '../../../../lib/node/process/run-dir.js';
import { prepareRunDir } from '../../../../lib/node/process/run-dir-life.js';
import { temporaryRunDir } from '../../../../testkit/processes.js';

t.test('a process that ended is dead to everybody who looks, also while another looks', (t) => {
  const runDir = temporaryRunDir(t);
  prepareRunDir(runDir).release();
  const lock = lockName(runDir, 'hypervisor')!;
  writeProcessEntry(runDir, { name: 'hypervisor', pid: 1, incarnation: 1, state: 'ready' });
  t.ok(isRunning(runDir, 'hypervisor'));
  lock.release();
  const other = openSync(runPaths.lock(runDir, 'hypervisor'), 'r');
  t.ok(trySharedLock(other), 'another looks, and has not looked away yet');
  t.notOk(isRunning(runDir, 'hypervisor'));
  t.equal(listProcesses(runDir)[0]?.state, 'dead');
  closeSync(other);
  t.end();
});

t.test('what a killed process left is removed with its sockets', (t) => {
  const runDir = temporaryRunDir(t);
  prepareRunDir(runDir).release();
  lockName(runDir, 'guest-a')!.release();
  writeProcessEntry(runDir, { name: 'guest-a', pid: 7, incarnation: 1, state: 'shown' });
  const sockets = [runPaths.bus(runDir, 'guest-a'), runPaths.live(runDir, 'guest-a')];
  const others = runPaths.live(runDir, 'guest-a-2');
  for (const path of [...sockets, others]) writeFileSync(path, '');
  removeDead(runDir, 7);
  t.same(sockets.filter(existsSync), []);
  t.ok(existsSync(others), 'not those of a process whose name begins the same');
  t.same(listProcesses(runDir), []);
  t.end();
});
