// Clauses of the vhost-user document that bind a back-end, checked by messages: each on a connection of its own, greeted.
import { VHOST_USER_PROTOCOL_F } from '../../lib/layout/vhost-user.js';
import { hasFeature } from '../../lib/layout/virtio-ring.js';
import { encodeRequest } from '../../lib/vhost-user/messages.js';
import type { MemoryRegionBody } from '../../lib/vhost-user/payloads.js';
import { all, fail, PASS, same, skip, type Verdict } from '../outcome.js';
import { AT, RAM_BYTES, RING_SIZE, type ServerEnd } from '../server-end.js';

type Check = (end: ServerEnd) => Promise<Verdict>;
const EMPTY = new Uint8Array(0);

/** A message that must not be taken: refused, or the connection ends; in both cases others are served. */
async function refused(end: ServerEnd, tell: () => Promise<bigint>): Promise<Verdict> {
  const status = await tell().catch(() => 1n);
  return status === 0n && !end.ended ? fail('it was acknowledged') : PASS;
}

export const VHOST_USER_CHECKS: Readonly<Record<string, Check>> = {
  'VU-FEATURES': async (end) => {
    const { value } = await end.ask('GET_FEATURES', {});
    return all(same((value >> 30n) & 1n, 1n, 'bit 30'), same((value >> 32n) & 1n, 1n, 'VERSION_1'));
  },
  'VU-FEATURES-UNOFFERED': (end) => refused(end, () => end.tell('SET_FEATURES', { value: end.offered | (1n << 60n) })),
  'VU-PROTOCOL-UNOFFERED': (end) => refused(end, () => end.tell('SET_PROTOCOL_FEATURES', { value: 1n << 22n })),
  'VU-PROTOCOL-UNSTABLE': async (end) => {
    const { value } = await end.ask('GET_PROTOCOL_FEATURES', {});
    return same((value >> 20n) & 0xfn, 0n, 'bits 20 to 23');
  },
  'VU-QUEUE-NUM': async (end) => {
    const { value } = await end.ask('GET_PROTOCOL_FEATURES', {});
    if ((value & 1n) === 0n) return skip('no MQ');
    await end.tell('SET_PROTOCOL_FEATURES', { value: end.protocol | 1n });
    end.protocol |= 1n;
    return same((await end.ask('GET_QUEUE_NUM', {})).value, 2n);
  },
  'VU-REPLY-ACK': async (end) => {
    if (!end.has('REPLY_ACK')) return skip('no REPLY_ACK');
    return same(await end.tell('SET_VRING_NUM', { index: 0, num: RING_SIZE }), 0n);
  },
  'VU-NACK': async (end) => {
    if (!end.has('REPLY_ACK')) return skip('no REPLY_ACK');
    const status = await end.tell('SET_VRING_NUM', { index: 9, num: RING_SIZE });
    return same(status !== 0n, true, 'ring 9 is refused');
  },
  'VU-UNKNOWN': async (end) => {
    const answer = end.raw({ request: 99, flags: 9, payload: EMPTY, handles: [] }, true);
    const got = await answer.catch(() => undefined);
    return got === undefined || end.ended ? PASS : same(got.payload[0] !== 0, true, 'request 99 is refused');
  },
  'VU-CONFIG': async (end) => {
    if (!end.has('CONFIG')) return skip('no CONFIG');
    const { data } = await end.ask('GET_CONFIG', { offset: 0, size: 16, flags: 0, data: new Uint8Array(16) });
    return same(data?.length, 16);
  },
  'VU-CONFIG-OUTSIDE': async (end) => {
    if (!end.has('CONFIG')) return skip('no CONFIG');
    const { data } = await end.ask('GET_CONFIG', { offset: 0, size: 200, flags: 0, data: new Uint8Array(200) });
    return same(data, undefined, 'no bytes');
  },
  'VU-NO-KICK-NEEDED': async (end) => {
    await end.start();
    const { ring } = end;
    await end.ask('GET_VRING_BASE', { index: 0, num: 0 });
    ring.add(end.segments(Uint8Array.of(0, 1, ...new Uint8Array(22))));
    await end.resume(0, false);
    for (let looks = 0; looks < 10; looks++) {
      if (ring.collect().length > 0) return PASS;
      await end.stirred();
    }
    return fail('a ring that starts is looked at only when it is kicked');
  },
  'VU-STOPPED': async (end) => {
    await end.start();
    await end.ask('GET_VRING_BASE', { index: 0, num: 0 });
    end.ring.add(end.segments(new Uint8Array(24)));
    return same(await end.kicked(), 'silence', 'a stopped ring');
  },
  'VU-DISABLED': async (end) => {
    await end.start();
    await end.tell('SET_VRING_ENABLE', { index: 0, num: 0 });
    end.ring.add(end.segments(new Uint8Array(24)));
    return same(await end.kicked(), 'silence', 'a disabled ring');
  },
  'VU-CALL-LATE': async (end) => {
    await end.start();
    const before = end.calls;
    await end.call();
    for (let looks = 0; looks < 10 && end.calls === before; looks++) await end.stirred();
    return same(end.calls > before, true, 'a call that replaces another is signalled');
  },
  'VU-FEATURES-RUNNING': async (end) => {
    await end.start();
    await end.tell('SET_FEATURES', { value: end.features(false) });
    const { name } = await end.command('RESOURCE_UNREF', { resource_id: 9 });
    return same(name, 'ERR_INVALID_RESOURCE_ID', 'rings go on');
  },
  'VU-RESET': async (end) => {
    if (!end.has('RESET_DEVICE')) return skip('no RESET_DEVICE');
    await end.start();
    await end.tell('RESET_DEVICE', {});
    await end.startRing();
    return same((await end.command('RESOURCE_UNREF', { resource_id: 9 })).name, 'ERR_INVALID_RESOURCE_ID');
  },
  'VU-POLL': async (end) => {
    await end.start();
    await end.ask('GET_VRING_BASE', { index: 0, num: 0 });
    const status = await end.tell('SET_VRING_KICK', { index: 0, polled: true }).catch(() => 1n);
    return same([status, end.ended], [0n, false], 'a kick without a descriptor');
  },
  'VU-MEMORY-OVERLAP': async (end) => {
    if (!end.has('CONFIGURE_MEM_SLOTS')) return skip('no CONFIGURE_MEM_SLOTS');
    await end.start();
    return refused(end, () => end.moreMemory());
  },
  'VU-XEN-MMAP': async (end) => {
    const { value } = await end.ask('GET_PROTOCOL_FEATURES', {});
    if (!hasFeature(value, VHOST_USER_PROTOCOL_F.XEN_MMAP)) return skip('no XEN_MMAP');
    await end.tell('SET_PROTOCOL_FEATURES', { value: end.protocol | (1n << BigInt(VHOST_USER_PROTOCOL_F.XEN_MMAP)) });
    await end.tell('SET_FEATURES', { value: end.features(false) });
    const foreign = (from: number, to: number, mmapOffset = 0n) => {
      const guestAddr = BigInt(from);
      const xen = { kind: 'foreign', domid: 1 } as const;
      return { guestAddr, size: BigInt(to - from), userAddr: guestAddr, mmapOffset, xen };
    };
    const add = (region: MemoryRegionBody) =>
      end.tell('ADD_MEM_REG', { region }, [end.ram]).catch(() => 'ended' as const);
    const offset = await add(foreign(0, AT.request, 4096n));
    // The rings in one region, commands and answers in another, each with a descriptor of its own.
    const added = [await add(foreign(0, AT.request)), await add(foreign(AT.request, RAM_BYTES))];
    await end.startRing();
    const { name } = await end.command('RESOURCE_UNREF', { resource_id: 9 });
    return all(
      same(offset === 0n, false, 'an offset into the memory of a domain is refused'),
      same(added, [0n, 0n], 'two regions'),
      same(name, 'ERR_INVALID_RESOURCE_ID'),
    );
  },
  'VU-HANDLES': (end) => refused(end, () => end.tell('SET_VRING_KICK', { index: 0, polled: false }, [])),
  'VU-VERSION': async (end) => {
    const message = encodeRequest('GET_FEATURES', {});
    const got = await end.raw({ ...message, flags: 3, handles: [] }, true).catch(() => undefined);
    return same(got, undefined, 'a message of another version is not answered');
  },
};
