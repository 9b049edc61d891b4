import t from 'tap';
import type { DeviceServerProcess } from '../../../lib/core/device-server.js';
import { deviceMermaid, deviceSequence, deviceText } from '../../../lib/trace/device-sequence.js';
import { edge, POINT } from '../../../lib/trace/points.js';
import { selector } from '../../../lib/trace/selection.js';
import { WIDTH_MAX } from '../../../lib/trace/sequence.js';
import { TraceScript } from '../../../testkit/trace-records.js';

const FRONT = 'device/virtio-mmio/0';
const BACK = 'backend/virtio-mmio/1/0';

function script(): TraceScript {
  const script = new TraceScript();
  script.at('toolstack', POINT['back.state'], { label: `${BACK}/state`, b: edge(0, 1), domid: 1 });
  script.at('vhost-gpu', POINT['session.take'], { label: '1/0', a: 3 });
  script.at('vhost-frontend', POINT['vhost-user.request'], { label: 'GET_FEATURES', a: 3, domid: 1 });
  script.at('vhost-frontend', POINT['vhost-user.request'], { label: 'SET_OWNER', a: 3, domid: 1 });
  script.at('vhost-frontend', POINT['vhost-user.request'], { label: 'GET_CONFIG', a: 3, b: 1, domid: 1 });
  script.at('vhost-frontend', POINT['back.key'], { label: `${BACK}/size=0x200`, domid: 1 });
  script.at('toolstack', POINT['back.state-written'], { label: `${BACK}/state`, b: edge(0, 1), domid: 1 });
  script.at('vhost-frontend', POINT['back.state-written'], { label: `${BACK}/state`, b: edge(1, 2), domid: 1 });
  script.at('guest-a', POINT['front.other-state'], { label: `/local/domain/0/${BACK}/state`, b: 2, domid: 1 });
  script.at('guest-b', POINT['front.state-written'], { label: `${FRONT}/state`, b: edge(1, 3), domid: 2 });
  script.at('guest-a', POINT['front.key'], { label: `${FRONT}/queue-0/event-channel=5`, domid: 1 });
  return script;
}

t.test('the diagram of a device has its steps in order, fits a mail, and leaves out other devices', async (t) => {
  const sequence = deviceSequence(script().records, { domid: 1, devid: 0 }, 0n);
  t.same(
    sequence.lines.map(({ from, to, text }) => `${from}>${to} ${text}`),
    [
      'toolstack>xenstored BE state=1 Initialising',
      'vhost-frontend>vhost-gpu GET_FEATURES .. SET_OWNER (2)',
      'vhost-frontend>xenstored size=0x200',
      'vhost-frontend>xenstored state=2 InitWait',
      'xenstored>guest BE state=2 InitWait',
      'guest>xenstored queue-0/event-channel=5',
    ],
    'device 1 has a session of the same number, on another server',
  );
  const rows = deviceText(sequence).split('\n');
  t.ok(rows.every((row) => row.length <= WIDTH_MAX));
  t.match(rows[2], /^ {5}0\.0 .* BE state=1 Initialising/);
  t.match(deviceMermaid(sequence), /^sequenceDiagram\n[\s\S]*\n {2}guest->>xenstored: queue-0\/event-channel=5$/);
});

t.test(
  'of two servers that number their sessions alike each has its own devices, and its lane in their diagrams',
  async (t) => {
    const script = new TraceScript();
    for (const [process, domid] of [
      ['vhost-gpu', 1],
      ['vhost-gpu-b', 2],
    ] as const) {
      script.at(process, POINT['session.take'], { label: `${domid}/0`, a: 1 });
      script.at('vhost-frontend', POINT['vhost-user.request'], { label: 'SET_OWNER', a: 1, domid });
      script.at(process, POINT['gpu.flush'], { label: `${domid}/0`, domid });
    }
    const told = (domid: number, server?: DeviceServerProcess) => {
      const { lanes, lines } = deviceSequence(script.records, { domid, devid: 0 }, 0n, server);
      return [lanes.at(-1), ...lines.map(({ from, to, text }) => `${from}>${to} ${text}`)];
    };
    t.same(told(1), ['vhost-gpu', 'vhost-frontend>vhost-gpu SET_OWNER', 'vhost-gpu>vhost-gpu flush']);
    t.same(told(2), ['vhost-gpu-b', 'vhost-frontend>vhost-gpu-b SET_OWNER', 'vhost-gpu-b>vhost-gpu-b flush']);
    t.same(told(3), ['vhost-gpu'], 'nothing is recorded of it');
    t.same(told(3, 'vhost-gpu-c'), ['vhost-gpu-c'], 'its server is known from elsewhere');
    const rows = deviceText(deviceSequence(script.records, { domid: 2, devid: 0 }, 0n, 'vhost-gpu-a-long-name')).split(
      '\n',
    );
    t.ok(rows.every((row) => row.length <= WIDTH_MAX));
    t.match(rows[0], /vhost-frontend +\.\.long-name$/, 'a long name is cut, and stands apart from the lane before it');
  },
);

t.test('a device is chosen by its domain, its number or its session, a time from the first record on', async (t) => {
  const { records } = script();
  const chosen = (selection: Parameters<typeof selector>[0]): number =>
    records.filter(selector(selection, records[0]!.ns)).length;
  t.equal(chosen({ device: { domid: 1, devid: 0 } }), 9);
  t.equal(chosen({ device: { domid: 1, devid: 1 } }), 1);
  t.equal(chosen({ device: { domid: 2, devid: 0 } }), 1);
  t.equal(chosen({ domid: 1, process: 'guest-a' }), 2);
  t.equal(chosen({ fromNs: 2000n, untilNs: 4000n }), 3);
  t.equal(chosen({ points: [POINT['back.key']], kinds: ['key'] }), 1);
  t.equal(chosen({}), records.length);
});
