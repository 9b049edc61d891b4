import t from 'tap';
import { NO_PROBE } from '../../../../lib/core/probe.js';
import { VHOST_USER_HDR } from '../../../../lib/layout/vhost-user.js';
import {
  VIRTIO_GPU_MAX_SCANOUTS,
  VIRTIO_GPU_RESP_DISPLAY_INFO,
  VIRTIO_GPU_RESP_EDID,
} from '../../../../lib/layout/virtio-gpu.js';
import type { DecodedResponse } from '../../../../lib/virtio/gpu-codec.js';
import { decodeResponse, encodeCommand } from '../../../../lib/virtio/gpu-codec.js';
import { DisplayLink } from '../../../../services/vhost-gpu/display-link.js';
import { GpuTester, PIXELS_AT } from '../../../../testkit/gpu-tester.js';

const HDR = { type: 0, flags: 0, fence_id: 0n, ctx_id: 0, ring_idx: 0 };
const r = (x: number, y: number, width: number, height: number) => ({ x, y, width, height });

/** The viewer's end: takes the link's bytes apart, answers, is slow when asked to. */
class TestViewer {
  readonly messages: { request: number; flags: number; payload: Uint8Array }[] = [];
  readonly timers = new Map<() => void, boolean>();
  slow = false;
  broken: string | undefined;
  #bytes = new Uint8Array(0);
  readonly link = new DisplayLink({
    send: (bytes) => {
      this.#take(bytes);
      return !this.slow;
    },
    broken: (reason) => {
      this.broken = reason;
    },
    probe: NO_PROBE,
    clock: {
      nowNs: () => 0n,
      after: (_ms, action) => {
        this.timers.set(action, true);
        return { cancel: () => void this.timers.delete(action) };
      },
    },
  });

  #take(bytes: Uint8Array): void {
    this.#bytes = Uint8Array.of(...this.#bytes, ...bytes);
    while (this.#bytes.length >= 12) {
      const { request, flags, size } = VHOST_USER_HDR.decode(this.#bytes);
      if (this.#bytes.length < 12 + size) return;
      this.messages.push({ request, flags, payload: this.#bytes.slice(12, 12 + size) });
      this.#bytes = this.#bytes.slice(12 + size);
    }
  }

  reply(request: number, payload: Uint8Array, flags = 4): Uint8Array {
    return Uint8Array.of(...VHOST_USER_HDR.bytes({ request, flags, size: payload.length }), ...payload);
  }

  /** Messages since the last look, as [request, first words]. */
  seen(words = 5): number[][] {
    return this.messages.splice(0).map(({ request, payload }) => {
      const view = new DataView(payload.buffer);
      return [
        request,
        ...Array.from({ length: Math.min(words, payload.length >> 2) }, (_, i) => view.getUint32(i * 4, true)),
      ];
    });
  }

  /** The deadline of the open question passes. */
  late(): void {
    [...this.timers.keys()][0]!();
  }

  /** Greets as a viewer with EDID does. */
  greet(features = 3): this {
    this.link.start();
    this.link.receive(this.reply(1, Uint8Array.of(features, 0, 0, 0, 0, 0, 0, 0)));
    return this;
  }
}

const INFO = VIRTIO_GPU_RESP_DISPLAY_INFO.bytes({
  hdr: HDR,
  pmodes: Array.from({ length: VIRTIO_GPU_MAX_SCANOUTS }, (_, index) => ({
    r: r(0, 0, 1000 + index, 700),
    enabled: index === 0 ? 1 : 0,
    flags: 0,
  })),
});
const EDID = VIRTIO_GPU_RESP_EDID.bytes({ hdr: HDR, size: 256, edid: new Uint8Array(1024).fill(7) });

t.test('the greeting takes what both know', async (t) => {
  const viewer = new TestViewer();
  viewer.greet();
  t.same(viewer.seen(), [[1], [2, 1, 0]], 'EDID, and no dma-bufs');
  t.equal(viewer.timers.size, 0, 'no deadline is left');
});

t.test("the guest's questions about displays are the viewer's to answer; one is open at a time", async (t) => {
  const viewer = new TestViewer().greet();
  viewer.seen();
  const answers: unknown[] = [];
  const hdr = HDR;
  viewer.link.ask({ name: 'GET_EDID', hdr, scanout: 1 }, (answer) => answers.push(answer?.name));
  viewer.link.ask({ name: 'GET_DISPLAY_INFO', hdr }, (answer) => answers.push(answer));
  t.same(viewer.seen(), [[11, 1]]);
  const both = Uint8Array.of(...viewer.reply(11, EDID), ...viewer.reply(3, INFO));
  for (const byte of both.subarray(0, 12 + EDID.length)) viewer.link.receive(Uint8Array.of(byte));
  t.same(answers, ['OK_EDID']);
  t.same(viewer.seen(), [[3]]);
  viewer.link.receive(viewer.reply(3, INFO));
  t.match(answers[1], { name: 'OK_DISPLAY_INFO', pmodes: { 0: { r: { width: 1000 }, enabled: 1 } } });
});

t.test('a question asked before the greeting is answered waits for it', async (t) => {
  for (const features of [0, 1]) {
    const viewer = new TestViewer();
    const answers: unknown[] = [];
    viewer.link.start();
    viewer.link.ask({ name: 'GET_EDID', hdr: HDR, scanout: 0 }, (answer) => answers.push(answer?.name));
    t.same(viewer.seen(), [[1]]);
    viewer.link.receive(viewer.reply(1, Uint8Array.of(features, 0, 0, 0, 0, 0, 0, 0)));
    if (features === 1) viewer.link.receive(viewer.reply(11, EDID));
    t.same(answers, [features === 1 ? 'OK_EDID' : undefined], 'without the feature the viewer is not asked');
    t.equal(viewer.broken, undefined);
  }
});

t.test(
  'a viewer that does not answer in time is kept, its late reply skipped, and the guest not kept waiting',
  async (t) => {
    const viewer = new TestViewer().greet();
    const answers: unknown[] = [];
    const info = () => viewer.link.ask({ name: 'GET_DISPLAY_INFO', hdr: HDR }, (answer) => answers.push(answer?.name));
    const edid = (scanout: number) =>
      viewer.link.ask({ name: 'GET_EDID', hdr: HDR, scanout }, (answer) => answers.push(answer?.name));
    viewer.seen();
    edid(3);
    viewer.late();
    t.same(answers.splice(0), [undefined]);
    edid(0);
    t.same(answers.splice(0), [undefined], 'its reply could not be told from the late one');
    info();
    t.same(viewer.seen(1), [[11, 3], [3]]);
    viewer.link.receive(viewer.reply(11, EDID));
    t.same(answers.splice(0), [], 'the late reply is skipped');
    viewer.link.receive(viewer.reply(3, INFO));
    t.same(answers.splice(0), ['OK_DISPLAY_INFO']);
    edid(3);
    viewer.link.receive(viewer.reply(11, EDID));
    t.same(answers.splice(0), ['OK_EDID'], 'and it is asked again');
    t.equal(viewer.broken, undefined);
  },
);

t.test('a viewer that leaves the EDID of one scanout unanswered is asked for the others only', async (t) => {
  const viewer = new TestViewer().greet();
  const answers: unknown[] = [];
  viewer.link.ask({ name: 'GET_EDID', hdr: HDR, scanout: 1 }, (answer) => answers.push(answer?.name));
  viewer.late();
  viewer.link.ask({ name: 'GET_DISPLAY_INFO', hdr: HDR }, (answer) => answers.push(answer?.name));
  viewer.link.receive(viewer.reply(3, INFO));
  viewer.seen();
  viewer.link.ask({ name: 'GET_EDID', hdr: HDR, scanout: 1 }, (answer) => answers.push(answer?.name));
  viewer.link.ask({ name: 'GET_EDID', hdr: HDR, scanout: 0 }, (answer) => answers.push(answer?.name));
  viewer.link.receive(viewer.reply(11, EDID));
  t.same(answers, [undefined, 'OK_DISPLAY_INFO', undefined, 'OK_EDID']);
  t.same(viewer.seen(1), [[11, 0]]);
});

t.test('a greeting that is answered late still says what the viewer knows', async (t) => {
  const viewer = new TestViewer();
  const answers: unknown[] = [];
  viewer.link.start();
  viewer.link.ask({ name: 'GET_EDID', hdr: HDR, scanout: 0 }, (answer) => answers.push(answer?.name));
  viewer.late();
  t.same(answers.splice(0), [undefined]);
  viewer.link.receive(viewer.reply(1, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0)));
  t.same(viewer.seen(), [[1], [2, 1, 0]]);
  viewer.link.ask({ name: 'GET_EDID', hdr: HDR, scanout: 0 }, (answer) => answers.push(answer?.name));
  viewer.link.receive(viewer.reply(11, EDID));
  t.same(answers, ['OK_EDID']);
});

t.test('a viewer that answers wrongly or unasked is given up, and questions end', async (t) => {
  const breaks: [string, (viewer: TestViewer) => void][] = [
    ['another request', (viewer) => viewer.link.receive(viewer.reply(11, EDID))],
    ['another size', (viewer) => viewer.link.receive(viewer.reply(3, EDID))],
    ['no reply flag', (viewer) => viewer.link.receive(viewer.reply(3, INFO, 0))],
  ];
  for (const [title, act] of breaks) {
    const viewer = new TestViewer().greet();
    const answers: unknown[] = [];
    viewer.link.ask({ name: 'GET_DISPLAY_INFO', hdr: HDR }, (answer) => answers.push(answer));
    viewer.link.ask({ name: 'GET_EDID', hdr: HDR, scanout: 0 }, (answer) => answers.push(answer));
    act(viewer);
    t.same(answers, [undefined, undefined], title);
    t.ok(viewer.broken, title);
    viewer.link.ask({ name: 'GET_DISPLAY_INFO', hdr: HDR }, (answer) => answers.push(answer));
    t.equal(answers.length, 3, 'later questions end at once');
  }
  const unasked = new TestViewer().greet();
  unasked.link.receive(Uint8Array.of(1));
  t.match(unasked.broken, /no question/);
});

function shown() {
  const viewer = new TestViewer();
  const gpu = new GpuTester();
  gpu.device.setViewer(viewer.greet().link);
  gpu.memory.write(
    PIXELS_AT,
    Uint8Array.from({ length: 64 * 64 * 4 }, (_, index) => index >> 2),
  );
  gpu.resource(1, 64, 64);
  gpu.expect('TRANSFER_TO_HOST_2D', { resource_id: 1, r: r(0, 0, 64, 64), offset: 0n });
  gpu.expect('SET_SCANOUT', { scanout_id: 0, resource_id: 1, r: r(16, 8, 32, 32) });
  return { viewer, gpu };
}

t.test('flushes reach the viewer relative to the scanout, cut to what it shows', async (t) => {
  const { viewer, gpu } = shown();
  t.same(viewer.seen().at(-1), [7, 0, 32, 32]);
  gpu.expect('RESOURCE_FLUSH', { resource_id: 1, r: r(0, 0, 18, 9) });
  const [update] = viewer.messages.slice();
  t.same(viewer.seen(), [[8, 0, 0, 0, 2, 1]]);
  t.same([...update!.payload.subarray(20)], [...gpu.memory.view(PIXELS_AT + (8 * 64 + 16) * 4, 8)]);
  gpu.expect('RESOURCE_FLUSH', { resource_id: 1, r: r(0, 0, 4, 4) });
  t.same(viewer.seen(), [], 'nothing of it is shown');
  gpu.expect('RESOURCE_UNREF', { resource_id: 1 });
  t.same(viewer.seen(), [[7, 0, 0, 0]], 'dark');
});

t.test('a device that is reset takes its cursor from the viewer, too', async (t) => {
  const { viewer, gpu } = shown();
  const pos = { scanout_id: 0, x: 3, y: 4 };
  const reset = () => {
    for (const index of [0, 1]) gpu.device.stopQueue(index);
    gpu.device.reset();
  };
  gpu.resource(2, 64, 64, PIXELS_AT + 65536);
  gpu.onCursor('UPDATE_CURSOR', { pos, resource_id: 2, hot_x: 1, hot_y: 2 });
  viewer.seen();
  reset();
  t.same(viewer.seen(), [
    [7, 0, 0, 0],
    [5, 0, 0, 0],
  ]);
  reset();
  t.same(viewer.seen(), [], 'nothing is shown any more');
});

t.test('a slow viewer gets the newest state once it has caught up, and little is queued meanwhile', async (t) => {
  const { viewer, gpu } = shown();
  viewer.seen();
  viewer.slow = true;
  gpu.expect('RESOURCE_FLUSH', { resource_id: 1, r: r(16, 8, 1, 1) });
  t.equal(viewer.seen().length, 1);
  for (let index = 0; index < 100; index++)
    gpu.expect('RESOURCE_FLUSH', { resource_id: 1, r: r(20 + (index % 10), 10, 1, 1) });
  gpu.resource(2, 64, 64, PIXELS_AT + 65536);
  const pos = { scanout_id: 0, x: 3, y: 4 };
  gpu.onCursor('UPDATE_CURSOR', { pos, resource_id: 2, hot_x: 1, hot_y: 2 });
  gpu.onCursor('MOVE_CURSOR', { pos: { ...pos, x: 9 }, resource_id: 2, hot_x: 0, hot_y: 0 });
  t.same(viewer.seen(), []);
  viewer.slow = false;
  viewer.link.drained();
  t.same(viewer.seen(), [
    [8, 0, 4, 2, 10, 1],
    [6, 0, 9, 4, 1, 2],
  ]);
  gpu.onCursor('MOVE_CURSOR', { pos, resource_id: 2, hot_x: 0, hot_y: 0 });
  gpu.onCursor('UPDATE_CURSOR', { pos, resource_id: 0, hot_x: 0, hot_y: 0 });
  t.same(viewer.seen(), [
    [4, 0, 3, 4],
    [5, 0, 3, 4],
  ]);
});

t.test(
  'the control queue waits for the viewer, the cursor queue does not, and a stop in between loses nothing',
  async (t) => {
    const { viewer, gpu } = shown();
    viewer.seen();
    const request = encodeCommand('GET_DISPLAY_INFO', {}, { fence: 5n });
    const flush = encodeCommand('RESOURCE_FLUSH', { resource_id: 1, r: r(0, 0, 64, 64) });
    const ask = () => {
      gpu.memory.write(0x9000, request);
      gpu.memory.write(0x9100, flush);
      gpu.control.add([
        { addr: 0x9000, len: request.length },
        { addr: 0x9200, len: 408, write: true },
      ]);
      gpu.control.add([
        { addr: 0x9100, len: flush.length },
        { addr: 0x9500, len: 24, write: true },
      ]);
      gpu.device.kick(0);
      gpu.run();
    };
    ask();
    t.same(viewer.seen(), [[3]]);
    t.same(gpu.control.collect(), []);
    t.equal(
      gpu.onCursor('MOVE_CURSOR', { pos: { scanout_id: 0, x: 0, y: 0 }, resource_id: 1, hot_x: 0, hot_y: 0 }).length,
      24,
    );
    viewer.seen();
    viewer.link.receive(viewer.reply(3, INFO));
    gpu.run();
    t.equal(gpu.control.collect().length, 2, 'then the rest');
    const answer: DecodedResponse = decodeResponse(gpu.memory.view(0x9200, 408).slice());
    t.match(answer, {
      name: 'OK_DISPLAY_INFO',
      hdr: { fence_id: 5n, flags: 1 },
      pmodes: { 0: { r: { width: 1000 } } },
    });

    ask();
    const base = gpu.device.stopQueue(0);
    viewer.link.receive(viewer.reply(3, INFO));
    gpu.run();
    t.same(gpu.control.collect(), [], 'a stopped queue is not touched');
    gpu.device.setViewer(undefined);
    gpu.device.startQueue(0, { ...gpu.control.layout, base }, { call: () => {}, error: () => {} });
    gpu.run();
    t.equal(gpu.control.collect().length, 2, 'both are answered by the next run');
    t.match(decodeResponse(gpu.memory.view(0x9200, 408).slice()), { pmodes: { 0: { r: { width: 1280 } } } });
  },
);

t.test('a viewer that goes leaves the guest with an answer', async (t) => {
  const { viewer, gpu } = shown();
  gpu.memory.write(0x9000, encodeCommand('GET_EDID', { scanout: 0 }));
  gpu.control.add([
    { addr: 0x9000, len: 32 },
    { addr: 0x9200, len: 1056, write: true },
  ]);
  gpu.device.kick(0);
  t.same(gpu.control.collect(), []);
  viewer.link.close();
  gpu.run();
  t.equal(gpu.control.collect()[0]?.len, 1056);
});
