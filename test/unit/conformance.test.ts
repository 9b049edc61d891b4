// The list of clauses against its checks, and the published page against the list.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { DEVICE_CHECKS } from '../../conformance/checks/device.js';
import { GPU_CHECKS } from '../../conformance/checks/gpu.js';
import { REGISTER_CHECKS, Registers } from '../../conformance/checks/registers.js';
import { RING_CHECKS } from '../../conformance/checks/rings.js';
import { VHOST_USER_CHECKS } from '../../conformance/checks/vhost-user.js';
import { CLAUSES } from '../../conformance/clauses.js';
import { OUTCOMES } from '../../conformance/outcome.js';
import { acceptable, junit, markdown } from '../../conformance/report.js';
import { SECTIONS } from '../../conformance/sections.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';

const CHECKS = { ...REGISTER_CHECKS, ...RING_CHECKS, ...GPU_CHECKS, ...DEVICE_CHECKS, ...VHOST_USER_CHECKS };

t.test(
  'each clause is checked, held by a test that exists, or says why not; and no check is without a clause',
  async (t) => {
    const ids = CLAUSES.map(({ id }) => id);
    t.equal(new Set(ids).size, ids.length, 'ids are unique');
    for (const { id, test, gap } of CLAUSES) {
      const ways = [id in CHECKS, test !== undefined, gap !== undefined].filter(Boolean);
      if (ways.length !== 1) t.fail(`${id} is accounted for in ${ways.length} ways`);
      if (test !== undefined && !existsSync(join(PACKAGE_ROOT, test))) t.fail(`${id}: there is no ${test}`);
    }
    t.same(
      Object.keys(CHECKS).filter((id) => !ids.includes(id)),
      [],
    );
  },
);

t.test('each section that a clause names is one of virtio 1.4, and each of the list is named', async (t) => {
  const numbers = CLAUSES.map(({ section }) => section).filter((section) => /^\d/.test(section));
  t.same([...new Set(numbers)].sort(), Object.keys(SECTIONS).sort());
});

t.test('the register file keeps every clause of its own', async (t) => {
  for (const [id, check] of Object.entries(REGISTER_CHECKS)) {
    const { outcome, detail } = check(new Registers());
    if (!OUTCOMES[outcome]) t.fail(`${id}: ${outcome}, ${detail}`);
  }
});

t.test('a check that looks at the wrong thing fails', async (t) => {
  const deaf = new Registers();
  deaf.w = () => deaf;
  const failing = Object.values(REGISTER_CHECKS).filter((check) => check(deaf).outcome === 'FAIL').length;
  t.ok(failing > Object.keys(REGISTER_CHECKS).length / 3, `${failing} notice a device that takes no write`);
});

t.test('results are told to people and to machines', async (t) => {
  const [first, second] = CLAUSES as [(typeof CLAUSES)[0], (typeof CLAUSES)[0]];
  const results = [
    { clause: first, outcome: 'WEDGED', detail: 'a < b' },
    { clause: second, outcome: 'SKIP', detail: '' },
  ] as const;
  t.same(results.map(acceptable), [false, true]);
  const xml = junit('it', results);
  t.match(xml, /tests="2" failures="1"/);
  t.match(xml, /WEDGED: a &lt; b/);
  t.match(markdown([{ name: 'it', results }]), /\| M0001 \| 4\.2\.2\.2 \| .* \| \*\*WEDGED\*\* \|/);
});

t.test('the published table has a row for each clause, as it is worded', async (t) => {
  const page = readFileSync(join(PACKAGE_ROOT, 'docs', 'conformance.md'), 'utf8');
  for (const { id, section, text } of CLAUSES)
    if (!page.includes(`| ${id} | ${section} | ${text} |`)) t.fail(`docs/conformance.md does not have ${id} so`);
});
