// Why a device is where it is, in parts that the page makes sentences of: what hinders it, which move of the protocol's tables comes
// next and which process makes it, and the last step before. Pure. Leaves how long all of that lasts to the page's own clock.
import type { ProcessRates } from '../lab/rates.js';
import type { DeviceServerProcess } from '../lib/core/device-server.js';
import { XenbusState, xenbusStateName } from '../lib/layout/xenbus.js';
import { parseInstance } from '../lib/trace/instances.js';
import type { EdgeRule, Protocol, Side } from '../lib/xenbus/protocol.js';

export interface Awaited {
  readonly side: Side;
  readonly state: number;
  readonly name: string;
  /** The process that writes it. */
  readonly by: string;
  /** What the tables say is true once it is written. */
  readonly once: string;
}

export interface Reason {
  /** One clause a process that is stopped, dead or missing; empty where all that the device needs run. */
  readonly causes: readonly string[];
  /** undefined where both ends are Connected, and where the tables leave every move to the toolstack. */
  readonly awaited?: Awaited;
}

const S = XenbusState;

/** The next move of an end's own driver; undefined where neither has one that the other waits for. */
export function nextMove({ edges }: Protocol, front: number, back: number): EdgeRule | undefined {
  if (front === S.Connected && back === S.Connected) return undefined;
  const states: Readonly<Record<Side, number>> = { front, back };
  const may = ({ side, from, otherEnd, by }: EdgeRule): boolean =>
    (by === 'frontend' || by === 'backend') &&
    (from as readonly number[]).includes(states[side]) &&
    (otherEnd === undefined || (otherEnd as readonly number[]).includes(states[side === 'front' ? 'back' : 'front']));
  const moves = edges.filter(may);
  const closed = (side: Side): EdgeRule | undefined => moves.find((edge) => edge.side === side && edge.to === S.Closed);
  const isOpen = front === S.Initialised || front === S.Connected;
  if (front === S.Closing || (isOpen && (back === S.Closing || back === S.Closed))) return closed('front');
  const backLetsGo = front === S.Closed && (back === S.Initialising || back === S.Connected);
  if (back === S.Closing || backLetsGo) return closed('back');
  return moves.find(({ to }) => to !== S.Closing && to !== S.Closed);
}

export interface Standing {
  readonly protocol: Protocol;
  /** undefined: that end has written none. */
  readonly front: number | undefined;
  readonly back: number | undefined;
  readonly processes: readonly ProcessRates[];
  readonly guest: string;
  /** The process that serves the device. */
  readonly server: DeviceServerProcess;
}

export function whyItStands({ protocol, front, back, processes, guest, server }: Standing): Reason {
  const driver = `guest-${guest}`;
  const concerned = ['toolstack', driver, 'xenstored', 'hypervisor', 'vhost-frontend', server];
  const known = concerned.flatMap((name) => processes.filter((each) => each.name === name).at(-1) ?? []);
  // The toolstack is a command: it comes and goes.
  const stopped = known.filter(
    ({ name, condition }) => condition !== 'runs' && !(name === 'toolstack' && condition === 'dead'),
  );
  const missing = concerned.slice(1).filter((name) => !known.some((each) => each.name === name));
  const move = nextMove(protocol, front ?? S.Unknown, back ?? S.Unknown);
  return {
    causes: [...stopped.map(causeOf), ...missing.map((name) => `${name} does not run`)],
    ...(move === undefined
      ? {}
      : {
          awaited: {
            ...{ side: move.side, state: move.to, name: xenbusStateName(move.to), once: move.why },
            by: move.by === 'frontend' ? driver : 'vhost-frontend',
          },
        }),
  };
}

function causeOf({ name, condition, at }: ProcessRates): string {
  if (condition === 'dead') return `${name} is dead`;
  if (condition === 'paused' || at === undefined) return `${name} is paused`;
  const { point } = parseInstance(/#\d+$/.test(at) ? at : `${at}#1`);
  return `${name} stands just ${point.gate} ${at.slice(name.length + 1)}`;
}
