// What store messages are called at trace points (lib/trace/points.ts), derived from the messages themselves: a new operation has
// a name without anybody giving it one. "write device/virtio-mmio/0/state=3": the operation, the whole path, and a short value.
import { XS, type XsMessage, xsName } from '../layout/xs-wire.js';

const VALUE_MAX = 12;
const PRINTABLE = /^[\x21-\x7e]*$/;

/** Of a request; the same for its reply. */
export function requestLabel(message: XsMessage): string {
  const name = xsName(message.type).toLowerCase();
  const [first = '', second = ''] = message.payload.split('\0', 2);
  if (message.type === XS.XS_WRITE) {
    const shown = second.length <= VALUE_MAX && PRINTABLE.test(second) ? `=${second}` : '';
    return `${name} ${first}${shown}`;
  }
  return first === '' ? name : `${name} ${first}`;
}

/** Of a watch event: the whole path. */
export function eventLabel(message: XsMessage): string {
  return message.payload.split('\0', 1)[0] as string;
}
