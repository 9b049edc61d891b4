// A run directory belongs to all who start in it: a start that failed removes what it made, and not from under another one.
import { existsSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { lockName } from '../../../../lib/node/process/run-dir.js';
import {
  forgetRunDir,
  isRunDir,
  prepareRunDir,
  removeHalfRemoved,
  removeRunDir,
} from '../../../../lib/node/process/run-dir-life.js';
import { temporaryRunDir } from '../../../../testkit/processes.js';

t.test('a start that failed leaves the directory to one that has just begun, which gets its name', (t) => {
  const runDir = join(temporaryRunDir(t), 'made', 'lab');
  const failing = prepareRunDir(runDir);
  const starting = prepareRunDir(runDir);
  t.equal(starting.made, undefined, 'it found the directory');
  failing.release();
  forgetRunDir(failing, 'failing');
  const lock = lockName(runDir, 'starting');
  t.ok(lock, 'the other start goes on');
  starting.release();
  forgetRunDir(failing, 'failing');
  t.ok(isRunDir(runDir), 'now a name is in it');
  lock!.release();
  t.end();
});

t.test('what no other process uses goes, with the folders above it that were made', (t) => {
  const above = temporaryRunDir(t);
  const failed = prepareRunDir(join(above, 'made', 'lab'));
  lockName(failed.runDir, 'failed')!.release();
  failed.release();
  forgetRunDir(failed, 'failed');
  t.notOk(existsSync(join(above, 'made')));
  t.ok(existsSync(above));
  const other = prepareRunDir(join(above, 'made', 'lab'));
  other.release();
  mkdirSync(join(above, 'made', 'another'));
  forgetRunDir(other, 'failed');
  t.notOk(existsSync(other.runDir));
  t.ok(existsSync(join(above, 'made', 'another')), 'but not those that hold something else');
  t.end();
});

t.test('a directory is removed at once or not at all', (t) => {
  const runDir = join(temporaryRunDir(t), 'lab');
  const starting = prepareRunDir(runDir);
  t.notOk(removeRunDir(runDir), 'not while a process begins');
  starting.release();
  t.notOk(
    removeRunDir(runDir, () => false),
    'nor when its remover finds that it must stay',
  );
  t.ok(isRunDir(runDir));
  t.ok(removeRunDir(runDir));
  t.notOk(existsSync(runDir));
  t.ok(removeRunDir(runDir), 'one that is gone is gone');
  t.end();
});

t.test('what a killed remover had set aside goes, and nothing of a neighbour', (t) => {
  const above = temporaryRunDir(t);
  const runDir = join(above, 'lab');
  for (const name of ['lab', 'lab.77.removed/shm', 'lab.1', 'lab.1.78.removed', 'lab.removed', 'other.79.removed'])
    mkdirSync(join(above, name), { recursive: true });
  removeHalfRemoved(runDir);
  t.same(readdirSync(above).sort(), ['lab', 'lab.1', 'lab.1.78.removed', 'lab.removed', 'other.79.removed']);
  t.end();
});

t.test('one that is being removed is waited for, then made anew', (t) => {
  const runDir = join(temporaryRunDir(t), 'lab');
  prepareRunDir(runDir).release();
  const removed = removeRunDir(runDir, () => {
    // As removeRunDir is about to do: the lock of the marker goes with it and is not the new one's.
    renameSync(runDir, join(dirname(runDir), 'aside'));
    prepareRunDir(runDir).release();
    return false;
  });
  t.notOk(removed);
  t.ok(isRunDir(runDir), 'the new one stands');
  t.end();
});
