// Records of several processes put in one order, however many come at a time.
import t from 'tap';
import { InOrder } from '../../../lab/follow.js';
import { POINT } from '../../../lib/trace/points.js';
import { TraceScript } from '../../../testkit/trace-records.js';

t.test('what is young waits for what may come before it', async (t) => {
  const script = new TraceScript();
  const [one, two, three] = ['a', 'b', 'c'].map((process) => script.at(process, POINT['gpu.restore']));
  const inOrder = new InOrder();
  t.same(inOrder.take([one!, three!], 2000n), [one]);
  t.same(inOrder.take([two!], 3000n), [two, three]);
  t.same(inOrder.rest(), []);
});

t.test('the full rings of a busy lab are taken at once', async (t) => {
  const record = new TraceScript().at('guest-a', POINT['kick.guest']);
  // Seven processes whose rings are full: more than one call takes arguments.
  const records = new Array(7 * 32_768).fill(record);
  t.equal(new InOrder().take(records, record.ns).length, records.length);
});
