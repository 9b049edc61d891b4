// The guest kernel as a whole, against the project's own store, GPU device and register file in one process.
import t from 'tap';
import { DATA_KEY } from '../../../../lib/layout/xenbus.js';
import { CORE_VERSIONS } from '../../../../services/guest/core-rules.js';
import {
  BACK_PATH,
  DOMID,
  FRONT,
  FRONT_PATH,
  GuestMachine,
  type MachineOptions,
  rgbOf,
  testPicture,
} from '../../../../testkit/guest-machine.js';
import { machineOf } from '../../../../testkit/kept-machine.js';

const HOME = `/local/domain/${DOMID}`;

t.test('a guest negotiates its display and shows the picture pixel for pixel', async (t) => {
  const picture = testPicture(300, 203);
  const { machine } = machineOf({ picture });
  await machine.connect();
  t.equal(machine.front, 4);
  t.equal(machine.read(`${FRONT_PATH}/base`), '0xf0000000');
  t.equal(machine.read(`${FRONT_PATH}/event-channel`), '2');
  const shown = machine.shown();
  t.match(shown, { width: 300, height: 203 });
  t.equal(Buffer.compare(Buffer.from(shown!.rgb), Buffer.from(rgbOf(picture))), 0);
  t.equal(machine.read(`${HOME}/${DATA_KEY.frame}`), '1');
  t.same(machine.states, ['up', 'connected', 'shown']);
  t.ok([...machine.gpu.resources.all()][0]!.backing, 'and its backing stays attached');
  t.end();
});

t.test('nothing is read, written or taken before the backend publishes', async (t) => {
  const { machine, nothingHeld } = machineOf();
  machine.provision();
  machine.boot();
  await machine.settle();
  nothingHeld(t);
  t.equal(machine.front, 1);
  t.notOk(machine.conversation.some((line) => line.includes(`${BACK_PATH}/size`)));
  t.end();
});

t.test('removal goes through Closing and Closed, registers served to the end, and gives everything back', async (t) => {
  const { machine, nothingHeld } = machineOf({ personality: 'linux' });
  await machine.connect();
  const before = machine.trace.length;
  machine.write(`${BACK_PATH}/online`, '0');
  machine.setBack(5);
  await machine.settle();
  t.equal(machine.front, 6);
  nothingHeld(t);
  t.equal(machine.gpu.resources.count, 0);
  t.same(
    machine.trace.slice(before).filter((line) => !/^(R 0x060|W 0x064)/.test(line)),
    // Linux: reset; each queue disabled and read back; status read twice and acknowledged.
    [
      ...['W 0x070 0x0', 'W 0x030 0x0', 'W 0x044 0x0', 'R 0x044', 'W 0x030 0x1', 'W 0x044 0x0', 'R 0x044'],
      ...['R 0x070', 'R 0x070', 'W 0x070 0x1'],
    ],
  );
  machine.backendLetsGo();
  await machine.settle();
  t.equal(machine.front, 6, 'an unwanted device stays closed');
  t.end();
});

t.test('a wanted device connects again, with a fresh picture', async (t) => {
  const { machine } = machineOf();
  await machine.connect();
  machine.write(`${HOME}/${DATA_KEY.frame}`, '');
  machine.setBack(5);
  await machine.settle();
  machine.backendLetsGo();
  await machine.settle();
  t.equal(machine.front, 1);
  machine.setBack(2);
  await machine.settle();
  t.equal(machine.front, 3);
  machine.backendConnects();
  await machine.settle();
  t.equal(machine.front, 4);
  t.equal(machine.read(`${HOME}/${DATA_KEY.frame}`), '1');
  t.ok(machine.shown());
  t.end();
});

for (const core of CORE_VERSIONS) {
  t.test(`core ${core}: a frontend directory that vanishes ends its device, everything given back`, async (t) => {
    const { machine, nothingHeld } = machineOf({ core });
    await machine.connect();
    machine.remove(FRONT_PATH);
    await machine.settle();
    nothingHeld(t);
    t.equal(machine.read(`${FRONT_PATH}/state`), 'ENOENT', 'and is not written anew');
    machine.remove(BACK_PATH);
    machine.addDevice();
    await machine.settle();
    machine.backendOffers();
    await machine.settle();
    t.equal(machine.front, 3, 'a directory made anew is a device anew');
    t.end();
  });

  const anew = core === '7.2';
  t.test(`core ${core}: state rewritten to 1 ${anew ? 'makes the device anew' : 'is not noticed'}`, async (t) => {
    const { machine } = machineOf({ core });
    await machine.connect();
    machine.registers = undefined;
    machine.write(`${BACK_PATH}/state`, '1');
    machine.write(`${FRONT_PATH}/state`, '1');
    await machine.settle();
    // No device answers the driver's last commands: a moment later it goes on without.
    machine.clock.advance(250);
    await machine.settle();
    machine.setBack(2);
    await machine.settle();
    // 6.12 goes by its cached state: the backend's 1 closed it, and it begins again by itself.
    t.equal(machine.front, 3);
    const probes = machine.conversation.filter((line) => line === `IN 2 ${FRONT}/backend `).length;
    t.equal(probes, anew ? 2 : 1);
    t.end();
  });

  t.test(`core ${core}: a directory removed and made again before the event is handled`, async (t) => {
    const { machine } = machineOf({ core });
    await machine.connect();
    machine.remove(FRONT_PATH);
    machine.addDevice();
    await machine.settle();
    const probes = machine.conversation.filter((line) => line === `IN 2 ${FRONT}/backend `).length;
    t.equal(probes, anew ? 2 : 1, anew ? 'is noticed' : 'is missed, as by Linux');
    t.end();
  });
}

t.test('a backend directory that vanishes makes the guest let go', async (t) => {
  const { machine, nothingHeld } = machineOf();
  await machine.connect();
  machine.remove(BACK_PATH);
  await machine.settle();
  t.equal(machine.front, 6);
  nothingHeld(t);
  t.end();
});

t.test('what the guest cannot use is reported where people and toolstacks look', async (t) => {
  const { machine, nothingHeld } = machineOf();
  machine.provision();
  machine.boot();
  await machine.settle();
  machine.backendOffers('0x10');
  await machine.settle();
  t.equal(machine.front, 5);
  t.match(machine.read(`${HOME}/error/${FRONT}/error`), /^22 reading size/);
  t.match(machine.read(`${HOME}/${DATA_KEY.failure}`), /reading size/);
  nothingHeld(t);
  machine.setBack(5);
  await machine.settle();
  t.equal(machine.front, 6);
  t.end();
});

t.test(
  'a device that is none, or refuses, closes the connection with a reason, and everything comes back',
  async (t) => {
    const cases: [string, MachineOptions, (machine: GuestMachine) => void][] = [
      ['no registers answer', {}, (machine) => (machine.registers = undefined)],
      ['no VERSION_1', { features: 2n }, () => {}],
      [
        'queues larger than memory',
        { queueSize: 32768, ramMib: 8 },
        (machine) => machine.kernel.pages.scattered(machine.kernel.pages.free),
      ],
      ['queues of no size', { queueSize: 0 }, () => {}],
    ];
    for (const [name, options, spoil] of cases) {
      const machine = new GuestMachine(options);
      machine.provision();
      machine.boot();
      await machine.settle();
      machine.backendOffers();
      await machine.settle();
      machine.backendConnects();
      spoil(machine);
      const pages = machine.kernel.pages.taken;
      await machine.settle();
      t.equal(machine.front, 6, name);
      t.equal(machine.ports.size, 0);
      t.equal(machine.kernel.ranges.count, 0);
      t.equal(machine.kernel.pages.taken, pages);
      t.match(machine.read(`${HOME}/error/${FRONT}/error`), /registering the device/);
    }
    t.end();
  },
);

t.test('a state that conflicts in the store is written again, without limit', async (t) => {
  const { machine } = machineOf();
  machine.provision();
  machine.boot();
  await machine.settle();
  let conflicts = 5;
  machine.onStateWritten = () => {
    if (conflicts-- > 0) machine.write(`${FRONT_PATH}/state`, '1');
  };
  machine.backendOffers();
  await machine.settle();
  t.equal(machine.front, 3);
  t.equal(conflicts, -1, 'five attempts failed, the sixth stood');
  t.end();
});

t.test('a directory that the guest may not write ends the connection without a crash, all given back', async (t) => {
  const { machine, nothingHeld } = machineOf();
  machine.provision();
  machine.boot();
  await machine.settle();
  machine.store.expectOk('dom0', 'SET_PERMS', `${FRONT_PATH}|n0|r${DOMID}|`);
  machine.store.expectOk('dom0', 'SET_PERMS', `${FRONT_PATH}/state|n0|r${DOMID}|`);
  machine.backendOffers();
  await machine.settle();
  t.equal(machine.front, 1, 'it cannot even say that it closes');
  t.match(machine.read(`${HOME}/error/${FRONT}/error`), /^13 writing new state/);
  nothingHeld(t);
  t.end();
});

t.test('a frontend whose backend cannot be found closes and says so', async (t) => {
  const cases: [Record<string, string>, RegExp][] = [
    [{ 'backend-id': 'x' }, /^22 reading other end details/],
    [{ backend: '' }, /^2 unable to read other end/],
    [{ backend: '/local/domain/0/backend/vif/9/9' }, /^2 unable to read other end/],
  ];
  for (const [front, error] of cases) {
    const { machine, nothingHeld } = machineOf();
    machine.provision(front);
    machine.boot();
    await machine.settle();
    t.equal(machine.front, 5);
    t.match(machine.read(`${HOME}/error/${FRONT}/error`), error);
    nothingHeld(t);
  }
  t.end();
});

t.test('nodes that are no devices for this bus are left alone', async (t) => {
  const { machine } = machineOf();
  machine.provision({ state: '2' });
  machine.write(`${HOME}/device/vif/0/state`, '1');
  machine.write(`${HOME}/device/console/0/state`, '1');
  machine.write(`${HOME}/device/much-too-long-a-kind/0/state`, '1');
  machine.boot();
  await machine.settle();
  t.same(machine.states, ['up']);
  t.equal(machine.front, 2, 'only a node at 1 becomes a device');
  const written = machine.conversation.filter((line) => line.startsWith('IN 11 device/'));
  t.same(written, []);
  t.end();
});

t.test('a picture larger than memory is a failure with a reason, not a crash', async (t) => {
  const { machine } = machineOf({ ramMib: 8, picture: testPicture(2000, 1000) });
  await machine.connect();
  t.equal(machine.front, 4);
  t.match(machine.read(`${HOME}/${DATA_KEY.failure}`), /the picture is not shown: no \d+ free pages/);
  t.end();
});
