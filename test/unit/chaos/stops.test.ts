import t from 'tap';
import { Stops } from '../../../chaos/stops.js';

const PID = 42;

t.test('a process that a gate and a fault stop goes on only when both have let go', async (t) => {
  const stops = new Stops();
  const [gate, fault] = [{}, {}];
  stops.hold(PID, gate);
  stops.hold(PID, fault);
  let alone = false;
  const waiting = stops.alone(PID, gate).then(() => {
    alone = true;
  });
  await Promise.resolve();
  t.notOk(alone, 'the fault still stops it');
  t.notOk(stops.release(PID, fault), 'the gate still does');
  await waiting;
  t.ok(stops.release(PID, gate));
});

t.test('one that nothing stops may go on, and what has ended holds up nothing', async (t) => {
  const stops = new Stops();
  t.ok(stops.release(PID, {}));
  await stops.alone(PID, {});
  stops.hold(PID, {});
  const waiting = stops.alone(PID, {});
  stops.hold(PID + 1, {});
  stops.forget(PID);
  await waiting;
  t.notOk(stops.release(PID + 1, {}), 'of another process nothing is forgotten');
});
