import fc from 'fast-check';
import t from 'tap';
import { UserError } from '../../../lib/core/errors.js';
import { parseXlConfig, type XlValue } from '../../../toolstack/xl-config.js';

const plain = (value: XlValue): unknown => (value.kind === 'text' ? value.text : value.items.map(plain));
const parse = (text: string): Record<string, unknown> =>
  Object.fromEntries([...parseXlConfig(text, 'a.cfg')].map(([key, value]) => [key, plain(value)]));

t.test('settings are strings, numbers and lists, with comments, blank lines and semicolons', async (t) => {
  const text = [
    '# a guest',
    'name = "one" # its name',
    'memory=64; vcpus = 0x2',
    '',
    'virtio = [ "type=virtio,device10",',
    '  # the second one',
    "  'a', ]",
    'empty = []',
    'nested = [ [ "x", 1 ], "y" ]',
  ].join('\n');
  t.same(parse(text), {
    name: 'one',
    memory: '64',
    vcpus: '0x2',
    virtio: ['type=virtio,device10', 'a'],
    empty: [],
    nested: [['x', '1'], 'y'],
  });
});

t.test('a later setting replaces an earlier one, += appends to lists and strings', async (t) => {
  t.same(parse('a = 1\na = 2\nb = ["x"]\nb += ["y"]\nc = "p"\nc += "q"\nd += ["new"]'), {
    a: '2',
    b: ['x', 'y'],
    c: 'pq',
    d: ['new'],
  });
  t.throws(() => parse('b = ["x"]\nb += "y"'), /^a\.cfg:2: b \+= needs a value of the kind/);
});

t.test('strings know the escapes of C, and # and ; inside them are text', async (t) => {
  t.same(parse(String.raw`a = "tab\t quote\" hex\x41 octal\101 back\\ # ; \a\b\f\n\r\v\'"`), {
    a: `tab\t quote" hexA octalA back\\ # ; \x07\b\f\n\r\v'`,
  });
});

t.test('a backslash before anything that libxlu does not know is a mistake with file and line', async (t) => {
  for (const [text, message] of [
    ['x = 1\na = "C:\\quit"', /^a\.cfg:2: \\q has no meaning in a quoted text: use \\\\ for a backslash$/],
    ["a = '\\8'", /^a\.cfg:1: \\8 has no meaning/],
    ["a = '\\x4'", /^a\.cfg:1: \\x has no meaning in a quoted text: two hexadecimal digits must follow$/],
  ] as const) {
    t.throws(() => parse(text), { name: 'UserError', message }, text);
  }
});

t.test('a setting given twice warns, an appended one does not', async (t) => {
  const warnings: string[] = [];
  parseXlConfig('name = "a"\nb = ["x"]\nb += ["y"]\nname = "c"', 'a.cfg', (sentence) => warnings.push(sentence));
  t.same(warnings, ['a.cfg:4: name is set again; its value of line 1 is not used']);
});

t.test('every mistake is one sentence with file and line', async (t) => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['\nname "x"', /^a\.cfg:2: expected = after name$/],
    ['name = ', /^a\.cfg:1: expected a value, found the end of the file$/],
    ['name = \nx = 1', /^a\.cfg:1: expected a value, found the end of the line$/],
    ['name = guest', /^a\.cfg:1: expected a value, found "guest"; text stands in quotes$/],
    ['name = "guest', /^a\.cfg:1: this text has no closing " on its line$/],
    ["name = 'a\nb'", /^a\.cfg:1: this text has no closing ' on its line$/],
    ['a = [ "x" "y" ]', /^a\.cfg:1: expected , or \] in the list that starts here: line 1$/],
    ['a = [ "x",\n', /^a\.cfg:2: expected a value, found the end of the file$/],
    ['a = 1 b = 2', /^a\.cfg:1: expected the end of the line after the value of a, found "b"$/],
    ['= 1', /^a\.cfg:1: expected a setting such as/],
    ['a = [ ; ]', /^a\.cfg:1: expected a value, found ;$/],
    ['a = 1\n@', /^a\.cfg:2: "@" has no meaning here$/],
    [`a = ${'['.repeat(20)}`, /^a\.cfg:1: lists are nested too deeply$/],
  ];
  for (const [text, message] of cases) {
    try {
      parse(text);
      t.fail(text);
    } catch (error) {
      t.type(error, UserError);
      t.match((error as Error).message, message, JSON.stringify(text));
    }
  }
});

t.test('any text parses or is refused as a user mistake, never otherwise', async (t) => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...`ab1=+[],;#"'\\ \n`) }), (text) => {
      try {
        parse(text);
      } catch (error) {
        if (!(error instanceof UserError) || !/^a\.cfg:\d+: [^\n]+$/.test(error.message)) throw error;
      }
    }),
    { numRuns: 3000 },
  );
  t.pass();
});

t.test('what is written as a list of strings is read back', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.string().filter((text) => !text.includes('\n'))), (items) => {
      const quoted = items.map((item) => `"${item.replace(/[\\"]/g, '\\$&')}"`);
      t.same(parse(`a = [ ${quoted.join(', ')} ]`)['a'], items);
    }),
    { numRuns: 200 },
  );
});
