import t, { type Test } from 'tap';
import type { Peer } from '../../../../lib/core/bus.js';
import { ErrnoError } from '../../../../lib/core/errors.js';
import { NO_LOG } from '../../../../lib/core/log.js';
import { RegionMemory } from '../../../../lib/core/memory.js';
import type { Doorbell } from '../../../../lib/core/notify.js';
import { NO_PROBE } from '../../../../lib/core/probe.js';
import type { FileHandle, VhostUserHandle, VhostUserMessage } from '../../../../lib/core/proto-types.js';
import type { SharedFiles } from '../../../../lib/core/shared.js';
import { VHOST_USER_BACKEND_REQUEST, VHOST_USER_REQUEST } from '../../../../lib/layout/vhost-user.js';
import { BusSession } from '../../../../services/vhost-gpu/bus-session.js';
import { pictureOf } from '../../../../services/vhost-gpu/pixels.js';
import { bellHandles, busChannel, fileHandle } from '../../../../testkit/bus-channel.js';
import { GpuFrontEnd } from '../../../../testkit/gpu-front-end.js';
import { testUuids } from '../../../../testkit/gpu-tester.js';

const RAM = 1 << 20;
const FILE: FileHandle = { path: 'shm/dom1.ram', size: RAM, offset: 0 };

/** Everything a session needs of its process, in memory, counting what is open. */
class Host {
  readonly ram = new Uint8Array(RAM);
  readonly bits = new Map<number, () => void>();
  readonly events: Partial<VhostUserMessage>[] = [];
  readonly deferred: (() => void)[] = [];
  readonly closed: string[] = [];
  mapped = 0;
  notifiers = 0;
  #nextBit = 7;

  readonly doorbell: Doorbell = {
    bind: (onRing, count = 1) => {
      const first = this.#nextBit;
      this.#nextBit += count;
      for (let index = 0; index < count; index++) this.bits.set(first + index, () => onRing(index));
      return {
        handle: { bell: 'server', bit: first },
        release: () => {
          for (let index = 0; index < count; index++) this.bits.delete(first + index);
        },
      };
    },
    open: ({ bell, bit }) => {
      if (bell !== 'front') throw new ErrnoError('ENOENT', `no doorbell ${bell}`);
      this.notifiers++;
      return {
        signal: () => this.bits.get(1000 + bit)?.(),
        insist: () => {},
        close: () => {
          this.notifiers--;
        },
      };
    },
  };

  readonly shared: SharedFiles = {
    create: () => {
      throw new Error('nothing is created here');
    },
    createSparse: () => {
      throw new Error('nothing is created here');
    },
    back: () => {
      throw new Error('nothing is created here');
    },
    map: (handle, { offset, size } = { offset: 0, size: handle.size }) => {
      if (handle.path !== FILE.path) throw new ErrnoError('ENOENT', `cannot open ${handle.path}`);
      this.mapped++;
      return {
        bytes: this.ram.subarray(offset, offset + size),
        close: () => {
          this.mapped--;
        },
      };
    },
  };

  session(): BusSession {
    const peer: Peer = {
      name: 'front',
      domid: 0,
      incarnation: 1,
      pid: 1,
      emit: (_service, _method, body) => void this.events.push(body as Partial<VhostUserMessage>),
      drop: () => {},
      onClose: () => {},
    };
    return new BusSession(
      {
        session: 3,
        name: '1/0',
        peer,
        queueCount: 2,
        doorbell: this.doorbell,
        shared: this.shared,
        log: NO_LOG,
        probe: NO_PROBE,
        clock: { nowNs: () => 5n, after: () => ({ cancel: () => {} }) },
        makeUuid: testUuids(),
        defer: (action) => this.deferred.push(action),
        displays: [{ width: 640, height: 480 }],
      },
      (reason) => this.closed.push(reason),
    );
  }

  run(): void {
    for (let action = this.deferred.shift(); action !== undefined; action = this.deferred.shift()) action();
  }

  async frontEnd(session: BusSession): Promise<GpuFrontEnd<VhostUserHandle>> {
    const { firstKick } = session;
    const front: GpuFrontEnd<VhostUserHandle> = new GpuFrontEnd({
      memory: new RegionMemory([{ base: 0, bytes: this.ram }]),
      file: { handle: fileHandle(FILE), size: FILE.size },
      channel: busChannel(async (message) => session.message({ session: 3, ...message })),
      kicks: bellHandles(firstKick),
      calls: bellHandles({ bell: 'front', bit: 0 }),
      kick: (index) => {
        this.bits.get(firstKick.bit + index)?.();
        this.run();
      },
    });
    for (const index of [0, 1]) this.bits.set(1000 + index, () => front.onCall(index));
    await front.connect();
    return front;
  }
}

async function drawing(_t: Test) {
  const host = new Host();
  const session = host.session();
  const front = await host.frontEnd(session);
  await front.start();
  host.run();
  const pixels = Uint8Array.from({ length: 8 * 4 * 4 }, (_, index) => index);
  await front.draw(1, 8, 4, pixels);
  return { host, session, front, pixels };
}

t.test('a front-end brings up the device, and its driver draws', async (t) => {
  const { session, pixels, host } = await drawing(t);
  const picture = pictureOf(session.device.scanouts.get(0)!)!;
  t.match(picture, { width: 8, height: 4 });
  const [b, g, r] = pixels;
  t.same([...picture.rgba.subarray(0, 4)], [r, g, b, 255]);
  t.equal(host.mapped, 1);
  t.same(session.held(), [
    { kind: 'session', name: '1/0' },
    { kind: 'mapping', name: '1/0' },
    { kind: 'resource', name: '1/0 1' },
  ]);
});

t.test('a queue that is reset by itself starts anew, and the picture stays', async (t) => {
  const { host, session, front } = await drawing(t);
  await front.frontend.stopRing(0);
  const [ring] = front.rings;
  ring!.clear();
  const { layout } = ring!;
  const [desc, avail, used] = [layout.desc, layout.avail, layout.used].map(BigInt) as [bigint, bigint, bigint];
  const [kick, call] = [bellHandles(session.firstKick)[0]!, bellHandles({ bell: 'front', bit: 0 })[0]!];
  await front.frontend.startRing({ index: 0, size: layout.size, desc, avail, used, base: 0, kick, call });
  host.run();
  t.equal(session.device.resources.count, 1, 'though the ring begins at 0, unused');
  const again = await front.send('RESOURCE_FLUSH', { resource_id: 1, r: { x: 0, y: 0, width: 8, height: 4 } });
  t.equal(again.name, 'OK_NODATA');
});

t.test('a device that is stopped goes on with what its driver made', async (t) => {
  const { host, session, front } = await drawing(t);
  await front.frontend.stop();
  t.equal(host.notifiers, 0);
  t.equal(host.mapped, 1, 'the memory stays until it is replaced');
  await front.start();
  host.run();
  t.equal(session.device.resources.count, 1);
  const again = await front.send('RESOURCE_FLUSH', { resource_id: 1, r: { x: 0, y: 0, width: 8, height: 4 } });
  t.equal(again.name, 'OK_NODATA');
  t.equal(session.device.scanouts.get(0)?.flushCount, 2);
});

t.test('a reset takes the resources; the next start begins anew on the same memory', async (t) => {
  const { host, session, front, pixels } = await drawing(t);
  await front.frontend.reset();
  t.equal(session.device.resources.count, 0);
  t.equal(host.notifiers, 0, 'calls of stopped rings are given back');
  await front.start();
  host.run();
  await front.draw(1, 8, 4, pixels);
  t.equal(host.mapped, 1);
});

t.test('rings that begin at 0 and unused after they ran are those of another driver', async (t) => {
  const { host, session, front, pixels } = await drawing(t);
  await front.frontend.stop();
  for (const ring of front.rings) ring.clear();
  await front.start();
  host.run();
  t.equal(session.device.resources.count, 0);
  await front.draw(1, 8, 4, pixels);
});

t.test('closing gives back memory, kicks, calls and resources, whatever ran', async (t) => {
  const { host, session } = await drawing(t);
  session.close('the test');
  session.close('the test');
  t.same([host.mapped, host.notifiers, session.device.resources.count], [0, 0, 0]);
  t.same(host.closed, ['the test'], 'said once');
  t.notOk(host.bits.has(session.firstKick.bit));
  t.throws(() => session.message({ session: 3, request: 1, flags: 1, payload: new Uint8Array(), handles: [] }));
});

t.test('a broken ring is told to the front-end, and the session goes on', async (t) => {
  const { host, front, session } = await drawing(t);
  front.rings[0]!.publish(99);
  host.bits.get(session.firstKick.bit)!();
  t.equal(host.events.length, 1);
  t.match(host.events[0], { session: 3, request: VHOST_USER_BACKEND_REQUEST.VHOST_USER_BACKEND_VRING_ERR });
  await front.frontend.stop();
  t.equal(host.notifiers, 0);
});

t.test('what a front-end names wrongly is refused and leaves nothing open', async (t) => {
  const host = new Host();
  const session = host.session();
  const front = await host.frontEnd(session);
  const exchange = (request: number, payload: number[], handles: VhostUserHandle[]) =>
    session.message({
      session: 3,
      request,
      flags: 9,
      payload: new Uint8Array(new BigUint64Array(payload.map(BigInt)).buffer),
      handles,
    });
  const add = (guest: number, size: number, offset: number, handle: object) =>
    exchange(VHOST_USER_REQUEST.VHOST_USER_ADD_MEM_REG, [0, guest, size, guest, offset], [handle as VhostUserHandle]);
  const refused = (reply: Partial<VhostUserMessage>) => t.equal(new DataView(reply.payload!.buffer).getUint8(0), 1);
  refused(add(0, RAM, 0, { file: { ...FILE, path: 'shm/other' } }));
  refused(add(0, RAM, 4096, { file: FILE }));
  refused(add(0, RAM, 0, { file: { ...FILE, size: 4096 } }));
  refused(add(0, RAM, 0, {}));
  refused(add(2 ** 60, RAM, 0, { file: FILE }));
  t.equal(host.mapped, 0);
  await front.start();
  t.equal(host.mapped, 1);
  const { bit } = session.firstKick;
  for (const bell of [
    { bell: 'server', bit: bit - 1 },
    { bell: 'server', bit: bit + 2 },
    { bell: 'other', bit },
  ]) {
    refused(exchange(VHOST_USER_REQUEST.VHOST_USER_SET_VRING_KICK, [0], [{ bell } as VhostUserHandle]));
  }
  session.close('the test');
  t.same([host.mapped, host.notifiers], [0, 0]);
});

t.test('a resize is told to the front-end', async (t) => {
  const { host, session } = await drawing(t);
  session.resize(0, { width: 640, height: 480 });
  t.same(host.events, [], 'no news');
  session.resize(0, { width: 100, height: 100 });
  t.match(host.events, [{ session: 3, request: VHOST_USER_BACKEND_REQUEST.VHOST_USER_BACKEND_CONFIG_CHANGE_MSG }]);
});
