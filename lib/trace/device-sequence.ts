// The life of one device as a sequence diagram, from what the processes recorded: states and keys that each end writes into the
// store, states that the guest sees, what each end takes and binds, messages to the device server, frames and errors.
// Leaves drawing to sequence.ts.
import { xenbusStateName } from '../layout/xenbus.js';
import { type DeviceName, DeviceNames } from './devices.js';
import { edgeTo, POINT } from './points.js';
import type { TraceRecord } from './record.js';
import { type SequenceLine, sequenceMermaid, sequenceText } from './sequence.js';

const LANES = ['toolstack', 'guest', 'xenstored', 'vhost-frontend', 'vhost-gpu'] as const;
type Lane = (typeof LANES)[number];
/** The margin has milliseconds: `  1234.5`. */
const LAYOUT = { lanes: LANES, first: 13, width: 13 } as const;
/** What a key's text may take beside the lanes before it: it is its end that says which key and value. */
const KEY_COLUMNS_MAX = 32;

type Line = SequenceLine<Lane> & { readonly ns: bigint; readonly folds?: boolean };

const stateText = (state: number): string => `state=${state} ${xenbusStateName(state)}`;
const tail = (text: string): string => (text.length <= KEY_COLUMNS_MAX ? text : `..${text.slice(2 - KEY_COLUMNS_MAX)}`);
/** A key of the device's own directory is shown below it: its path repeats what the diagram's title says. */
const keyText = (path: string): string => tail(path.replace(/^\S*?\/\d+\/(?!\d+\/)/, ''));

function lineOf(record: TraceRecord): Line | undefined {
  const { point, label, b, ns } = record;
  const who: Lane = record.process === 'toolstack' ? 'toolstack' : 'guest';
  const back: Lane = record.process === 'toolstack' ? 'toolstack' : 'vhost-frontend';
  switch (point) {
    // The toolstack's record of what it has written comes after the ends' answers to it (handshakes.ts).
    case POINT['front.state']:
      return who === 'toolstack' ? { from: who, to: 'xenstored', text: `FE ${stateText(edgeTo(b))}`, ns } : undefined;
    case POINT['back.state']:
      return back === 'toolstack' ? { from: back, to: 'xenstored', text: `BE ${stateText(edgeTo(b))}`, ns } : undefined;
    case POINT['front.state-written']:
      return who === 'toolstack' ? undefined : { from: who, to: 'xenstored', text: stateText(edgeTo(b)), ns };
    case POINT['back.state-written']:
      return back === 'toolstack' ? undefined : { from: back, to: 'xenstored', text: stateText(edgeTo(b)), ns };
    case POINT['front.key']:
      return { from: who, to: 'xenstored', text: keyText(label), ns };
    case POINT['back.key']:
      return { from: back, to: 'xenstored', text: keyText(label), ns };
    case POINT['front.other-state']:
      return { from: 'xenstored', to: 'guest', text: `BE ${stateText(b)}`, ns };
    case POINT['front.probe']:
      return { from: 'guest', to: 'guest', text: 'probe', ns };
    case POINT['front.effect']:
      return { from: 'guest', to: 'guest', text: label, ns };
    case POINT['back.effect']:
      return { from: 'vhost-frontend', to: 'vhost-frontend', text: label, ns };
    case POINT['vhost-user.request']:
      return { from: 'vhost-frontend', to: 'vhost-gpu', text: label, ns, folds: true };
    case POINT['gpu.flush']:
      return { from: 'vhost-gpu', to: 'vhost-gpu', text: 'flush', ns, folds: true };
    case POINT['guest.frame']:
      return { from: 'guest', to: 'guest', text: 'frame shown', ns };
    case POINT['error.xenbus']:
      return record.process === 'vhost-frontend'
        ? { from: 'vhost-frontend', to: 'vhost-frontend', text: `error ${tail(label)}`, ns }
        : { from: 'guest', to: 'guest', text: `error ${tail(label)}`, ns };
    case POINT['error.effect']:
    case POINT['error.device']:
      return { from: 'vhost-frontend', to: 'vhost-frontend', text: `error ${tail(label)}`, ns };
    default:
      return undefined;
  }
}

/** Whether a record is a step of a device's handshake: what it comes to, less the frames once it runs. */
export const isStep = (record: TraceRecord): boolean =>
  record.point !== POINT['gpu.flush'] && lineOf(record) !== undefined;

/** Messages of one kind that follow each other become one line: their first, their last and how many. */
function folded(lines: readonly Line[]): Line[] {
  const result: Line[] = [];
  let run: Line[] = [];
  const end = (): void => {
    const [first] = run;
    const last = run.at(-1);
    if (first === undefined || last === undefined) return;
    const text = first.text === last.text ? first.text : `${first.text} .. ${last.text}`;
    result.push(run.length === 1 ? first : { ...first, text: `${text} (${run.length})` });
    run = [];
  };
  for (const line of lines) {
    if (run[0] !== undefined && (!line.folds || line.from !== run[0].from || line.to !== run[0].to)) end();
    if (line.folds) run.push(line);
    else result.push(line);
  }
  end();
  return result;
}

/** `records` in order of time; times count from `startNs`. Empty where nothing is recorded of the device. */
export function deviceSequence(records: readonly TraceRecord[], device: DeviceName, startNs: bigint): Line[] {
  const names = new DeviceNames();
  const lines: Line[] = [];
  for (const record of records) {
    const concerned = names.of(record);
    if (concerned?.domid !== device.domid || (concerned.devid ?? device.devid) !== device.devid) continue;
    const line = lineOf(record);
    if (line !== undefined) lines.push({ ...line, at: (Number(line.ns - startNs) / 1e6).toFixed(1).padStart(8) });
  }
  return folded(lines);
}

export const deviceText = (lines: readonly Line[]): string => sequenceText(lines, LAYOUT);
export const deviceMermaid = (lines: readonly Line[]): string => sequenceMermaid(lines, LANES);
