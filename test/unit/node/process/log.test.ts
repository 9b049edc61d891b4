import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { limitProcess } from '../../../../lib/node/files/other-process.js';
import { logLine, openLog } from '../../../../lib/node/process/log.js';
import { temporaryRunDir } from '../../../../testkit/processes.js';

const record = {
  level: 30,
  time: 1_795_923_809_447,
  process: 'vhost-gpu',
  incarnation: 7,
  pid: 9,
  msg: 'session opened',
};

t.test('a record is one line, with the process, the message and its fields', async (t) => {
  t.equal(
    logLine({ ...record, device: '1/0', count: 3 }, {}),
    '02:43:29.447 vhost-gpu: session opened device=1/0 count=3'.replace(
      /^\S+/,
      new Date(record.time).toISOString().slice(11, 23),
    ),
  );
});

t.test('a stack stays one line', async (t) => {
  const line = logLine({ ...record, level: 50, error: 'Error: x\n    at y (z.ts:1:2)' }, {});
  t.match(line, /error=Error: x \| at y \(z\.ts:1:2\)$/);
  t.notMatch(line, '\n');
});

t.test('colours are for terminals, and for those who want them', async (t) => {
  const before = process.env['NO_COLOR'];
  delete process.env['NO_COLOR'];
  t.match(logLine({ ...record, level: 50 }, { isTTY: true }), '\u001b[31m');
  t.notMatch(logLine({ ...record, level: 50 }, {}), '\u001b');
  process.env['NO_COLOR'] = '1';
  t.notMatch(logLine({ ...record, level: 50 }, { isTTY: true }), '\u001b');
  if (before === undefined) delete process.env['NO_COLOR'];
  else process.env['NO_COLOR'] = before;
});

t.test('a log that has no room loses no process: its records are there once it has room again', async (t) => {
  const path = join(temporaryRunDir(t), 'log');
  const log = openLog({ name: 'one', incarnation: 1, path, level: 'info', terminal: false });
  log.info('before');
  const limit = limitProcess(process.pid, 'fileBytes', 0n);
  // Nothing else may be written meanwhile, what this test says neither.
  for (let count = 0; count < 2000; count++) log.info(`meanwhile ${count}`);
  limitProcess(process.pid, 'fileBytes', limit);
  log.info('after');
  const said = readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { msg: string }).msg);
  t.equal(said[0], 'before');
  t.equal(said[1], 'meanwhile 0', 'what was said first is kept');
  t.ok(said.length < 2000, 'not without bound');
  log.info('later');
  t.match(readFileSync(path, 'utf8'), /later/);
});
