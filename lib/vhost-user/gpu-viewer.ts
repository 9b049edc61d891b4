// The viewer's end of vhost-user's GPU display protocol: answers what the device server asks, and keeps what its scanouts
// show. Takes chunks of any size. What the server sends is checked before anything is allocated for it; a breach throws
// ProtocolError, and the caller closes the display. Leaves sockets and picture files to the caller.
import { concatBytes } from '../core/bytes.js';
import { ProtocolError } from '../core/errors.js';
import { NO_PROBE, type Probe } from '../core/probe.js';
import { VHOST_USER_HDR, VHOST_USER_U64 } from '../layout/vhost-user.js';
import {
  VHOST_USER_GPU_MSG_FLAG_REPLY,
  VHOST_USER_GPU_REQUEST,
  VHOST_USER_GPU_SCANOUT,
  VHOST_USER_GPU_UPDATE,
} from '../layout/vhost-user-gpu.js';
import { VIRTIO_GPU_MAX_SCANOUTS, VIRTIO_GPU_RESP, VIRTIO_GPU_RESP_DISPLAY_INFO } from '../layout/virtio-gpu.js';
import { POINT } from '../trace/points.js';
import { displayRequestName } from './names.js';

const R = VHOST_USER_GPU_REQUEST;
/** Pixels of all scanouts together, and of one update: what a 4096 x 4096 display has. */
export const VIEWER_PIXELS_MAX = 1 << 24;
const BYTES_PER_PIXEL = 4;
/** Everything but an update fits into a cursor's 64 x 64 pixels and its header. */
const SMALL_MAX = 20 + 64 * 64 * BYTES_PER_PIXEL;

/** Bytes of a message's payload. Throws ProtocolError when it announces more than such a message has. */
function payloadRoom(request: number, size: number): number {
  const most =
    request === R.VHOST_USER_GPU_UPDATE ? VIEWER_PIXELS_MAX * BYTES_PER_PIXEL + VHOST_USER_GPU_UPDATE.size : SMALL_MAX;
  if (size > most) throw new ProtocolError('size', `display request ${request} of ${size} bytes`);
  return size;
}

export interface ViewedScanout {
  readonly width: number;
  readonly height: number;
  /** Rows without gaps, bytes B G R x. */
  readonly pixels: Uint8Array;
}

export interface GpuViewerHooks {
  /** Bytes for the server. */
  send(bytes: Uint8Array): void;
  /** A scanout shows something new; `shown` is live. */
  onFrame(scanout: number, shown: ViewedScanout): void;
}

export class GpuViewer {
  readonly #hooks: GpuViewerHooks;
  readonly #probe: Probe;
  readonly #displays: readonly { readonly width: number; readonly height: number }[];
  readonly #scanouts = new Map<number, ViewedScanout>();
  /** What is there of the message: its header, then its payload, which has its room once the header said how much. */
  readonly #header = new Uint8Array(VHOST_USER_HDR.size);
  #payload: Uint8Array | undefined;
  #have = 0;

  /** `displays`: what there is to show on; the server tells its guest. */
  constructor(
    displays: readonly { readonly width: number; readonly height: number }[],
    hooks: GpuViewerHooks,
    probe: Probe = NO_PROBE,
  ) {
    this.#probe = probe;
    this.#displays = displays;
    this.#hooks = hooks;
  }

  scanout(index: number): ViewedScanout | undefined {
    return this.#scanouts.get(index);
  }

  /** Throws ProtocolError. */
  receive(bytes: Uint8Array): void {
    let rest = bytes;
    while (rest.length > 0) {
      const target = this.#payload ?? this.#header;
      const take = Math.min(rest.length, target.length - this.#have);
      target.set(rest.subarray(0, take), this.#have);
      this.#have += take;
      rest = rest.subarray(take);
      if (this.#have === target.length) this.#advance();
    }
  }

  /** What was needed is there: a header, which says how much more; or a whole message. */
  #advance(): void {
    this.#have = 0;
    const { request, size } = VHOST_USER_HDR.decode(this.#header);
    const payload = this.#payload ?? new Uint8Array(payloadRoom(request, size));
    if (this.#payload === undefined && size > 0) {
      this.#payload = payload;
      return;
    }
    this.#payload = undefined;
    this.#message(request, payload);
  }

  #message(request: number, payload: Uint8Array): void {
    this.#probe.at(POINT['display.serve'], displayRequestName(request), payload.length);
    switch (request) {
      case R.VHOST_USER_GPU_GET_PROTOCOL_FEATURES:
        this.#reply(request, VHOST_USER_U64.bytes({ u64: 0n }));
        return;
      case R.VHOST_USER_GPU_GET_DISPLAY_INFO:
        this.#reply(request, this.#displayInfo());
        return;
      case R.VHOST_USER_GPU_DMABUF_UPDATE:
        this.#reply(request, new Uint8Array(0)); // there is nothing to wait for: frames are not paced here
        return;
      case R.VHOST_USER_GPU_SCANOUT:
        this.#setScanout(VHOST_USER_GPU_SCANOUT.decode(exact(payload, VHOST_USER_GPU_SCANOUT.size)));
        return;
      case R.VHOST_USER_GPU_UPDATE:
        this.#update(payload);
        return;
      case R.VHOST_USER_GPU_SET_PROTOCOL_FEATURES:
      case R.VHOST_USER_GPU_CURSOR_POS:
      case R.VHOST_USER_GPU_CURSOR_POS_HIDE:
      case R.VHOST_USER_GPU_CURSOR_UPDATE:
      case R.VHOST_USER_GPU_DMABUF_SCANOUT:
      case R.VHOST_USER_GPU_DMABUF_SCANOUT2:
        return; // nothing that is shown here
      default:
        // GET_EDID among them: its protocol feature is not offered.
        throw new ProtocolError('request', `display request ${request} is not known here`);
    }
  }

  #setScanout({ scanout_id: index, width, height }: { scanout_id: number; width: number; height: number }): void {
    let others = 0;
    for (const [other, shown] of this.#scanouts) if (other !== index) others += shown.width * shown.height;
    if (index >= VIRTIO_GPU_MAX_SCANOUTS || width * height + others > VIEWER_PIXELS_MAX)
      throw new ProtocolError('scanout', `scanout ${index} of ${width} x ${height}`);
    if (width === 0 || height === 0) {
      this.#scanouts.delete(index);
      return;
    }
    const old = this.#scanouts.get(index);
    // Servers say it again at each modeset; the picture stays.
    if (old?.width === width && old.height === height) return;
    this.#scanouts.set(index, { width, height, pixels: new Uint8Array(width * height * BYTES_PER_PIXEL) });
  }

  #update(payload: Uint8Array): void {
    const header = VHOST_USER_GPU_UPDATE.size;
    if (payload.length < header) throw new ProtocolError('size', 'update without a header');
    const { scanout_id: index, x, y, width, height } = VHOST_USER_GPU_UPDATE.decode(payload);
    const pixels = payload.subarray(header);
    if (width * height > VIEWER_PIXELS_MAX || pixels.length !== width * height * BYTES_PER_PIXEL)
      throw new ProtocolError('size', `update of ${width} x ${height} with ${pixels.length} bytes`);
    const shown = this.#scanouts.get(index);
    if (shown === undefined || pixels.length === 0) return;
    const columns = Math.min(width, shown.width - Math.min(x, shown.width));
    for (let row = 0; row < height && y + row < shown.height; row++) {
      const from = row * width * BYTES_PER_PIXEL;
      shown.pixels.set(
        pixels.subarray(from, from + columns * BYTES_PER_PIXEL),
        ((y + row) * shown.width + Math.min(x, shown.width)) * BYTES_PER_PIXEL,
      );
    }
    this.#hooks.onFrame(index, shown);
  }

  #displayInfo(): Uint8Array {
    const hdr = {
      type: VIRTIO_GPU_RESP.VIRTIO_GPU_RESP_OK_DISPLAY_INFO,
      flags: 0,
      fence_id: 0n,
      ctx_id: 0,
      ring_idx: 0,
    };
    const pmodes = Array.from({ length: VIRTIO_GPU_MAX_SCANOUTS }, (_, index) => {
      const { width, height } = this.#displays[index] ?? { width: 0, height: 0 };
      return { r: { x: 0, y: 0, width, height }, enabled: width > 0 ? 1 : 0, flags: 0 };
    });
    return VIRTIO_GPU_RESP_DISPLAY_INFO.bytes({ hdr, pmodes });
  }

  #reply(request: number, payload: Uint8Array): void {
    const header = VHOST_USER_HDR.bytes({ request, flags: VHOST_USER_GPU_MSG_FLAG_REPLY, size: payload.length });
    this.#probe.at(POINT['display.answer'], displayRequestName(request), payload.length);
    this.#hooks.send(concatBytes([header, payload]));
  }
}

function exact(payload: Uint8Array, size: number): Uint8Array {
  if (payload.length !== size) throw new ProtocolError('size', `${payload.length} bytes, not ${size}`);
  return payload;
}
