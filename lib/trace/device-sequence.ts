// The life of one device as a sequence diagram, from what the processes recorded: states and keys that each end writes into the
// store, states that the guest sees, what each end takes and binds, messages to its device server, frames and errors.
// Leaves drawing to sequence.ts.
import { type DeviceServerProcess, deviceServerProcess, isDeviceServer } from '../core/device-server.js';
import { xenbusStateName } from '../layout/xenbus.js';
import { type DeviceName, DeviceNames } from './devices.js';
import { edgeTo, POINT } from './points.js';
import type { TraceRecord } from './record.js';
import { type SequenceLine, sequenceMermaid, sequenceText } from './sequence.js';

const LANES = ['toolstack', 'guest', 'xenstored', 'vhost-frontend'] as const;
type Lane = (typeof LANES)[number] | DeviceServerProcess;
/** The margin has milliseconds: `  1234.5`. */
const LAYOUT = { first: 13, width: 13 } as const;
/** What the name of the last lane may take beside the lane before it: its end tells servers apart. */
const SERVER_COLUMNS_MAX = 11;
/** What a key's text may take beside the lanes before it: it is its end that says which key and value. */
const KEY_COLUMNS_MAX = 32;

type Line = SequenceLine<Lane> & { readonly ns: bigint; readonly folds?: boolean };

/** The life of a device. */
export interface DeviceSequence {
  readonly lanes: readonly Lane[];
  /** The last lane: the device's. */
  readonly server: DeviceServerProcess;
  readonly lines: readonly Line[];
}

const stateText = (state: number): string => `state=${state} ${xenbusStateName(state)}`;
const tail = (text: string, columns = KEY_COLUMNS_MAX): string =>
  text.length <= columns ? text : `..${text.slice(2 - columns)}`;
/** A key of the device's own directory is shown below it: its path repeats what the diagram's title says. */
const keyText = (path: string): string => tail(path.replace(/^\S*?\/\d+\/(?!\d+\/)/, ''));

/** `server`: of the device that the record concerns. */
function lineOf(record: TraceRecord, server: DeviceServerProcess): Line | undefined {
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
      return { from: 'vhost-frontend', to: server, text: label, ns, folds: true };
    case POINT['gpu.flush']:
      return { from: server, to: server, text: 'flush', ns, folds: true };
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
  record.point !== POINT['gpu.flush'] && lineOf(record, deviceServerProcess(undefined)) !== undefined;

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

/**
 * `records` in order of time; times count from `startNs`. No lines where nothing is recorded of the device. `server`: its device
 * server where the caller knows; else the last one that has recorded something of the device, or the one without a name.
 */
export function deviceSequence(
  records: readonly TraceRecord[],
  device: DeviceName,
  startNs: bigint,
  server?: DeviceServerProcess,
): DeviceSequence {
  const names = new DeviceNames();
  const own = records.filter((record) => {
    const concerned = names.of(record);
    return concerned?.domid === device.domid && (concerned.devid ?? device.devid) === device.devid;
  });
  const serves = server ?? own.map(({ process }) => process).findLast(isDeviceServer) ?? deviceServerProcess(undefined);
  const lines = own.flatMap((record): Line[] => {
    const line = lineOf(record, serves);
    return line === undefined ? [] : [{ ...line, at: (Number(line.ns - startNs) / 1e6).toFixed(1).padStart(8) }];
  });
  return { lanes: [...LANES, serves], server: serves, lines: folded(lines) };
}

export function deviceText({ lanes, server, lines }: DeviceSequence): string {
  const short = (lane: string): string => (lane === server ? tail(lane, SERVER_COLUMNS_MAX) : lane);
  const shown = lines.map((line) => ({ ...line, from: short(line.from), to: short(line.to) }));
  return sequenceText(shown, { ...LAYOUT, lanes: lanes.map(short) });
}

export const deviceMermaid = ({ lanes, lines }: DeviceSequence): string => sequenceMermaid(lines, lanes);
