// A path that broke a rule, told to people: a sequence diagram in plain text that fits a mail, the same for Mermaid, and the
// case that replays it on real processes. Leaves finding paths to search.ts.
import { formatInstance, type PointInstance } from '../lib/trace/instances.js';
import { POINT } from '../lib/trace/points.js';
import { type SequenceLine, sequenceMermaid, sequenceText, WIDTH_MAX } from '../lib/trace/sequence.js';
import type { Path, Search } from './search.js';
import type { Note, Paths, World } from './world.js';

export { WIDTH_MAX };

const LANES = ['toolstack', 'frontend', 'store', 'backend', 'device'] as const;
type Lane = (typeof LANES)[number];
const LANE_WIDTH = 15;
const FIRST_LANE = 5;

export type Line = SequenceLine<Lane>;

const QUIET = /^(exists|directory|watch|unwatch|commit|abort|mkdir)\b/;

/** What a path comes to: writes, reads that told something new, accesses, faults. */
export function linesOf(moves: readonly { readonly notes: readonly Note[] }[], paths: Paths): Line[] {
  const lines: Line[] = [];
  const lastRead = new Map<string, string>();
  for (const { notes } of moves) {
    const attach = notes.some(({ by, text }) => by === 'toolstack' && text.startsWith('mkdir FE'));
    if (attach) lines.push({ from: 'toolstack', to: 'store', text: 'FE and BE made, states 1' });
    for (const { by, to, text } of notes) {
      if (QUIET.test(text) || by === 'world' || text === 'event device') continue;
      if (to === 'store' && by === 'toolstack' && (attach || !/(FE|BE)(\/state|\/online|$)/.test(text))) continue;
      if (to === 'store' && text.startsWith('read ')) {
        const what = text.slice('read '.length);
        const key = `${by} ${what.split(/[=:]/)[0]}`;
        // What it published itself, read to see whether the directory is still the same, tells nothing new.
        const own = by === 'backend' && what.startsWith('BE/size');
        if (by === 'toolstack' || own || lastRead.get(key) === what) continue;
        lastRead.set(key, what);
        lines.push({ from: 'store', to: by, text: what });
      } else if (to === 'store') lines.push({ from: by, to: 'store', text: text.replace(/^write /, '') });
      else if (to === 'device') lines.push({ from: by, to: 'device', text });
      else if (to === 'xen') lines.push({ from: by, to: by, text });
      else if (!text.startsWith('event ')) lines.push({ from: by, to: by, text });
    }
  }
  return lines.map((line) => ({ ...line, text: line.text.replace(`${paths.home}/`, '') }));
}

/** Each message is a line of text over an arrow; at most WIDTH_MAX columns. */
export const diagram = (lines: readonly Line[]): string =>
  sequenceText(lines, { lanes: LANES, first: FIRST_LANE, width: LANE_WIDTH });

export const mermaid = (lines: readonly Line[]): string => sequenceMermaid(lines, LANES);

/** As the cases of `xenwire chaos` name them. */
const PROCESS = { guest: 'guest', back: 'vhost-frontend' } as const;
type Victim = keyof typeof PROCESS;
const VICTIM_OF: Readonly<Record<string, Victim>> = { 'kill-backend': 'back', 'kill-guest': 'guest' };

/** What a process has written since it was started. */
interface Written {
  /** By `write <path>=<value>`. */
  readonly requests: Map<string, number>;
  states: number;
}

/**
 * Where each kill of the path stands among what the victim wrote, which real processes write in the same order, however often
 * they read: the gate in front of the next write that it would have asked for, or the one after the last state that it wrote.
 * Parts that no gate of a process can hold (a toolstack's order) stand in words.
 */
export function chaosCase(search: Search, found: Path): string {
  const { paths } = search.model;
  const written: Record<Victim, Written> = { guest: nothingYet(), back: nothingYet() };
  const parts: string[] = [];
  for (const [step, { actor, notes }] of search.explain(found).entries()) {
    const killed = VICTIM_OF[actor.name];
    if (actor.kind === 'fault' && killed === undefined) parts.push(actor.name);
    if (killed !== undefined) {
      const next = nextWrite(search, found.path[step] as number, killed);
      parts.push(`${placeOf(killed, written[killed], next, paths)}/KILL ${PROCESS[killed]}/restart`);
      written[killed] = nothingYet();
    }
    for (const { by, to, text } of notes) {
      if (to !== 'store' || !text.startsWith('write ') || !(by === 'frontend' || by === 'backend')) continue;
      const { requests } = written[by === 'frontend' ? 'guest' : 'back'];
      const label = storeLabel(text, paths);
      requests.set(label, (requests.get(label) ?? 0) + 1);
      if (/^write (FE|BE)\/state=/.test(text)) written[by === 'frontend' ? 'guest' : 'back'].states++;
    }
  }
  return parts.join(' ; ');
}

const nothingYet = (): Written => ({ requests: new Map(), states: 0 });

function placeOf(victim: Victim, { requests, states }: Written, next: string | undefined, paths: Paths): string {
  const process = PROCESS[victim];
  if (next !== undefined) {
    const occurrence = (requests.get(next) ?? 0) + 1;
    return formatInstance({ process, point: POINT['store.request'], label: next, occurrence });
  }
  if (states === 0) return process;
  const [end, point] =
    victim === 'guest' ? (['FE', 'front.state-written'] as const) : (['BE', 'back.state-written'] as const);
  const label = storeLabel(`read ${end}/state`, paths).replace('read ', '');
  return formatInstance({ process, point: POINT[point], label, occurrence: states } satisfies PointInstance);
}

/** What a process would have written next, had it gone on alone; undefined: nothing. */
function nextWrite(search: Search, index: number, victim: Victim): string | undefined {
  const { model } = search;
  const actors = model.actors.filter(({ name }) =>
    (victim === 'guest' ? ['guest'] : ['device', 'backend']).includes(name),
  );
  let world: World = search.world(index);
  for (let step = 0; step < ALONE_MAX; step++) {
    const move = actors.map((actor) => model.step(actor, world, true)).find((found) => found !== undefined);
    if (move === undefined) return undefined;
    const request = move.notes.find(({ to, text }) => to === 'store' && text.startsWith('write '));
    if (request !== undefined) return storeLabel(request.text, model.paths);
    world = { ...world, ...move.changed };
  }
  return undefined;
}
/** Steps of a process alone in which it does not come to the store. */
const ALONE_MAX = 20;

/** `write FE/state=3` as the client of the store labels it: paths relative to the process's home. */
function storeLabel(text: string, paths: Paths): string {
  const [op = '', rest = ''] = text.split(/ (.*)/s);
  const request = op === 'write' ? rest : rest.split(/[=:]/)[0];
  return `${op} ${request}`
    .replace('FE', paths.front.slice(paths.home.length + 1))
    .replace('BE', paths.back.slice('/local/domain/0/'.length));
}
