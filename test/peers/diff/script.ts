// A conversation with a store daemon as data: what several clients do, one step after another. A script names
// transactions by labels, so that it stays meaningful when steps are left out. Leaves running it to run.ts.
import { XS, xsName } from '../../../lib/layout/xs-wire.js';

export interface Request {
  readonly type: number;
  /** Bytes as char codes, NULs written out. */
  readonly payload: string;
  /** Label of a TRANSACTION_START of this script, or a bare number; absent: none. */
  readonly tx?: string | number;
  /** On TRANSACTION_START: what later requests call it. */
  readonly label?: string;
  /** Request id, echoed by the daemon. */
  readonly id?: number;
  /** Payload bytes that the header announces, when it lies. More than 4096 ends the connection. */
  readonly announce?: number;
}

export type Step =
  /** `domid`: the client is that guest, which is introduced and speaks through its ring page; otherwise a socket. */
  | { readonly do: 'open'; readonly conn: number; readonly domid?: number }
  | { readonly do: 'close'; readonly conn: number }
  /** Several requests go in one write. `cuts`: byte positions at which it is cut; each piece is seen before the next. */
  | {
      readonly do: 'send';
      readonly conn: number;
      readonly requests: readonly Request[];
      readonly cuts?: readonly number[];
    };

/** A store in which guests can do something: all may write everywhere until a script restricts it. */
export interface GuestSetting {
  /** Limits by CONTROL's names; all that scripts ever set are set for each. */
  readonly quotas: Readonly<Record<string, number>>;
}

export interface Script {
  readonly seed: number;
  readonly steps: readonly Step[];
  /** What the store is like at the start, where guests take part. */
  readonly guests?: GuestSetting;
}

/** Domains that exist beside dom0, in every daemon's host, and that scripts may introduce. */
export const DOMIDS = [1, 2, 3] as const;

/** How a transaction whose start failed, or was left out, is named on the wire: an id that no transaction has. */
export const NO_TRANSACTION = 0x7fff_fff0;

/** How many requests a script makes. */
export function countRequests(script: Script): number {
  return script.steps.reduce((sum, step) => sum + (step.do === 'send' ? step.requests.length : 0), 0);
}

const LONG = 160;

/** Text of bytes for people: printable characters as they are, others escaped, long ones cut. */
export function show(payload: string): string {
  const cut = payload.length > LONG ? `${payload.slice(0, LONG)}...` : payload;
  const text = JSON.stringify(cut).replaceAll('\\u0000', '\\0');
  return payload.length > LONG ? `${text} (${payload.length} bytes)` : text;
}

export function describeRequest(request: Request): string {
  const parts = [xsName(request.type), show(request.payload)];
  if (request.tx !== undefined) parts.push(`in ${request.tx}`);
  if (request.label !== undefined) parts.push(`as ${request.label}`);
  if (request.announce !== undefined) parts.push(`announcing ${request.announce} bytes`);
  return parts.join(' ');
}

export function describeStep(step: Step): string {
  if (step.do === 'open' && step.domid !== undefined) return `client ${step.conn}: is domain ${step.domid}`;
  if (step.do !== 'send') return `client ${step.conn}: ${step.do}`;
  const cuts = step.cuts === undefined ? '' : ` cut at ${step.cuts.join(', ')}`;
  return `client ${step.conn}: ${step.requests.map(describeRequest).join(' + ')}${cuts}`;
}

/** The script as text to paste into a case: JSON, one step a line. */
export function scriptText(script: Script): string {
  return `[\n${script.steps.map((step) => `  ${JSON.stringify(step)}`).join(',\n')}\n]`;
}

/** Short spellings for cases written by hand: `to(0, write('/a', 'x'), read('/a'))`. */
const strings = (...parts: string[]): string => parts.map((part) => `${part}\0`).join('');
export const open = (conn: number): Step => ({ do: 'open', conn });
export const guest = (conn: number, domid: number): Step => ({ do: 'open', conn, domid });
export const close = (conn: number): Step => ({ do: 'close', conn });
export const to = (conn: number, ...requests: Request[]): Step => ({ do: 'send', conn, requests });
export const request = (type: number, ...parts: string[]): Request => ({ type, payload: strings(...parts) });
export const raw = (type: number, payload: string): Request => ({ type, payload });
export const within = (tx: string | number, made: Request): Request => ({ ...made, tx });
export const read = (path: string): Request => request(XS.XS_READ, path);
export const write = (path: string, value: string): Request => raw(XS.XS_WRITE, `${path}\0${value}`);
export const mkdir = (path: string): Request => request(XS.XS_MKDIR, path);
export const rm = (path: string): Request => request(XS.XS_RM, path);
export const directory = (path: string): Request => request(XS.XS_DIRECTORY, path);
export const directoryPart = (path: string, offset: number | string): Request =>
  request(XS.XS_DIRECTORY_PART, path, String(offset));
export const getPerms = (path: string): Request => request(XS.XS_GET_PERMS, path);
export const setPerms = (path: string, ...perms: string[]): Request => request(XS.XS_SET_PERMS, path, ...perms);
export const watch = (path: string, token: string): Request => request(XS.XS_WATCH, path, token);
export const unwatch = (path: string, token: string): Request => request(XS.XS_UNWATCH, path, token);
export const start = (label: string): Request => ({ type: XS.XS_TRANSACTION_START, payload: '\0', label });
export const commit = (tx: string | number): Request => ({ type: XS.XS_TRANSACTION_END, payload: 'T\0', tx });
export const abort = (tx: string | number): Request => ({ type: XS.XS_TRANSACTION_END, payload: 'F\0', tx });
export const control = (...parts: string[]): Request => request(XS.XS_CONTROL, ...parts);
