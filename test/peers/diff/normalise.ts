// What two daemons may answer differently without disagreeing: the whole list, a reason each. Everything else is
// compared byte by byte, in order.
import { XS } from '../../../lib/layout/xs-wire.js';
import type { WireMessage } from '../../../testkit/store-wire-client.js';
import type { Step } from './script.js';

interface Normalisation {
  readonly what: string;
  readonly why: string;
  /** What `messages`, received by one client during `step`, amount to. */
  readonly apply: (messages: readonly WireMessage[], step: Step) => readonly WireMessage[];
}

const each =
  (change: (message: WireMessage) => WireMessage): Normalisation['apply'] =>
  (messages) =>
    messages.map(change);

const requestsOf = (step: Step): number => (step.do === 'send' ? step.requests.length : 0);

/** CONTROL commands whose success is text about the daemon's own insides. */
const TEXT_COMMANDS: ReadonlySet<string> = new Set(['help', 'memreport', 'quota', 'quota-soft', 'log']);

export const NORMALISATIONS: readonly Normalisation[] = [
  {
    what: 'the generation in a DIRECTORY_PART reply',
    why: 'a counter of all that the daemon has ever written, its own bookkeeping included',
    apply: each((message) =>
      message.type === XS.XS_DIRECTORY_PART
        ? { ...message, payload: message.payload.replace(/^\d+\0/, 'GENERATION\0') }
        : message,
    ),
  },
  {
    what: 'text that CONTROL answers about the daemon itself',
    why: 'help, reports and settings list what that daemon has; whether it answers is compared, the text is not',
    apply: (messages, step) => {
      if (step.do !== 'send') return messages;
      const asked = step.requests.some(
        ({ type, payload }) => type === XS.XS_CONTROL && TEXT_COMMANDS.has(payload.split('\0')[0] ?? ''),
      );
      if (!asked) return messages;
      return messages.map((message) => (message.type === XS.XS_CONTROL ? { ...message, payload: 'TEXT' } : message));
    },
  },
  {
    what: 'repeated events while several requests were under way',
    why: 'an event equal to one still queued is dropped, and how long one is queued is a matter of time',
    apply: (messages, step) => {
      if (requestsOf(step) < 2) return messages;
      const seen = new Set<string>();
      return messages.filter(({ type, payload }) => {
        if (type !== XS.XS_WATCH_EVENT || payload.startsWith('@')) return true;
        if (seen.has(payload)) return false;
        seen.add(payload);
        return true;
      });
    },
  },
  {
    what: 'whether RELEASE is answered before or after the events that it causes',
    why: "the C daemon keeps the connection that comes next in its list alive meanwhile: if that is the domain's, its end, and so the events, come a moment later",
    apply: (messages) => {
      const isAnswer = ({ type }: WireMessage): boolean => type === XS.XS_RELEASE;
      if (!messages.some(isAnswer)) return messages;
      return [...messages.filter(isAnswer), ...messages.filter((message) => !isAnswer(message))];
    },
  },
];

export function normalise(messages: readonly WireMessage[], step: Step): readonly WireMessage[] {
  return NORMALISATIONS.reduce((current, { apply }) => apply(current, step), messages);
}
