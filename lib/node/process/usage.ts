// What this process takes of the machine, for audits: a leak of descriptors or of memory shows here and in no list of ours.
import { readdirSync, readFileSync } from 'node:fs';
import type { Usage } from '../../core/proto-types.js';
import { PAGE_SIZE } from '../../layout/page.js';

/** Open descriptors, and resident memory in bytes, shared pages included. */
export function processUsage(): Usage {
  // The descriptor by which the folder is read is in it.
  const descriptors = readdirSync('/proc/self/fd').length - 1;
  const [, resident] = readFileSync('/proc/self/statm', 'latin1').split(' ');
  return { descriptors, resident_bytes: Number(resident) * PAGE_SIZE };
}
