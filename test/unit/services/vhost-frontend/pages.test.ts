import t from 'tap';
import {
  IOREQ,
  IOREQ_DATA_IS_PTR,
  IOREQ_DIR_READ,
  IOREQ_PAGE_SIZE,
  IOREQ_STATE_MASK,
  IOREQ_TYPE_COPY,
  IOREQ_TYPE_INVALIDATE,
  IOREQS_PER_PAGE,
  STATE_IOREQ_INPROCESS,
  STATE_IOREQ_NONE,
  STATE_IOREQ_READY,
  STATE_IORESP_READY,
} from '../../../../lib/layout/ioreq.js';
import {
  COMMAND_DM_RAISE,
  COMMAND_NOTIFY,
  COMMAND_SHIFT,
  DEV_EVTCHN,
  DEV_EVTCHN_RING_SIZE,
} from '../../../../lib/layout/ours/dev-evtchn.js';
import { EvtchnPage } from '../../../../services/vhost-frontend/evtchn-page.js';
import { IoreqSlots } from '../../../../services/vhost-frontend/ioreq-slots.js';

const REQUEST = {
  addr: 0xf0000070n,
  data: 5n,
  count: 1,
  size: 4,
  vp_eport: 9,
  padding: 0,
  flags: STATE_IOREQ_READY,
  type: IOREQ_TYPE_COPY,
};

function page(slot: number, fields: Partial<typeof REQUEST> = {}): Uint8Array {
  const bytes = new Uint8Array(IOREQ_PAGE_SIZE);
  IOREQ.encode({ ...REQUEST, ...fields }, bytes, slot * IOREQ.size);
  return bytes;
}
const stateOf = (bytes: Uint8Array, slot: number) => IOREQ.decode(bytes, slot * IOREQ.size).flags & IOREQ_STATE_MASK;

t.test('a READY slot is claimed, answered and published, its flags kept', async (t) => {
  const bytes = page(3, { flags: STATE_IOREQ_READY | IOREQ_DIR_READ });
  const slots = new IoreqSlots(bytes, 4);
  t.equal(slots.port(3), 9);
  const request = slots.take(3)!;
  t.same(request, { vcpu: 3, addr: 0xf0000070, size: 4, read: true, value: 5, plain: true });
  t.equal(stateOf(bytes, 3), STATE_IOREQ_INPROCESS);
  t.equal(slots.take(3), undefined, 'once');
  slots.answer(request, 0xfedcba98);
  t.match(IOREQ.decode(bytes, 3 * IOREQ.size), { data: 0xfedcba98n, flags: STATE_IORESP_READY | IOREQ_DIR_READ });
});

t.test('only READY is taken', async (t) => {
  for (let state = 0; state < 16; state++) {
    const bytes = page(0, { flags: state });
    t.equal(new IoreqSlots(bytes, 1).take(0) !== undefined, state === STATE_IOREQ_READY, `state ${state}`);
    if (state !== STATE_IOREQ_READY) t.equal(stateOf(bytes, 0), state, 'and nothing else touched');
  }
  t.equal(stateOf(page(0, { flags: STATE_IOREQ_NONE }), 0), STATE_IOREQ_NONE);
});

t.test('a write leaves the data alone; a read that no register answers gives all ones', async (t) => {
  const written = page(0);
  const writer = new IoreqSlots(written, 1);
  writer.answer(writer.take(0)!, 77);
  t.equal(IOREQ.decode(written).data, 5n);
  const bytes = page(0, { flags: STATE_IOREQ_READY | IOREQ_DIR_READ });
  const reader = new IoreqSlots(bytes, 1);
  reader.answer(reader.take(0)!, undefined);
  t.equal(IOREQ.decode(bytes).data, 0xffffffffffffffffn);
});

t.test('what is no plain register access is marked so', async (t) => {
  const cases = [
    { type: IOREQ_TYPE_INVALIDATE },
    { count: 2 },
    { flags: STATE_IOREQ_READY | IOREQ_DATA_IS_PTR },
    { addr: 0xffffffffffffffffn },
  ];
  for (const fields of cases) t.equal(new IoreqSlots(page(0, fields), 1).take(0)?.plain, false);
});

t.test('a page holds 128 slots', async (t) => {
  new IoreqSlots(new Uint8Array(IOREQ_PAGE_SIZE), IOREQS_PER_PAGE);
  t.throws(() => new IoreqSlots(new Uint8Array(IOREQ_PAGE_SIZE), IOREQS_PER_PAGE + 1), RangeError);
  t.throws(() => new IoreqSlots(new Uint8Array(32), 2), RangeError);
});

/** The kernel's half of the page. */
function evtchn(): { page: EvtchnPage; words: Uint32Array } {
  const bytes = new Uint8Array(DEV_EVTCHN.SIZE);
  return { page: new EvtchnPage(bytes), words: new Uint32Array(bytes.buffer) };
}
const at = (offset: number) => offset / 4;

t.test('ports are read once, in order, across the wrap of ring and index', async (t) => {
  const { page, words } = evtchn();
  words[at(DEV_EVTCHN.READ_PROD)] = 0xfffffffe;
  words[at(DEV_EVTCHN.READ_CONS)] = 0xfffffffe;
  const put = (port: number) => {
    const prod = words[at(DEV_EVTCHN.READ_PROD)]!;
    words[at(DEV_EVTCHN.READ_RING) + (prod & (DEV_EVTCHN_RING_SIZE - 1))] = port;
    words[at(DEV_EVTCHN.READ_PROD)] = (prod + 1) >>> 0;
  };
  const seen: number[] = [];
  for (const port of [5, 6, 7, 8]) put(port);
  t.equal(
    page.read((port) => seen.push(port)),
    4,
  );
  t.equal(
    page.read((port) => seen.push(port)),
    0,
  );
  put(5);
  page.read((port) => seen.push(port));
  t.same(seen, [5, 6, 7, 8, 5]);
});

t.test('a producer index gone wild costs one ring of reads', async (t) => {
  const { page, words } = evtchn();
  words[at(DEV_EVTCHN.READ_PROD)] = 0xdeadbeef;
  t.equal(
    page.read(() => {}),
    DEV_EVTCHN_RING_SIZE,
  );
});

t.test('commands that find no room wait, in order', async (t) => {
  const { page, words } = evtchn();
  for (let port = 0; port < DEV_EVTCHN_RING_SIZE + 3; port++) page.notify(port);
  t.ok(page.full);
  const taken: number[] = [];
  for (let round = 0; round < 2; round++) {
    while (words[at(DEV_EVTCHN.COMMAND_CONS)] !== words[at(DEV_EVTCHN.COMMAND_PROD)]) {
      const cons = words[at(DEV_EVTCHN.COMMAND_CONS)]!;
      taken.push(words[at(DEV_EVTCHN.COMMAND_RING) + (cons & (DEV_EVTCHN_RING_SIZE - 1))]!);
      words[at(DEV_EVTCHN.COMMAND_CONS)] = cons + 1;
    }
    page.flush();
  }
  t.notOk(page.full);
  t.same(
    taken,
    Array.from({ length: DEV_EVTCHN_RING_SIZE + 3 }, (_, port) => ((COMMAND_NOTIFY << COMMAND_SHIFT) | port) >>> 0),
  );
  t.throws(() => new EvtchnPage(new Uint8Array(4096)), RangeError);
});

t.test('a command of two words goes in whole, or waits whole', async (t) => {
  const { page, words } = evtchn();
  const word = (index: number): number => words[at(DEV_EVTCHN.COMMAND_RING) + (index & (DEV_EVTCHN_RING_SIZE - 1))]!;
  page.dmRaise(5, 9);
  t.equal(words[at(DEV_EVTCHN.COMMAND_PROD)], 2);
  t.same([word(0), word(1)], [((COMMAND_DM_RAISE << COMMAND_SHIFT) | 5) >>> 0, 9]);
  for (let port = 2; port < DEV_EVTCHN_RING_SIZE - 1; port++) page.notify(port);
  t.notOk(page.full);
  page.dmRaise(6, 10);
  t.ok(page.full, 'one word is free');
  t.equal(words[at(DEV_EVTCHN.COMMAND_PROD)], DEV_EVTCHN_RING_SIZE - 1);
  words[at(DEV_EVTCHN.COMMAND_CONS)] = 1;
  page.flush();
  t.equal(words[at(DEV_EVTCHN.COMMAND_PROD)], DEV_EVTCHN_RING_SIZE + 1);
  t.same(
    [word(DEV_EVTCHN_RING_SIZE - 1), word(DEV_EVTCHN_RING_SIZE)],
    [((COMMAND_DM_RAISE << COMMAND_SHIFT) | 6) >>> 0, 10],
  );
});
