// What a process or the world does while a lab comes, goes and dies, told from bugs of ours: for what the page asks of a lab.
import { DeadlineError, ErrnoError, PeerDiedError } from '../lib/core/errors.js';

export function isGone(error: unknown): boolean {
  const file = error instanceof Error && 'code' in error && error.code === 'ENOENT';
  return error instanceof PeerDiedError || error instanceof ErrnoError || error instanceof DeadlineError || file;
}
