// Tasks: code of a process that asks for one thing at a time, written as generators and kept as values. What is kept of a task
// under way is its name, its argument and the answers it was given; going on means to run it again from its beginning over
// these answers. So a task is a pure function of what it was told, and any moment of it can be copied, compared and hashed.
// Leaves what a request does to world.ts.

import type { ErrnoName } from '../lib/core/errno.js';
import { assert } from '../lib/core/errors.js';
import type { Writer } from '../lib/xenbus/protocol.js';
import type { StoreRequest } from './store.js';

/** What a task is told: a value, or an error number's name. */
export type Answer = { readonly ok: string | number | true } | { readonly error: ErrnoName };

export interface TxEnd {
  readonly end: 'commit' | 'abort';
  readonly value: string;
}
export type TxBody = (tx: string | undefined) => Task<TxEnd>;

/** On whose account something is written or read, and the other end's state as that one read it last. */
export interface Account {
  readonly by?: Writer;
  readonly seen?: number;
}

/**
 * One atomic step of a process. `joined`: taken in one step with what its process did before, since it changes nothing that another
 * process looks at and finds nothing that another changes: their steps come to the same before and after it.
 */
export type Request =
  | { readonly to: 'store'; readonly request: StoreRequest; readonly on?: Account; readonly joined?: true }
  /**
   * A transaction as one step. It is what all its requests come to: a commit that is not refused saw what it touched
   * unchanged, and one that is refused is repeated from the start and leaves nothing.
   */
  | { readonly to: 'transaction'; readonly body: TxBody; readonly on?: Account }
  /** Xen's half and the guest's resource tree. */
  | { readonly to: 'xen'; readonly op: XenOp; readonly number?: number; readonly joined?: true }
  /** Accesses of the guest's driver to its registers; they wait for a backend that is being replaced. */
  | { readonly to: 'device'; readonly op: 'reset' | 'setup' | 'remove' }
  /** Until a watch event or, once nothing else can happen, the deadline; value: which. */
  | { readonly to: 'wait' }
  /** Nothing came of what was waited for: back to where it waited, as if nothing had been told. No step by itself. */
  | { readonly to: 'repeat' }
  /**
   * The rest of the task depends on this state of its process alone and on no answer before it: it goes on as the task of this
   * name. No step by itself.
   */
  | { readonly to: 'become'; readonly name: string; readonly state: unknown }
  /** What real code would not survive: kept to be judged. */
  | { readonly to: 'bug'; readonly what: string };

export type XenOp =
  | 'allocPort'
  | 'closePort'
  | 'claimRange'
  | 'freeRange'
  | 'openSession'
  | 'adoptSession'
  | 'closeSession'
  | 'bindPort'
  | 'unbindPort'
  | 'serve'
  | 'serveBroken'
  | 'unserve'
  | 'wire'
  | 'unwire';

export type Task<T> = Generator<Request, T, Answer>;

/** A task under way. */
export interface Running {
  readonly name: string;
  readonly arg: string;
  readonly answers: readonly Answer[];
}

export type Progress<T> =
  | { readonly asks: Request /** Answers there were when the transaction under way began. */; readonly from: number }
  | { readonly done: T };

/** Where a task stands after its answers. */
export function progress<T>(task: Task<T>, { name, answers }: Running): Progress<T> {
  let step = task.next();
  let from = 0;
  for (const [index, answer] of answers.entries()) {
    assert(!step.done, `${name} ends before its ${answers.length} answers are used`);
    const asked = step.value;
    if (asked.to === 'wait' || (asked.to === 'store' && asked.request.op === 'begin')) from = index;
    step = task.next(answer);
  }
  return step.done ? { done: step.value } : { asks: step.value, from };
}

/** Runs a whole task on answers that come at once. */
export function runThrough<T>(task: Task<T>, answer: (request: Request) => Answer): T {
  for (let step = task.next(); ; ) {
    if (step.done) return step.value;
    step = task.next(answer(step.value));
  }
}

/** A request of the store; its answer, whatever it is. */
export function* ask(request: StoreRequest, on?: Account): Task<Answer> {
  return yield on === undefined ? { to: 'store', request } : { to: 'store', request, on };
}

/** A request that is `joined`. */
export function* join(request: StoreRequest): Task<Answer> {
  return yield { to: 'store', request, joined: true };
}

/** The value of a node; undefined: it cannot be read. */
export function* readNode(path: string, on?: Account, tx?: string): Task<string | undefined> {
  const answer = yield* ask({ op: 'read', path, ...(tx === undefined ? {} : { tx }) }, on);
  return 'ok' in answer ? String(answer.ok) : undefined;
}

export type TransactionMode = 'whole' | 'steps';

/** Repeated on EAGAIN, as Linux, libxl and our client do. Its value, or the error that ended it. */
export function* transaction(mode: TransactionMode, body: TxBody, on?: Account): Task<Answer> {
  if (mode === 'whole') return yield { to: 'transaction', body, ...(on === undefined ? {} : { on }) };
  const begun = yield* ask({ op: 'begin' });
  if (!('ok' in begun)) return begun;
  const tx = String(begun.ok);
  const { end, value } = yield* body(tx);
  const ended = yield* ask({ op: end, tx }, on);
  // EAGAIN never comes here: the world takes the task back to `begin`.
  return 'ok' in ended ? { ok: value } : ended;
}
