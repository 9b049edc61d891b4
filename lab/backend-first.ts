// The order of a guest's start behind a backend that behaves as xen-vhost-frontend. That program gives a device up whose frontend
// is past 1 when it looks, 400 ms after the device was made; no kernel has come to its drivers by then, but a guest of a lab would
// have: its process starts once the backend reads 2. Leaves the start itself to host.ts.
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { DOM0 } from '../lib/core/ids.js';
import { backendPath, XENBUS_KEY, XenbusState } from '../lib/layout/xenbus.js';
import { type FrontendName, KIND_OF, kindServed } from '../lib/xenbus/protocols.js';
import { virtioDeviceId } from '../toolstack/device.js';
import { readNode, type Toolstack, whenStore } from '../toolstack/toolstack.js';
import type { UpSettings } from './up-settings.js';

/** False also for devices that this backend does not look for: it would be waited for in vain. */
export function backendFirst({ backend, frontend }: UpSettings): boolean {
  return backend === 'xvf' && kindServed(backend, frontend) === KIND_OF[frontend];
}

/** Of a guest's device 0, the one that shows its picture. */
export function backendStatePath({ domid }: { readonly domid: number }, frontend: FrontendName): string {
  return `${backendPath(virtioDeviceId(domid, 0, DOM0, frontend))}/${XENBUS_KEY.state}`;
}

/** Resolves once the backend reads 2; rejects with DeadlineError. */
export async function backendLooked(
  toolstack: Toolstack,
  guest: { readonly domid: number },
  frontend: FrontendName,
): Promise<void> {
  const path = backendStatePath(guest, frontend);
  const waiting = String(XenbusState.InitWait);
  await whenStore(toolstack, path, DEADLINE_MS.firstFrame, async () =>
    (await readNode(toolstack.store, path)) === waiting ? true : undefined,
  );
}
