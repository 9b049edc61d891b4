// Makes a script on which daemons disagree as small as it gets: leaves out steps, then requests, then bytes, as long as
// they still disagree. Leaves what "disagree" means to the caller.
import type { Request, Script, Step } from './script.js';

export type Fails = (script: Script) => Promise<boolean>;

/** Tries at most this often: the result is small, not provably the smallest. */
const ATTEMPTS_MAX = 1500;

class Shrinker {
  readonly #fails: Fails;
  #best: Script;
  #attempts = 0;

  constructor(script: Script, fails: Fails) {
    this.#best = script;
    this.#fails = fails;
  }

  async run(): Promise<Script> {
    for (;;) {
      const before = JSON.stringify(this.#best);
      await this.#dropSteps();
      await this.#dropRequests();
      await this.#simplify();
      if (JSON.stringify(this.#best) === before || this.#attempts >= ATTEMPTS_MAX) return this.#best;
    }
  }

  async #accept(steps: readonly Step[]): Promise<boolean> {
    if (this.#attempts++ >= ATTEMPTS_MAX) return false;
    const candidate = { ...this.#best, steps };
    if (!(await this.#fails(candidate))) return false;
    this.#best = candidate;
    return true;
  }

  /** Halves, quarters, ... single steps: what can go, goes. */
  async #dropSteps(): Promise<void> {
    for (let size = Math.ceil(this.#best.steps.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      for (let at = this.#best.steps.length - size; at > -size; at -= size) {
        const { steps } = this.#best;
        const from = Math.max(at, 0);
        const fewer = [...steps.slice(0, from), ...steps.slice(at + size)];
        if (fewer.length < steps.length) await this.#accept(fewer);
      }
    }
  }

  async #dropRequests(): Promise<void> {
    for (let index = this.#best.steps.length - 1; index >= 0; index--) {
      for (let at = 0; ; ) {
        const step = this.#best.steps[index];
        if (step?.do !== 'send' || step.requests.length < 2 || at >= step.requests.length) break;
        const requests = step.requests.filter((_, other) => other !== at);
        if (!(await this.#replace(index, { ...step, requests }))) at++;
      }
    }
  }

  async #simplify(): Promise<void> {
    for (let index = this.#best.steps.length - 1; index >= 0; index--) {
      const step = this.#best.steps[index];
      if (step?.do !== 'send') continue;
      if (step.cuts !== undefined) await this.#replace(index, { do: 'send', conn: step.conn, requests: step.requests });
      for (let at = 0; at < step.requests.length; at++) await this.#simplifyRequest(index, at);
    }
  }

  async #simplifyRequest(index: number, at: number): Promise<void> {
    for (const change of CHANGES) {
      const step = this.#best.steps[index] as Step & { do: 'send' };
      const request = step.requests[at] as Request;
      const simpler = change(request);
      if (JSON.stringify(simpler) === JSON.stringify(request)) continue;
      await this.#replace(index, { ...step, requests: step.requests.map((old, i) => (i === at ? simpler : old)) });
    }
  }

  #replace(index: number, step: Step): Promise<boolean> {
    return this.#accept(this.#best.steps.map((old, other) => (other === index ? step : old)));
  }
}

/** What makes a request plainer: no id, no transaction, shorter names and values. */
const CHANGES: readonly ((request: Request) => Request)[] = [
  ({ id: _id, ...rest }) => rest,
  (request) => (typeof request.tx === 'string' && request.payload.length < 3 ? request : withoutTransaction(request)),
  (request) => ({ ...request, payload: request.payload.replaceAll('long-name_0', 'd').replaceAll('X@Y', 'e') }),
  (request) => ({ ...request, payload: request.payload.replaceAll(/(.)\1{3,}/g, '$1') }),
];

function withoutTransaction({ tx: _tx, ...rest }: Request): Request {
  return rest;
}

export function shrink(script: Script, fails: Fails): Promise<Script> {
  return new Shrinker(script, fails).run();
}
