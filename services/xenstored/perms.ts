// Permission lists: their spelling on the wire and who may do what with them. Whether a domain exists, and so whether an
// entry is stale, is known elsewhere (domains.ts, view.ts).
import { DOMID_ANY } from '../../lib/core/ids.js';
import { parsePermId } from '../../lib/xenstore/payload.js';

export const PERM_READ = 1;
export const PERM_WRITE = 2;
/** Not a letter: what owners and privileged connections have beside read and write. */
export const PERM_OWNER = 4;
const ALL = PERM_READ | PERM_WRITE | PERM_OWNER;

/** One entry. Entry 0 of a list names the owner, and its letter is the default of domains that no entry names. */
export interface Perm {
  readonly domid: number;
  /** PERM_READ | PERM_WRITE. */
  readonly access: number;
  /** Kept and shown, but never granting: its domain did not exist, or was another one, when it was written. */
  readonly ignored: boolean;
}

const LETTERS = 'nrwb';

/** The entry that a string such as "r5" spells, or undefined (EINVAL). */
export function parsePerm(text: string): Perm | undefined {
  const access = text === '' ? -1 : LETTERS.indexOf(text.charAt(0));
  const domid = parsePermId(text.slice(1));
  return access < 0 || domid === undefined ? undefined : { domid, access, ignored: false };
}

export function formatPerm(perm: Perm): string {
  return `${LETTERS.charAt(perm.access)}${perm.domid}`;
}

/** Whose rights a connection has: its own domain's, and those of the domain it is the device model of. */
export interface Subject {
  readonly privileged: boolean;
  readonly domid: number;
  readonly targetDomid: number | undefined;
}

function names(perm: Perm, subject: Subject): boolean {
  return perm.domid === subject.domid || perm.domid === subject.targetDomid || perm.domid === DOMID_ANY;
}

/** PERM_* bits that a list grants. */
export function grantedTo(subject: Subject, perms: readonly Perm[]): number {
  const owner = perms[0] as Perm;
  if (subject.privileged || names(owner, subject)) return ALL;
  for (let index = 1; index < perms.length; index++) {
    const perm = perms[index] as Perm;
    if (!perm.ignored && names(perm, subject)) return perm.access;
  }
  return owner.access;
}
