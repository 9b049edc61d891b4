// Granted pages of a domain for a front-end on a socket: what is asked of the hypervisor before a message is handled, what
// becomes of a refusal, and that everything is given back.
import t, { type Test } from 'tap';
import { GRANT_DMA_BASE } from '../../../../lib/core/dma-address.js';
import { ErrnoError, PeerDiedError, ProtocolError } from '../../../../lib/core/errors.js';
import type { BusClient } from '../../../../lib/core/service.js';
import type { SharedFiles } from '../../../../lib/core/shared.js';
import { GNTST } from '../../../../lib/layout/grant-table.js';
import { OwnedFd } from '../../../../lib/node/files/owned-fd.js';
import { encodeRequest } from '../../../../lib/vhost-user/messages.js';
import type { MemoryRegionBody, XenMapping } from '../../../../lib/vhost-user/payloads.js';
import { grantRangesOf } from '../../../../services/vhost-gpu/granted-regions.js';
import { DomainGrants } from '../../../../services/vhost-gpu/node/domain-grants.js';

const PAGE = 4096;
const DOMID = 3;

const region = (first: number, count: number, more: Partial<XenMapping> = {}): MemoryRegionBody => ({
  guestAddr: GRANT_DMA_BASE + BigInt(first * PAGE),
  size: BigInt(count * PAGE),
  userAddr: BigInt(first * PAGE),
  mmapOffset: 0n,
  xen: { kind: 'grant', domid: DOMID, ...more },
});

/** A hypervisor with one domain, whose references from 8 to 15 are granted. */
function host({ refuse }: { refuse?: Error } = {}) {
  const calls: string[] = [];
  let mapped = 0;
  const remote = {
    gntdev_open: async ({ domid }: { domid: number }) => {
      calls.push(`open ${domid}`);
      if (domid !== DOMID) throw new ErrnoError('ESRCH', `no domain ${domid}`);
      return { ram: { path: 'ram', size: 16 * PAGE, offset: 0 }, table: { path: 'table', size: PAGE, offset: 0 } };
    },
    gntdev_close: async ({ domid }: { domid: number }) => void calls.push(`close ${domid}`),
    gntdev_map: async ({ refs }: { refs: number[] }) => {
      calls.push(`map ${refs.join()}`);
      return {
        mapped: refs.map((ref) => ({
          status: ref >= 8 && ref < 16 ? GNTST.okay : GNTST.general_error,
          handle: 100 + ref,
        })),
      };
    },
    gntdev_unmap: async ({ handles }: { handles: number[] }) => void calls.push(`unmap ${handles.join()}`),
  };
  const grants = new DomainGrants({
    connect: async () => {
      if (refuse !== undefined) throw refuse;
      return { remote: () => remote } as unknown as BusClient;
    },
    shared: {
      map: (_: unknown, part = { offset: 0, size: PAGE }) => {
        mapped++;
        return { bytes: new Uint8Array(part.size), close: () => void mapped-- };
      },
    } as unknown as SharedFiles,
    check: (file) => {
      if (file.fd === WRONG)
        throw new ProtocolError('handles', 'the descriptor for granted pages is no file of the lab');
    },
  });
  return { grants, calls, mapped: () => mapped };
}

/** No descriptors are opened here. */
const WRONG = 1_000_000;
const file = (fd = WRONG + 1): OwnedFd => new OwnedFd(fd);

async function added(t: Test, grants: DomainGrants, what: MemoryRegionBody, handle = file()): Promise<OwnedFd> {
  const message = encodeRequest<'ADD_MEM_REG', OwnedFd>('ADD_MEM_REG', { region: what }, { handles: [handle] });
  const prepared = grants.prepare(message);
  t.ok(prepared, 'it is waited for');
  await prepared;
  return handle;
}

t.test('a region in advance keeps its references mapped until its descriptor is released', async (t) => {
  const { grants, calls, mapped } = host();
  const handle = await added(t, grants, region(8, 2));
  t.same(calls, ['open 3', 'map 8,9']);
  t.equal(grants.of(handle)?.ram.size, 16 * PAGE);
  t.equal(mapped(), 2, 'RAM and table');
  grants.release(handle);
  grants.release(handle);
  t.same(calls.slice(2), ['unmap 108,109', 'close 3']);
  t.equal(mapped(), 0);
});

t.test('a region on demand maps no reference, however many it stands for', async (t) => {
  const { grants, calls } = host();
  const handle = await added(t, grants, region(0, 1_000_000, { onDemand: true }));
  t.same(calls, ['open 3']);
  t.ok(grants.of(handle));
});

t.test('what cannot be had is what mapping the region throws, and leaves nothing', async (t) => {
  const cases: [string, MemoryRegionBody, { code: string }, OwnedFd?][] = [
    ['a reference that is not granted', region(15, 2), { code: 'EFAULT' }],
    ['more references than a table has', region(0, 40_000), { code: 'EINVAL' }],
    ['no whole page', { ...region(8, 1), size: 100n }, { code: 'EINVAL' }],
    ['an offset', { ...region(8, 1), mmapOffset: 4096n }, { code: 'EINVAL' }],
    ['an address of no granted page', { ...region(8, 1), guestAddr: 4096n }, { code: 'EINVAL' }],
    ['another domain', region(8, 1, { domid: 4 }), { code: 'ESRCH' }],
    ['a descriptor of something else', region(8, 1), { code: 'handles' }, file(WRONG)],
  ];
  for (const [title, what, error, handle] of cases) {
    const { grants, calls, mapped } = host();
    const given = await added(t, grants, what, handle);
    t.throws(() => grants.of(given), error, title);
    grants.release(given);
    t.equal(mapped(), 0, title);
    const count = (verb: string): number => calls.filter((call) => call.startsWith(verb)).length;
    t.equal(count('close'), count('open 3'), title);
  }
  for (const refuse of [new PeerDiedError('hypervisor'), new ErrnoError('EACCES', 'no token')]) {
    const { grants } = host({ refuse });
    const handle = await added(t, grants, region(8, 1));
    t.throws(() => grants.of(handle), { code: 'ENODEV' });
  }
});

t.test('a message without granted pages is not waited for', async (t) => {
  const { grants } = host();
  const plain = { guestAddr: 0n, size: 4096n, userAddr: 0n, mmapOffset: 0n };
  t.notOk(grants.prepare(encodeRequest('ADD_MEM_REG', { region: plain }, { handles: [file()] })));
  t.notOk(grants.prepare(encodeRequest('GET_FEATURES', {})));
  const cut = encodeRequest<'ADD_MEM_REG', OwnedFd>('ADD_MEM_REG', { region: plain }, { handles: [file()] });
  t.notOk(grants.prepare({ ...cut, payload: cut.payload.subarray(3) }), 'malformed: the session says so');
});

t.test('all regions of a connection are granted pages of one domain, or none is', async (t) => {
  const plain = { guestAddr: 0n, size: 4096n, userAddr: 0n, mmapOffset: 0n };
  t.same(grantRangesOf([region(8, 2), region(64, 1)]), [
    { first: 8, count: 2 },
    { first: 64, count: 1 },
  ]);
  t.equal(grantRangesOf([plain]), undefined);
  t.equal(grantRangesOf([]), undefined);
  t.throws(() => grantRangesOf([region(8, 2), plain]), { code: 'EINVAL' });
  t.throws(() => grantRangesOf([region(8, 2), region(64, 1, { domid: 4 })]), { code: 'EINVAL' });
  t.throws(() => grantRangesOf([region(2 ** 32 - 1, 2)]), { code: 'EINVAL' }, 'a reference has 32 bits');
});
