import fc from 'fast-check';
import t from 'tap';
import { concatBytes } from '../../../lib/core/bytes.js';
import { XENSTORE_PAYLOAD_MAX, type XsMessage } from '../../../lib/layout/xs-wire.js';
import { encodeMessage, MessageReader } from '../../../lib/xenstore/framing.js';

const message: fc.Arbitrary<XsMessage> = fc.record({
  type: fc.nat({ max: 0xffffffff }),
  reqId: fc.nat({ max: 0xffffffff }),
  txId: fc.nat({ max: 0xffffffff }),
  payload: fc
    .oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc.nat({ max: XENSTORE_PAYLOAD_MAX }).map((size) => new Uint8Array(size).fill(size)),
    )
    .map((bytes) => String.fromCharCode(...bytes)),
});

function readAll(bytes: Uint8Array, cuts: readonly number[]): { messages: XsMessage[]; reader: MessageReader } {
  const reader = new MessageReader();
  const messages: XsMessage[] = [];
  const borders = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  for (let index = 1; index < borders.length; index++) {
    // A copy of its own, wiped afterwards: the reader must keep none of a chunk.
    const chunk = bytes.slice(borders[index - 1], borders[index]);
    reader.push(chunk, (found) => messages.push(found));
    chunk.fill(0xee);
  }
  return { messages, reader };
}

t.test('messages come out as they went in, however the stream is cut', async () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), fc.array(fc.nat(), { maxLength: 12 }), (messages, cuts) => {
      const found = readAll(concatBytes(messages.map(encodeMessage)), cuts);
      return JSON.stringify(found.messages) === JSON.stringify(messages) && found.reader.state === 'idle';
    }),
  );
});

t.test('a message fed byte by byte shows where the reader stands', async (t) => {
  const bytes = encodeMessage({ type: 2, reqId: 1, txId: 0, payload: 'ab' });
  const reader = new MessageReader();
  const states: string[] = [];
  const found: XsMessage[] = [];
  for (const byte of bytes) {
    reader.push(Uint8Array.of(byte), (message) => found.push(message));
    states.push(reader.state);
  }
  t.same(states, [...Array(15).fill('header'), 'payload', 'payload', 'idle']);
  t.same(found, [{ type: 2, reqId: 1, txId: 0, payload: 'ab' }]);
});

t.test('an announced payload past the limit breaks the stream after what came before it', async (t) => {
  const good = encodeMessage({ type: 2, reqId: 7, txId: 0, payload: 'x'.repeat(XENSTORE_PAYLOAD_MAX) });
  const bad = encodeMessage({ type: 2, reqId: 8, txId: 0, payload: '' });
  new DataView(bad.buffer).setUint32(12, XENSTORE_PAYLOAD_MAX + 1, true);
  for (const cut of [0, good.length, good.length + 15]) {
    const reader = new MessageReader();
    const all = concatBytes([good, bad, good]);
    const found: number[] = [];
    const push = (chunk: Uint8Array): void => reader.push(chunk, ({ reqId }) => found.push(reqId));
    t.throws(
      () => {
        push(all.subarray(0, cut));
        push(all.subarray(cut));
      },
      { code: 'payload-too-long' },
    );
    t.same(found, [7]);
    t.equal(reader.state, 'broken');
    t.throws(() => push(good), { code: 'payload-too-long' }, 'for good');
  }
});

t.test('an unfinished message can go on in another reader', async (t) => {
  const bytes = encodeMessage({ type: 11, reqId: 3, txId: 4, payload: '/a\0value' });
  for (let cut = 0; cut < bytes.length; cut++) {
    const first = new MessageReader();
    first.push(bytes.subarray(0, cut), () => t.fail('not whole yet'));
    const second = new MessageReader();
    const found: XsMessage[] = [];
    second.push(first.rest, (message) => found.push(message));
    second.push(bytes.subarray(cut), (message) => found.push(message));
    t.same(found, [{ type: 11, reqId: 3, txId: 4, payload: '/a\0value' }], `cut at ${cut}`);
  }
});

t.test(
  'the beginning of a message is told from a whole one, from an oversized one and from the rest of another',
  async (t) => {
    const bytes = encodeMessage({ type: 2, reqId: 1, txId: 0, payload: 'ab' });
    const chunk = concatBytes([bytes, new Uint8Array(32).fill(0xff)]);
    const reader = new MessageReader();
    for (let count = 1; count < bytes.length; count++) t.ok(reader.isFragment(chunk, count), `${count} bytes`);
    t.notOk(reader.isFragment(chunk, bytes.length), 'a whole one');
    t.notOk(reader.isFragment(chunk, bytes.length + 1), 'a whole one and more');
    const oversized = encodeMessage({ type: 2, reqId: 8, txId: 0, payload: '' });
    new DataView(oversized.buffer).setUint32(12, XENSTORE_PAYLOAD_MAX + 1, true);
    t.notOk(reader.isFragment(oversized, oversized.length), 'one that must be refused');
    reader.push(bytes.subarray(0, 3), () => {});
    t.notOk(reader.isFragment(chunk, 1), 'the rest of one begun');
  },
);
