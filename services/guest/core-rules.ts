// Two xenbus cores: what Linux 6.12 and 7.2 do when a device's node vanishes or its state is reset under a live driver.

export interface CoreRules {
  /** A removed node marks its device as vanished: nothing is written for it, both states read as Unknown. */
  readonly vanish: boolean;
  /** An event on a known node whose store state is 1 while the cached one is not, or whose backend-id changed, makes a new device. */
  readonly resetMakesAnew: boolean;
  /** Switching states stops when the store says 1 and the cache does not. */
  readonly resetBlocksSwitch: boolean;
}

export const CORES = {
  '6.12': { vanish: false, resetMakesAnew: false, resetBlocksSwitch: false },
  '7.2': { vanish: true, resetMakesAnew: true, resetBlocksSwitch: true },
} as const satisfies Record<string, CoreRules>;

export type CoreVersion = keyof typeof CORES;
export const CORE_VERSIONS = Object.keys(CORES) as CoreVersion[];
