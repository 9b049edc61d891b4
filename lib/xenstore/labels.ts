// What store messages are called at trace points (lib/trace/points.ts), derived from the messages themselves: a new operation has
// a name without anybody giving it one. "write device/virtio-mmio/0/state=3": the operation, the whole path, and a short value.
import { XS, type XsMessage, xsLabel } from '../layout/xs-wire.js';

const VALUE_MAX = 12;

/** Of a request; the same for its reply. Called for every one of them: no text is made that is not part of the label. */
export function requestLabel({ type, payload }: XsMessage): string {
  const name = xsLabel(type);
  const end = payload.indexOf('\0');
  const first = end < 0 ? payload : payload.slice(0, end);
  if (type === XS.XS_WRITE) {
    const value = shownValue(payload, end < 0 ? payload.length : end + 1);
    return `${name} ${first}${value}`;
  }
  return first === '' ? name : `${name} ${first}`;
}

/** The value at `at`, up to its end or a NUL, where it is short and printable. */
function shownValue(payload: string, at: number): string {
  let end = at;
  for (; end < payload.length; end++) {
    const code = payload.charCodeAt(end);
    if (code === 0) break;
    if (end - at === VALUE_MAX || code < 0x21 || code > 0x7e) return '';
  }
  return `=${payload.slice(at, end)}`;
}

/** Of a watch event: the whole path. */
export function eventLabel(message: XsMessage): string {
  return message.payload.split('\0', 1)[0] as string;
}
