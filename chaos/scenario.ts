// A scenario: what is told of a guest, in what company, and the faults that fall into it, out of a file of examples/scenarios in the syntax
// of xl.cfg. Leaves what a story does to stories.ts, and running it to campaign.ts.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../lib/core/errors.js';
import { readGivenFile } from '../lib/node/files/given.js';
import { PACKAGE_ROOT } from '../lib/node/process/package-root.js';
import { FRONTENDS, type FrontendName } from '../lib/xenbus/protocols.js';
import { configError, parseXlConfig, type XlValue } from '../toolstack/xl-config.js';
import { type ChaosCase, parseCase } from './case.js';
import { STORIES, type StoryName } from './stories.js';

export interface Scenario {
  readonly name: string;
  /** What happens, a sentence. */
  readonly what: string;
  readonly story: StoryName;
  /** Guests that stay beside the one of the case. */
  readonly companions: number;
  readonly frontend: FrontendName;
  /** Xenbus cores of the guest, each of which all cases are run with; as `--core` has them. */
  readonly cores: readonly string[];
  readonly cases: readonly ChaosCase[];
}

const FOLDER = join(PACKAGE_ROOT, 'examples', 'scenarios');
const BYTES_MAX = 1 << 20;
const COMPANIONS_MAX = 8;

export const scenarioNames = (): string[] =>
  readdirSync(FOLDER)
    .filter((file) => file.endsWith('.cfg'))
    .map((file) => file.slice(0, -'.cfg'.length))
    .sort();

/** The scenario of a name in examples/scenarios, or of a file. `cores`: the words that a core may be. Throws UserError. */
export function readScenario(name: string, cores: readonly string[]): Scenario {
  const isFile = name.includes('/') || name.endsWith('.cfg');
  if (!isFile && !scenarioNames().includes(name))
    throw new UserError(`there is no scenario ${name}: ${scenarioNames().join(', ')} are`);
  const path = isFile ? name : join(FOLDER, `${name}.cfg`);
  return parseScenario(readGivenFile(path, 'the scenario', BYTES_MAX).toString('utf8'), path, name, cores);
}

export function parseScenario(text: string, path: string, name: string, known: readonly string[]): Scenario {
  const settings = parseXlConfig(text, path);
  const wrong = (value: XlValue | undefined, sentence: string): UserError =>
    configError(path, value?.line ?? 1, sentence);
  const one = (key: string): string | undefined => {
    const value = settings.get(key);
    if (value !== undefined && value.kind !== 'text') throw wrong(value, `${key} is one value, not a list`);
    return value?.text;
  };
  const many = (key: string): string[] => {
    const value = settings.get(key);
    if (value === undefined) return [];
    if (value.kind === 'text') return [value.text];
    return value.items.map((item) => {
      if (item.kind !== 'text') throw wrong(item, `${key} is a list of texts`);
      return item.text;
    });
  };
  const among = <T extends string>(key: string, words: readonly T[], text: string): T => {
    const found = words.find((word) => word === text);
    if (found === undefined) throw wrong(settings.get(key), `${key} is one of ${words.join(', ')}, not ${text}`);
    return found;
  };
  for (const [key, value] of settings)
    if (!(KEYS as readonly string[]).includes(key)) throw wrong(value, `${key} is no setting of a scenario`);
  const what = one('what');
  if (what === undefined) throw wrong(undefined, 'a scenario says in `what` what happens');
  const companions = Number(one('companions') ?? 0);
  if (!(Number.isInteger(companions) && companions >= 0 && companions <= COMPANIONS_MAX))
    throw wrong(settings.get('companions'), `companions are 0 to ${COMPANIONS_MAX}`);
  const cases = many('cases').map(parseCase);
  if (cases.length === 0) throw wrong(settings.get('cases'), 'a scenario has cases');
  const cores = many('core').map((core) => among('core', known, core));
  return {
    ...{ name, what, companions, cases },
    story: among('story', Object.keys(STORIES) as StoryName[], one('story') ?? 'life'),
    frontend: among('frontend', FRONTENDS, one('frontend') ?? 'review'),
    cores: cores.length === 0 ? [known.at(-1)!] : cores,
  };
}

const KEYS = ['what', 'story', 'companions', 'frontend', 'core', 'cases'] as const;
