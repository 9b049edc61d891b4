// Handles of the path `direct`: the process that signals one runs the delivery steps on the guest's own pages and rings the guest,
// with no other process in between. To its holder it is a handle as any other.
import { join } from 'node:path';
import { ErrnoError } from '../../core/errors.js';
import type { BellNotifier, Notifier, NotifyHandle } from '../../core/notify.js';
import type { Mapping } from '../../core/shared.js';
import { DirectCalls } from '../../events/direct.js';
import { SHARED_INFO_PAGE_SIZE } from '../../layout/evtchn.js';
import { DIRECT_BELL_PREFIX, DIRECT_FILE_SIZE } from '../../layout/ours/direct.js';
import { mapPath } from '../files/shm.js';

export function isDirect(handle: NotifyHandle): boolean {
  return handle.bell.startsWith(DIRECT_BELL_PREFIX);
}

/**
 * Opens a call entry of a domain's table for the generation that it has now. `open` gives the sending end of the guest's
 * upcall bell. Throws ENOENT when the domain or the entry is gone.
 */
export function openDirect(
  runDir: string,
  handle: NotifyHandle,
  open: (handle: NotifyHandle) => Notifier,
): BellNotifier {
  const domid = handle.bell.slice(DIRECT_BELL_PREFIX.length);
  if (!/^[0-9]{1,5}$/.test(domid)) throw new ErrnoError('EINVAL', `bad direct handle ${handle.bell}`);
  const base = join(runDir, 'shm', `dom${domid}`);
  const table = mapPath(`${base}.direct`, DIRECT_FILE_SIZE, false);
  let upcall: { handle: NotifyHandle; notifier: Notifier } | undefined;
  const ring = (target: NotifyHandle): void => {
    if (upcall?.handle !== target) {
      upcall?.notifier.close();
      upcall = undefined;
      try {
        upcall = { handle: target, notifier: open(target) };
      } catch (error) {
        if (error instanceof ErrnoError) return; // the guest's process has just ended
        throw error;
      }
    }
    upcall.notifier.signal();
  };
  let sharedInfo: Mapping;
  try {
    sharedInfo = mapPath(`${base}.shared_info`, SHARED_INFO_PAGE_SIZE, true);
  } catch (error) {
    table.close();
    throw error;
  }
  const calls = new DirectCalls(table.bytes, sharedInfo.bytes, ring);
  const generation = calls.generation(handle.bit);
  let held = true;
  const close = (): void => {
    if (!held) return;
    held = false;
    upcall?.notifier.close();
    sharedInfo.close();
    table.close();
  };
  if (generation === 0) {
    close();
    throw new ErrnoError('ENOENT', `entry ${handle.bit} of ${handle.bell} is not in use`);
  }
  const signal = (): void => {
    if (held) calls.send(handle.bit, generation);
  };
  // What the holder leaves half done, the hypervisor finishes: it alone knows what else it may be.
  return { signal, insist: signal, close };
}
