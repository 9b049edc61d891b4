// What the guest's xenbus core says to the store, beside the recorded conversation of a real Linux 6.1 (test/golden/): the
// operations of the core itself, device and driver apart.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { XS, xsName } from '../../../../lib/layout/xs-wire.js';
import { PACKAGE_ROOT } from '../../../../lib/node/process/package-root.js';
import { BACK_PATH, DOMID, FRONT_PATH, GuestMachine } from '../../../../testkit/guest-machine.js';

const GOLDEN = readFileSync(join(PACKAGE_ROOT, 'test/golden/xenbus-linux-6.1/conversation.txt'), 'utf8')
  .trim()
  .split('\n');

/** "IN 11 device/virtio-mmio/0/state 3" as the recording has it: "IN WRITE (device/vif/0/state 3)". */
function asRecorded(line: string): string {
  const [way, type, ...rest] = line.split(' ');
  const name = Number(type) === XS.XS_ERROR ? 'ERROR' : xsName(Number(type));
  return `${way} ${name} (${rest.join(' ').trimEnd()})`;
}

/** One spelling for devices, tokens, transaction ids and trailing blanks of both. */
function normalized(line: string): string {
  return line
    .replace(/[0-9A-F]{16}/g, 'TOKEN')
    .replaceAll('virtio-mmio', 'vif')
    .replaceAll(`backend/vif/${DOMID}/0`, 'backend/vif/1/0')
    .replace(/TRANSACTION_START \(\d+ ?\)/, 'TRANSACTION_START (ID)')
    .replace(/ \)$/, ')');
}

const linux = GOLDEN.map(normalized);

/** Requests of the guest only: how replies and events interleave depends on the daemon's speed. */
function requests(machine: GuestMachine, from = 0): string[] {
  return machine.conversation
    .slice(from)
    .map((line) => normalized(asRecorded(line)))
    .filter((line) => line.startsWith('IN '));
}

function linuxRequests(first: string, last: string): string[] {
  const asked = linux.filter((line) => line.startsWith('IN '));
  const start = asked.indexOf(first);
  const end = asked.indexOf(last, start);
  if (start < 0 || end < 0) throw new Error(`the recording has no ${first} ... ${last}`);
  return asked.slice(start, end + 1);
}

t.test(
  'creating a device asks for what Linux asks for, from the first event to the watch on the other end',
  async (t) => {
    const machine = new GuestMachine();
    machine.provision();
    machine.remove(FRONT_PATH);
    machine.remove(BACK_PATH);
    machine.boot();
    await machine.settle();
    const from = machine.conversation.length;
    // The recording's device was made key by key, its state last.
    machine.addDevice();
    await machine.settle();
    const asked = requests(machine, from);
    const expected = linuxRequests(
      'IN READ (device/vif/0/backend-id)',
      'IN WATCH (/local/domain/0/backend/vif/1/0/state TOKEN)',
    )
      // netfront's own look at the backend while it probes
      .filter((line) => line !== 'IN READ (/local/domain/0/backend/vif/1/0/state)');
    const start = asked.indexOf(expected[0]!);
    t.same(asked.slice(start, start + expected.length), expected);
    t.same(asked[start - 1], 'IN READ (device/vif/0/state)');
    t.end();
  },
);

t.test('switching the state is a transaction of its own that reads before it writes', async (t) => {
  const machine = new GuestMachine();
  machine.provision();
  machine.boot();
  await machine.settle();
  const from = machine.conversation.length;
  machine.backendOffers();
  await machine.settle();
  const asked = requests(machine, from);
  const expected = linuxRequests('IN READ (device/vif/0/state)', 'IN WRITE (device/vif/0/state 4)').slice(-2);
  const write = asked.indexOf('IN WRITE (device/vif/0/state 3)');
  t.same(asked.slice(write - 2, write + 2), [
    'IN TRANSACTION_START ()',
    expected[0],
    'IN WRITE (device/vif/0/state 3)',
    'IN TRANSACTION_END (T)',
  ]);
  t.same(
    asked.filter((line) => line.startsWith('IN WRITE')).map((line) => line.replace(/.*\/([a-z-]+) .*/, '$1')),
    ['base', 'event-channel', 'state'],
    'keys first, without a transaction, then the state',
  );
  t.end();
});

t.test('every event on a known device is answered by a look at its node, and nothing more', async (t) => {
  const machine = new GuestMachine();
  machine.provision();
  machine.boot();
  await machine.settle();
  const from = machine.conversation.length;
  machine.write(`${FRONT_PATH}/backend-id`, '0');
  await machine.settle();
  t.same(requests(machine, from), ['IN DIRECTORY (device/vif/0/backend-id)']);
  t.end();
});

t.test('a node that vanishes ends as in the recording: look, unwatch, a state switch that finds nothing', async (t) => {
  const machine = new GuestMachine();
  machine.provision();
  machine.boot();
  await machine.settle();
  machine.backendOffers();
  await machine.settle();
  const from = machine.conversation.length;
  machine.remove(FRONT_PATH);
  await machine.settle();
  const asked = requests(machine, from);
  const gone = linuxRequests('IN UNWATCH (/local/domain/0/backend/vif/1/0/state TOKEN)', 'IN TRANSACTION_END (F)')
    // netfront's remove looks at the backend
    .filter((line) => !line.startsWith('IN READ (/local/domain/0'));
  t.same(asked.slice(0, 1 + gone.length), ['IN DIRECTORY (device/vif/0)', ...gone]);
  t.end();
});

t.test('boot resets watches if it may, watches shutdown, enumerates, and only then watches devices', async (t) => {
  const machine = new GuestMachine();
  machine.provision();
  machine.boot();
  await machine.settle();
  const asked = requests(machine);
  const order = [
    'IN RESET_WATCHES ()',
    'IN WATCH (control/shutdown TOKEN)',
    'IN DIRECTORY (device)',
    'IN DIRECTORY (device/vif)',
    'IN READ (device/vif/0/state)',
    'IN WATCH (device TOKEN)',
  ].map((line) => asked.indexOf(line));
  t.notOk(order.includes(-1));
  t.same(
    order,
    [...order].sort((a, b) => a - b),
  );
  t.end();
});
