import t from 'tap';
import {
  atoi,
  countStrings,
  joinStrings,
  oneString,
  parseDomid,
  parsePermId,
  replyStrings,
  splitStrings,
} from '../../../lib/xenstore/payload.js';

t.test('strings are what a NUL ends', async (t) => {
  t.same(splitStrings('a\0b\0rest'), ['a', 'b']);
  t.same(splitStrings(''), []);
  t.same(splitStrings('\0'), ['']);
  t.same(replyStrings('a\0b'), ['a', 'b'], 'a reply keeps a last string without a NUL');
  t.same(replyStrings('a\0b\0'), ['a', 'b']);
  t.same(replyStrings('a\0\0'), ['a', '']);
  t.same(replyStrings(''), []);
  t.equal(countStrings('a\0b\0rest'), 2);
  t.equal(oneString('a\0'), 'a');
  for (const other of ['', 'a', 'a\0b', 'a\0\0']) t.equal(oneString(other), undefined, JSON.stringify(other));
  t.equal(joinStrings(['a', 'b']), 'a\0b\0');
  t.equal(joinStrings([]), '');
});

t.test('domids are read by strtoul, base 10, to the end', async (t) => {
  for (const [text, value] of Object.entries({
    '': 0,
    '007': 7,
    ' 5': 5,
    '+5': 5,
    '-0': 0,
    '65535': 65535,
    '65536': undefined,
    '-1': undefined,
    '5x': undefined,
    ' ': undefined,
    '0x5': undefined,
    '18446744073709551621': undefined,
  })) {
    t.equal(parseDomid(text), value, JSON.stringify(text));
  }
});

t.test('permission ids are read by strtol, base 0, to the end', async (t) => {
  for (const [text, value] of Object.entries({
    '3': 3,
    '0x3': 3,
    '0X1f': 31,
    '010': 8,
    '0': 0,
    '-1': -1,
    ' 7': 7,
    '08': undefined,
    '0x': undefined,
    '': undefined,
    '3 ': undefined,
    '4294967296': 0,
  })) {
    t.equal(parsePermId(text), value, JSON.stringify(text));
  }
});

t.test('other numbers are read by atoi: junk is 0', async (t) => {
  for (const [text, value] of Object.entries({ '': 0, x: 0, '12x': 12, ' -3': -3, '2147483648': -2147483648 })) {
    t.equal(atoi(text), value, JSON.stringify(text));
  }
});
