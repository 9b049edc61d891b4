// Text for a POSIX shell: what a report prints is copied into a terminal.

/** One word, whatever is in it. */
export function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
