// What no random script asks, because the C daemon of 4.17 has no answer of its own to it: the whole list, a reason each.
// Our daemon's answers to these are proved without it (xenstored-differential.test.ts).
import { XS, XS_INTRODUCE_DOMAIN, XS_RELEASE_DOMAIN } from '../../../lib/layout/xs-wire.js';
import { atoi } from '../../../lib/xenstore/payload.js';
import type { Request } from './script.js';

interface Unasked {
  readonly what: string;
  readonly why: string;
  /** Guests only. */
  readonly guests?: true;
  readonly matches: (request: Request) => boolean;
}

const ONE_PATH: ReadonlySet<number> = new Set([XS.XS_DIRECTORY, XS.XS_READ, XS.XS_GET_PERMS, XS.XS_MKDIR, XS.XS_RM]);

const SPECIAL: ReadonlySet<string> = new Set([XS_INTRODUCE_DOMAIN, XS_RELEASE_DOMAIN]);

export const UNASKED: readonly Unasked[] = [
  {
    what: 'DIRECTORY, READ, GET_PERMS, MKDIR, RM with a payload that is not exactly one string',
    why: 'the daemon answers the error of an earlier request, or aborts where there was none (assertion "conn->in == NULL")',
    matches: ({ type, payload }) => ONE_PATH.has(type) && !/^[^\0]*\0$/.test(payload),
  },
  {
    what: 'SET_PERMS of a name that begins with @ and is no special node',
    why: 'the same',
    matches: ({ type, payload }) =>
      type === XS.XS_SET_PERMS && /^@/.test(payload) && !SPECIAL.has(payload.slice(0, payload.indexOf('\0'))),
  },
  {
    what: 'SET_PERMS of a special node',
    why: 'to a guest that does not own it the daemon answers the error of an earlier request',
    guests: true,
    matches: ({ type, payload }) => type === XS.XS_SET_PERMS && payload.startsWith('@'),
  },
  {
    what: 'SET_PERMS of the root',
    why: 'given to a domain that is released, it goes, and the whole store with it',
    matches: ({ type, payload }) => type === XS.XS_SET_PERMS && payload.startsWith('/\0'),
  },
  {
    what: 'CONTROL logfile with one name',
    why: 'it writes to files of this machine, and the daemon says OK to those that it could not open',
    matches: ({ type, payload }) => type === XS.XS_CONTROL && /^logfile\0[^\0]*\0[^\0]*$/.test(payload),
  },
  {
    what: 'SET_TARGET to a domain that is introduced and released',
    why: "the daemon keeps a released domain while it is another's target, answers as if it were there, and dies of it later",
    matches: ({ type, payload }) => type === XS.XS_SET_TARGET && atoi(payload.split('\0')[1] ?? '') > 0,
  },
];

export function isAsked(request: Request, byGuest = false): boolean {
  return !UNASKED.some(({ matches, guests }) => (byGuest || guests !== true) && matches(request));
}
