// Payloads as text: NUL-terminated strings in a row, and numbers read out of them the way the C library reads them,
// because the daemon's answers to odd input follow from that. Leaves the meaning of the strings to their operations.

/** What a request is answered that was done and has no result of its own. */
export const ACK = 'OK\0';

/** The strings of a request that end in a NUL; bytes after the last NUL are ignored (xenstored's get_strings). */
export function splitStrings(payload: string): string[] {
  const strings = payload.split('\0');
  strings.pop();
  return strings;
}

/**
 * The strings of a reply or an event. One that ends with the payload, without a NUL, counts as Linux counts it
 * (xenbus_xs.c: count_strings).
 */
export function replyStrings(payload: string): string[] {
  const strings = payload.split('\0');
  if (strings.at(-1) === '') strings.pop();
  return strings;
}

/** How many NULs, and so whole strings, a payload holds. */
export function countStrings(payload: string): number {
  let count = 0;
  for (let at = payload.indexOf('\0'); at !== -1; at = payload.indexOf('\0', at + 1)) count++;
  return count;
}

/** The only string of a payload that is exactly one NUL-terminated string, else undefined. */
export function oneString(payload: string): string | undefined {
  const end = payload.indexOf('\0');
  return end !== -1 && end === payload.length - 1 ? payload.slice(0, end) : undefined;
}

/** Strings, each with its NUL. */
export function joinStrings(strings: readonly string[]): string {
  return strings.length === 0 ? '' : `${strings.join('\0')}\0`;
}

const LONG_DIGITS_MAX = 9223372036854775807n;
const SPACE = /^[ \t\n\v\f\r]*/;

/** atoi(): leading blanks, a sign, digits; junk counts as 0. On x86-64 the low 32 bits of a saturated 64-bit number. */
export function atoi(text: string): number {
  const match = /^[ \t\n\v\f\r]*([+-]?)(\d+)/.exec(text);
  if (match === null) return 0;
  let value = BigInt(match[2] as string);
  if (match[1] === '-') value = -value;
  if (value > LONG_DIGITS_MAX) value = LONG_DIGITS_MAX;
  if (value < -LONG_DIGITS_MAX - 1n) value = -LONG_DIGITS_MAX - 1n;
  return Number(BigInt.asIntN(32, value));
}

/** A domid as RELEASE and its like read one: strtoul base 10 over the whole string, at most 65535; '' is 0. */
export function parseDomid(text: string): number | undefined {
  if (text === '') return 0;
  const match = /^[ \t\n\v\f\r]*([+-]?)(\d+)$/.exec(text);
  if (match === null) return undefined;
  const value = BigInt(match[2] as string);
  // A minus sign wraps into the top of 64 bits, which is out of range unless the number is 0.
  return value > 65535n || (match[1] === '-' && value !== 0n) ? undefined : Number(value);
}

/** The number after a permission letter: strtol base 0 over the whole, non-empty rest, kept as an int. */
export function parsePermId(text: string): number | undefined {
  const blank = (SPACE.exec(text) as RegExpExecArray)[0].length;
  const match = /^([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)$/.exec(text.slice(blank));
  if (match === null) return undefined;
  const digits = match[2] as string;
  const value = /^0[0-7]+$/.test(digits) ? BigInt(`0o${digits.slice(1)}`) : BigInt(digits);
  const signed = match[1] === '-' ? -value : value;
  const long =
    signed > LONG_DIGITS_MAX ? LONG_DIGITS_MAX : signed < -LONG_DIGITS_MAX - 1n ? -LONG_DIGITS_MAX - 1n : signed;
  return Number(BigInt.asIntN(32, long));
}
