import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ERRNO } from '../../../../lib/core/errno.js';
import { HypercallLines, replay } from '../../../../testkit/hypercall-lines.js';

const { EINVAL, ENOSYS, ESRCH } = ERRNO;

const GOLDEN = 'test/golden/evtchn-xen-4.17';

t.test('answers every call recorded on real Xen 4.17 as Xen did', async (t) => {
  const files = readdirSync(GOLDEN).filter((name) => name.endsWith('.jsonl'));
  t.equal(files.length, 8);
  for (const name of files) {
    const { lines, differences } = replay(readFileSync(join(GOLDEN, name), 'utf8'));
    t.ok(lines > 100, `${name} has ${lines} calls`);
    t.same(differences, [], name);
  }
});

t.test('a recording that Xen would answer otherwise is told line by line', async (t) => {
  const { differences } = replay(
    [
      '{"seed":0,"caller":0}',
      '{"op":"evtchn.alloc_unbound","args":{"dom":"SELF","remote_dom":"N"},"rc":0,"out":{"port":1,"handle":"$0"}}',
      '{"op":"evtchn.close","args":{"port":"$0"},"rc":-22}',
      '{"op":"evtchn.close","args":{"port":"$0"},"rc":-22}',
    ].join('\n'),
  );
  t.same(
    differences.map(({ line, got }) => ({ line, got })),
    [
      { line: 2, got: '{"rc":0,"out":{"port":0}}' },
      { line: 3, got: '{"rc":0}' },
    ],
  );
});

t.test('lines that are no hypercall answer EINVAL and harm nothing', async (t) => {
  const lines = new HypercallLines();
  for (const bad of [
    '',
    '{',
    '[]',
    '3',
    '{"op":1}',
    '{"op":"evtchn.send","args":[]}',
    '{"op":"evtchn.send","dom":"x"}',
  ])
    t.equal(lines.line(bad).rc, -EINVAL, bad);
  t.equal(lines.line('{"op":"no.such"}').rc, -ENOSYS);
  t.equal(lines.line('{"op":"evtchn.send","dom":7}').rc, -ESRCH);
  t.equal(lines.line('{"op":"evtchn.send","args":{"port":-1}}').rc, -EINVAL);
  t.same(lines.line('{"op":"domctl.create","args":{"name":"g"}}').out, { domid: 1, unique_id: '2', token: 'token-1' });
  t.same(lines.line('{"dom":1,"op":"evtchn.alloc_unbound","args":{"dom":32752}}'), { rc: 0, out: { port: 1 } });
});
