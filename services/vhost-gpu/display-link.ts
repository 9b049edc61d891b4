// The back-end's end of vhost-user's GPU display protocol: what the guest shows goes out as it is flushed, and what the
// guest asks about its displays is asked of the viewer. Bytes in, bytes out; the socket is node/display-socket.ts.
//
// One question is open at a time, and its answer must be exactly as expected, else the link is broken: the viewer is then
// given up, and questions get no answer (the device falls back on its own displays). The guest's control queue waits for an
// answer, so one that does not come in time is not waited for any longer: the question gets none, and the link is kept. Its
// reply may still come (the viewer was stopped) or never (QEMU leaves GET_EDID of a scanout that it does not have
// unanswered); viewers answer in order, so that the reply to a later question tells. Until then no question of the same
// request is asked, since its reply could not be told from the late one.
// Nothing else waits: while the viewer is behind, it is noted what changed of each scanout, and its newest state is sent
// when it has caught up, so what is queued is bounded.
import type { Clock, Timer } from '../../lib/core/clock.js';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import type { Probe } from '../../lib/core/probe.js';
import { VHOST_USER_HDR, VHOST_USER_U64 } from '../../lib/layout/vhost-user.js';
import {
  VHOST_USER_GPU_CURSOR_POS,
  VHOST_USER_GPU_CURSOR_UPDATE,
  VHOST_USER_GPU_EDID_REQUEST,
  VHOST_USER_GPU_MSG_FLAG_REPLY,
  VHOST_USER_GPU_PROTOCOL_F_EDID,
  VHOST_USER_GPU_REQUEST,
  VHOST_USER_GPU_SCANOUT,
  VHOST_USER_GPU_UPDATE,
} from '../../lib/layout/vhost-user-gpu.js';
import {
  VIRTIO_GPU_BYTES_PER_PIXEL,
  VIRTIO_GPU_EDID_BYTES,
  VIRTIO_GPU_RESP_DISPLAY_INFO,
  VIRTIO_GPU_RESP_EDID,
} from '../../lib/layout/virtio-gpu.js';
import { hasFeature } from '../../lib/layout/virtio-ring.js';
import { POINT } from '../../lib/trace/points.js';
import { displayRequestName } from '../../lib/vhost-user/names.js';
import type { GpuResponse, Rect } from '../../lib/virtio/gpu-codec.js';
import type { DisplayQuestion, Viewer } from './device.js';
import { writeBgrx } from './pixels.js';
import { intersection, type Scanout } from './scanouts.js';

const REQUEST = VHOST_USER_GPU_REQUEST;
const isGreeting = ({ request }: Question): boolean => request === REQUEST.VHOST_USER_GPU_GET_PROTOCOL_FEATURES;
const EMPTY = new Uint8Array(0);

export interface DisplayLinkSetup {
  /** Sends bytes, in order; false: the viewer is behind, and drained() will be called. */
  readonly send: (bytes: Uint8Array) => boolean;
  /** The viewer broke the protocol: its socket is to be closed. */
  readonly broken: (reason: string) => void;
  /** The viewer did not answer in time; the guest was answered from this device's own displays. */
  readonly slow?: (what: string) => void;
  readonly clock: Clock;
  readonly probe: Probe;
}

/** What changed of a scanout and was not sent yet. */
interface Change {
  scanout: boolean;
  damage: Rect | undefined;
  cursor: 'none' | 'moved' | 'image';
}

interface Question {
  readonly request: number;
  readonly payload: Uint8Array;
  readonly replySize: number;
  /** Undefined: no answer came in time, or the link ended. May ask more. */
  readonly done: (payload: Uint8Array | undefined) => void;
  /** The answer came after all; absent: it is of no use any more. */
  readonly late?: (payload: Uint8Array) => void;
  /** No answer ever came, but one to a later question. */
  readonly never?: () => void;
}

export class DisplayLink implements Viewer {
  readonly #setup: DisplayLinkSetup;
  readonly #questions: Question[] = [];
  /** The first question was sent. */
  #asked = false;
  readonly #reply = new Uint8Array(VHOST_USER_HDR.size + VIRTIO_GPU_RESP_EDID.size);
  #received = 0;
  /** Questions that were given up, in the order in which they were asked; each of another request. */
  readonly #late: Question[] = [];
  /** Scanouts whose EDID the viewer does not know: it left the question unanswered. */
  readonly #withoutEdid = new Set<number>();
  #greeted = false;
  #features = 0n;
  #behind = false;
  #closed = false;
  #deadline: Timer | undefined;
  readonly #changes = new Map<Scanout, Change>();

  constructor(setup: DisplayLinkSetup) {
    this.#setup = setup;
  }

  /** Greets the viewer. */
  start(): void {
    const greeted = (payload: Uint8Array): void => {
      this.#greeted = true;
      const offered = VHOST_USER_U64.decode(payload).u64;
      this.#features = offered & (1n << BigInt(VHOST_USER_GPU_PROTOCOL_F_EDID));
      const chosen = VHOST_USER_U64.bytes({ u64: this.#features });
      this.#send(REQUEST.VHOST_USER_GPU_SET_PROTOCOL_FEATURES, chosen);
    };
    this.#question({
      request: REQUEST.VHOST_USER_GPU_GET_PROTOCOL_FEATURES,
      payload: EMPTY,
      replySize: VHOST_USER_U64.size,
      done: (payload) => payload !== undefined && greeted(payload),
      late: greeted,
    });
  }

  ask(command: DisplayQuestion, done: (answer: GpuResponse | undefined) => void): void {
    if (command.name === 'GET_DISPLAY_INFO') {
      this.#question({
        request: REQUEST.VHOST_USER_GPU_GET_DISPLAY_INFO,
        payload: EMPTY,
        replySize: VIRTIO_GPU_RESP_DISPLAY_INFO.size,
        done: (payload) => {
          if (payload === undefined) return done(undefined);
          const { pmodes } = VIRTIO_GPU_RESP_DISPLAY_INFO.decode(payload);
          return done({ name: 'OK_DISPLAY_INFO', pmodes });
        },
      });
      return;
    }
    // Whether it knows EDIDs is known only once the greeting is answered, which is asked before this.
    if (!this.#greeted && !this.#late.some(isGreeting)) this.#afterGreeting(() => this.#askEdid(command.scanout, done));
    else this.#askEdid(command.scanout, done);
  }

  #askEdid(scanout: number, done: (answer: GpuResponse | undefined) => void): void {
    const knows = hasFeature(this.#features, VHOST_USER_GPU_PROTOCOL_F_EDID) && !this.#withoutEdid.has(scanout);
    if (!knows) {
      done(undefined);
      return;
    }
    this.#question({
      request: REQUEST.VHOST_USER_GPU_GET_EDID,
      payload: VHOST_USER_GPU_EDID_REQUEST.bytes({ scanout_id: scanout }),
      replySize: VIRTIO_GPU_RESP_EDID.size,
      done: (payload) => {
        if (payload === undefined) return done(undefined);
        const { size, edid } = VIRTIO_GPU_RESP_EDID.decode(payload);
        return done({ name: 'OK_EDID', edid: edid.slice(0, Math.min(size, VIRTIO_GPU_EDID_BYTES)) });
      },
      never: () => this.#withoutEdid.add(scanout),
    });
  }

  scanout(scanout: Scanout): void {
    const change = this.#change(scanout);
    change.scanout = true;
    change.damage = undefined; // of what was shown before
    this.#sendChanges();
  }

  flush(scanout: Scanout, rect: Rect): void {
    const change = this.#change(scanout);
    change.damage = change.damage === undefined ? rect : union(change.damage, rect);
    this.#sendChanges();
  }

  cursor(scanout: Scanout, image: boolean): void {
    const change = this.#change(scanout);
    if (image || change.cursor !== 'image') change.cursor = image ? 'image' : 'moved';
    this.#sendChanges();
  }

  /** The viewer has read what was sent. */
  drained(): void {
    this.#behind = false;
    this.#sendChanges();
  }

  /** Bytes from the viewer, cut anywhere: only replies may come. */
  receive(bytes: Uint8Array): void {
    let rest = bytes;
    while (rest.length > 0 && !this.#closed) {
      if (!this.#asked && this.#late.length === 0) {
        this.#break('an answer to no question');
        return;
      }
      const have = this.#received;
      const question = have < VHOST_USER_HDR.size ? undefined : this.#answered();
      const size = VHOST_USER_HDR.size + (question?.replySize ?? 0);
      const take = Math.min(rest.length, size - have);
      this.#reply.set(rest.subarray(0, take), have);
      this.#received += take;
      rest = rest.subarray(take);
      if (this.#received < size) return;
      if (question === undefined) {
        // The header is whole: it must be the one of a question's reply, and more must be to come.
        if (this.#answered() !== undefined) continue;
        this.#break(`an answer to no question: ${this.#headerText()}`);
        return;
      }
      this.#received = 0;
      this.#take(question, this.#reply.slice(VHOST_USER_HDR.size, size));
    }
  }

  /** The question that the header in #reply answers: the open one, or one that was given up. */
  #answered(): Question | undefined {
    const { request, flags, size } = VHOST_USER_HDR.decode(this.#reply);
    if (flags !== VHOST_USER_GPU_MSG_FLAG_REPLY) return undefined;
    const open = this.#asked ? this.#questions.slice(0, 1) : [];
    return [...this.#late, ...open].find((one) => one.request === request && one.replySize === size);
  }

  #headerText(): string {
    const { request, flags, size } = VHOST_USER_HDR.decode(this.#reply);
    return `request ${request}, flags ${flags}, ${size} bytes`;
  }

  #take(question: Question, payload: Uint8Array): void {
    this.#setup.probe.at(POINT['display.reply'], displayRequestName(question.request), payload.length);
    const place = this.#late.indexOf(question);
    // Answers come in order: what was asked before this one is never answered.
    for (const { never } of this.#late.splice(0, place < 0 ? this.#late.length : place)) never?.();
    if (place >= 0) {
      this.#late.shift();
      question.late?.(payload);
      return;
    }
    this.#deadline?.cancel();
    this.#questions.shift();
    this.#asked = false;
    question.done(payload);
    this.#sendQuestion();
  }

  /** The socket ended. Every question that is open ends without an answer. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#asked = false;
    this.#deadline?.cancel();
    for (const question of this.#questions.splice(0)) question.done(undefined);
  }

  #break(reason: string): void {
    this.close();
    this.#setup.broken(reason);
  }

  #question(question: Question): void {
    this.#questions.push(question);
    this.#sendQuestion();
  }

  /** Runs `action` at once when no question is open, else after the last one. */
  #afterGreeting(action: () => void): void {
    const last = this.#questions.pop();
    if (last === undefined) {
      action();
      return;
    }
    this.#questions.push({
      ...last,
      done: (payload) => {
        last.done(payload);
        action();
      },
    });
  }

  #sendQuestion(): void {
    while (!this.#asked) {
      const question = this.#questions[0];
      if (question === undefined) return;
      // Its reply could not be told from the one that is late.
      const unclear = this.#late.some(({ request }) => request === question.request);
      if (this.#closed || unclear) {
        this.#questions.shift();
        question.done(undefined);
        continue;
      }
      this.#asked = true;
      this.#deadline = this.#setup.clock.after(DEADLINE_MS.viewerAnswer, () => this.#giveUp());
      this.#send(question.request, question.payload);
    }
  }

  /** The open question is not waited for any longer. */
  #giveUp(): void {
    const question = this.#questions.shift();
    if (question === undefined) return;
    this.#asked = false;
    this.#late.push(question);
    this.#setup.slow?.(`request ${question.request} was not answered within ${DEADLINE_MS.viewerAnswer} ms`);
    question.done(undefined);
    this.#sendQuestion();
  }

  #change(scanout: Scanout): Change {
    let change = this.#changes.get(scanout);
    if (change === undefined) {
      change = { scanout: false, damage: undefined, cursor: 'none' };
      this.#changes.set(scanout, change);
    }
    return change;
  }

  #sendChanges(): void {
    for (const [scanout, change] of this.#changes) {
      if (this.#behind || this.#closed) return;
      this.#changes.delete(scanout);
      if (change.scanout) this.#sendScanout(scanout);
      if (change.damage !== undefined) this.#sendUpdate(scanout, change.damage);
      if (change.cursor !== 'none') this.#sendCursor(scanout, change.cursor === 'image');
    }
  }

  #sendScanout(scanout: Scanout): void {
    const { width, height } = scanout.shown?.rect ?? { width: 0, height: 0 };
    const payload = VHOST_USER_GPU_SCANOUT.bytes({ scanout_id: scanout.index, width, height });
    this.#send(REQUEST.VHOST_USER_GPU_SCANOUT, payload);
  }

  #sendUpdate(scanout: Scanout, damage: Rect): void {
    if (scanout.shown === undefined) return;
    const { surface, rect: shown } = scanout.shown;
    const part = intersection(shown, damage);
    const bytes = part.width * part.height * VIRTIO_GPU_BYTES_PER_PIXEL;
    const payload = new Uint8Array(VHOST_USER_GPU_UPDATE.size + bytes);
    // Relative to the scanout, where the viewer paints them. (vhost-user-gpu sends resource coordinates: off for
    // scanouts that do not begin at the resource's origin.)
    const place = { x: part.x - shown.x, y: part.y - shown.y, width: part.width, height: part.height };
    VHOST_USER_GPU_UPDATE.encode({ scanout_id: scanout.index, ...place }, payload);
    writeBgrx(surface, part, payload, VHOST_USER_GPU_UPDATE.size);
    this.#send(REQUEST.VHOST_USER_GPU_UPDATE, payload);
  }

  #sendCursor(scanout: Scanout, image: boolean): void {
    const { x, y, hotX, hotY, visible } = scanout.cursor;
    const pos = { scanout_id: scanout.index, x, y };
    if (!image || !visible) {
      const request = visible ? REQUEST.VHOST_USER_GPU_CURSOR_POS : REQUEST.VHOST_USER_GPU_CURSOR_POS_HIDE;
      this.#send(request, VHOST_USER_GPU_CURSOR_POS.bytes(pos));
      return;
    }
    const payload = new Uint8Array(VHOST_USER_GPU_CURSOR_UPDATE.size + scanout.cursor.image.length);
    VHOST_USER_GPU_CURSOR_UPDATE.encode({ pos, hot_x: hotX, hot_y: hotY }, payload);
    payload.set(scanout.cursor.image, VHOST_USER_GPU_CURSOR_UPDATE.size);
    this.#send(REQUEST.VHOST_USER_GPU_CURSOR_UPDATE, payload);
  }

  #send(request: number, payload: Uint8Array): void {
    if (this.#closed) return;
    const header = VHOST_USER_HDR.bytes({ request, flags: 0, size: payload.length });
    this.#setup.probe.at(POINT['display.request'], displayRequestName(request), payload.length);
    this.#setup.send(header);
    if (!this.#setup.send(payload)) this.#behind = true;
  }
}

function union(a: Rect, b: Rect): Rect {
  const x = Math.min(a.x, b.x);
  const y = Math.min(a.y, b.y);
  const width = Math.max(a.x + a.width, b.x + b.width) - x;
  return { x, y, width, height: Math.max(a.y + a.height, b.y + b.height) - y };
}
