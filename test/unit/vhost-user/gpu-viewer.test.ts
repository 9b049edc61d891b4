import fc from 'fast-check';
import t from 'tap';
import { concatBytes } from '../../../lib/core/bytes.js';
import { ProtocolError } from '../../../lib/core/errors.js';
import { VHOST_USER_HDR } from '../../../lib/layout/vhost-user.js';
import {
  VHOST_USER_GPU_REQUEST,
  VHOST_USER_GPU_SCANOUT,
  VHOST_USER_GPU_UPDATE,
} from '../../../lib/layout/vhost-user-gpu.js';
import { VIRTIO_GPU_RESP_DISPLAY_INFO } from '../../../lib/layout/virtio-gpu.js';
import { GpuViewer } from '../../../lib/vhost-user/gpu-viewer.js';

const R = VHOST_USER_GPU_REQUEST;
/** QEMU's server leaves the flags of its requests uninitialised. */
const message = (request: number, payload: Uint8Array = new Uint8Array(0), size = payload.length) =>
  concatBytes([VHOST_USER_HDR.bytes({ request, flags: 0x7f6a, size }), payload]);
const scanout = (index: number, width: number, height: number) =>
  message(R.VHOST_USER_GPU_SCANOUT, VHOST_USER_GPU_SCANOUT.bytes({ scanout_id: index, width, height }));
const update = (x: number, y: number, width: number, height: number, fill: number) =>
  message(
    R.VHOST_USER_GPU_UPDATE,
    concatBytes([
      VHOST_USER_GPU_UPDATE.bytes({ scanout_id: 0, x, y, width, height }),
      new Uint8Array(width * height * 4).fill(fill),
    ]),
  );

function viewer() {
  const sent: Uint8Array[] = [];
  const frames: number[] = [];
  const made = new GpuViewer([{ width: 1280, height: 800 }], {
    send: (bytes) => sent.push(bytes),
    onFrame: (index) => frames.push(index),
  });
  return { made, sent, frames };
}

t.test("answers every question that a server waits for, with the question's number and flags 4", async (t) => {
  const { made, sent } = viewer();
  made.receive(message(R.VHOST_USER_GPU_GET_PROTOCOL_FEATURES));
  made.receive(message(R.VHOST_USER_GPU_SET_PROTOCOL_FEATURES, new Uint8Array(8)));
  made.receive(message(R.VHOST_USER_GPU_GET_DISPLAY_INFO));
  made.receive(message(R.VHOST_USER_GPU_DMABUF_UPDATE, new Uint8Array(20)));
  t.same(
    sent.map((bytes) => VHOST_USER_HDR.decode(bytes)),
    [
      { request: 1, flags: 4, size: 8 },
      { request: 3, flags: 4, size: 408 },
      { request: 10, flags: 4, size: 0 },
    ],
  );
  const { pmodes } = VIRTIO_GPU_RESP_DISPLAY_INFO.decode(sent[1]!, VHOST_USER_HDR.size);
  t.match(pmodes[0], { r: { width: 1280, height: 800 }, enabled: 1 });
  t.match(pmodes[1], { enabled: 0 });
});

t.test('keeps what a scanout shows; updates reach no further than it does', async (t) => {
  const { made, frames } = viewer();
  made.receive(update(0, 0, 1, 1, 9));
  t.same(frames, [], 'no scanout yet');
  made.receive(scanout(0, 4, 3));
  made.receive(update(0, 0, 4, 3, 1));
  made.receive(scanout(0, 4, 3));
  made.receive(update(2, 1, 4, 4, 7));
  made.receive(update(9, 9, 2, 2, 5));
  const words = Array.from(new Uint32Array(made.scanout(0)!.pixels.buffer), (word) => word & 0xff);
  t.same(words, [1, 1, 1, 1, 1, 1, 7, 7, 1, 1, 7, 7]);
  t.same(frames, [0, 0, 0]);
  made.receive(scanout(0, 0, 0));
  t.equal(made.scanout(0), undefined);
});

t.test('cut at any place, the same messages mean the same', async () => {
  const stream = concatBytes([
    message(R.VHOST_USER_GPU_GET_PROTOCOL_FEATURES),
    scanout(0, 8, 8),
    update(0, 0, 8, 8, 3),
    message(R.VHOST_USER_GPU_CURSOR_POS, new Uint8Array(12)),
    update(4, 4, 2, 2, 4),
    message(R.VHOST_USER_GPU_GET_DISPLAY_INFO),
  ]);
  const whole = viewer();
  whole.made.receive(stream);
  fc.assert(
    fc.property(fc.array(fc.nat({ max: stream.length }), { maxLength: 30 }), (cuts) => {
      const { made, sent } = viewer();
      const at = [0, ...cuts.sort((a, b) => a - b), stream.length];
      for (const [i, from] of at.slice(0, -1).entries()) made.receive(stream.subarray(from, at[i + 1]!));
      const same =
        Buffer.compare(Buffer.from(made.scanout(0)!.pixels), Buffer.from(whole.made.scanout(0)!.pixels)) === 0;
      if (!same || sent.length !== whole.sent.length) throw new Error(`cut at ${cuts}`);
    }),
  );
});

t.test('lies end in a ProtocolError before anything is allocated for them', async (t) => {
  const lies: [string, Uint8Array][] = [
    ['an update of 4 GiB', message(R.VHOST_USER_GPU_UPDATE, new Uint8Array(0), 0xffffffff)],
    ['a scanout of 1 MiB', message(R.VHOST_USER_GPU_SCANOUT, new Uint8Array(0), 1 << 20)],
    ['a scanout beyond all displays', scanout(16, 8, 8)],
    ['a scanout too large', scanout(0, 0xffffffff, 0xffffffff)],
    [
      'an update shorter than its pixels',
      message(R.VHOST_USER_GPU_UPDATE, VHOST_USER_GPU_UPDATE.bytes({ scanout_id: 0, x: 0, y: 0, width: 1, height: 1 })),
    ],
    ['an update without a header', message(R.VHOST_USER_GPU_UPDATE, new Uint8Array(4))],
    ['a question that was not offered', message(R.VHOST_USER_GPU_GET_EDID, new Uint8Array(4))],
    ['an unknown request', message(99)],
  ];
  for (const [name, bytes] of lies) t.throws(() => viewer().made.receive(bytes), ProtocolError, name);
});

t.test('arbitrary bytes never do worse than a ProtocolError', async () => {
  const header = fc.record({ request: fc.nat({ max: 14 }), flags: fc.nat(), size: fc.nat({ max: 64 }) });
  const chunk = fc.oneof(
    fc.uint8Array({ maxLength: 80 }),
    header.map((h) => VHOST_USER_HDR.bytes(h)),
  );
  fc.assert(
    fc.property(fc.array(chunk, { maxLength: 20 }), (chunks) => {
      const { made } = viewer();
      try {
        for (const bytes of chunks) made.receive(bytes);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
      }
    }),
    { numRuns: 2000 },
  );
});
