// What store messages are called at trace points: gates are armed by these words, and traces read by them.
import fc from 'fast-check';
import t from 'tap';
import { XS } from '../../../lib/layout/xs-wire.js';
import { requestLabel } from '../../../lib/xenstore/labels.js';

const label = (type: number, payload: string): string => requestLabel({ type, reqId: 0, txId: 0, payload });

t.test('a write tells a short value that can be printed, and no other', async (t) => {
  const path = 'device/virtio-mmio/0/state';
  t.equal(label(XS.XS_WRITE, `${path}\x003`), `write ${path}=3`);
  t.equal(label(XS.XS_WRITE, `${path}\0`), `write ${path}=`);
  t.equal(label(XS.XS_WRITE, path), `write ${path}=`);
  t.equal(label(XS.XS_WRITE, `${path}\0twelve bytes`), `write ${path}`, 'a space');
  t.equal(label(XS.XS_WRITE, `${path}\0twelve-bytes`), `write ${path}=twelve-bytes`);
  t.equal(label(XS.XS_WRITE, `${path}\0thirteen-byte`), `write ${path}`);
});

t.test('others tell their path; one that has none is its name, and what has no name its number', async (t) => {
  t.equal(label(XS.XS_WATCH, '@releaseDomain\0token\0'), 'watch @releaseDomain');
  t.equal(label(XS.XS_TRANSACTION_START, '\0'), 'transaction_start');
  t.equal(label(99, 'x'), 'type_99 x');
});

t.test('whatever a client sends, its label is its first two strings at most', (t) => {
  const bytes = fc.string({ unit: fc.constantFrom('\0', 'a', '/', ' ', '=', '~', '\x7f', 'ÿ'), maxLength: 40 });
  fc.assert(
    fc.property(bytes, (payload) => {
      const [path = '', value = ''] = payload.split('\0');
      const shown = /^[!-~]{0,12}$/.test(value) ? `=${value}` : '';
      t.equal(label(XS.XS_WRITE, payload), `write ${path}${shown}`);
      t.equal(label(XS.XS_READ, payload), path === '' ? 'read' : `read ${path}`);
    }),
  );
  t.end();
});
