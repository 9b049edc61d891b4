import t from 'tap';
import { STATUS_MOVES, type StatusStep, statusMove, statusStep } from '../../../lib/virtio/device-status.js';

const VALUE: Record<Exclude<StatusStep, 'failed'>, number> = {
  reset: 0,
  acknowledged: 1,
  driver: 3,
  features: 0xb,
  live: 0xf,
};

t.test('a driver goes forward by the steps of 3.1.1, and back by 0 only', async (t) => {
  const steps = Object.entries(VALUE) as [Exclude<StatusStep, 'failed'>, number][];
  for (const [from, current] of steps) {
    for (const [to, next] of steps) {
      const expected = from === to ? 'same' : STATUS_MOVES[from].includes(to) ? to : undefined;
      t.equal(statusMove(current, next), expected, `${from} -> ${to}`);
    }
    t.equal(statusMove(current, current | 0x80), 'failed', `${from} gives up`);
    t.equal(statusMove(current | 0x80, current), current === 0 ? 'reset' : undefined, `${from} does not take it back`);
    t.equal(statusMove(current | 0x80, 0), 'reset');
  }
  t.equal(statusMove(3, 0xf), undefined, 'FEATURES_OK is read back before DRIVER_OK');
  t.equal(statusMove(0xf, 0x83), undefined, 'giving up takes no other bit away');
});

t.test('values that no driver may write have no step', async (t) => {
  const legal = new Set([0, 1, 3, 0xb, 0xf, 0x80, 0x81, 0x83, 0x8b, 0x8f]);
  for (let status = 0; status < 256; status++)
    t.equal(statusStep(status) !== undefined, legal.has(status), `${status}`);
});
