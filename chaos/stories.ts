// What is told of the guest of a case beside its plain life: what other parties do to its device, or to the store, while it is made, drawn and
// removed. All of it is what a toolstack may write, or does. Leaves the life itself to engine.ts.
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { passOver } from '../lib/core/errors.js';
import { DOM0 } from '../lib/core/ids.js';
import { backendPath, frontendPath, XENBUS_KEY, XenbusState } from '../lib/layout/xenbus.js';
import { virtioDeviceId } from '../toolstack/device.js';
import { readNode, removeNode, type Toolstack, whenStore } from '../toolstack/toolstack.js';

export interface Story {
  readonly describe: string;
  /** Guests that are made and removed before the one of the case: every second before it has shown anything. */
  readonly rounds?: number;
  /** The domain was made and has not run yet. */
  beforeRun?(toolstack: Toolstack, domid: number): Promise<void>;
  /** The guest is about to be removed. */
  beforeRemoval?(toolstack: Toolstack, domid: number): Promise<void>;
  /** Something that goes on from the beginning of a case to its end: ends when the signal aborts; a text for each rule broken. */
  meanwhile?(toolstack: () => Toolstack, signal: AbortSignal): Promise<string[]>;
}

/** A guest's only device, of the `review` protocol. */
const idOf = (domid: number) => virtioDeviceId(domid, 0, DOM0, 'review');
const frontState = (domid: number): string => `${frontendPath(idOf(domid))}/${XENBUS_KEY.state}`;
const backState = (domid: number): string => `${backendPath(idOf(domid))}/${XENBUS_KEY.state}`;

async function backendSays(toolstack: Toolstack, domid: number, ...states: readonly XenbusState[]): Promise<void> {
  const path = backState(domid);
  await whenStore(toolstack, [path], DEADLINE_MS.chaosPicture, async () => {
    const state = Number(await readNode(toolstack.store, path));
    return states.some((wanted) => wanted === state) || undefined;
  });
}

/** The guest's driver has begun: it has read what the backend offers. */
export async function frontendBegun(toolstack: Toolstack, domid: number): Promise<void> {
  const path = frontState(domid);
  await whenStore(toolstack, [path], DEADLINE_MS.chaosPicture, async () => {
    const state = Number(await readNode(toolstack.store, path));
    return state >= XenbusState.Initialised || undefined;
  });
}

/**
 * Windows' frontends find a device at 1, close it before they connect, and begin anew (xenvif, xenvbd: FrontendClose at start): 5, 6, 1. Dom0
 * writes it in the guest's place, before the guest's own frontend is there.
 */
async function closesFirst(toolstack: Toolstack, domid: number): Promise<void> {
  const { store } = toolstack;
  await backendSays(toolstack, domid, XenbusState.InitWait);
  await store.write(frontState(domid), String(XenbusState.Closing));
  await backendSays(toolstack, domid, XenbusState.Closing, XenbusState.Closed);
  await store.write(frontState(domid), String(XenbusState.Closed));
  await backendSays(toolstack, domid, XenbusState.Closed);
  await store.write(frontState(domid), String(XenbusState.Initialising));
}

/** The writer's keys, and its pace: above it the histories of a case would not fit into their rings. */
const LOAD = { root: '/tool/xenwire/load', keys: 16, gapMs: 4 } as const;

/** Writes, by themselves and in transactions, one after the other. What was acknowledged is there at the end. */
async function storeLoad(toolstack: () => Toolstack, signal: AbortSignal): Promise<string[]> {
  const acknowledged = new Map<string, number>();
  for (let count = 1; !signal.aborted; count++) {
    const path = `${LOAD.root}/${count % LOAD.keys}`;
    try {
      const { store } = toolstack();
      if (count % 3 === 0) await store.transaction((tx) => tx.write(path, String(count)));
      else await store.write(path, String(count));
      acknowledged.set(path, count);
    } catch (error) {
      passOver(error);
      // Not acknowledged, and perhaps written all the same; a host that is away is waited for.
      acknowledged.delete(path);
    }
    await new Promise((resolve) => setTimeout(resolve, LOAD.gapMs));
  }
  const { store } = toolstack();
  const wrong: string[] = [];
  for (const [path, count] of acknowledged) {
    const found = await readNode(store, path);
    if (found !== String(count)) wrong.push(`${path} is ${found ?? 'away'}; ${count} was acknowledged`);
  }
  await removeNode(store, LOAD.root);
  return wrong;
}

export const STORIES = {
  life: { describe: 'a guest is made, draws, and is removed' },
  'closes-first': {
    describe: 'its frontend closes the device before it connects, as Windows’ does',
    beforeRun: closesFirst,
  },
  'closed-at-once': {
    describe: 'its backend goes straight to Closed while the guest is removed',
    beforeRemoval: ({ store }, domid) => store.write(backState(domid), String(XenbusState.Closed)),
  },
  churn: { describe: 'guests connect and disconnect as fast as they can', rounds: 6 },
  'store-load': { describe: 'the store is written all the while', meanwhile: storeLoad },
} as const satisfies Record<string, Story>;
export type StoryName = keyof typeof STORIES;
export const storyNamed = (name: StoryName): Story => STORIES[name];
