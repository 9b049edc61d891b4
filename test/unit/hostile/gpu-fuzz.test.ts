// What peers of the GPU server may send, fuzzed: no input ends in anything but the typed error of its parser, touches a byte
// outside guest memory, or takes more than its bound. How many inputs: testkit/fuzz-test.ts.
import t from 'tap';
import { GRANT_DMA_BASE } from '../../../lib/core/dma-address.js';
import { ErrnoError, ProtocolError } from '../../../lib/core/errors.js';
import { NO_LOG } from '../../../lib/core/log.js';
import { GuestMemoryError, RegionMemory } from '../../../lib/core/memory.js';
import { NO_PROBE } from '../../../lib/core/probe.js';
import type { Mapping } from '../../../lib/core/shared.js';
import { GRANT_ENTRY_V1, GTF_permit_access } from '../../../lib/layout/grant-table.js';
import { VHOST_USER_PROTOCOL_F } from '../../../lib/layout/vhost-user.js';
import { featureBits, VIRTQ_PACKED_BASE_FRESH } from '../../../lib/layout/virtio-ring.js';
import { BackendSession } from '../../../lib/vhost-user/backend-session.js';
import { GpuViewer } from '../../../lib/vhost-user/gpu-viewer.js';
import { type BodyOf, encodeRequest, type RequestType } from '../../../lib/vhost-user/messages.js';
import { VirtqError } from '../../../lib/virtio/chain.js';
import { encodeCommand, type GpuCommandName, type GpuFields } from '../../../lib/virtio/gpu-codec.js';
import { type BackendTransport, GpuBackend } from '../../../services/vhost-gpu/backend.js';
import { GPU_FEATURES, GpuDevice } from '../../../services/vhost-gpu/device.js';
import { DisplayLink } from '../../../services/vhost-gpu/display-link.js';
import { fuzzTest } from '../../../testkit/fuzz-test.js';
import { type FuzzTarget, fuzz } from '../../../testkit/fuzzer.js';
import { SPLIT_FEATURES, testUuids } from '../../../testkit/gpu-tester.js';
import { PackedDriver } from '../../../testkit/packed-driver.js';
import { RingDriver } from '../../../testkit/ring-driver.js';

const CLOCK = { nowNs: () => 1n, after: () => ({ cancel: () => {} }) };
const HOST_BYTES_MAX = 1 << 20;
/** Turns of the event loop that one input may take: each serves many commands, and an input has few. */
const TURNS_MAX = 200;

function gpuDevice() {
  const deferred: (() => void)[] = [];
  const device = new GpuDevice({
    ...{ name: 'fuzzed', log: NO_LOG, probe: NO_PROBE, clock: CLOCK, hostBytesMax: HOST_BYTES_MAX },
    defer: (action) => deferred.push(action),
    makeUuid: testUuids(),
    displays: [{ width: 64, height: 64 }],
  });
  const rest = (): void => {
    for (let turns = 0; deferred.length > 0; turns++) {
      if (turns > TURNS_MAX) throw new Error('it never comes to rest');
      deferred.shift()!();
    }
    if (device.resources.hostBytes > HOST_BYTES_MAX) throw new Error(`${device.resources.hostBytes} bytes held`);
  };
  return { device, rest };
}

const IMAGE_BYTES = 2048;
const RAM_BYTES = 1 << 16;
const GUARD = 0x5c;

/** The guest's memory is the input: rings, chains and commands as a driver lays them, then changed anywhere. */
function ringTarget(): FuzzTarget {
  const backing = new Uint8Array(RAM_BYTES + 8192).fill(GUARD);
  const ram = backing.subarray(4096, 4096 + RAM_BYTES);
  const memory = new RegionMemory([{ base: 0, bytes: ram }]);
  const place = { control: { size: 8, at: 0 }, cursor: { size: 4, at: 0x180 } };
  const image = (commands: readonly Uint8Array[], cursors: readonly Uint8Array[]): Uint8Array => {
    ram.fill(0);
    let at = 0x240;
    for (const [ring, list] of [
      [new RingDriver(memory, place.control), commands],
      [new RingDriver(memory, place.cursor), cursors],
    ] as const)
      for (const bytes of list) {
        memory.write(at, bytes);
        ring.add([
          { addr: at, len: bytes.length },
          { addr: 0x7000, len: 1056, write: true },
        ]);
        at += (bytes.length + 15) & ~15;
      }
    return ram.slice(0, IMAGE_BYTES);
  };
  const command = <N extends GpuCommandName>(name: N, fields: GpuFields<N>): Uint8Array => encodeCommand(name, fields);
  const r = { x: 0, y: 0, width: 16, height: 16 };
  const entries = [
    { addr: 0x8000, length: 600 },
    { addr: 0x9000, length: 424 },
  ];
  const id = { resource_id: 1 };
  const seeds = [
    image(
      [
        command('RESOURCE_CREATE_2D', { ...id, format: 2, width: 16, height: 16 }),
        command('RESOURCE_ATTACH_BACKING', { ...id, nr_entries: 2, entries }),
        command('TRANSFER_TO_HOST_2D', { ...id, r, offset: 0n }),
        command('SET_SCANOUT', { ...id, scanout_id: 0, r }),
      ],
      [command('MOVE_CURSOR', { ...id, pos: { scanout_id: 0, x: 1, y: 1 }, hot_x: 0, hot_y: 0 })],
    ),
    image(
      [
        command('GET_DISPLAY_INFO', {}),
        command('GET_EDID', { scanout: 0 }),
        command('RESOURCE_FLUSH', { ...id, r }),
        command('RESOURCE_DETACH_BACKING', id),
      ],
      [],
    ),
    image(
      [
        command('RESOURCE_CREATE_BLOB', {
          ...{ ...id, blob_mem: 1, blob_flags: 2, blob_id: 0n, size: 1024n, nr_entries: 2, entries },
        }),
        command('SET_SCANOUT_BLOB', {
          ...{ ...id, r, scanout_id: 0, width: 16, height: 16, format: 2 },
          ...{ strides: [64, 0, 0, 0], offsets: [0, 0, 0, 0] },
        }),
        command('RESOURCE_FLUSH', { ...id, r }),
        command('RESOURCE_ASSIGN_UUID', id),
      ],
      [],
    ),
  ];
  return {
    name: 'rings and commands',
    files: /lib\/virtio\/|services\/vhost-gpu\//,
    seeds,
    bytesMax: IMAGE_BYTES,
    run(input) {
      ram.fill(0);
      ram.set(input);
      const { device, rest } = gpuDevice();
      device.setFeatures(SPLIT_FEATURES);
      device.setMemory(memory);
      for (const [index, { size, at }] of [place.control, place.cursor].entries()) {
        const avail = at + 16 * size;
        const used = (avail + 6 + 2 * size + 3) & ~3;
        device.startQueue(index, { size, desc: at, avail, used, base: 0 }, { call: () => {}, error: () => {} });
      }
      rest();
      // Once more: whatever state that left.
      for (const index of [0, 1]) device.kick(index);
      rest();
      for (const index of [0, 1]) device.stopQueue(index);
      device.reset();
      if (device.resources.count > 0 || device.resources.entriesHeld > 0) throw new Error('held after the reset');
      if (backing.subarray(0, 4096).some((byte) => byte !== GUARD)) throw new Error('written before guest memory');
      if (backing.subarray(4096 + RAM_BYTES).some((byte) => byte !== GUARD)) throw new Error('written after it');
    },
  };
}

/** The same of a packed ring: its slots, events and commands are the input. */
function packedTarget(): FuzzTarget {
  const ram = new Uint8Array(RAM_BYTES);
  const memory = new RegionMemory([{ base: 0, bytes: ram }]);
  const place = { size: 8, at: 0 };
  const image = (commands: readonly Uint8Array[], indirect: boolean): Uint8Array => {
    ram.fill(0);
    const driver = new PackedDriver(memory, place);
    let at = 0x240;
    for (const bytes of commands) {
      memory.write(at, bytes);
      const segments = [
        { addr: at, len: bytes.length },
        { addr: 0x7000, len: 1056, write: true },
      ];
      driver.add(segments, indirect ? { indirectAt: at + 128 } : {});
      at += indirect ? 192 : 128;
    }
    return ram.slice(0, IMAGE_BYTES);
  };
  const r = { x: 0, y: 0, width: 16, height: 16 };
  const commands = [
    encodeCommand('RESOURCE_CREATE_2D', { resource_id: 1, format: 2, width: 16, height: 16 }),
    encodeCommand('SET_SCANOUT', { resource_id: 1, scanout_id: 0, r }),
    encodeCommand('GET_DISPLAY_INFO', {}),
  ];
  return {
    name: 'packed rings',
    files: /lib\/virtio\/|services\/vhost-gpu\//,
    seeds: [image(commands, false), image(commands, true)],
    bytesMax: IMAGE_BYTES,
    run(input) {
      ram.fill(0);
      ram.set(input);
      const { device, rest } = gpuDevice();
      device.setFeatures(GPU_FEATURES);
      device.setMemory(memory);
      const { size, at: desc } = place;
      const avail = desc + size * 16;
      const layout = { size, desc, avail, used: avail + 4, base: VIRTQ_PACKED_BASE_FRESH };
      device.startQueue(0, layout, { call: () => {}, error: () => {} });
      rest();
      device.kick(0);
      rest();
      device.stopQueue(0);
      device.reset();
      if (device.resources.count > 0) throw new Error('held after the reset');
    },
  };
}

interface Handle {
  released: boolean;
}

/** A guest whose first references are granted, each its page: rings at 0 lie in one of them. */
const GRANT_PAGES = 16;
const GRANT_TABLE = new Uint8Array(4096);
for (let ref = 0; ref < GRANT_PAGES; ref++)
  GRANT_ENTRY_V1.encode({ flags: GTF_permit_access, domid: 0, frame: ref }, GRANT_TABLE, ref * GRANT_ENTRY_V1.size);
const XEN = { features: 0n, protocolFeatures: featureBits(VHOST_USER_PROTOCOL_F.XEN_MMAP) };

/** A connection's messages: request, flags, handles, length, payload, and so on. */
function messageTarget(): FuzzTarget {
  const script = (...messages: [RequestType, object, number?][]): Uint8Array =>
    Uint8Array.from(
      messages.flatMap(([type, body, handles = 0]) => {
        const { request, flags, payload } = encodeRequest(type, body as BodyOf<RequestType>);
        return [request, flags | 8, handles, payload.length, ...payload];
      }),
    );
  const ring = (index: number): [RequestType, object, number?][] => [
    ['SET_VRING_CALL', { index, polled: false }, 1],
    ['SET_VRING_NUM', { index, num: 8 }],
    ['SET_VRING_BASE', { index, num: 0 }],
    ['SET_VRING_ADDR', { index, flags: 0, desc: 0n, used: 512n, avail: 256n, log: 0n }],
    ['SET_VRING_KICK', { index, polled: false }, 1],
    ['SET_VRING_ENABLE', { index, num: 1 }],
  ];
  const region = { guestAddr: 0n, size: 65536n, userAddr: 0n, mmapOffset: 0n };
  const granted = (first: number, count: number, more = {}) => {
    const guestAddr = GRANT_DMA_BASE + BigInt(first * 4096);
    const xen = { kind: 'grant', domid: 1, ...more } as const;
    return { guestAddr, size: BigInt(count * 4096), userAddr: BigInt(first * 4096), mmapOffset: 0n, xen };
  };
  const begin: [RequestType, object, number?][] = [
    ['GET_FEATURES', {}],
    ['GET_PROTOCOL_FEATURES', {}],
    [
      'SET_PROTOCOL_FEATURES',
      { value: (1n << 0n) | (1n << 3n) | (1n << 9n) | (1n << 13n) | (1n << 15n) | XEN.protocolFeatures },
    ],
    ['SET_OWNER', {}],
    ['SET_FEATURES', { value: SPLIT_FEATURES | (1n << 30n) }],
  ];
  return {
    name: 'vhost-user messages',
    files: /lib\/vhost-user\/|services\/vhost-gpu\/(backend|granted)|lib\/core\/grant-memory/,
    seeds: [
      script(...begin, ['ADD_MEM_REG', { region }, 1], ...ring(0), ...ring(1), [
        'GET_VRING_BASE',
        { index: 0, num: 0 },
      ]),
      script(...begin, ['SET_MEM_TABLE', { regions: [region] }, 1], ...ring(0), ['RESET_DEVICE', {}], ...ring(0)),
      script(...begin, ['ADD_MEM_REG', { region }, 1], ['REM_MEM_REG', { region }], ['GPU_SET_SOCKET', {}, 1]),
      script(
        ...begin,
        ['SET_MEM_TABLE', { regions: [granted(0, 1), granted(1, 8, { onDemand: true })] }, 2],
        ...ring(0),
        ['ADD_MEM_REG', { region: granted(12, 1) }, 1],
      ),
      script(...begin, ['GET_CONFIG', { offset: 0, size: 16, flags: 0, data: new Uint8Array(16) }]),
    ],
    bytesMax: 1024,
    run(input) {
      const { device, rest } = gpuDevice();
      const handles: Handle[] = [];
      let mapped = 0;
      const release = (handle: Handle): void => {
        if (handle.released) throw new Error('a handle was released twice');
        handle.released = true;
      };
      const map = (_handle: Handle, _offset: number, size: number): Mapping => {
        if (size > 1 << 17) throw new ErrnoError('ENOMEM');
        mapped++;
        return { bytes: new Uint8Array(size), close: () => void mapped-- };
      };
      const transport: BackendTransport<Handle> = {
        ...{ check: () => {}, checkMemory: () => {}, map, release },
        grants: (handle) => {
          const { bytes, close } = map(handle, 0, GRANT_PAGES * 4096);
          return { ram: new RegionMemory([{ base: 0, bytes }]), table: GRANT_TABLE, domid: 0, close };
        },
        notifier: () => ({ signal: () => {}, close: () => {} }),
        listen: () => ({ close: () => {} }),
        setBackendChannel: release,
        setDisplay: release,
        ringFailed: () => {},
      };
      const session = new BackendSession<Handle>(new GpuBackend(device, transport, CLOCK, XEN));
      for (let at = 0; at + 4 <= input.length; ) {
        const [request, flags, count, length] = input.subarray(at, at + 4) as unknown as [
          number,
          number,
          number,
          number,
        ];
        const payload = input.slice(at + 4, at + 4 + length);
        at += 4 + length;
        const own = Array.from({ length: count % 12 }, (): Handle => ({ released: false }));
        handles.push(...own);
        try {
          session.handle({ request, flags, payload, handles: own });
        } catch (error) {
          if (!(error instanceof ProtocolError || error instanceof ErrnoError)) throw error;
        }
        rest();
      }
      session.close();
      rest();
      if (mapped !== 0) throw new Error(`${mapped} mappings are left`);
      if (handles.some(({ released }) => !released)) throw new Error('a handle was never released');
    },
  };
}

const viewerMessage = (request: number, payload: readonly number[]): number[] => [
  ...[request, 0, 0, 0, 0, 0, 0, 0],
  ...[payload.length & 255, payload.length >> 8, 0, 0],
  ...payload,
];

/** A foreign GPU server's display messages, to our viewer. */
function viewerTarget(): FuzzTarget {
  const scanout = viewerMessage(7, [0, 0, 0, 0, 8, 0, 0, 0, 4, 0, 0, 0]);
  const update = viewerMessage(8, [
    ...[0, 0, 0, 0],
    ...[1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0],
    ...new Array(8).fill(7),
  ]);
  return {
    name: 'display messages to the viewer',
    files: /lib\/vhost-user\/gpu-viewer/,
    seeds: [Uint8Array.from([...viewerMessage(1, []), ...viewerMessage(3, []), ...scanout, ...update])],
    bytesMax: 512,
    run(input) {
      const viewer = new GpuViewer([{ width: 64, height: 64 }], { send: () => {}, onFrame: () => {} });
      try {
        viewer.receive(input);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
      }
    },
  };
}

/** A foreign viewer's answers, to our server; the first byte says which questions are open. */
function answersTarget(): FuzzTarget {
  const reply = (request: number, size: number): number[] => [
    ...[request, 0, 0, 0, 4, 0, 0, 0],
    ...[size & 255, size >> 8, 0, 0],
    ...new Array(size).fill(1),
  ];
  return {
    name: 'answers of the viewer',
    files: /services\/vhost-gpu\/display-link/,
    seeds: [
      Uint8Array.from([3, ...reply(1, 8), ...reply(3, 408)]),
      Uint8Array.from([5, ...reply(1, 8), ...reply(11, 1056), ...reply(3, 408)]),
    ],
    bytesMax: 4096,
    run(input) {
      let open = 0;
      let broken = false;
      const timers = new Set<() => void>();
      const expire = (): boolean => {
        const [first] = timers;
        if (first === undefined) return false;
        timers.delete(first);
        first();
        return true;
      };
      const link = new DisplayLink({
        send: () => true,
        probe: NO_PROBE,
        broken: () => {
          broken = true;
        },
        clock: {
          nowNs: () => 0n,
          after: (_ms, action) => {
            timers.add(action);
            return { cancel: () => void timers.delete(action) };
          },
        },
      });
      const hdr = { type: 0, flags: 0, fence_id: 0n, ctx_id: 0, ring_idx: 0 };
      const done = (): void => {
        open--;
      };
      link.start();
      const which = input[0] ?? 0;
      for (let bit = 0; bit < 8; bit++) {
        if ((which & (1 << bit)) === 0) continue;
        open++;
        if (bit % 2 === 0) link.ask({ name: 'GET_EDID', hdr, scanout: bit }, done);
        else link.ask({ name: 'GET_DISPLAY_INFO', hdr }, done);
      }
      const half = 1 + (input.length >> 1);
      link.receive(input.subarray(1, half));
      expire();
      link.receive(input.subarray(half));
      // Whatever came, each question ends, once.
      while (expire()) {}
      if (open !== 0 && !broken) throw new Error(`${open} questions are open`);
      link.close();
      if (open !== 0) throw new Error(`${open} questions are open after the end`);
    },
  };
}

for (const target of [ringTarget(), packedTarget(), messageTarget(), viewerTarget(), answersTarget()])
  fuzzTest(t, target);

t.test('the fuzzer finds what is wrong, and the same again from the same seed', (t) => {
  const broken: FuzzTarget = {
    name: 'broken',
    files: /gpu-fuzz\.test/,
    seeds: [Uint8Array.of(1, 2, 3, 4)],
    bytesMax: 16,
    run(input) {
      if (input[0] === 0xff) {
        if (input[1] === 0xff) throw new VirtqError('CHAIN_LENGTH', 'both');
      }
    },
  };
  const once = fuzz(broken, { inputs: 100_000, seed: 7 });
  t.ok(once.finding !== undefined, `${once.inputs} inputs`);
  t.same(fuzz(broken, { inputs: 100_000, seed: 7 }).finding?.input, once.finding?.input);
  t.ok(once.finding?.error instanceof VirtqError && !(once.finding.error instanceof GuestMemoryError));
  t.end();
});
