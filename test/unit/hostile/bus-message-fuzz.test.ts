// Bytes of messages of the bus, fuzzed: each is a message of its type, which means the same once encoded again, or is refused with the
// typed error that the bus answers peers with. How many inputs: testkit/fuzz-test.ts; what a message then does to the hypervisor is
// test/unit/services/hypervisor/bus-fuzz.test.ts.
import { isDeepStrictEqual } from 'node:util';
import t from 'tap';
import { concatBytes } from '../../../lib/core/bytes.js';
import { ProtocolError } from '../../../lib/core/errors.js';
import { messageCodec } from '../../../lib/node/bus/proto.js';
import { MESSAGES } from '../../../lib/node/bus/proto-codecs.js';
import { fuzzTest } from '../../../testkit/fuzz-test.js';
import type { FuzzTarget } from '../../../testkit/fuzzer.js';

const NAMES = Object.keys(MESSAGES);
const CODECS = NAMES.map((name) => messageCodec(name));
/** A varint, a 64-bit field, a length and a nested message: field numbers 1 to 3, as most messages have them. */
const FIELDS = Uint8Array.of(0x08, 0x96, 0x01, 0x12, 0x03, 0x08, 0x01, 0x10, 0x18, 0xff, 0xff, 0xff, 0xff, 0x0f);

const target: FuzzTarget = {
  name: 'messages of the bus',
  files: /lib\/node\/bus\/proto|protobufjs/,
  seeds: NAMES.map((_, index) => concatBytes([Uint8Array.of(index), FIELDS])),
  bytesMax: 512,
  run(input) {
    const codec = CODECS[(input[0] ?? 0) % CODECS.length]!;
    let message: object;
    try {
      message = codec.decode(input.subarray(1));
    } catch (error) {
      if (error instanceof ProtocolError) return;
      throw error;
    }
    // A copy: of a Buffer, fields of bytes would come out as Buffers too.
    const again = codec.decode(new Uint8Array(codec.encode(message)));
    if (!isDeepStrictEqual(again, message))
      throw new Error(`${JSON.stringify(message)} became ${JSON.stringify(again)}`);
  },
};

fuzzTest(t, target);

t.test('a 64-bit integer that no number holds is refused, not rounded', async (t) => {
  const codec = messageCodec('GntdevMapped');
  const gfn = (...bytes: number[]): Uint8Array => Uint8Array.of(0x18, ...bytes);
  const ones = Array(7).fill(0xff);
  t.match(codec.decode(gfn(...ones, 0x0f)), { gfn: Number.MAX_SAFE_INTEGER });
  for (const past of [gfn(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10), gfn(...ones, 0xff, 0xff, 0x01)])
    t.throws(() => codec.decode(past), ProtocolError);
});
