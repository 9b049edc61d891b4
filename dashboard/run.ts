// The page as a process: serves a lab until it is told to end. Says where on standard output, in one line.
import { existsSync } from 'node:fs';
import { requireLab } from '../lab/running.js';
import { historyFiles } from '../lib/node/files/history-reader.js';
import { LivePage } from './live.js';
import { servePage } from './server.js';

export interface PageSettings {
  readonly runDir: string;
  /** 0: any that is free. */
  readonly port: number;
  /** Ends when its standard input does: for the page of `xenwire up`, whose end is its own. */
  readonly supervised: boolean;
}

/** Throws UserError where there is nothing to show. Resolves once it was asked to end and has. */
export async function runPage({ runDir, port, supervised }: PageSettings): Promise<void> {
  // The page of `up` begins with the lab, before there is a history.
  if (!supervised && (!existsSync(runDir) || historyFiles(runDir).length === 0)) requireLab(runDir);
  const page = new LivePage(runDir);
  const server = await servePage(page, port);
  const end = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
    if (supervised) process.stdin.on('end', () => resolve()).resume();
  });
  process.stdout.write(`${server.url}\n`);
  await end;
  await server.close();
  await page.close();
}
