// What a run of `xenwire latency` found, in the shape of its JSON; and what it measured beside that shape.
import type { NotificationPath } from '../../lib/core/notification-path.js';
import type { NotifyMode } from '../../lib/core/notify.js';
import type { Load } from '../../lib/trace/latency-run.js';
import type { Figures } from '../floor/figures.js';
import type { Floors } from '../floor/floors.js';
import type { MachineConditions } from './machine-facts.js';
import type { Curve, HopFigures } from './tally.js';

export const MODES = ['hot', 'blocked'] as const;
/** hot: processes look at their pages for a while after each activity; blocked: they block at once. */
export type Mode = (typeof MODES)[number];

export interface PathResult {
  readonly path: NotificationPath;
  readonly notify: NotifyMode;
  readonly mode: Mode;
  readonly load: Load;
  /** Open: requests a second. */
  readonly ratePerSecond?: number;
  readonly samples: number;
  readonly guestToDeviceNs: Figures;
  readonly deviceToGuestNs: Figures;
  readonly roundTripNs: Figures;
  readonly hops: readonly HopFigures[];
}

/** Measured under other conditions than back to back on a free machine; no bar is held to it. */
export interface Reported extends PathResult {
  /** "after 4 ms of nothing", "1 busy neighbour" */
  readonly condition: string;
}

export interface PathCurves {
  readonly guestToDevice: Curve;
  readonly deviceToGuest: Curve;
  readonly roundTrip: Curve;
}

export interface Tracing {
  readonly path: NotificationPath;
  readonly notify: NotifyMode;
  /** Start to used buffer as the guest saw it, with history and without. */
  readonly onP50Ns: number;
  readonly offP50Ns: number;
}

export interface LatencyResult {
  readonly cores: number;
  readonly node: string;
  /** The better of those measured before and after. */
  readonly floor: Floors;
  readonly paths: readonly PathResult[];
  /** Beside what the shape asks for. */
  readonly beside: {
    readonly floorBefore: Floors;
    readonly floorAfter: Floors;
    readonly reported: readonly Reported[];
    /** Percent of one core that all processes of a lab take together while nothing happens. */
    readonly idlePercent: readonly { readonly notify: NotifyMode; readonly percent: number }[];
    readonly tracing: readonly Tracing[];
    /** Nanoseconds that one history record takes its writer. */
    readonly recordNs: number;
    readonly curves: Readonly<Record<string, PathCurves>>;
    readonly warnings: readonly string[];
    /** Of those that decide over wake-ups. */
    readonly machine: MachineConditions;
  };
}

/** Key of a result's curves. */
export function resultKey(result: Pick<PathResult, 'path' | 'notify' | 'mode' | 'load'>): string {
  return `${result.path} ${result.notify} ${result.mode} ${result.load}`;
}
