// The error kinds of this project: a user's mistake, a peer's misbehaviour, the world's failure; and invariants of ours.
// Errors that travel between processes carry an errno (errno.ts); the rest is for the person who reads it.
import { ERRNO, type ErrnoName } from './errno.js';

/** What a user mistyped or misplaced: one clear sentence, exit status 2. */
export class UserError extends Error {
  override readonly name = 'UserError';
}

/** A refusal with an error number: what a hypercall, a store request or a bus call answers. */
export class ErrnoError extends Error {
  override readonly name = 'ErrnoError';
  readonly code: ErrnoName;
  readonly errno: number;
  constructor(code: ErrnoName, message: string = code, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.errno = ERRNO[code];
  }
}

/** A foreign program (guest, peer, file) broke a rule of its protocol. Harms that peer only. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The process on the other side ended; whatever was asked of it will never be answered. */
export class PeerDiedError extends Error {
  override readonly name = 'PeerDiedError';
  readonly peer: string;
  constructor(peer: string) {
    super(`${peer} ended`);
    this.peer = peer;
  }
}

/** An awaited event did not come before its deadline. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
}

/** The user asked a command to end before it had done its work. */
export class InterruptedError extends Error {
  override readonly name = 'InterruptedError';
}

/** A guest said that it cannot do its work, and why. */
export class GuestFailedError extends Error {
  override readonly name = 'GuestFailedError';
}

/** Invariants of our own code: a failure here is our bug, and the process ends on it. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${message}`);
}

export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
