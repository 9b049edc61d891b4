import fc from 'fast-check';
import t from 'tap';
import { TwoLevelWords } from '../../../lib/events/two-level.js';
import { NO_PORT, UpcallScan } from '../../../lib/events/upcall-scan.js';

// Offsets as a C program printed them from xen.h on x86-64.
const PENDING = 0x800;
const MASK = 0xa00;
const SELECTOR = 8;
const VCPU_INFO = 64;

const bit = (page: Uint8Array, base: number, index: number): boolean =>
  (page[base + (index >>> 3)]! & (1 << (index & 7))) !== 0;

function scanAll(scan: UpcallScan, words: TwoLevelWords): number[] {
  const ports: number[] = [];
  scan.begin();
  for (let port = scan.next(); port !== NO_PORT; port = scan.next()) {
    words.clearPending(port);
    ports.push(port);
  }
  return ports;
}

const port = fc.nat({ max: 4095 });
const vcpu = fc.nat({ max: 31 });

t.test('each step sets and reads the bit that the header names', async () => {
  fc.assert(
    fc.property(port, vcpu, (at, v) => {
      const page = new Uint8Array(4096);
      const words = new TwoLevelWords(page);
      if (!words.deliver(at, v) || words.deliver(at, v)) throw new Error('the first of two is the one that interrupts');
      if (!bit(page, PENDING, at) || !bit(page, v * VCPU_INFO + SELECTOR, at >>> 6) || page[v * VCPU_INFO] !== 1)
        throw new Error('wrong bit');
      if (!words.isPending(at) || !words.upcallPending(v)) throw new Error('reads another bit than it sets');
      words.setMask(at);
      if (!bit(page, MASK, at) || !words.isMasked(at) || !words.clearMask(at) || words.clearMask(at))
        throw new Error('wrong mask bit');
      words.clearPending(at);
      if (page.slice(PENDING, MASK + 512).some((byte) => byte !== 0)) throw new Error('a bit is left');
    }),
  );
});

t.test('delivery stops at a masked port, a selected word and a pending upcall, as Xen does', async (t) => {
  const page = new Uint8Array(4096);
  const words = new TwoLevelWords(page);
  words.setMask(65);
  t.notOk(words.deliver(65, 0));
  t.equal(words.selector(0, 0), 0, 'masked: not selected');
  t.ok(words.deliver(66, 0));
  words.clearUpcall(0);
  t.notOk(words.deliver(67, 0), 'its word is selected already');
  t.notOk(words.upcallPending(0));
});

t.test('a scan finds exactly the selected, unmasked and pending ports, each once', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.uniqueArray(port, { maxLength: 40 }), { maxLength: 6 }),
      fc.uniqueArray(port),
      (rounds, masked) => {
        const words = new TwoLevelWords(new Uint8Array(4096));
        const scan = new UpcallScan(words, 3);
        for (const each of masked) words.setMask(each);
        for (const sent of rounds) {
          for (const each of sent) words.deliver(each, 3);
          const expected = sent.filter((each) => !masked.includes(each)).sort((a, b) => a - b);
          const got = scanAll(scan, words).sort((a, b) => a - b);
          if (got.join() !== expected.join()) throw new Error(`${got} for ${expected}`);
          if (words.upcallPending(3)) throw new Error('the upcall is pending still');
        }
      },
    ),
  );
});

t.test('a scan begins behind the port that was handled last, and ends with those before it', async (t) => {
  const words = new TwoLevelWords(new Uint8Array(4096));
  const scan = new UpcallScan(words, 0);
  words.deliver(70, 0);
  t.same(scanAll(scan, words), [70]);
  for (const each of [5, 64, 70, 71, 127, 4095]) words.deliver(each, 0);
  t.same(scanAll(scan, words), [71, 127, 4095, 5, 64, 70]);
});

t.test('what comes while a scan runs is found by it or raises the upcall again', async (t) => {
  const words = new TwoLevelWords(new Uint8Array(4096));
  const scan = new UpcallScan(words, 0);
  words.deliver(1, 0);
  scan.begin();
  t.equal(scan.next(), 1);
  words.clearPending(1);
  words.deliver(1, 0);
  words.deliver(200, 0);
  t.equal(scan.next(), NO_PORT);
  t.ok(words.upcallPending(0));
  t.same(scanAll(scan, words), [200, 1]);
});
