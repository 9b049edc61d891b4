// A guest's ring page in this process: mapped by the grant that is reserved for the store, given back with it. Leaves what
// stands in the page to ring-session.ts.
import type { Remote } from '../../../lib/core/bus.js';
import { ErrnoError, PeerDiedError, passOver } from '../../../lib/core/errors.js';
import type { Mapping, SharedFiles } from '../../../lib/core/shared.js';
import { GNTST, GNTTAB_RESERVED_XENSTORE } from '../../../lib/layout/grant-table.js';
import { PAGE_SIZE } from '../../../lib/layout/page.js';

export interface RingPage {
  /** Not to be touched after close(). */
  readonly bytes: Uint8Array;
  /** Unmaps the page and gives the grant back: before that, a dying domain cannot go. */
  close(): void;
}

/**
 * Maps the page that a domain grants. Undefined: it grants none and uses another transport, or it ends just now; also when
 * it ended between the grant's mapping and that of its memory's file, which goes with the domain.
 */
export async function mapRingPage(
  hypervisor: Remote<'Hypervisor'>,
  shared: SharedFiles,
  domid: number,
): Promise<RingPage | undefined> {
  let granted: { readonly status: number; readonly handle: number; readonly gfn: number } | undefined;
  try {
    const refs = [GNTTAB_RESERVED_XENSTORE];
    granted = (await hypervisor.gntdev_map({ domid, refs, readonly: false })).mapped[0];
  } catch (error) {
    if (error instanceof ErrnoError || error instanceof PeerDiedError) return undefined;
    throw error;
  }
  if (granted === undefined || granted.status !== GNTST.okay) return undefined;
  const { handle, gfn } = granted;
  const unmapGrant = (): Promise<void> => hypervisor.gntdev_unmap({ handles: [handle] }).then(() => {}, passOver);
  const at = gfn * PAGE_SIZE;
  let mapping: Mapping;
  try {
    const ram = { path: `shm/dom${domid}.ram`, size: at + PAGE_SIZE, offset: 0 };
    mapping = shared.map(ram, { offset: at, size: PAGE_SIZE });
  } catch (error) {
    await unmapGrant();
    if (error instanceof ErrnoError && error.code === 'ENOENT') return undefined;
    throw error;
  }
  return {
    bytes: mapping.bytes,
    close() {
      mapping.close();
      void unmapGrant();
    },
  };
}
