// CONTROL log and logfile: the trace in the daemon's form, where it may go, and how long it may get.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { NO_LOG } from '../../../../lib/core/log.js';
import { XS } from '../../../../lib/layout/xs-wire.js';
import { FileTrace } from '../../../../services/xenstored/node/control-host.js';
import { Store } from '../../../../services/xenstored/store.js';
import type { Owner } from '../../../../testkit/processes.js';
import { StoreLab } from '../../../../testkit/store-lab.js';

function setUp(t: Owner, bytesMax?: number) {
  const dir = mkdtempSync(join(tmpdir(), 'xw-trace-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const said: string[] = [];
  const log = { ...NO_LOG, warn: (_fields: object, text?: string) => void said.push(text ?? '') } as typeof NO_LOG;
  const traceFile = join(dir, 'trace.log');
  const trace = new FileTrace({ log, traceFile, ...(bytesMax === undefined ? {} : { bytesMax }) });
  t.teardown(() => trace.close());
  const store = new Store({ ask: () => {}, control: trace, trace });
  store.plant();
  const client = store.connectPrivileged({ name: 'socket-1', onOutput: () => {}, onDropped: () => {} });
  let reqId = 0;
  const ask = (type: number, payload: string): string | undefined => {
    store.receive(client, { type, reqId: ++reqId, txId: 0, payload: payload.replaceAll('|', '\0') });
    return client.outbox.take().at(-1)?.payload.replaceAll('\0', '|');
  };
  return { dir, traceFile, said, ask, control: (text: string) => ask(XS.XS_CONTROL, text) };
}

/** Lines without their time. */
const lines = (path: string): string[] =>
  readFileSync(path, 'latin1')
    .replaceAll(/ \d{8} \d\d:\d\d:\d\d /g, ' TIME ')
    .split('\n');

t.test('logfile names a file, and every message and object is a line in it', async (t) => {
  const { dir, ask, control } = setUp(t);
  const file = join(dir, 'other.log');
  t.equal(control(`logfile|${file}|`), 'OK|');
  ask(XS.XS_WATCH, '/a|token|');
  ask(XS.XS_WRITE, '/a/b|va lue');
  t.equal(control('log|-io|'), 'OK|');
  ask(XS.XS_UNWATCH, '/a|token|');
  t.equal(control('log|off|'), 'OK|');
  ask(XS.XS_WRITE, '/a/b|not told');
  t.same(lines(file), [
    '',
    '***',
    'io: OUT socket-1 (d0) TIME CONTROL (OK )',
    'io: IN socket-1 (d0) TIME WATCH (/a token )',
    'obj: CREATE watch socket-1 /a token',
    'io: OUT socket-1 (d0) TIME WATCH (OK )',
    'io: OUT socket-1 (d0) TIME WATCH_EVENT (/a token )',
    'io: IN socket-1 (d0) TIME WRITE (/a/b va lue)',
    'io: OUT socket-1 (d0) TIME WATCH_EVENT (/a/b token )',
    'io: OUT socket-1 (d0) TIME WRITE (OK )',
    'io: IN socket-1 (d0) TIME CONTROL (log -io )',
    'obj: DESTROY watch socket-1 /a token',
    '',
  ]);
  t.equal(statSync(file).mode & 0o777, 0o600);
});

t.test('log on goes to a file of its own, and is said to be on', async (t) => {
  const { traceFile, ask, control } = setUp(t);
  t.equal(control('log|on|'), 'OK|');
  ask(XS.XS_READ, '/tool|');
  t.match(lines(traceFile), ['', '***', /CONTROL/, /IN .* READ \(\/tool \)/]);
  t.equal(control('memreport|'), 'OK|');
  t.match(readFileSync(traceFile, 'latin1'), /\nconnections 1\n/);
});

t.test('what is no plain file is refused, and nothing changes', async (t) => {
  const { dir, traceFile, ask, control } = setUp(t);
  control('log|on|');
  mkdirSync(join(dir, 'folder'));
  symlinkSync('/etc/passwd', join(dir, 'link'));
  execFileSync('mkfifo', [join(dir, 'fifo')]);
  for (const bad of [join(dir, 'folder'), join(dir, 'link'), join(dir, 'fifo'), '/dev/null', '/dev/full', '/proc/x']) {
    t.equal(control(`logfile|${bad}|`), 'EINVAL|', bad);
    t.equal(control(`memreport|${bad}|`), 'EINVAL|', bad);
  }
  t.notOk(existsSync('/proc/x'));
  ask(XS.XS_READ, '/tool|');
  t.match(readFileSync(traceFile, 'latin1'), /READ/, 'goes on where it went');
});

t.test('a trace ends at its bound, and says so', async (t) => {
  const { traceFile, said, ask, control } = setUp(t, 2000);
  control('log|on|');
  for (let index = 0; index < 100; index++) ask(XS.XS_READ, '/tool|');
  const { size } = statSync(traceFile);
  t.ok(size >= 2000 && size < 2200, `${size} bytes`);
  t.match(said, [/as long as it may be/]);
  t.equal(control('log|on|'), 'OK|', 'it can be begun anew');
  t.ok(statSync(traceFile).size > size);
});

t.test('a quota that a guest meets is told with its name, less and less often', async (t) => {
  const lab = new StoreLab();
  lab.guest(5);
  for (let index = 0; index < 9; index++) t.match(lab.reply('dom5', 'TRANSACTION_START', '|'), /^\d+$/);
  t.same(lab.quotaHits, []);
  for (let index = 0; index < 1000; index++) t.equal(lab.reply('dom5', 'TRANSACTION_START', '|'), 'ENOSPC');
  t.same(lab.quotaHits[0], { connection: 'dom5', domid: 5, quota: 'transactions', limit: 10, times: 1 });
  t.same(
    lab.quotaHits.map(({ times }) => times),
    [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
  );
  lab.store.domains.get(5)?.account.limits.set('transaction-nodes', 3);
  lab.reply('dom5', 'READ', '/a/b/c/d/e|', 1);
  t.match(lab.quotaHits.at(-1), { quota: 'transaction-nodes', times: 1 });
});
