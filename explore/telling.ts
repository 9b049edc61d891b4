// A path that broke a rule, told to people: a sequence diagram in plain text that fits a mail, the same for Mermaid, and the
// case that replays it on real processes. Leaves finding paths to search.ts.
import { formatInstance, type PointInstance } from '../lib/trace/instances.js';
import { POINT } from '../lib/trace/points.js';
import { type SequenceLine, sequenceMermaid, sequenceText, WIDTH_MAX } from '../lib/trace/sequence.js';
import type { Found, Search } from './search.js';
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

const PROCESS = { guest: 'guest-1', back: 'vhost-frontend' } as const;

/**
 * Where each kill of the path stands among the victim's own requests of the store: the gate in front of the next one, as
 * `xenwire chaos` writes its cases. Parts that no gate of a process can hold (a toolstack's order) stand in words.
 */
export function chaosCase(search: Search, found: Found): string {
  const counts = new Map<string, number>();
  const moves = search.explain(found);
  const parts: string[] = [];
  for (const [step, { actor, notes }] of moves.entries()) {
    const killed = actor.name === 'kill-backend' ? 'back' : actor.name === 'kill-guest' ? 'guest' : undefined;
    if (actor.kind === 'fault' && killed === undefined) parts.push(actor.name);
    if (killed !== undefined) {
      const next = nextRequest(search, found.path[step] as number, killed);
      const at = next === undefined ? `${PROCESS[killed]}` : instance(PROCESS[killed], next, counts);
      parts.push(`${at}/KILL ${PROCESS[killed]}/restart`);
      for (const key of counts.keys()) if (key.startsWith(`${PROCESS[killed]} `)) counts.delete(key);
    }
    for (const { by, to, text } of notes) {
      if (to !== 'store' || (by !== 'frontend' && by !== 'backend')) continue;
      const process = by === 'frontend' ? PROCESS.guest : PROCESS.back;
      const label = storeLabel(text, search.model.paths);
      counts.set(`${process} ${label}`, (counts.get(`${process} ${label}`) ?? 0) + 1);
    }
  }
  return parts.join(' ; ');
}

/** What a process would have asked the store next, had it gone on alone. */
function nextRequest(search: Search, index: number, victim: keyof typeof PROCESS): string | undefined {
  const { model } = search;
  const actors = model.actors.filter(({ name }) =>
    (victim === 'guest' ? ['guest'] : ['device', 'backend']).includes(name),
  );
  let world: World = search.world(index);
  for (let step = 0; step < ALONE_MAX; step++) {
    const move = actors.map((actor) => model.step(actor, world, true)).find((found) => found !== undefined);
    if (move === undefined) return undefined;
    const request = move.notes.find(({ to, by }) => to === 'store' && by !== 'toolstack');
    if (request !== undefined) return storeLabel(request.text, model.paths);
    world = { ...world, ...move.changed };
  }
  return undefined;
}
/** Steps of a process alone in which it does not come to the store. */
const ALONE_MAX = 10;

function instance(process: string, label: string, counts: ReadonlyMap<string, number>): string {
  const occurrence = (counts.get(`${process} ${label}`) ?? 0) + 1;
  const point = POINT['store.request'];
  return formatInstance({ process, point, label, occurrence } satisfies PointInstance);
}

/** `write FE/state=3` as the client of the store labels it: paths relative to the process's home. */
function storeLabel(text: string, paths: Paths): string {
  const [op = '', rest = ''] = text.split(/ (.*)/s);
  const request = op === 'write' ? rest : rest.split(/[=:]/)[0];
  return `${op} ${request}`
    .replace('FE', paths.front.slice(paths.home.length + 1))
    .replace('BE', paths.back.slice('/local/domain/0/'.length));
}
