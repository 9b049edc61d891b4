import t from 'tap';
import { escapeMarkup, junitText } from '../../../lib/core/junit.js';

t.test('a suite counts its failures and errors, and every text of it is XML', (t) => {
  const text = junitText('a & b', [
    { classname: 'c', name: 'passes', seconds: 1.5 },
    { classname: 'c', name: 'fails <"here">', outcome: { kind: 'failure', message: 'F', text: 'x < y\u0000' } },
    { classname: 'c', name: 'no verdict', outcome: { kind: 'error', message: 'gone' } },
    { classname: 'c', name: 'left out', outcome: { kind: 'skipped' } },
  ]);
  t.same(text.split('\n'), [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<testsuite name="a &amp; b" tests="4" failures="1" errors="1">',
    '<testcase classname="c" name="passes" time="1.500"/>',
    '<testcase classname="c" name="fails &lt;&quot;here&quot;&gt;"><failure message="F">x &lt; y?</failure></testcase>',
    '<testcase classname="c" name="no verdict"><error message="gone"/></testcase>',
    '<testcase classname="c" name="left out"><skipped/></testcase>',
    '</testsuite>',
    '',
  ]);
  t.equal(escapeMarkup('<a href="?x&y">'), '&lt;a href=&quot;?x&amp;y&quot;&gt;');
  t.end();
});
