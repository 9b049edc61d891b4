import t from 'tap';
import * as gpu from '../../../lib/layout/virtio-gpu.js';
import * as ring from '../../../lib/layout/virtio-ring.js';

t.test('split ring areas have the sizes of virtio 1.4, 2.7', async (t) => {
  t.equal(ring.virtqDescBytes(1024), 16384);
  t.equal(ring.virtqAvailBytes(1024), 2054);
  t.equal(ring.virtqUsedBytes(1024), 8198);
  t.equal(ring.virtqUsedEvent(8), 4 + 16);
  t.equal(ring.virtqAvailEvent(8), 4 + 64);
  t.match(ring.VIRTQ_DESC.offset, { addr: 0, len: 8, flags: 12, next: 14 });
});

t.test('an index step passes the event or not, as the specification has it', async (t) => {
  const cases: [event: number, old: number, current: number, need: boolean][] = [
    [0, 0, 1, true],
    [5, 1, 2, false],
    [2, 2, 3, true],
    [2, 3, 4, false],
    [4, 4, 5, true],
    [0xffff, 0xffff, 0, true],
    [3, 1, 6, true],
    [0, 0xffff, 1, true],
    [6, 5, 6, false],
  ];
  for (const [event, old, current, need] of cases) {
    t.equal(ring.vringNeedEvent(event, current, old), need, `event ${event}, ${old} to ${current}`);
  }
});

t.test('feature words are made of bit numbers', async (t) => {
  const word = ring.featureBits(ring.VIRTIO_F_EVENT_IDX, ring.VIRTIO_F_VERSION_1);
  t.equal(word, 0x1_2000_0000n);
  t.ok(ring.hasFeature(word, ring.VIRTIO_F_VERSION_1));
  t.notOk(ring.hasFeature(word, ring.VIRTIO_F_INDIRECT_DESC));
});

t.test('virtio-gpu structs have the offsets of the header file', async (t) => {
  t.match(gpu.VIRTIO_GPU_CTRL_HDR.offset, { type: 0, flags: 4, fence_id: 8, ctx_id: 16, ring_idx: 20 });
  t.match(gpu.VIRTIO_GPU_RESOURCE_CREATE_2D.offset, { resource_id: 24, format: 28, width: 32, height: 36 });
  t.match(gpu.VIRTIO_GPU_SET_SCANOUT.offset, { r: 24, scanout_id: 40, resource_id: 44 });
  t.match(gpu.VIRTIO_GPU_RESOURCE_FLUSH.offset, { r: 24, resource_id: 40 });
  t.match(gpu.VIRTIO_GPU_TRANSFER_TO_HOST_2D.offset, { r: 24, offset: 40, resource_id: 48 });
  t.match(gpu.VIRTIO_GPU_RESOURCE_ATTACH_BACKING.offset, { resource_id: 24, nr_entries: 28 });
  t.match(gpu.VIRTIO_GPU_UPDATE_CURSOR.offset, { pos: 24, resource_id: 40, hot_x: 44, hot_y: 48 });
  t.match(gpu.VIRTIO_GPU_GET_EDID.offset, { scanout: 24 });
  t.match(gpu.VIRTIO_GPU_RESP_DISPLAY_INFO.offset, { pmodes: 24 });
  t.match(gpu.VIRTIO_GPU_RESOURCE_CREATE_BLOB.offset, {
    ...{ resource_id: 24, blob_mem: 28, blob_flags: 32, nr_entries: 36, blob_id: 40, size: 48 },
  });
  t.match(gpu.VIRTIO_GPU_SET_SCANOUT_BLOB.offset, {
    ...{ r: 24, scanout_id: 40, resource_id: 44, width: 48, height: 52, format: 56, strides: 64, offsets: 80 },
  });
  t.match(gpu.VIRTIO_GPU_RESP_RESOURCE_UUID.offset, { uuid: 24 });
  t.match(gpu.VIRTIO_GPU_RESP_EDID.offset, { size: 24, edid: 32 });
  t.match(gpu.VIRTIO_GPU_CONFIG.offset, { events_read: 0, events_clear: 4, num_scanouts: 8, num_capsets: 12 });
});
