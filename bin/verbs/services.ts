// `xenwire hypervisor|xenstored|vhost-gpu|vhost-frontend|guest`: one process of a lab, in this process. The service reads
// its own options; here is only its name and what it stands for.
import { createRequire } from 'node:module';
import { builtProgram, type Program } from '../../lab/child.js';
import type { Command } from '../../lib/node/process/cli.js';

const SERVICES: Readonly<Record<string, string>> = {
  hypervisor: 'run the hypervisor: domains, event channels, ioreq servers',
  xenstored: 'run the configuration database',
  'vhost-gpu': 'run the GPU device server',
  'vhost-frontend': "run dom0's backend: xenbus, virtio-mmio registers, vhost-user",
  guest: 'run the kernel of one guest',
};

/** For `xenwire --help` only: runServiceVerb takes them before commander sees them. */
export function register(program: Command): void {
  for (const [name, describe] of Object.entries(SERVICES)) {
    program.command(`${name} [options...]`).description(describe);
  }
}

/** Becomes the service that the arguments name; false when they name none. */
export async function runServiceVerb(argv: readonly string[]): Promise<boolean> {
  const [name, ...rest] = argv;
  if (name === undefined || !Object.hasOwn(SERVICES, name)) return false;
  const file = builtProgram(name as Program);
  // As if it had been started by itself: vhost-gpu starts its own program again for each front-end.
  process.argv = [process.argv[0]!, file, ...rest];
  // Not import(): a script that V8 took from its code cache cannot (docs/start.md).
  createRequire(file)(file);
  return true;
}
