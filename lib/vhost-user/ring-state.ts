// States of a vhost-user ring, as a table. A ring is stopped or started (SET_VRING_KICK, GET_VRING_BASE) and disabled or
// enabled (SET_VRING_ENABLE); a device serves rings that are both. A ring that starts is looked at without waiting for a
// kick: kicks may have been lost on the way (vhost-user.rst, Ring states).
import type { MoveTable } from '../core/machine.js';

export type RingState = 'stopped-disabled' | 'stopped-enabled' | 'started-disabled' | 'started-enabled';
export type RingEvent = 'kick' | 'stop' | 'enable' | 'disable';
/** Every pair is legal: front-ends repeat themselves. */
export const RING_MOVES: MoveTable<RingState, RingEvent> = {
  'stopped-disabled': {
    kick: 'started-disabled',
    stop: 'stopped-disabled',
    enable: 'stopped-enabled',
    disable: 'stopped-disabled',
  },
  'stopped-enabled': {
    kick: 'started-enabled',
    stop: 'stopped-enabled',
    enable: 'stopped-enabled',
    disable: 'stopped-disabled',
  },
  'started-disabled': {
    kick: 'started-disabled',
    stop: 'stopped-disabled',
    enable: 'started-enabled',
    disable: 'started-disabled',
  },
  'started-enabled': {
    kick: 'started-enabled',
    stop: 'stopped-enabled',
    enable: 'started-enabled',
    disable: 'started-disabled',
  },
};
export const RING_RUNNING: RingState = 'started-enabled';
