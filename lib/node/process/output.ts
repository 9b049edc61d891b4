// Standard output: its colours, and what happens when it goes away: a reader that has seen enough (`xenwire trace | head`), a disk that is full. Both come as
// errors of the
// stream, long after the write. Leaves to each command what it must give back first.

/** What a terminal shows a text in, by its numbers (ECMA-48, SGR). */
const COLOURS = { green: 32, red: 31, yellow: 33, dim: 2 } as const;

/** The text in a colour, where a terminal reads it and the user wants colours (no-color.org). */
export function colour(name: keyof typeof COLOURS, text: string, stream: { isTTY?: boolean } = process.stdout): string {
  if (!stream.isTTY || (process.env['NO_COLOR'] ?? '') !== '' || process.env['TERM'] === 'dumb') return text;
  return `\u001b[${COLOURS[name]}m${text}\u001b[0m`;
}

/** Told once. `problem` is undefined when the reader has closed its end, which is no failure. */
export type OutputLost = (problem: string | undefined) => void;

let onLost: OutputLost = (problem) => {
  if (problem !== undefined) process.stderr.write(`xenwire: ${problem}\n`);
  process.exit(problem === undefined ? 0 : 1);
};
let lost = false;

/** From now on lost output ends the process: with status 0 when its reader has gone, else with a sentence and 1. */
export function guardOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (lost) return;
    lost = true;
    onLost(error.code === 'EPIPE' ? undefined : `cannot write to standard output: ${error.message}`);
  });
  // There is no other place to say it.
  process.stderr.on('error', () => {});
}

/** Instead of ending the process: for a command that has things to give back. */
export function onOutputLost(action: OutputLost): void {
  onLost = action;
}
