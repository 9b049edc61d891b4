// What a lab has left behind: asked of the processes while they live, looked for in the run directory when they are gone.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { BusClient } from '../lib/core/service.js';

/** What a server still holds for others, one text each. */
export async function auditLeaks(server: string, client: BusClient): Promise<string[]> {
  const { held } = await client.remote('Control').audit({});
  return held.map(({ kind, name }) => `${server}: ${kind} ${name}`);
}

/** Folders of a run directory that are empty once every process has ended in order. */
const EMPTY_AT_END = ['bell', 'bus', 'guests', 'live', 'proc', 'shm'];

/** Files that should have gone with their owners. */
export function fileLeaks(runDir: string): string[] {
  return EMPTY_AT_END.flatMap((folder) => {
    try {
      return readdirSync(join(runDir, folder)).map((name) => `file ${folder}/${name}`);
    } catch {
      return [];
    }
  });
}
