// The guest kernel as a whole, against the project's own store, GPU device and register file in one process.
import t from 'tap';
import { DOMID, FRONT_PATH, GuestMachine, rgbOf, testPicture } from '../../../fixtures/guest-machine.js';

t.test('a guest negotiates its display and shows the picture pixel for pixel', async (t) => {
  const picture = testPicture(300, 203);
  const machine = new GuestMachine({ picture });
  await machine.connect();
  t.equal(machine.front, 4);
  t.equal(machine.read(`${FRONT_PATH}/base`), '0xf0000000');
  t.equal(machine.read(`${FRONT_PATH}/event-channel`), '2');
  const shown = machine.shown();
  t.match(shown, { width: 300, height: 203 });
  t.same(Buffer.compare(Buffer.from(shown!.rgb), Buffer.from(rgbOf(picture))), 0);
  t.equal(machine.read(`/local/domain/${DOMID}/data/xenwire/frame`), '1');
  t.same(machine.states, ['up', 'connected', 'shown']);
  t.end();
});
