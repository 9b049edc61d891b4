// Paths of the store: which spellings are valid, relative ones made absolute, and the relations between two of them.
// Quota on their length is the caller's (quota.ts).

const VALID = /^[A-Za-z0-9\-/_@]*$/;

/** Where a connection's relative paths start: `/local/domain/<domid>`. */
export function domainPath(domid: number): string {
  return `/local/domain/${domid}`;
}

/** True for a path that a connection's home is put in front of. */
export function isRelative(path: string): boolean {
  const first = path.charCodeAt(0);
  return first !== 0x2f && first !== 0x40;
}

/**
 * The absolute spelling of a path from the wire, or undefined (EINVAL) when it is none: a character outside the set,
 * `//`, a trailing `/`, empty, or `@...` where no special node is allowed.
 */
export function canonicalPath(path: string, home: string, special: boolean): string | undefined {
  if (!VALID.test(path)) return undefined;
  const first = path.charCodeAt(0);
  if (first === 0x40 /* @ */ && !special) return undefined;
  const absolute = first === 0x2f || first === 0x40 ? path : `${home}/${path}`;
  if (absolute.length > 1 && absolute.charCodeAt(absolute.length - 1) === 0x2f) return undefined;
  return absolute.includes('//') ? undefined : absolute;
}

const HOME = /^\/local\/domain\/\d{1,5}\//;

/** The length that the path quota counts: without a leading /local/domain/N/. */
export function quotaLength(path: string): number {
  const home = HOME.exec(path);
  return home === null ? path.length : path.length - home[0].length;
}

/** The parent's path. That of a special node and of a top-level one is the root, whose own parent is itself. */
export function parentPath(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash <= 0 ? '/' : path.slice(0, slash);
}

/** The last component. Not for the root. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

export function childPath(parent: string, name: string): string {
  return parent === '/' ? `/${name}` : `${parent}/${name}`;
}

/**
 * How many levels `path` is below `ancestor`: 0 when equal, -1 when it is neither it nor below. Special nodes are not
 * below the root.
 */
export function levelsBelow(path: string, ancestor: string): number {
  if (!path.startsWith(ancestor)) return -1;
  if (path.length === ancestor.length) return 0;
  let levels = ancestor === '/' ? 1 : 0;
  if (levels === 0 && path.charCodeAt(ancestor.length) !== 0x2f) return -1;
  for (let at = ancestor.length; at < path.length; at++) if (path.charCodeAt(at) === 0x2f) levels++;
  return levels;
}
