import fc from 'fast-check';
import t from 'tap';
import { PollWindow } from '../../../lib/events/poll-window.js';

t.test('on a machine that is slow to wake, wake-ups that come soon make the window outlast the round trip', (t) => {
  const window = new PollWindow();
  // A round trip of 300 us, and a wake-up that takes 100: with 150 us of looking each one sleeps.
  for (let round = 0; round < 3; round++) window.woken(0.3 - window.windowMs, 0.1, 0.3 - window.windowMs);
  t.ok(window.windowMs > 0.3, String(window.windowMs));
  t.end();
});

t.test('a process that is woken now and then ends up blocking at once', (t) => {
  const window = new PollWindow();
  for (let frame = 0; frame < 6; frame++) window.woken(16, 0.03, 16);
  t.equal(window.windowMs, 0);
  window.woken(0.1, 0.03, 0.1);
  t.ok(window.windowMs >= 2 * 0.03, 'and looks again once an answer came right after it blocked');
  t.end();
});

t.test('wake-ups that wait for a busy core do not lengthen the window', (t) => {
  const window = new PollWindow();
  window.woken(0.01, 0.03, 0.04);
  for (let wake = 0; wake < 20; wake++) window.woken(0.01, 1.5, 1.5);
  t.ok(window.costMs < 0.5, `a wake-up is taken for ${window.costMs} ms`);
  t.end();
});

t.test('rings that come while the process is still going to sleep do not make wake-ups seem cheap', (t) => {
  const window = new PollWindow();
  window.woken(0.1, 0.03, 0.12);
  for (let wake = 0; wake < 20; wake++) window.woken(0.001, 0.003, 0.0005);
  t.equal(window.costMs, 0.03);
  t.ok(window.windowMs > 0.3, `they came soon: it looks for ${window.windowMs} ms`);
  t.end();
});

t.test('a window that was asked for stays; the cost is learnt all the same', (t) => {
  for (const us of [0, 500]) {
    const window = new PollWindow(us);
    for (let wake = 0; wake < 9; wake++) window.woken(wake % 2, 0.05, 1);
    t.equal(window.windowMs, us / 1000);
    t.ok(Math.abs(window.costMs - 0.05) < 1e-9);
  }
  t.end();
});

t.test('whatever a sender writes into the page, the window stays within 2 ms', (t) => {
  const time = fc.double({ noNaN: true });
  const times = fc.array(fc.tuple(time, time, time));
  fc.assert(
    fc.property(times, (wakes) => {
      const window = new PollWindow();
      for (const [slept, cost, blocked] of wakes) window.woken(slept, cost, blocked);
      return window.windowMs >= 0 && window.windowMs <= 2;
    }),
  );
  t.end();
});
