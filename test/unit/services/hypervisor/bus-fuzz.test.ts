// Every bus method of the hypervisor with any message that its request type can carry, from dom0 and from a guest, in any
// order: it answers or refuses with a named error. Anything else would end the host by a peer's doing. More of them:
// XENWIRE_FUZZ_RUNS=25000 is a million messages.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import t from 'tap';
import type { Peer } from '../../../../lib/core/bus.js';
import { ErrnoError, ProtocolError } from '../../../../lib/core/errors.js';
import { methodCodec } from '../../../../lib/node/bus/proto.js';
import { PACKAGE_ROOT } from '../../../../lib/node/process/package-root.js';
import { hypervisorHandlers } from '../../../../services/hypervisor/bus-handlers.js';
import type { Domain } from '../../../../services/hypervisor/domain/domain.js';
import { makeLab } from '../../../../testkit/host-lab.js';

const root = new protobuf.Root();
for (const file of readdirSync(join(PACKAGE_ROOT, 'proto')).filter((name) => name.endsWith('.proto')))
  protobuf.parse(readFileSync(join(PACKAGE_ROOT, 'proto', file), 'utf8'), root, { keepCase: true });
const METHODS = Object.values(root.lookupService('xenwire.Hypervisor').methods);

const RUNS = Number(process.env['XENWIRE_FUZZ_RUNS'] ?? 200);
const STEPS = 40;

/** Small numbers name things that exist, most of the time; edges do not. */
const u32 = fc.oneof(
  { weight: 9, arbitrary: fc.nat({ max: 6 }) },
  fc.nat({ max: 0xffffffff }),
  fc.constantFrom(0x7ff0, 0xffffffff),
);
const u64 = fc.oneof(u32, fc.maxSafeNat(), fc.constantFrom(0xf0000000, 2 ** 53, 2 ** 63));
const SCALARS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  uint32: u32,
  sint32: fc.oneof(fc.integer({ min: -2, max: 9 }), fc.integer()),
  uint64: u64,
  bool: fc.boolean(),
  string: fc.oneof(
    fc.constantFrom('', 'sandbox', 'direct.1', '{}', '{"port":1}', 'evtchn.send', 'token-1'),
    fc.string(),
  ),
  bytes: fc.uint8Array({ maxLength: 48 }),
};

/** Names of what is there: mostly that, sometimes another. */
const mostly = (...known: unknown[]): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...known) }, { weight: 1, arbitrary: u32 });
const BY_NAME: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  // A guest of a GiB would only show that this machine has one.
  memory_mib: fc.oneof(fc.nat({ max: 16 }), fc.constant(0xffffffff)),
  bell: fc.oneof({ weight: 6, arbitrary: fc.constant('sandbox') }, fc.string()),
  domid: mostly(1),
  dom: mostly(0x7ff0, 0, 1),
  remote_dom: mostly(0x7ff0, 0, 1),
  fd: mostly(3),
  server: mostly(0),
  id: mostly(0),
  addr_len: mostly(4),
  handle_bufioreq: mostly(0, 1, 2),
  start: mostly(0xf0000000, 0x1000),
  end: mostly(0xf0000fff, 0x1fff),
  flags: mostly(0, 1),
  pad: mostly(0),
};

function messageOf(typeName: string): fc.Arbitrary<Record<string, unknown>> {
  const type = root.lookupType(`xenwire.${typeName}`);
  const fields = Object.fromEntries(
    type.fieldsArray.map((field) => {
      const one = BY_NAME[field.name] ?? SCALARS[field.type] ?? messageOf(field.type);
      return [field.name, field.repeated ? fc.array(one, { maxLength: 5 }) : one];
    }),
  );
  return fc.record(fields);
}

const step = fc.oneof(
  ...METHODS.map((method) =>
    fc.record({ name: fc.constant(method.name), asGuest: fc.nat({ max: 3 }), request: messageOf(method.requestType) }),
  ),
);

const timeout = 30_000 + RUNS * 20;
t.setTimeout(timeout);

t.test('no message of a peer is a bug of ours', { timeout }, async (t) => {
  const answered = new Set<string>();
  let refused = 0;
  fc.assert(
    fc.property(fc.array(step, { minLength: STEPS, maxLength: STEPS }), (steps) => {
      const { host, kernel, domain, doorbell } = makeLab({ evtchnRaise: true });
      const guest: Domain = domain();
      doorbell.bind(() => {}, 8);
      const peers = [host.dom0, guest].map(
        ({ domid }): Peer => ({
          name: 'peer',
          domid,
          incarnation: 1,
          pid: 1,
          emit: () => {},
          drop: () => {},
          onClose: () => {},
        }),
      );
      const domainOf = (peer: Peer): Domain => (peer === peers[0] ? host.dom0 : guest);
      const handlers = hypervisorHandlers({ host, kernel, domainOf }) as unknown as Record<
        string,
        (request: object, peer: Peer) => object
      >;
      const [dom0] = peers;
      handlers['dev_evtchn_open']!({ readable: { bell: 'sandbox', bit: 0 } }, dom0!);
      handlers['dm_create_ioreq_server']!({ domid: guest.domid, handle_bufioreq: 1, pad: 0 }, dom0!);
      const frame = { domid: guest.domid, type: 0, id: 0, frame: 1, nr_frames: 1, pad: 0 };
      handlers['xenmem_acquire_resource']!(frame, dom0!);
      for (const { name, asGuest, request } of steps) {
        const codec = methodCodec(`Hypervisor.${name}`)!;
        try {
          const decoded = codec.request.decode(codec.request.encode(request));
          codec.reply.encode(handlers[name]!(decoded, peers[asGuest === 0 ? 1 : 0]!));
          answered.add(name);
        } catch (error) {
          if (!(error instanceof ErrnoError || error instanceof ProtocolError)) throw error;
          refused++;
        }
      }
      for (const peer of peers) {
        kernel.processEnded(peer);
        host.processEnded(peer);
      }
      kernel.close();
      host.close();
      if (host.domains.all().length !== 1) throw new Error('the end of the host leaves a domain');
    }),
    { numRuns: RUNS },
  );
  const never = METHODS.map(({ name }) => name).filter((name) => !answered.has(name));
  t.ok(never.length <= METHODS.length / 5, `never answered: ${never.join(' ')}; ${refused} refusals`);
  t.comment(`${RUNS * STEPS} messages, ${refused} refused; never answered: ${never.join(' ')}`);
});
