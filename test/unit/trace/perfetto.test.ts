import t from 'tap';
import { perfettoFile, readPerfettoFile } from '../../../lib/node/files/perfetto-file.js';
import { CLOCK_MONOTONIC, EVENT_TYPE } from '../../../lib/trace/perfetto.js';
import { POINT } from '../../../lib/trace/points.js';
import { flowProblems, nestingProblems, orderProblems } from '../../../testkit/perfetto-checks.js';
import { TraceScript } from '../../../testkit/trace-records.js';

/** Two requests that overlap, one that never ends, an exit with its slot inside, an instant. */
function script(): TraceScript {
  const script = new TraceScript();
  script.at('guest-a', POINT['life.start'], { a: 77 });
  script.at('guest-a', POINT['store.request'], { label: 'read a', a: 1 });
  script.at('guest-a', POINT['store.request'], { label: 'read b', a: 2 });
  script.at('guest-a', POINT['store.reply'], { label: 'read a', a: 1 });
  script.at('guest-a', POINT['store.reply'], { label: 'read b', a: 2 });
  script.at('guest-a', POINT['exit.leave'], { a: 0xf0000070, domid: 1 });
  script.at('hypervisor', POINT['exit.mmio'], { a: 0xf0000070, domid: 1, flow: 5, sender: 9 });
  script.at('hypervisor', POINT['ioreq.fill'], { domid: 1 });
  script.at('hypervisor', POINT['ioreq.done'], { domid: 1 });
  script.at('hypervisor', POINT['exit.complete'], { domid: 1 });
  script.at('guest-a', POINT['exit.enter'], { domid: 1, flow: 5, sender: 9 });
  script.at('guest-a', POINT['bus.call'], { label: 'Hypervisor.evtchn_send', a: 3 });
  script.at('guest-a', POINT['life.stop'], { a: 77 });
  script.at('guest-a', POINT['life.start'], { a: 78, incarnation: 2 });
  return script;
}

t.test(
  'the file holds a root a process life, lanes in it, slices that nest, flows with both ends, in order of time',
  async (t) => {
    const packets = readPerfettoFile(perfettoFile(script().records));
    const tracks = packets.flatMap(({ track_descriptor }) =>
      track_descriptor === undefined ? [] : [track_descriptor],
    );
    t.same(
      tracks.filter(({ parent_uuid }) => parent_uuid === undefined).map(({ name }) => name),
      ['guest-a', 'hypervisor', 'guest-a, life 2'],
    );
    const stores = tracks.filter(({ name }) => name === 'store connection');
    t.equal(stores.length, 2, 'requests that overlap have a track each');
    t.same([...nestingProblems(packets), ...flowProblems(packets), ...orderProblems(packets)], []);
    const events = packets.flatMap((packet) => (packet.track_event === undefined ? [] : [packet]));
    t.ok(
      events.every(
        (packet) => packet.timestamp_clock_id === CLOCK_MONOTONIC && packet.trusted_packet_sequence_id !== 0,
      ),
    );
    const of = (name: string) => events.find(({ track_event }) => track_event?.name?.startsWith(name))?.track_event;
    t.equal(of('ioreq.fill')?.track_uuid, of('exit.mmio')?.track_uuid, 'the slot nests in the exit');
    t.same(of('exit.mmio')?.flow_ids, [1]);
    t.same(of('exit.enter')?.terminating_flow_ids, [1]);
    t.same(
      of('exit.mmio')?.debug_annotations?.find(({ name }) => name === 'addr'),
      { name: 'addr', string_value: '0xf0000070' },
    );
    const unended = events.filter(({ track_event }) =>
      track_event?.debug_annotations?.some(({ name }) => name === 'end'),
    );
    t.equal(unended.length, 1, 'a call without an answer ends with its process, and says so');
    t.equal(unended[0]?.timestamp, 13_000);
    t.equal(events.length, script().records.length + unended.length, 'every record is there once');
  },
);

t.test('bytes of the file stand where perfetto_trace.proto has them', async (t) => {
  const one = new TraceScript();
  one.at('p', POINT['gpu.restore']);
  const bytes = Buffer.from(perfettoFile(one.records));
  const packets = readPerfettoFile(bytes);
  t.equal(packets.length, 3);
  t.equal(packets[2]?.track_event?.type, EVENT_TYPE.INSTANT);
  // Trace.packet = 1, length; TracePacket.timestamp = 8 (varint 1000); trusted_packet_sequence_id = 10; track_event = 11.
  const last = bytes.subarray(bytes.lastIndexOf(Buffer.from([0x40, 0xe8, 0x07])));
  t.same([...last.subarray(0, 6)], [0x40, 0xe8, 0x07, 0x50, 0x01, 0x5a]);
  // TrackEvent.type = 9, then track_uuid = 11; categories = 22 and name = 23 have two bytes of tag.
  t.ok(last.includes(Buffer.from([0x48, 0x03, 0x58, 0x02, 0xb2, 0x01, 0x04])));
  t.ok(last.includes(Buffer.concat([Buffer.from([0xba, 0x01, 11]), Buffer.from('gpu.restore')])));
  // timestamp_clock_id = 58.
  t.ok(last.includes(Buffer.from([0xd0, 0x03, CLOCK_MONOTONIC])));
});
