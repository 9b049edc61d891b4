// The error kinds of this project: a user's mistake, a peer's misbehaviour, the world's failure; and invariants of ours.
// Each has a code: an errno's name where the error travels between processes (errno.ts), else one of error-codes.ts or of its
// class. Leaves who answers what to the places that catch: they pass isOurBug on, which ends the process.
import { ERRNO, type ErrnoName } from './errno.js';
import type { ProtocolCode } from './error-codes.js';

/** What a user mistyped or misplaced: one clear sentence, exit status 2. */
export class UserError extends Error {
  override readonly name = 'UserError';
  readonly code = 'user';
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
  readonly code: ProtocolCode;
  constructor(code: ProtocolCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The process on the other side ended; whatever was asked of it will never be answered. */
export class PeerDiedError extends Error {
  override readonly name = 'PeerDiedError';
  readonly code = 'peer-died';
  readonly peer: string;
  constructor(peer: string) {
    super(`${peer} ended`);
    this.peer = peer;
  }
}

/** An awaited event did not come before its deadline. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
  readonly code = 'deadline';
}

/** The user asked a command to end before it had done its work. */
export class InterruptedError extends Error {
  override readonly name = 'InterruptedError';
}

/** A guest said that it cannot do its work, and why. */
export class GuestFailedError extends Error {
  override readonly name = 'GuestFailedError';
  readonly code = 'guest-failed';
}

/** What is to be tested does not even work when it is left alone, which each test would show again and again. */
export class UnfitError extends Error {
  override readonly name: string = 'UnfitError';
}

/** Invariants of our own code: a failure here is our bug, and the process ends on it. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${message}`);
}

const TYPED = [ErrnoError, ProtocolError, PeerDiedError, DeadlineError, GuestFailedError, UserError] as const;

/**
 * Whether an error is none that a peer, the world or a user causes: a broken invariant, a TypeError, anything without a type of
 * ours. What catches errors to answer or to ignore them throws these on, so that they end the process with their reason.
 */
export function isOurBug(error: unknown): boolean {
  if (TYPED.some((type) => error instanceof type)) return false;
  // A system call that failed: Node's errors and libc.ts name the call.
  return !(error instanceof Error && 'syscall' in error && typeof error.syscall === 'string');
}

/** For `catch` where a failure of a peer or the world changes nothing: passes it over, and throws a bug of ours on. */
export function passOver(error: unknown): undefined {
  if (isOurBug(error)) throw error;
}

export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
