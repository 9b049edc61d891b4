// Whatever clients send, the store answers each request once, stays sound, and keeps nothing of clients that left.
// XENWIRE_XS_FUZZ sets how many requests.
import t from 'tap';
import { XENSTORE_PAYLOAD_MAX, XS } from '../../../../lib/layout/xs-wire.js';
import { checkStore } from '../../../../services/xenstored/check.js';
import { StoreLab } from '../../../../testkit/store-lab.js';
import { random, ScriptWriter } from '../../../peers/xs-script.js';

const REQUESTS = Number(process.env['XENWIRE_XS_FUZZ'] ?? 30_000);
const SEED = Number(process.env['XENWIRE_XS_SEED'] ?? 1);
const CHECK_EVERY = 2000;
const NAMES = ['dom0', 'dom1', 'dom2', 'dom3', 'dom0-b'] as const;
/** Bytes that mean something to some operation, and some that mean nothing. */
const BYTES = [
  '\0',
  '\0',
  '/',
  'a',
  'b',
  '@',
  '0',
  '5',
  '-',
  'r',
  'n',
  'T',
  'F',
  '\xff',
  ' ',
  'local/domain/1/',
  'x'.repeat(300),
];

t.test(`${REQUESTS} requests, sensible and not`, async (t) => {
  t.setTimeout(30_000 + REQUESTS / 10);
  const lab = new StoreLab();
  for (const domid of [1, 2, 3]) lab.hostDomains.set(domid, `${domid}00`);
  const pick = random(SEED);
  const writer = new ScriptWriter(SEED);
  let sent = 0;
  let answered = 0;
  const listen = (): void => {
    for (const name of NAMES) {
      for (const message of lab.connection(name).outbox.take()) {
        if (message.payload.length > XENSTORE_PAYLOAD_MAX) throw new Error(`${message.payload.length} bytes sent`);
        if (message.type !== XS.XS_WATCH_EVENT) answered++;
      }
    }
  };
  for (let count = 0; count < REQUESTS; count++) {
    const name = NAMES[pick(NAMES.length)] as string;
    if (lab.wasDropped(name)) lab.reopen(name);
    const connection = lab.connection(name);
    const waiting = connection.inbox.length;
    if (pick(3) === 0) {
      const length = pick(6);
      const payload = Array.from({ length }, () => BYTES[pick(BYTES.length)]).join('');
      lab.send(name, pick(28), payload, pick(4) === 0 ? pick(5) : 0);
    } else {
      const { type, payload, txId } = writer.next();
      lab.send(name, type, payload.replaceAll('|', ''), txId % 12);
    }
    // A guest that is not introduced is not served yet, and a dropped one never.
    if (connection.closed) connection.outbox.take();
    else if (connection.inbox.length === waiting) sent++;
    listen();
    if (pick(500) === 0) lab.close(name);
    if (pick(700) === 0) lab.store.domainsChanged([{ domid: 1 + pick(3), uniqueId: '', shutdown: true, dead: true }]);
    if (count % CHECK_EVERY === 0) {
      const wrong = checkStore(lab.store);
      if (wrong.length > 0) t.fail(`after ${count} requests: ${wrong.join('; ')}`);
    }
  }
  t.ok(sent > REQUESTS / 3);
  t.ok(answered >= sent * 0.99 && answered <= REQUESTS, `${answered} answers to ${sent} requests served at once`);
  for (const name of NAMES) lab.close(name);
  t.same(
    lab.store.audit().filter(({ kind }) => kind !== 'domain-node'),
    [],
  );
  t.same(checkStore(lab.store), []);
});
