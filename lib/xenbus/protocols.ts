// The versions of the protocol that a device can be made for, by the names that commands take, and what tells them apart in the
// store: the kind of its directories; and the backends. Leaves what each says to protocol.ts, rfc1.ts and xvf.ts.
import { KIND_VIRTIO, KIND_VIRTIO_MMIO } from '../layout/xenbus.js';
import { type Protocol, REVIEW } from './protocol.js';
import { RFC1 } from './rfc1.js';

export const FRONTENDS = ['review', 'rfc1'] as const;
export type FrontendName = (typeof FRONTENDS)[number];

export const KIND_OF: Readonly<Record<FrontendName, string>> = { review: KIND_VIRTIO_MMIO, rfc1: KIND_VIRTIO };

/** The backends that a lab can have: the one that keeps the protocol of its frontends, and one as the patch was written beside. */
export const BACKENDS = ['review', 'xvf'] as const;
export type BackendName = (typeof BACKENDS)[number];

/** Devices of which kind a backend looks for: xen-vhost-frontend knows one. */
export function kindServed(backend: BackendName, frontend: FrontendName): string {
  return backend === 'xvf' ? KIND_VIRTIO : KIND_OF[frontend];
}

/** The tables that a device of this kind is held to. */
export function protocolOf(kind: string): Protocol {
  return kind === KIND_OF.rfc1 ? RFC1 : REVIEW;
}
