// What may happen to the world besides the processes' own steps: deaths, restarts, removals, re-creations, refusals. One entry
// a fault: when it can happen and what it does.
import type { ErrnoName } from '../lib/core/errno.js';
import type { Stage } from './stage.js';
import { disconnect } from './store.js';
import type { Answer, Progress, Request } from './task.js';
import type { Excuse, Side, World } from './world.js';

export const FAULT_KINDS = [
  'kill-backend',
  'kill-guest',
  'kill-toolstack',
  'detach',
  'reattach',
  'replace',
  'reset',
  'late',
  'refuse-frontend',
  'refuse-backend',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** What a fault asks of the processes, and does to them. */
export interface Processes {
  /** What the guest asks for next. */
  guestAsks(world: World): Progress<unknown> | undefined;
  backAsks(world: World): Progress<unknown> | undefined;
  /** Goes on with an answer that is given instead of the request's own. */
  guestGoesOn(stage: Stage, given: Answer): boolean;
  pumpGoesOn(stage: Stage, given: Answer): boolean;
  /** Whether the toolstack waits for an event or its deadline. */
  toolWaits(world: World): boolean;
  toolIsLate(stage: Stage): boolean;
}

export interface Fault {
  readonly by: Side;
  readonly text: string;
  readonly leaves: readonly Excuse[];
  possible(model: Processes, world: World): boolean;
  /** False: it came to nothing. */
  happen(model: Processes, stage: Stage): boolean;
}

/** The device is there, and the toolstack has nothing under way. */
const idle = ({ tool, xen, guest }: World): boolean =>
  tool.run === undefined &&
  tool.next.length === 0 &&
  tool.left === undefined &&
  xen.dead === undefined &&
  // Linux looks at what is there, then begins to watch: what is attached in between it never sees.
  guest.life === 'up';

const order = (text: string, next: readonly string[], leaves: readonly Excuse[] = []): Fault => ({
  by: 'toolstack',
  text,
  leaves,
  possible: (_model, world) => idle(world),
  happen: (_model, stage) => {
    stage.change({ tool: { ...stage.world.tool, next } });
    return true;
  },
});

/** What the store, Xen or the device server may refuse, and with what. */
function refusal(at: Progress<unknown> | undefined): ErrnoName | undefined {
  if (at === undefined || !('asks' in at)) return undefined;
  const { asks } = at;
  if (asks.to === 'xen') return REFUSED[asks.op];
  if (asks.to === 'device') return asks.op === 'setup' ? 'EINVAL' : undefined;
  if (asks.to === 'transaction') return 'ENOSPC';
  return asks.to === 'store' && isKeyWrite(asks) ? 'ENOSPC' : undefined;
}
const inTransaction = (at: Progress<unknown> | undefined): boolean =>
  at !== undefined && 'asks' in at && at.asks.to === 'transaction';
const REFUSED: Partial<Record<Extract<Request, { to: 'xen' }>['op'], ErrnoName>> = {
  allocPort: 'ENOSPC',
  claimRange: 'ENOSPC',
  // By the device server; to take over what an earlier backend left needs none.
  openSession: 'EIO',
  bindPort: 'ENOSPC',
  serve: 'EEXIST',
  serveBroken: 'EEXIST',
};
const isKeyWrite = ({ request }: Extract<Request, { to: 'store' }>): boolean =>
  request.op === 'write' && request.tx === undefined && !request.path.includes('/error/');

export const FAULTS: Readonly<Record<FaultKind, Fault>> = {
  'kill-backend': {
    by: 'backend',
    text: 'KILLED',
    leaves: [],
    possible: (_model, { back }) => back.life !== 'dead',
    happen: (_model, stage) => {
      const { store, xen } = stage.world;
      // Its ends of event channels close, which leaves the guest's unbound; servers stay, with what waits in them.
      const ports = Object.fromEntries(Object.keys(xen.ports).map((port) => [port, 'unbound' as const]));
      const { registers: _gone, wired, ...rest } = xen;
      // With event descriptors left behind its ports cannot be bound again: the next backend makes a server of its own.
      const server = xen.server === 'none' || wired ? 'none' : 'left';
      const stuck = wired ? { stuck: true as const } : {};
      const after = { ...rest, ports, server, ...stuck } as const;
      stage.change({ back: { life: 'dead' }, store: disconnect(store, 'back'), xen: after });
      return true;
    },
  },
  'kill-guest': {
    by: 'frontend',
    text: 'KILLED: the domain is destroyed',
    leaves: ['removed', 'forced'],
    possible: (_model, { guest }) => guest.life !== 'dead' && guest.life !== 'off',
    happen: (_model, stage) => {
      const { store, back, tool } = stage.world;
      const device =
        back.device === undefined ? undefined : { ...back.device, ended: true as const, dirty: true as const };
      stage.change({
        guest: { life: 'dead' },
        inbox: [],
        store: disconnect(store, 'guest'),
        xen: { ports: {}, ranges: [], server: 'none', dead: true },
        back: device === undefined ? back : { ...back, device },
        // What the monitor of the domain does.
        tool: { ...tool, next: [...tool.next, 'force'], ...(tool.run === undefined ? {} : { due: true as const }) },
      });
      return true;
    },
  },
  'kill-toolstack': {
    by: 'toolstack',
    text: 'KILLED',
    leaves: [],
    possible: (_model, { tool }) => tool.run !== undefined,
    happen: (_model, stage) => {
      const { tool, store } = stage.world;
      const { run, due: _lost, ...rest } = tool;
      const left = run!.name === 'attach' ? {} : { left: run!.name };
      const next = run!.name === 'attach' ? ['attach', ...tool.next] : tool.next;
      stage.change({ tool: { ...rest, next, ...left }, store: disconnect(store, 'tool') });
      return true;
    },
  },
  detach: order('the device is to be removed', ['detach'], ['removed']),
  reattach: order('the device is to be removed, then attached again', ['detach', 'attach']),
  replace: order('the device is to be removed by force, then attached again', ['force', 'attach'], ['forced']),
  reset: order('the device gets a backend anew', ['reset']),
  late: {
    by: 'toolstack',
    text: 'others are slow',
    leaves: ['forced'],
    possible: (model, world) => model.toolWaits(world),
    happen: (model, stage) => model.toolIsLate(stage),
  },
  'refuse-frontend': {
    by: 'world',
    text: "the frontend's next request is refused",
    leaves: ['refused'],
    possible: (model, world) => refusal(model.guestAsks(world)) !== undefined,
    happen: (model, stage) => model.guestGoesOn(stage, { error: refusal(model.guestAsks(stage.world)) as ErrnoName }),
  },
  'refuse-backend': {
    by: 'world',
    text: "the backend's next request is refused",
    leaves: ['refused'],
    // dom0 has no quota: its transactions are not refused.
    possible: (model, world) => !inTransaction(model.backAsks(world)) && refusal(model.backAsks(world)) !== undefined,
    happen: (model, stage) => model.pumpGoesOn(stage, { error: refusal(model.backAsks(stage.world)) as ErrnoName }),
  },
};
