import fc from 'fast-check';
import t from 'tap';
import { NO_DOMAIN, POINT_KINDS } from '../../../lib/core/probe.js';
import { formatInstance, parseInstance } from '../../../lib/trace/instances.js';
import { edge, edgeFrom, edgeTo, POINT, POINTS, pointOf } from '../../../lib/trace/points.js';
import { fieldsOf, showRecord, type TraceRecord } from '../../../lib/trace/record.js';

t.test('every entry has a number and a name of its own, and says whether a gate stands before or after', (t) => {
  t.equal(new Set(POINTS.map(({ name }) => name)).size, POINTS.length);
  for (const [index, point] of POINTS.entries()) {
    t.equal(point.number, index + 1);
    t.equal(pointOf(point.number), point);
    t.match(point.name, /^[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*$/);
    t.ok(POINT_KINDS.includes(point.kind));
    if (point.kind === 'send' || point.kind === 'notify') t.equal(point.gate, 'before', point.name);
    if (point.kind === 'receive' || point.kind === 'upcall') t.equal(point.gate, 'after', point.name);
    t.not(point.a?.name, point.b?.name ?? '');
  }
  t.equal(pointOf(0), undefined);
  t.equal(pointOf(POINTS.length + 1), undefined);
  t.ok(POINTS.length < 0xffff, 'a number fits its field');
  t.end();
});

t.test('an instance is text and back, whatever its label holds', (t) => {
  const instance = fc.record({
    process: fc.stringMatching(/^[a-z0-9-]{1,32}$/),
    point: fc.constantFrom(...POINTS),
    label: fc.string(),
    occurrence: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
  });
  fc.assert(
    fc.property(instance, (made) => {
      const one = { ...made, label: made.point.label === undefined ? '' : made.label };
      t.same(parseInstance(formatInstance(one)), one);
    }),
  );
  t.equal(
    formatInstance({
      process: 'guest-1',
      point: POINT['store.request'],
      label: 'write device/virtio-mmio/0/state=3',
      occurrence: 1,
    }),
    'guest-1:store.request(write device/virtio-mmio/0/state=3)#1',
  );
  t.end();
});

t.test('text that names no instance is one sentence', (t) => {
  for (const [text, sentence] of [
    ['', /names no point/],
    ['store.request(x)#1', /names no point/],
    ['guest:store.request(x)', /names no point/],
    ['guest:store.request(x)#0', /names no point/],
    ['guest:store.request(x)#1x', /names no point/],
    ['guest:toString#1', /there is no point toString/],
    ['guest:nothing(x)#1', /there is no point nothing/],
    ['guest:store.request#1', /needs its operation and path in brackets/],
    ['guest:kick.guest(x)#1', /takes no label/],
  ] as const) {
    t.throws(() => parseInstance(text), { name: 'UserError', message: sentence });
  }
  t.end();
});

t.test('an edge holds both states, and a record shows its numbers as what they are', (t) => {
  for (let from = 0; from < 9; from++) {
    for (let to = 0; to < 9; to++) t.same([edgeFrom(edge(from, to)), edgeTo(edge(from, to))], [from, to]);
  }
  const record: TraceRecord = {
    ...{ process: 'guest-1', incarnation: 5, index: 0, ns: 0n, occurrence: 2, domid: 3, flow: 0, sender: 5 },
    ...{ point: POINT['front.state-written'], label: 'device/virtio-mmio/0/state', a: 0, b: edge(1, 3) },
  };
  t.same(fieldsOf(record), { devid: '0', edge: 'Initialising>Initialised' });
  t.equal(
    showRecord(record),
    'guest-1:front.state-written(device/virtio-mmio/0/state)#2 devid=0 edge=Initialising>Initialised dom3',
  );
  t.match(
    showRecord({ ...record, point: POINT['bus.refused'], label: 'x', a: 1, flow: 7 }),
    /errno=EPERM dom3 flow=5\.7$/,
  );
  t.equal(NO_DOMAIN, 0xffff);
  t.end();
});
