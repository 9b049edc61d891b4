import t from 'tap';
import { perfettoFile, readPerfettoFile } from '../../../lib/node/files/perfetto-file.js';
import { CLOCK_MONOTONIC, EVENT_TYPE } from '../../../lib/trace/perfetto.js';
import { POINT } from '../../../lib/trace/points.js';
import { flowProblems, nestingProblems, orderProblems } from '../../../testkit/perfetto-checks.js';
import { importedTrace, PENDING } from '../../../testkit/perfetto-import.js';
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
    const saysOf = (what: string) =>
      events.filter(({ track_event }) =>
        track_event?.debug_annotations?.some(({ name, string_value }) => name === 'end' && string_value === what),
      );
    t.equal(of('ioreq.fill')?.track_uuid, of('exit.mmio')?.track_uuid, 'the slot nests in the exit');
    t.same(of('exit.mmio')?.flow_ids, [1]);
    t.same(of('exit.enter')?.terminating_flow_ids, [1]);
    t.same(
      of('exit.mmio')?.debug_annotations?.find(({ name }) => name === 'addr'),
      { name: 'addr', string_value: '0xf0000070' },
    );
    const unended = saysOf('not recorded');
    t.equal(unended.length, 1, 'a call without an answer ends with its process, and says so');
    t.equal(unended[0]?.timestamp, 13_000);
    t.same(
      saysOf('exit.enter').map(({ track_event }) => [track_event?.type, track_event?.name, track_event?.categories]),
      [[EVENT_TYPE.SLICE_END, undefined, undefined]],
      'a name would have the importer look for a slice that has begun with it',
    );
    const extra = events.filter(({ track_event }) => track_event?.name?.startsWith('exit.enter'));
    t.same(extra[0]?.track_event?.type, EVENT_TYPE.INSTANT, 'an arrow at the end of a slice has an instant there');
    t.equal(events.length, script().records.length + unended.length + extra.length, 'every record is there once');
  },
);

/** A command that the guest's driver makes, through the hypervisor to the device server and back. */
function command(): TraceScript {
  const script = new TraceScript();
  const guest = { domid: 1 };
  script.at('vhost-gpu', POINT['session.take'], { label: '1/0', a: 1, ...guest });
  script.at('guest-a', POINT['gpu.submit'], { label: 'RESOURCE_FLUSH', ...guest });
  script.at('guest-a', POINT['kick.guest'], guest);
  script.at('guest-a', POINT['exit.leave'], { a: 0xf0000050, ...guest });
  script.at('hypervisor', POINT['exit.mmio'], { a: 0xf0000050, ...guest });
  script.at('hypervisor', POINT['kick.hypervisor'], guest);
  script.at('hypervisor', POINT['exit.complete'], guest);
  script.at('guest-a', POINT['exit.enter'], guest);
  script.at('vhost-gpu', POINT['kick.taken'], { b: 1, ...guest });
  script.at('vhost-gpu', POINT['gpu.execute'], { label: 'RESOURCE_FLUSH', ...guest });
  script.at('vhost-gpu', POINT['gpu.flush'], { label: '1/0', ...guest });
  script.at('vhost-gpu', POINT['gpu.executed'], { label: 'RESOURCE_FLUSH', ...guest });
  script.at('vhost-gpu', POINT['call.ring'], { a: 5, b: 1, ...guest });
  script.at('hypervisor', POINT['call.hypervisor'], { a: 4, ...guest });
  script.at('hypervisor', POINT['event.raise'], { a: 3, ...guest });
  script.at('guest-a', POINT['event.taken'], { a: 3, ...guest });
  script.at('guest-a', POINT['gpu.reply'], { label: 'RESOURCE_FLUSH', ...guest });
  script.at('guest-a', POINT['bus.call'], { label: 'm', a: 1, flow: 1, sender: 7 });
  script.at('hypervisor', POINT['bus.serve'], { label: 'm guest-a', a: 1, flow: 1, sender: 7 });
  script.at('hypervisor', POINT['bus.answer'], { label: 'm guest-a', a: 1, flow: 1, sender: 8 });
  script.at('guest-a', POINT['bus.answered'], { label: 'm', a: 1, flow: 1, sender: 8 });
  return script;
}

const imported = ({ records }: TraceScript) => importedTrace(readPerfettoFile(perfettoFile(records)));

t.test(
  'Perfetto imports every event: it has a way to their time, ends every slice and counts nothing as wrong',
  async (t) => {
    for (const each of [script(), command()]) {
      const { slices, wrong } = imported(each);
      t.same([...wrong], []);
      t.same(
        slices.filter(({ dur }) => dur === PENDING),
        [],
      );
      const last = each.records.at(-1)!;
      t.ok(slices.every(({ ts, dur }) => ts + dur <= Number(last.ns)));
    }
    const { slices } = imported(script());
    const lasts = (name: string) => slices.find((slice) => slice.name.startsWith(name))?.dur;
    t.same([lasts('store.request read a'), lasts('exit.leave'), lasts('ioreq.fill')], [2000, 5000, 1000]);
    t.match(
      slices.find(({ name }) => name === 'ioreq.fill'),
      { depth: 1, path: ['hypervisor', 'vCPU of dom1'] },
    );
  },
);

t.test(
  "Perfetto draws arrows from the guest's kick to the pixel, back to its upcall, and from a call to its answer",
  async (t) => {
    const { arrows } = imported(command());
    const chains = new Map<number, string[]>();
    for (const { flow, from, to } of arrows) {
      t.ok(from.ts < to.ts, 'forward in time');
      const chain = chains.get(flow) ?? [from.name];
      t.equal(chain.at(-1), from.name, 'from where the last one has led');
      chains.set(flow, [...chain, to.name]);
    }
    t.same(
      [...chains.values()].map((chain) => chain.map((name) => name.split(' ')[0]).join(' ')),
      [
        'kick.guest exit.leave exit.mmio kick.hypervisor kick.taken gpu.execute gpu.flush call.ring',
        'gpu.submit gpu.execute gpu.flush gpu.executed gpu.reply',
        'call.ring call.hypervisor event.raise event.taken',
        'bus.call bus.serve',
        'bus.answer bus.answered',
      ],
    );
  },
);

t.test('bytes of the file stand where perfetto_trace.proto has them', async (t) => {
  const one = new TraceScript();
  one.at('p', POINT['gpu.restore']);
  const bytes = Buffer.from(perfettoFile(one.records));
  const packets = readPerfettoFile(bytes);
  t.equal(packets.length, 4);
  t.equal(packets[3]?.track_event?.type, EVENT_TYPE.INSTANT);
  // Trace.packet = 1, TracePacket.clock_snapshot = 6: clocks = 1 (clock_id = 1, timestamp = 2), primary_trace_clock = 2.
  t.ok(
    bytes.includes(
      Buffer.from([0x32, 0x09, 0x0a, 0x05, 0x08, CLOCK_MONOTONIC, 0x10, 0xe8, 0x07, 0x10, CLOCK_MONOTONIC]),
    ),
  );
  // Trace.packet = 1, length; TracePacket.timestamp = 8 (varint 1000); trusted_packet_sequence_id = 10; track_event = 11.
  const last = bytes.subarray(bytes.lastIndexOf(Buffer.from([0x40, 0xe8, 0x07])));
  t.same([...last.subarray(0, 6)], [0x40, 0xe8, 0x07, 0x50, 0x01, 0x5a]);
  // TrackEvent.type = 9, then track_uuid = 11; categories = 22 and name = 23 have two bytes of tag.
  t.ok(last.includes(Buffer.from([0x48, 0x03, 0x58, 0x02, 0xb2, 0x01, 0x04])));
  t.ok(last.includes(Buffer.concat([Buffer.from([0xba, 0x01, 11]), Buffer.from('gpu.restore')])));
  // timestamp_clock_id = 58.
  t.ok(last.includes(Buffer.from([0xd0, 0x03, CLOCK_MONOTONIC])));
});
