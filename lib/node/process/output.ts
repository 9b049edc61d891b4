// Standard output that goes away: a reader that has seen enough (`xenwire trace | head`), a disk that is full. Both come as
// errors of the stream, long after the write. Leaves to each command what it must give back first.

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
