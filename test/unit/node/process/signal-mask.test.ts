// Signals held back while a call runs that must not be interrupted: none is lost, and the mask is as before afterwards.
import { readFileSync } from 'node:fs';
import t from 'tap';
import { withSignalsBlocked } from '../../../../lib/node/process/signal-mask.js';
import { withDeadline } from '../../../../lib/node/process/wait.js';

/** The mask of the thread that reads it (proc(5)), as a number. */
function blocked(): bigint {
  const [, mask = ''] = /^SigBlk:\t([0-9a-f]+)$/m.exec(readFileSync('/proc/thread-self/status', 'latin1')) ?? [];
  return BigInt(`0x${mask}`);
}

const SIGCHLD_BIT = 1n << 16n;
const SIGUSR2_BIT = 1n << 11n;

t.test('signals are held back while the action runs, and the mask is as before after it', async (t) => {
  const before = blocked();
  t.equal(before & (SIGCHLD_BIT | SIGUSR2_BIT), 0n);
  const within = withSignalsBlocked(blocked);
  t.equal(within & (SIGCHLD_BIT | SIGUSR2_BIT), SIGCHLD_BIT | SIGUSR2_BIT);
  t.equal(blocked(), before);
});

t.test('the mask is as before also after an action that throws', async (t) => {
  const before = blocked();
  const fail = (): never => {
    throw new Error('on purpose');
  };
  t.throws(() => withSignalsBlocked(fail), { message: 'on purpose' });
  t.equal(blocked(), before);
});

t.test('a signal that comes meanwhile is told afterwards', async (t) => {
  const told = new Promise<void>((resolve) => process.once('SIGUSR2', () => resolve()));
  withSignalsBlocked(() => process.kill(process.pid, 'SIGUSR2'));
  await t.resolves(withDeadline(told, 10_000, 'the handler of SIGUSR2'));
});
