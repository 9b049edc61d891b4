// The state that one program hands to the next: what goes in comes out, and what is damaged is refused.
import fc from 'fast-check';
import t from 'tap';
import { ProtocolError } from '../../../../lib/core/errors.js';
import {
  decodeLiveState,
  encodeLiveState,
  type LiveConnection,
  type LiveState,
  type LiveWire,
} from '../../../../services/xenstored/live-state.js';

/** Objects as ours are. */
const plain = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>;

const text = fc
  .array(fc.integer({ min: 1, max: 255 }), { minLength: 1, maxLength: 30 })
  .map((codes) => String.fromCharCode(...codes));
const watch = plain({
  path: text,
  token: text,
  depth: fc.option(fc.integer({ min: 0, max: 0xffff }), { nil: undefined }),
});
const wire: fc.Arbitrary<LiveWire> = fc.oneof(
  plain({ kind: fc.constant('socket' as const), fd: fc.nat() }),
  plain({
    kind: fc.constant('ring' as const),
    domid: fc.integer({ min: 0, max: 32751 }),
    targetDomid: fc.option(fc.integer({ min: 0, max: 32751 }), { nil: undefined }),
    port: fc.nat(),
    uniqueId: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  }),
);
const connection: fc.Arbitrary<LiveConnection> = plain({
  wire,
  input: fc.uint8Array({ maxLength: 50 }),
  output: fc.uint8Array({ maxLength: 50 }),
  begun: fc.nat(50),
  watches: fc.array(watch, { maxLength: 4 }),
}).map((fields) => ({ ...fields, begun: Math.min(fields.begun, fields.output.length) }));
const state: fc.Arbitrary<LiveState> = plain({
  listeningFd: fc.integer({ min: -1, max: 1000 }),
  connections: fc.array(connection, { maxLength: 5 }),
});

t.test('what is written is read', async (t) => {
  fc.assert(
    fc.property(state, (given) => {
      const bytes = encodeLiveState(given);
      t.equal(bytes.length % 8, 0);
      t.strictSame(decodeLiveState(bytes), given);
    }),
    { numRuns: 200 },
  );
});

t.test('more input than one record can count is carried too', async (t) => {
  const input = Uint8Array.from({ length: 70_001 }, (_, index) => index & 0xff);
  const given: LiveState = {
    listeningFd: 3,
    connections: [{ wire: { kind: 'socket', fd: 5 }, input, output: new Uint8Array(0), begun: 0, watches: [] }],
  };
  t.strictSame(decodeLiveState(encodeLiveState(given)), given);
});

t.test('the bytes are those of the format', async (t) => {
  const bytes = encodeLiveState({
    listeningFd: 7,
    connections: [
      {
        wire: { kind: 'ring', domid: 5, targetDomid: undefined, port: 9, uniqueId: 0x1122n },
        input: Uint8Array.of(1, 2, 3),
        output: Uint8Array.of(),
        begun: 0,
        watches: [{ path: '/a', token: 't', depth: 2 }],
      },
    ],
  });
  const hex = (from: number, to: number): string => Buffer.from(bytes.subarray(from, to)).toString('hex');
  t.equal(hex(0, 16), `${Buffer.from('xenstore').toString('hex')}0000000200000000`, 'preamble, big-endian');
  t.equal(hex(16, 32), '010000000800000007000000ffffffff', 'GLOBAL');
  t.equal(hex(32, 40), '0200000028000000', 'CONN, 40 bytes');
  t.equal(hex(40, 64), '01000000000001000500f47f09000000' + '0300000000000000');
  t.equal(hex(64, 80), '01020300000000002211000000000000', 'input, padding, unique id');
  t.equal(hex(80, 104), '0800000010000000010000000300020002002f6100740000', 'WATCH_EXT');
  t.equal(hex(104, 112), '0000000000000000', 'END');
  t.equal(bytes.length, 112);
});

t.test('damage is refused, never more than that', async (t) => {
  fc.assert(
    fc.property(state, fc.nat(), fc.integer({ min: 1, max: 255 }), fc.boolean(), (given, where, flip, cut) => {
      const bytes = encodeLiveState(given);
      const at = where % bytes.length;
      const damaged = cut ? bytes.slice(0, at) : bytes.map((byte, index) => (index === at ? byte ^ flip : byte));
      try {
        decodeLiveState(damaged);
      } catch (error) {
        t.ok(error instanceof ProtocolError, String(error));
      }
      if (cut) t.throws(() => decodeLiveState(damaged), ProtocolError);
    }),
    { numRuns: 500 },
  );
});
