// A guest's page that goes while it is being mapped: the grant is given back and the process lives on.
import t from 'tap';
import type { Remote } from '../../../../lib/core/bus.js';
import { ErrnoError, PeerDiedError } from '../../../../lib/core/errors.js';
import type { SharedFiles } from '../../../../lib/core/shared.js';
import { GNTST } from '../../../../lib/layout/grant-table.js';
import { mapRingPage } from '../../../../services/xenstored/node/ring-page.js';

const HANDLE = 5;
const GFN = 2;
const PAGE = 4096;

/** The hypervisor's two calls, and the handles that were given back. */
function host(status: number = GNTST.okay): { readonly hypervisor: Remote<'Hypervisor'>; readonly unmapped: number[] } {
  const unmapped: number[] = [];
  const hypervisor = {
    gntdev_map: async () => ({ mapped: [{ status, handle: HANDLE, gfn: GFN }] }),
    gntdev_unmap: async ({ handles }: { handles: number[] }) => {
      unmapped.push(...handles);
      throw new ErrnoError('ENOENT', 'gone with its domain');
    },
  } as unknown as Remote<'Hypervisor'>;
  return { hypervisor, unmapped };
}

function files(map: SharedFiles['map']): SharedFiles {
  return { map, create: () => t.fail('nothing is made') } as unknown as SharedFiles;
}

t.test('a domain that is destroyed between the grant and its file leaves nothing, and is no error', async (t) => {
  const { hypervisor, unmapped } = host();
  const gone = files(() => {
    throw new ErrnoError('ENOENT', 'cannot open shm/dom3.ram');
  });
  t.equal(await mapRingPage(hypervisor, gone, 3), undefined);
  t.same(unmapped, [HANDLE], 'or the domain could never be gone');
});

t.test('a file that is not as the hypervisor says is no peer of ours: the process ends with it', async (t) => {
  const { hypervisor, unmapped } = host();
  const short = files(() => {
    throw new ErrnoError('EINVAL', 'dom3.ram has 4096 bytes');
  });
  await t.rejects(mapRingPage(hypervisor, short, 3), { code: 'EINVAL' });
  t.same(unmapped, [HANDLE]);
});

t.test('a page that is mapped is given back once, file and grant', async (t) => {
  const { hypervisor, unmapped } = host();
  const asked: unknown[] = [];
  let closed = 0;
  const page = await mapRingPage(
    hypervisor,
    files((handle, part) => {
      asked.push(handle, part);
      return { bytes: new Uint8Array(part!.size).fill(7), close: () => void closed++ };
    }),
    3,
  );
  const file = { path: 'shm/dom3.ram', size: (GFN + 1) * PAGE, offset: 0 };
  t.same(
    asked,
    [file, { offset: GFN * PAGE, size: PAGE }],
    'the page alone: what lies below may be more than can be mapped',
  );
  t.same([page?.bytes.length, page?.bytes[0]], [PAGE, 7]);
  page?.close();
  t.same([closed, unmapped], [1, [HANDLE]]);
});

t.test('a domain without the grant, or without a hypervisor, has no page', async (t) => {
  const none = files(() => t.fail('nothing to map') as never);
  t.equal(await mapRingPage(host(GNTST.bad_gntref).hypervisor, none, 3), undefined);
  const dead = { gntdev_map: () => Promise.reject(new PeerDiedError('hypervisor')) } as unknown as Remote<'Hypervisor'>;
  t.equal(await mapRingPage(dead, none, 3), undefined);
  const broken = { gntdev_map: () => Promise.reject(new TypeError('a bug')) } as unknown as Remote<'Hypervisor'>;
  await t.rejects(mapRingPage(broken, none, 3), { name: 'TypeError' });
});
