// The guest kernel at its borders: shutdown, an earlier kernel's leftovers, a paused domain.
import t from 'tap';
import { DOMID } from '../../../../testkit/guest-machine.js';
import { machineOf } from '../../../../testkit/kept-machine.js';

const HOME = `/local/domain/${DOMID}`;

t.test('poweroff resets the device, closes the frontend by the backend, and tells Xen', async (t) => {
  const { machine } = machineOf();
  await machine.connect();
  machine.write(`${HOME}/control/shutdown`, 'poweroff');
  await machine.settle();
  t.equal(machine.read(`${HOME}/control/shutdown`), '', 'the command is acknowledged');
  t.equal(machine.front, 5);
  t.equal(machine.registers?.status, 0, 'the device is reset before its frontend closes');
  t.equal(machine.halted, undefined, 'not before the frontend is closed');
  machine.setBack(5);
  await machine.settle();
  t.equal(machine.front, 6);
  t.equal(machine.halted, 0);
  t.end();
});

t.test('poweroff waits for a frontend that was closed before and connected again', async (t) => {
  const { machine } = machineOf();
  await machine.connect();
  machine.setBack(5);
  await machine.settle();
  machine.backendLetsGo();
  await machine.settle();
  machine.setBack(2);
  await machine.settle();
  machine.backendConnects();
  await machine.settle();
  machine.write(`${HOME}/control/shutdown`, 'poweroff');
  await machine.settle();
  t.equal(machine.front, 5);
  t.equal(machine.halted, undefined);
  machine.setBack(5);
  await machine.settle();
  t.equal(machine.halted, 0);
  t.end();
});

t.test('a backend that does not answer holds a shutdown up for five seconds and no longer', async (t) => {
  const { machine } = machineOf();
  await machine.connect();
  machine.write(`${HOME}/control/shutdown`, 'reboot');
  await machine.settle();
  machine.clock.advance(4999);
  await machine.settle();
  t.equal(machine.halted, undefined);
  machine.clock.advance(1);
  await machine.settle();
  t.equal(machine.halted, 1);
  t.end();
});

t.test('an unknown shutdown command is left alone', async (t) => {
  const { machine } = machineOf();
  await machine.connect();
  machine.write(`${HOME}/control/shutdown`, 'dance');
  await machine.settle();
  t.equal(machine.read(`${HOME}/control/shutdown`), 'dance');
  t.equal(machine.front, 4);
  t.end();
});

t.test('frontends of an earlier kernel are walked back to 1 before devices are looked for', async (t) => {
  const { machine } = machineOf();
  machine.provision({ state: '4' });
  machine.setBack(4);
  machine.boot();
  await machine.settle();
  t.equal(machine.front, 5);
  machine.setBack(5);
  await machine.settle();
  t.equal(machine.front, 6);
  machine.setBack(6);
  await machine.settle();
  t.equal(machine.front, 1);
  machine.backendOffers();
  await machine.settle();
  t.equal(machine.front, 3, 'and then probed');
  t.end();
});

t.test('a backend that never follows the reset is waited for five seconds a step', async (t) => {
  const { machine } = machineOf();
  machine.provision({ state: '6' });
  machine.setBack(6);
  machine.boot();
  await machine.settle();
  t.equal(machine.front, 1);
  t.same(machine.states, []);
  machine.clock.advance(5000);
  await machine.settle();
  t.same(machine.states, ['up']);
  t.end();
});

t.test('display info that does not come is done without after five seconds', async (t) => {
  const { machine } = machineOf();
  machine.provision();
  machine.boot();
  await machine.settle();
  machine.backendOffers();
  await machine.settle();
  machine.backendConnects();
  machine.gpuDeaf = true;
  await machine.settle();
  t.equal(machine.front, 3, 'the probe waits inside the watch callback');
  machine.clock.advance(5000);
  await machine.settle();
  t.equal(machine.front, 4);
  t.end();
});

t.test('while the domain is paused its kernel does nothing', async (t) => {
  const { machine } = machineOf();
  machine.provision();
  machine.paused = true;
  machine.boot();
  await machine.settle();
  t.same(machine.conversation, []);
  machine.resume();
  await machine.settle();
  t.same(machine.states, ['up']);
  t.end();
});
