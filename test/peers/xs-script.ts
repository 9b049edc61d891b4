// Seeded random xenstore traffic: which connection sends what next. Small sets of paths, tokens and domids, so that
// requests meet each other; some of it malformed. The same seed gives the same script for the same replies.
import { XS } from '../../lib/layout/xs-wire.js';

export interface Step {
  /** Index of the connection. */
  readonly on: number;
  readonly type: number;
  readonly txId: number;
  readonly payload: string;
}

/** A small fast generator with a 32-bit state (mulberry32's recurrence): good enough to choose requests. */
export function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

export const CONNECTIONS = 3;
export const DOMIDS = [1, 2, 3] as const;

const NAMES = ['a', 'b', 'c', 'dd', 'e_1'] as const;
const BAD_PATHS = [
  '',
  '/',
  '//a',
  '/a/',
  'a b',
  '/a.b',
  '@',
  '@nothing',
  '/a//b',
  '@releaseDomain',
  '@introduceDomain',
  'a//b',
];
const TOKENS = ['t', 'u', 'a token', ''] as const;
const PERMS = [
  'n0',
  'r0',
  'b0',
  'n1',
  'r1',
  'w2',
  'b3',
  'r9',
  'n9',
  'x1',
  'r',
  'r0x1',
  'r1 ',
  'r-1',
  'n32757',
  '',
] as const;
const NUMBERS = ['0', '1', '2', '3', '9', '', '-1', '65535', '65536', 'x', '1x', ' 2', '32752', '007'] as const;

/** A real host refuses to introduce what does not exist; the daemon without one would not. */
const INTRODUCED = ['1', '2', '3', '1x', ' 2'] as const;

/**
 * Where permissions are not set: on other special nodes 4.17 answers with a left-over errno, and a root that belongs to a
 * guest is removed with it.
 */
const NO_PERMS: readonly string[] = ['@', '@nothing', '/'];
const settable = (path: string): string => (NO_PERMS.includes(path) ? '@releaseDomain' : path);

export class ScriptWriter {
  readonly #pick: (below: number) => number;
  /** Transactions that each connection opened and did not end, as replies told. */
  readonly #open: number[][] = Array.from({ length: CONNECTIONS }, () => []);

  constructor(seed: number) {
    this.#pick = random(seed);
  }

  #of<T>(from: readonly T[]): T {
    return from[this.#pick(from.length)] as T;
  }
  #chance(percent: number): boolean {
    return this.#pick(100) < percent;
  }

  #path(): string {
    if (this.#chance(4)) return this.#of(BAD_PATHS);
    const depth = 1 + this.#pick(4);
    const path = Array.from({ length: depth }, () => this.#of(NAMES)).join('/');
    return this.#chance(15) ? path : `/${path}`;
  }

  /** NUL-terminated, or sometimes not quite. */
  #strings(...texts: string[]): string {
    const payload = `${texts.join('\0')}\0`;
    if (!this.#chance(3)) return payload;
    return this.#of([payload.slice(0, -1), `${payload}\0`, `${payload}x`, `${payload}x\0`, '', '\0']);
  }

  /** Exactly one string: 4.17 answers some operations with the errno that was left from before when it is not. */
  #one(path: string): string {
    return `${path}\0`;
  }

  #request(): [type: number, payload: string] {
    const path = this.#path();
    const choices: (readonly [weight: number, make: () => [number, string]])[] = [
      [14, () => [XS.XS_READ, this.#one(path)]],
      [10, () => [XS.XS_DIRECTORY, this.#one(path)]],
      [4, () => [XS.XS_DIRECTORY_PART, this.#strings(path, this.#of(['0', '2', '1', '999', 'x', '-1']))]],
      [5, () => [XS.XS_GET_PERMS, this.#one(path)]],
      [20, () => [XS.XS_WRITE, `${path}\0${this.#value()}`]],
      [6, () => [XS.XS_MKDIR, this.#one(path)]],
      [8, () => [XS.XS_RM, this.#one(path)]],
      [5, () => [XS.XS_SET_PERMS, this.#strings(settable(path), ...this.#perms())]],
      [6, () => [XS.XS_WATCH, this.#strings(path, this.#of(TOKENS))]],
      [4, () => [XS.XS_UNWATCH, this.#strings(path, this.#of(TOKENS))]],
      [1, () => [XS.XS_WATCH, this.#strings(path, this.#of(TOKENS), this.#of(['0', '1', 'x']))]],
      [1, () => [XS.XS_WATCH, this.#strings(`@releaseDomain`, this.#of(TOKENS))]],
      [1, () => [XS.XS_WATCH, this.#strings(`@introduceDomain`, this.#of(TOKENS))]],
      [6, () => [XS.XS_TRANSACTION_START, this.#strings('')]],
      [6, () => [XS.XS_TRANSACTION_END, this.#strings(this.#of(['T', 'T', 'T', 'F', 'X']))]],
      [2, () => [XS.XS_INTRODUCE, this.#strings(this.#of(INTRODUCED), '1', this.#of(['1', '7', '0', 'x']))]],
      [2, () => [XS.XS_RELEASE, this.#strings(this.#domid())]],
      [1, () => [XS.XS_RESUME, this.#strings(this.#domid())]],
      // A target that is released lives on in the daemon, by a reference that it forgot: only failures are compared.
      [1, () => [XS.XS_SET_TARGET, this.#strings('8', this.#domid())]],
      [1, () => [XS.XS_GET_DOMAIN_PATH, this.#strings(this.#of(NUMBERS))]],
      [1, () => [XS.XS_IS_DOMAIN_INTRODUCED, this.#strings(this.#of(NUMBERS))]],
      [1, () => [XS.XS_RESET_WATCHES, this.#strings('')]],
      [1, () => [XS.XS_CONTROL, this.#strings(this.#of(['check', 'nothing', 'print', 'help me']))]],
      [1, () => [this.#of([15, 16, 20, 23, 24, 25, 26, 27, 99, 0xffff, 0xffffffff]), this.#strings(path)]],
    ];
    const total = choices.reduce((sum, [weight]) => sum + weight, 0);
    let at = this.#pick(total);
    for (const [weight, make] of choices) {
      if (at < weight) return make();
      at -= weight;
    }
    throw new Error('the weights do not add up');
  }

  #value(): string {
    if (this.#chance(2)) return 'x'.repeat(this.#of([2000, 4000]));
    return this.#of(['', '1', '2', 'value', 'nul\0inside', '\xff\x80']);
  }

  #perms(): string[] {
    return Array.from({ length: 1 + this.#pick(3) }, () => this.#of(this.#chance(85) ? PERMS.slice(0, 7) : PERMS));
  }

  #domid(): string {
    return this.#chance(85) ? String(this.#of(DOMIDS)) : this.#of(NUMBERS);
  }

  next(): Step {
    const [type, payload] = this.#request();
    // The daemon puts off a RELEASE past its reply when the released domain's connection happens to be the next in its
    // list, as it is for the last socket's.
    const on = this.#pick(type === XS.XS_RELEASE ? CONNECTIONS - 1 : CONNECTIONS);
    const open = this.#open[on] as number[];
    let txId = 0;
    if (type === XS.XS_TRANSACTION_END || (open.length > 0 && this.#chance(50)))
      txId = this.#of([0, ...open, ...open, ...open]);
    if (type === XS.XS_TRANSACTION_START && !this.#chance(5)) txId = 0;
    if (this.#chance(1)) txId = 77;
    return { on, type, txId, payload };
  }

  /** No further step names this transaction. */
  forget(step: Step): void {
    const open = this.#open[step.on] as number[];
    const at = open.indexOf(step.txId);
    if (at !== -1) open.splice(at, 1);
  }

  /** Tells what a step was answered, so that later ones can name its transaction. */
  learn(step: Step, replyType: number, replyPayload: string): void {
    const open = this.#open[step.on] as number[];
    if (step.type === XS.XS_TRANSACTION_START && replyType === step.type) open.push(Number.parseInt(replyPayload, 10));
    // Any end but that of a bad argument ends it; so does RESET_WATCHES for all.
    if (step.type === XS.XS_TRANSACTION_END && replyPayload !== 'EINVAL\0') this.forget(step);
    if (step.type === XS.XS_RESET_WATCHES && replyType === step.type) open.length = 0;
  }
}
