// Who may ask a process of dom0 or a guest for things of the lab: dom0 alone, by its token. And the endpoint of a process that
// serves nothing else: what it holds and what it takes of the machine (proto/control.proto).
import { timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { ErrnoError } from '../../core/errors.js';
import type { Held } from '../../core/proto-types.js';
import type { ServiceContext } from '../../core/service.js';
import { runPaths } from './run-dir.js';

/** Answers the domain, 0, that a token proves; EPERM for another token. A lab without a hypervisor has no tokens and no guests. */
export async function dom0Only(runDir: string, token: string): Promise<number> {
  const expected = await readFile(runPaths.dom0Token(runDir)).catch(() => undefined);
  if (expected === undefined) return 0;
  const given = Buffer.from(token);
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw new ErrnoError('EPERM', 'this process answers dom0 only');
  }
  return 0;
}

/** Opens the endpoint of a process that has no other: audits, and usage (lib/node/process/service.ts). */
export async function serveControl(context: ServiceContext, held: () => readonly Held[]): Promise<void> {
  const server = await context.serve({ authenticate: ({ token }) => dom0Only(context.runDir, token) });
  server.handle('Control', { audit: () => ({ held: [...held()] }) });
}
