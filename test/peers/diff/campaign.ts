// Many seeded scripts one after the other against several daemons, until one makes them disagree, or one of them die;
// that script is shrunk and told with the seed that repeats it.
import { Arena, type Kind } from './daemons.js';
import { generate, generateWithGuests } from './generate.js';
import { countRequests, type Script, scriptText } from './script.js';
import { shrink } from './shrink.js';

export interface Campaign {
  readonly daemons: readonly Kind[];
  /** The first script's seed; each next one's is one more. */
  readonly seed: number;
  /** Some of the clients are guests. */
  readonly guests?: boolean;
  /** Requests at least. */
  readonly operations: number;
  /** Told after each script. */
  readonly onProgress?: (done: number, seed: number) => void;
}

export interface Result {
  readonly operations: number;
  readonly scripts: number;
  /** For people: what went wrong with which seed, the script made small, how to repeat it. */
  readonly finding: string | undefined;
}

/** Runs until something is found or enough was asked. */
export async function runCampaign(campaign: Campaign): Promise<Result> {
  const arena = new Arena(...campaign.daemons);
  let operations = 0;
  let scripts = 0;
  try {
    for (let { seed } = campaign; operations < campaign.operations; seed++) {
      const script = campaign.guests === true ? generateWithGuests(seed) : generate(seed);
      const wrong = await arena.run(script);
      scripts++;
      operations += countRequests(script);
      if (wrong !== undefined) return { operations, scripts, finding: await describe(arena, script, wrong) };
      campaign.onProgress?.(operations, seed);
    }
    return { operations, scripts, finding: undefined };
  } finally {
    await arena.end();
  }
}

async function describe(arena: Arena, script: Script, wrong: string): Promise<string> {
  const small = await shrink(script, async (candidate) => (await arena.run(candidate)) !== undefined);
  const again = `again: npm run peers:diff -- --seed ${script.seed} --ops 1`;
  const said = await arena.run(small);
  if (said === undefined) return `seed ${script.seed}, once only: ${wrong}\n${again}`;
  return `seed ${script.seed}, ${said}\nthe script, as small as it gets:\n${scriptText(small)}\n${again}`;
}
