// Which part of a campaign this process is, as the engine that started it says.

/** From 1. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

/** Kubernetes counts completion indexes from 0, GitLab nodes from 1, Slurm tasks as the array says. */
const ENGINES: readonly { readonly index: string; readonly count: string; readonly first: string | number }[] = [
  { index: 'JOB_COMPLETION_INDEX', count: 'JOB_COMPLETIONS', first: 0 },
  { index: 'CI_NODE_INDEX', count: 'CI_NODE_TOTAL', first: 1 },
  { index: 'SLURM_ARRAY_TASK_ID', count: 'SLURM_ARRAY_TASK_COUNT', first: 'SLURM_ARRAY_TASK_MIN' },
];

/** undefined where no engine has said so. */
export function shardFromEnvironment(env: Readonly<Record<string, string | undefined>>): Shard | undefined {
  const number = (name: string): number => (/^[0-9]{1,9}$/.test(env[name] ?? '') ? Number(env[name]) : Number.NaN);
  for (const engine of ENGINES) {
    const first = typeof engine.first === 'number' ? engine.first : number(engine.first);
    const [index, count] = [number(engine.index) - first + 1, number(engine.count)];
    if (index >= 1 && index <= count) return { index, count };
  }
  return undefined;
}
