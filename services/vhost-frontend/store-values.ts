// What a missing node of the store means to this backend: no value, and nothing to remove. Every other refusal stays an error.
import { ErrnoError, passOver } from '../../lib/core/errors.js';
import type { StoreClient } from '../../lib/xenstore/api.js';

/** A value that is not there reads as '', which no parser takes. */
export async function orMissing(value: Promise<string>): Promise<string> {
  try {
    return await value;
  } catch (error) {
    if (error instanceof ErrnoError && error.code === 'ENOENT') return '';
    throw error;
  }
}

/** Removes a node, and its parents below and with `top` as long as nothing else is in them. */
export async function removeWithParents(store: StoreClient, path: string, top: string): Promise<void> {
  for (let at = path; at.startsWith(top); at = at.slice(0, at.lastIndexOf('/'))) {
    const children = await store.directory(at).catch(passOver);
    if (children === undefined || children.length > 0) return;
    await store.rm(at);
    if (!at.includes('/')) return;
  }
}
