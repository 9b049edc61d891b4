// What protocol features add to a back-end's session: the record of inflight chains, the log of written pages, the status.
import t from 'tap';
import { ProtocolError } from '../../../lib/core/errors.js';
import { decodeAck, decodeReply } from '../../../lib/vhost-user/messages.js';
import type { MemoryRegionBody } from '../../../lib/vhost-user/payloads.js';
import { Front, handle } from '../../../testkit/backend-front.js';

const INFLIGHT = 1n << 12n;
const LOG = 1n << 1n;
const STATUS = 1n << 16n;
const XEN_MMAP = 1n << 17n;

t.test('a record of inflight chains is made, and taken for the rings that start then', async (t) => {
  const front = new Front().more(INFLIGHT);
  const place = { size: 0n, offset: 0n, queueCount: 2, queueSize: 64 };
  const reply = front.send('GET_INFLIGHT_FD', place)!;
  t.same(decodeReply('GET_INFLIGHT_FD', reply), { ...place, size: 2n * 1088n }, 'the size that libvhost-user makes it');
  t.same(reply.handles, ['inflight 2176'], "with a handle, which is the transport's to release");
  const set = (fields: object) =>
    decodeAck(
      'SET_INFLIGHT_FD',
      front.send('SET_INFLIGHT_FD', { ...place, size: 2176n, ...fields }, [handle('record')], true)!,
    );
  t.equal(set({}), 0n);
  t.ok(front.device.calls.includes('inflight record 0 2x64'));
  for (const wrong of [{ size: 2175n }, { queueCount: 3 }, { queueCount: 0 }, { queueSize: 1025 }, { queueSize: 0 }])
    t.equal(
      set(wrong),
      1n,
      JSON.stringify(wrong, (_key, value) => String(value)),
    );
  front.session.close();
  t.same([...front.device.released].sort(), [...front.given].sort());
});

t.test("a domain's memory needs XEN_MMAP; with it, regions of the short form are taken too", async (t) => {
  const plain = { guestAddr: 0n, size: 4096n, userAddr: 0n, mmapOffset: 0n };
  const foreign = { ...plain, guestAddr: 0x10000n, userAddr: 0x10000n, xen: { kind: 'foreign', domid: 3 } } as const;
  const add = (front: Front, region: MemoryRegionBody) =>
    decodeAck('ADD_MEM_REG', front.send('ADD_MEM_REG', { region }, [handle('memory')], true)!);
  const without = new Front().negotiate();
  t.equal(add(without, foreign), 1n);
  t.throws(() => without.send('SET_MEM_TABLE', { regions: [foreign] }, [handle('memory')]), { code: 'regions' });
  const front = new Front().more(XEN_MMAP);
  t.equal(add(front, plain), 0n, 'QEMU acknowledges the bit, and knows nothing of it');
  t.equal(add(front, foreign), 0n);
  for (const { session, device, given } of [without, front]) {
    session.close();
    t.same([...device.released].sort(), [...given].sort());
  }
});

t.test('the log of written pages changes while no ring runs', async (t) => {
  const front = new Front().more(LOG).memory().ring(0).enable(0);
  t.equal(
    decodeReply('SET_LOG_BASE', front.send('SET_LOG_BASE', { size: 4096n, offset: 8192n }, [handle('log')])!).value,
    0n,
  );
  t.same(front.device.calls.slice(-3), ['stop 0', 'log 8192 4096', 'start 0']);
  front.send('SET_LOG_FD', {}, [handle('log event')]);
  t.throws(() => front.send('SET_LOG_BASE', { size: 0n, offset: 0n }, [handle('log')]), ProtocolError);
  t.throws(() => front.send('SET_LOG_BASE', { size: 1n << 40n, offset: 0n }, [handle('log')]), ProtocolError);
});

t.test('status 0 resets a device that runs; of one whose rings stopped the next start tells', async (t) => {
  const front = new Front().more(STATUS).memory().ring(0).enable(0);
  const resets = () => front.device.calls.filter((call) => call === 'reset').length;
  front.send('SET_STATUS', { value: 15n });
  t.equal(front.ask('GET_STATUS', {}).value, 15n);
  front.device.running.get(0)!.error();
  t.equal(front.ask('GET_STATUS', {}).value, 79n, 'a ring that its driver broke asks for a reset');
  front.ask('GET_VRING_BASE', { index: 0, num: 0 });
  front.send('SET_STATUS', { value: 0n });
  t.equal(resets(), 0, 'as QEMU stops a device for a while');
  front.ring(0, 3).enable(0);
  t.equal(front.ask('GET_STATUS', {}).value, 0n);
  front.send('SET_STATUS', { value: 0n });
  t.equal(resets(), 1);
  t.equal(front.session.ringState(0), 'stopped-disabled');
});
