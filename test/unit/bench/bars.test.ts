// What `npm run bench` says of a part that could not be measured.
import t from 'tap';
import { reasonOf } from '../../../bench/bars/row.js';

t.test('a part that failed is told with the reason that its program gave, not with its command alone', async (t) => {
  const command = 'Command failed: node xenwire.js latency --json';
  t.equal(
    reasonOf(`${command}\nload 1.0\nxenwire: no route to xenstored\n`),
    `${command}: xenwire: no route to xenstored`,
  );
  t.equal(
    reasonOf(
      `${command}\nfile.js:3\n    throw error;\n    ^\n\nDeadlineError: start of hub\n    at child (file.js:3)\n\nNode.js v20`,
    ),
    `${command}: DeadlineError: start of hub`,
  );
  t.equal(reasonOf(`${command}\nkilled`), `${command}: killed`);
  t.equal(reasonOf('no C daemon here'), 'no C daemon here');
});
