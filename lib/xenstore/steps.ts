// Names of the steps at which a run can be stopped, derived from the messages themselves: a new operation is a new step
// without anybody naming it. "xenstored.write(state=3)" stands before the request is sent, "xenstored.write(state=3).reply"
// after its answer came, "xenstored.event(state)" after an event came.
import { XS, type XsMessage, xsName } from '../layout/xs-wire.js';

const VALUE_MAX = 12;
const PRINTABLE = /^[\x21-\x7e]*$/;

function lastName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1) || path;
}

/** The step of a request. */
export function requestStep(message: XsMessage): string {
  const name = `xenstored.${xsName(message.type).toLowerCase()}`;
  const [first = '', second = ''] = message.payload.split('\0', 2);
  if (message.type === XS.XS_WRITE) {
    const shown = second.length <= VALUE_MAX && PRINTABLE.test(second) ? `=${second}` : '';
    return `${name}(${lastName(first)}${shown})`;
  }
  return first === '' ? name : `${name}(${lastName(first)})`;
}

/** The step of an event. */
export function eventStep(message: XsMessage): string {
  return `xenstored.event(${lastName(message.payload.split('\0', 1)[0] as string)})`;
}
