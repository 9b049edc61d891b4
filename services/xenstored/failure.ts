// How a request ends without a reply of its own: with an error name, or put off until the host was asked something.
// Thrown inside the store only; both are values made beforehand or small, because a missing node is everyday business.
import { XSD_ERRORS, type XsdError } from '../../lib/layout/xs-wire.js';

/** The request is answered with this error. Not an Error: no stack is wanted for an answer. */
export class Failure {
  readonly error: XsdError;
  constructor(error: XsdError) {
    this.error = error;
  }
}

const FAILURES = Object.fromEntries(XSD_ERRORS.map((name) => [name, new Failure(name)])) as Record<XsdError, Failure>;

/** Ends the request with an error; writes nothing down that was not written yet. */
export function fail(error: XsdError): never {
  throw FAILURES[error];
}

/** What the store cannot know by itself. */
export type Question =
  /** Does the domain exist, and which one is it? */
  | { readonly kind: 'domain'; readonly domid: number }
  /** Make the domain's transport ready: map its ring, bind its port. */
  | { readonly kind: 'introduce'; readonly domid: number; readonly port: number };

/** The request waits for the end of a live update: of its own one, or because it would begin a transaction. Thrown. */
export const UNTIL_LIVE_UPDATE_ENDS = Symbol('until the live update ends');

/** The request is done again, from its start, once the question was answered. Thrown before anything changed. */
export class Unanswered {
  readonly question: Question;
  constructor(question: Question) {
    this.question = question;
  }
}
