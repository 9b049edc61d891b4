// A guest in one process whose pages, ports and ranges are counted as they are taken and given back.
import type { Test } from 'tap';
import { NO_PROBE, type Probe } from '../lib/core/probe.js';
import { GuestMachine, type MachineOptions } from './guest-machine.js';

/** Counts what is taken and given back, by what it is. */
function bookkeeper(): { probe: Probe; out: Map<string, number> } {
  const out = new Map<string, number>();
  return {
    out,
    probe: {
      ...NO_PROBE,
      at: ({ kind, name: point }, _label, _a, b = 0) => {
        if (kind !== 'acquire' && kind !== 'release') return;
        const [name = ''] = point.split('.');
        const size = name === 'pages' ? b : 1;
        out.set(name, (out.get(name) ?? 0) + (kind === 'acquire' ? size : -size));
      },
    },
  };
}

export function machineOf(options: MachineOptions = {}): { machine: GuestMachine; nothingHeld: (t: Test) => void } {
  const { probe, out } = bookkeeper();
  const machine = new GuestMachine({ probe, ...options });
  return {
    machine,
    nothingHeld(t) {
      t.same(machine.kernel.held(), []);
      t.equal(machine.ports.size, 0, 'no port is open');
      for (const name of ['pages', 'port', 'range']) t.equal(out.get(name) ?? 0, 0, `every ${name} is back`);
    },
  };
}
