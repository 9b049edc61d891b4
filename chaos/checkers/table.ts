// The checkers of histories. Those that need the living lab (the picture, what is still held, ends that no fault asked for)
// are the engine's, under the names of ENGINE_CHECKS.
import type { Checker } from './checker.js';
import { committed } from './committed.js';
import { conservation } from './conservation.js';
import { edges } from './edges.js';
import { fences } from './fences.js';
import { messages } from './messages.js';
import { notifications } from './notifications.js';
import { published } from './published.js';
import { rings } from './rings.js';

export const CHECKERS: readonly Checker[] = [
  edges,
  published,
  committed,
  fences,
  rings,
  messages,
  notifications,
  conservation,
];

export const ENGINE_CHECKS = {
  alive: 'no process ends that no fault ended',
  picture: 'once the fault is over the guest draws numbered frames, then its picture, equal in every pixel',
  memory: "a new guest's memory holds nothing of an earlier one's",
  teardown: 'the guest is removed in order, and so by the next call where the fault disturbed that',
  held: 'the services hold and have open what they did before any guest was there',
  acknowledged: 'what the store has acknowledged is there at the end',
  order: 'a process that is asked to end does so with status 0, and one whose host has gone says so',
} as const;
export type CheckName = keyof typeof ENGINE_CHECKS | (string & {});
