import * as fc from 'fast-check';
import t from 'tap';
import { XenbusState } from '../../../lib/layout/xenbus.js';
import {
  formatHex,
  MMIO_WINDOW,
  overlaps,
  parseBase,
  parseDeviceType,
  parseDomid,
  parseEventChannel,
  parseOnline,
  parseSize,
  parseState,
} from '../../../lib/xenbus/keys.js';
import { legalEdge, REVIEW_EDGES, REVIEW_KEYS } from '../../../lib/xenbus/protocol.js';

t.test('a base is 0x-hex, page-aligned, and lies with all its bytes in the window', async (t) => {
  t.equal(parseBase('0xf0000000', 0x200), 0xf0000000);
  t.equal(parseBase('0xfbfff000', 0x1000), 0xfbfff000);
  const bad = [
    '4026531840',
    'f0000000',
    '0x',
    '0xf0000800',
    '0xefffe000',
    '0xfc000000',
    '0xf0000000 ',
    '',
    '0x-1',
    '0',
  ];
  for (const text of bad) t.equal(parseBase(text, 0x200), undefined, `"${text}"`);
  t.equal(parseBase('0xfbfff000', 0x1004), undefined, 'one word past the end');
  t.end();
});

t.test('what is formatted parses to itself', async (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: (MMIO_WINDOW.end + 1 - MMIO_WINDOW.start) / 4096 - 1 }), (page) => {
      const base = MMIO_WINDOW.start + page * 4096;
      return parseBase(formatHex(base), 0x200) === base;
    }),
  );
  t.end();
});

t.test('ports, domains and types are what the tables say and nothing else', async (t) => {
  t.equal(parseEventChannel('1'), 1);
  t.equal(parseEventChannel('131071'), 131071);
  for (const text of ['0', '131072', '-1', '0x7', '7 ', ' 7', '7a', '', '99999999999']) {
    t.equal(parseEventChannel(text), undefined, `port "${text}"`);
  }
  t.equal(parseDomid('0'), 0);
  t.equal(parseDomid('32751'), 32751);
  for (const text of ['32752', '-1', '', 'x']) t.equal(parseDomid(text), undefined, `domid "${text}"`);
  t.equal(parseDeviceType('virtio,device10'), 16);
  t.equal(parseDeviceType('virtio,device1a'), 26);
  for (const text of ['virtio,device', 'virtio,device1A', 'virtio,device0x10', 'device10', 'virtio,device12345']) {
    t.equal(parseDeviceType(text), undefined, `type "${text}"`);
  }
  t.end();
});

t.test('sizes are decimal or hex, whole words, from registers and configuration up to the window', async (t) => {
  t.equal(parseSize('512'), 512);
  t.equal(parseSize('0x200'), 512);
  t.equal(parseSize('0xc000000'), 0xc000000);
  for (const text of ['508', '0x1fc', '513', '0xc000004', '1K', '', '0x', '-512', '5.12e2']) {
    t.equal(parseSize(text), undefined, `size "${text}"`);
  }
  t.end();
});

t.test('a state reads as Linux reads it: digits at the start, anything else is Unknown', async (t) => {
  t.equal(parseState('4'), 4);
  t.equal(parseState(' 4'), 4);
  t.equal(parseState('4\n'), 4);
  t.equal(parseState('9'), 9);
  for (const text of ['', 'x', '-1', '4294967300']) t.ok([0, 4294].includes(parseState(text)), `"${text}"`);
  t.equal(parseOnline('1'), true);
  for (const text of ['0', '', '11', undefined]) t.equal(parseOnline(text), false);
  t.end();
});

t.test('parsers never throw and never answer a number outside their range', async (t) => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const port = parseEventChannel(text);
      const size = parseSize(text);
      const base = parseBase(text, 512);
      return (
        (port === undefined || (port > 0 && port < 131072)) &&
        (size === undefined || size >= 512) &&
        (base === undefined || (base >= MMIO_WINDOW.start && base + 511 <= MMIO_WINDOW.end)) &&
        Number.isInteger(parseState(text))
      );
    }),
  );
  t.end();
});

t.test('ranges overlap when they share a byte', async (t) => {
  t.equal(overlaps({ base: 0, size: 4 }, { base: 4, size: 4 }), false);
  t.equal(overlaps({ base: 0, size: 5 }, { base: 4, size: 4 }), true);
  t.equal(overlaps({ base: 4, size: 1 }, { base: 0, size: 8 }), true);
  t.end();
});

t.test('the tables are closed: each key has one rule, each move at most one rule a writer', async (t) => {
  const keys = REVIEW_KEYS.map(({ side, key }) => `${side}/${key}`);
  t.equal(new Set(keys).size, keys.length);
  const states = Object.values(XenbusState);
  for (const side of ['front', 'back'] as const) {
    for (const by of ['frontend', 'core', 'backend', 'toolstack'] as const) {
      for (const from of states) {
        for (const to of states) {
          const rules = REVIEW_EDGES.filter(
            (edge) => edge.side === side && edge.by === by && edge.to === to && edge.from.includes(from),
          );
          t.ok(rules.length <= 1, `${side} ${from} to ${to} by ${by}`);
          t.equal(legalEdge(side, from, to, by) !== undefined, rules.length === 1);
        }
      }
    }
  }
  t.equal(legalEdge('front', 1, 3, 'frontend', 1), undefined, 'not before the backend has published');
  t.equal(legalEdge('back', 2, 4, 'backend', 1), undefined, 'not before the frontend has');
  t.equal(legalEdge('front', 1, 3, 'backend'), undefined, "a backend never writes the frontend's state");
  t.end();
});
