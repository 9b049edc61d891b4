// Which processes speak to each other and how much, as their records say: what the page draws between the boxes of processes. Pure.
import type { Flow } from '../lib/trace/flows.js';

/** What a wire carries, by how the names of its points begin (lib/trace/points.ts); else, of notifications, their kind. */
const CARRIED: Readonly<Record<string, string>> = {
  bus: 'calls',
  store: 'store',
  'vhost-user': 'vhost-user',
  display: 'display',
};

export interface ShownWire {
  /** In the order of their names. */
  readonly ends: readonly [string, string];
  /** By what it carries: `calls`, `store`, `vhost-user`, `display`, `kick`, `call`; how many a second, both ways. */
  readonly carries: Readonly<Record<string, number>>;
}

export class Wires {
  /** By both ends, then by what is carried: of the last interval. A wire that was seen once stays while its ends do. */
  readonly #wires = new Map<string, Map<string, number>>();

  /** All flows of some time. */
  take(flows: readonly Flow[], seconds: number): void {
    for (const carried of this.#wires.values()) for (const what of carried.keys()) carried.set(what, 0);
    for (const { kind, steps } of flows) {
      // Its commands travel with the kick.
      if (kind === 'command') continue;
      const what = kind === 'message' ? CARRIED[steps[0]!.point.name.split('.')[0]!] : kind;
      if (what === undefined) continue;
      for (const [index, { process }] of steps.entries()) {
        const before = steps[index - 1]?.process;
        if (before === undefined || before === process) continue;
        const key = [before, process].sort().join('\n');
        const carried = this.#wires.get(key) ?? new Map<string, number>();
        this.#wires.set(key, carried);
        carried.set(what, (carried.get(what) ?? 0) + 1 / seconds);
      }
    }
  }

  /** Those between processes of these names; the others are forgotten. */
  shown(names: ReadonlySet<string>): ShownWire[] {
    const shown: ShownWire[] = [];
    for (const [key, carried] of this.#wires) {
      const [one = '', other = ''] = key.split('\n');
      if (!names.has(one) || !names.has(other)) {
        this.#wires.delete(key);
        continue;
      }
      const rounded = [...carried].map(([what, count]) => [what, Math.ceil(count)] as const);
      shown.push({ ends: [one, other], carries: Object.fromEntries(rounded) });
    }
    return shown;
  }
}
