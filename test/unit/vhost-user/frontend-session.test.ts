import t from 'tap';
import type { Notifier } from '../../../lib/core/notify.js';
import { BackendSession } from '../../../lib/vhost-user/backend-session.js';
import type { RingSetup, VhostUserDevice } from '../../../lib/vhost-user/device.js';
import { type FrontendChannel, FrontendSession } from '../../../lib/vhost-user/frontend-session.js';
import type { MappedRegion } from '../../../lib/vhost-user/memory-map.js';
import { encodeAck, type RawMessage, REQUESTS, type RequestType } from '../../../lib/vhost-user/messages.js';

const FEATURES = (1n << 28n) | (1n << 32n);
const NAMES = new Map(Object.entries(REQUESTS).map(([name, { number }]) => [number as number, name as RequestType]));

class Device implements VhostUserDevice<string> {
  readonly features = FEATURES;
  readonly queueSizeMax = 1024;
  readonly memorySlotsMax = 8;
  readonly running = new Map<number, RingSetup<string>>();
  readonly config = Uint8Array.from({ length: 16 }, (_, i) => i);
  readonly signals: string[] = [];
  resets = 0;
  accepted = 0n;
  memory: readonly MappedRegion<string>[] = [];
  readonly queueCount: number;
  readonly protocolFeatures: bigint;
  constructor(queueCount: number, protocolFeatures: bigint) {
    this.queueCount = queueCount;
    this.protocolFeatures = protocolFeatures;
  }
  check(): void {}
  openNotifier(handle: string): Notifier {
    return { signal: () => this.signals.push(handle), close: () => {} };
  }
  setFeatures(features: bigint): void {
    this.accepted = features;
  }
  setMemory(regions: readonly MappedRegion<string>[]): void {
    this.memory = regions;
  }
  startRing(index: number, setup: RingSetup<string>): void {
    this.running.set(index, setup);
  }
  stopRing(index: number): number {
    this.running.delete(index);
    return 40 + index;
  }
  reset(): void {
    this.resets++;
  }
  readConfig(offset: number, size: number): Uint8Array | undefined {
    return offset + size <= this.config.length ? this.config.slice(offset, offset + size) : undefined;
  }
  writeConfig(offset: number, data: Uint8Array): void {
    this.config.set(data, offset);
  }
  setDisplay(): void {}
  setBackendChannel(): void {}
  release(): void {}
}

/** Both sessions back to back. */
function pair(options: { queueCount?: number; slots?: boolean; reset?: boolean } = {}) {
  const features = (options.slots ? 1n << 15n : 0n) | (options.reset ? 1n << 13n : 0n);
  const device = new Device(options.queueCount ?? 2, features);
  const backend = new BackendSession<string>(device);
  const sent: string[] = [];
  const channel: FrontendChannel<string> = {
    async exchange(message: RawMessage<string>, answered: boolean) {
      sent.push(NAMES.get(message.request)!);
      const answer = backend.handle(message);
      if ((answer !== undefined) !== answered) throw new Error(`${sent.at(-1)} answered: ${answer !== undefined}`);
      return answer;
    },
  };
  return { device, backend, sent, front: new FrontendSession<string>(channel) };
}

const start = {
  features: FEATURES,
  memory: [{ guestAddr: 0n, size: 0x10000n, mmapOffset: 0n, handle: 'ram' }],
  rings: [0, 1].map((index) => ({
    index,
    size: 64,
    desc: 0x1000n,
    avail: 0x2000n,
    used: 0x3000n,
    base: 0,
    kick: `kick ${index}`,
    call: 'call',
  })),
};

t.test('a device starts, stops and starts again in the order that back-ends take', async (t) => {
  const { device, sent, front } = pair();
  await front.connect(2);
  t.same(sent, ['GET_FEATURES', 'GET_PROTOCOL_FEATURES', 'SET_PROTOCOL_FEATURES', 'GET_QUEUE_NUM', 'SET_OWNER']);
  t.equal(front.features, FEATURES, 'bit 30 is not for guests');
  t.same(await front.getConfig(16), device.config);
  await front.setConfig(4, Uint8Array.of(9, 9, 9, 9));
  t.same((await front.getConfig(16)).slice(4, 8), Uint8Array.of(9, 9, 9, 9));
  sent.length = 0;
  await front.start(start);
  const ring = ['SET_VRING_CALL', 'SET_VRING_NUM', 'SET_VRING_BASE', 'SET_VRING_ADDR', 'SET_VRING_KICK'];
  const enable = ['SET_VRING_ENABLE', 'SET_VRING_ENABLE'];
  t.same(sent, ['SET_FEATURES', 'SET_MEM_TABLE', ...ring, ...ring, ...enable]);
  t.equal(device.accepted, FEATURES);
  t.match(device.running.get(1), {
    size: 64,
    desc: 0x1000n,
    avail: 0x2000n,
    used: 0x3000n,
    kick: 'kick 1',
  });
  t.same([...front.running], [0, 1]);
  t.equal(await front.stopRing(1), 41);
  await front.stop();
  t.equal(device.running.size, 0);
  t.equal(front.running.size, 0);
  await front.start(start);
  t.equal(device.running.size, 2);
});

t.test('a reset stops the rings and is told where the back-end knows of it', async (t) => {
  for (const reset of [true, false]) {
    const { device, sent, front } = pair({ reset });
    await front.connect(2);
    await front.start(start);
    sent.length = 0;
    await front.reset();
    t.equal(device.running.size, 0);
    t.equal(device.resets, reset ? 1 : 0);
    t.equal(sent.includes('RESET_DEVICE'), reset);
    await front.start(start);
    t.equal(device.running.size, 2);
  }
});

t.test('with memory slots, a region is told once', async (t) => {
  const { device, sent, front } = pair({ slots: true });
  await front.connect(2);
  await front.start(start);
  await front.stop();
  await front.start(start);
  t.equal(sent.filter((name) => name === 'ADD_MEM_REG').length, 1);
  t.notOk(sent.includes('SET_MEM_TABLE'));
  t.equal(device.running.size, 2);
});

t.test('a back-end with too few rings is refused', async (t) => {
  await t.rejects(pair({ queueCount: 1 }).front.connect(2), { code: 'rings' });
});

t.test('what the back-end refuses rejects, and what runs by then can be stopped', async (t) => {
  const { device, front } = pair();
  await front.connect(2);
  const away = { ...start, rings: [start.rings[0]!, { ...start.rings[1]!, used: 0x90000n }] };
  await t.rejects(front.start(away), { code: 'refused' });
  t.same([...device.running.keys()], [0]);
  await front.stop();
  t.equal(device.running.size, 0);
});

t.test('a config space of another size is refused', async (t) => {
  const { front } = pair();
  await front.connect(2);
  await t.rejects(front.getConfig(20), { code: 'config' });
});

t.test('a back-end without protocol features still works', async (t) => {
  const sent: string[] = [];
  const front = new FrontendSession<string>({
    async exchange(message, answered) {
      const name = NAMES.get(message.request)!;
      sent.push(name);
      if (!answered) return undefined;
      return { ...encodeAck(name, FEATURES), request: message.request };
    },
  });
  await front.connect(1);
  await front.start({ ...start, rings: [start.rings[0]!] });
  t.notOk(sent.includes('SET_VRING_ENABLE'), 'rings are enabled from the start');
  t.equal(sent.at(-1), 'SET_VRING_KICK');
  await t.rejects(front.getConfig(16), { code: 'EOPNOTSUPP' });
});
