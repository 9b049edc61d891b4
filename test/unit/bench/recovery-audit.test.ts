// When the bench of recovery says that memory has not levelled off.
import t from 'tap';
import { stillGrows } from '../../../bench/recovery/audit.js';

t.test('memory that levels off is not said to grow, however it swings', (t) => {
  t.notOk(stillGrows([60, 70, 78, 82, 84, 85, 85, 85, 86, 85, 86, 85]));
  t.notOk(stillGrows([60, 90, 62, 95, 61, 92, 63, 94, 60, 96, 61, 93]));
  // 200 kills of vhost-frontend, as the guest's memory was seen: it grows late, and stays.
  const late = [82, 88, 96, 97, 98, 99, 99, 100, 101, 102, 108, 114, 114, 114, 114, 115, 115, 115, 115, 115];
  t.notOk(stillGrows(late));
  t.end();
});

t.test('memory that grows by the same with every kill is said to grow', (t) => {
  t.ok(stillGrows(Array.from({ length: 20 }, (_, kill) => 60 + 2 * kill)));
  t.ok(stillGrows([60, 66, 72, 78, 84, 90, 96, 102, 108, 114, 120, 126]));
  t.end();
});

t.test('of a few samples nothing is said', (t) => {
  t.notOk(stillGrows([60, 80, 100, 120, 140]));
  t.end();
});
