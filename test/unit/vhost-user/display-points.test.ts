// Both ends of a GPU's display socket, joined in one process: each message that one end sends is one that the other takes, with
// the same name and size, and each end is at its point before it sends and after it has received.
import t from 'tap';
import { NO_PROBE, type Probe } from '../../../lib/core/probe.js';
import { GpuViewer } from '../../../lib/vhost-user/gpu-viewer.js';
import { DisplayLink } from '../../../services/vhost-gpu/display-link.js';

t.test('every message of a display socket is a point at both of its ends', (t) => {
  const seen: string[] = [];
  const probe: Probe = { ...NO_PROBE, at: ({ name }, label, bytes) => seen.push(`${name}(${label}) ${bytes}`) };
  const clock = { nowNs: () => 0n, after: () => ({ cancel: () => {} }) };
  const link: DisplayLink = new DisplayLink({
    send: (bytes) => {
      viewer.receive(bytes);
      return true;
    },
    broken: (reason) => t.fail(reason),
    clock,
    probe,
  });
  const hooks = { send: (bytes: Uint8Array) => link.receive(bytes), onFrame: () => {} };
  const viewer = new GpuViewer([{ width: 640, height: 480 }], hooks, probe);
  link.start();
  t.same(seen.splice(0), [
    'display.request(GET_PROTOCOL_FEATURES) 0',
    'display.serve(GET_PROTOCOL_FEATURES) 0',
    'display.answer(GET_PROTOCOL_FEATURES) 8',
    'display.reply(GET_PROTOCOL_FEATURES) 8',
    'display.request(SET_PROTOCOL_FEATURES) 8',
    'display.serve(SET_PROTOCOL_FEATURES) 8',
  ]);
  link.ask({ name: 'GET_DISPLAY_INFO' } as Parameters<DisplayLink['ask']>[0], (answer) =>
    t.match(answer, { name: 'OK_DISPLAY_INFO' }),
  );
  t.same(
    seen.map((line) => line.replace(/\(.*/, '')),
    ['display.request', 'display.serve', 'display.answer', 'display.reply'],
  );
  t.end();
});
