// Used rings, as the guest's driver finds them: the index only goes up, by no more than what was made available, and each element
// names a chain that the device has (virtio 1.2, 2.7.8). The driver looks at every step; docs/tracing.md says what it records.
import { POINT } from '../../lib/trace/points.js';
import type { RingFault } from '../../lib/virtio/driver-ring.js';
import type { Checker } from './checker.js';

const BREACHES: Readonly<Record<RingFault, string>> = {
  'used-index': 'counts chains that the device has not: it went back, or too far',
  'used-id': 'gave back a chain that the device has not',
};
const isBreach = (label: string): label is RingFault => label in BREACHES;

export const rings: Checker = {
  name: 'rings',
  describe: 'the used index of a queue only goes up, by no more than what was made available',
  atRest: false,
  check: ({ records }) =>
    records.flatMap((record) => {
      const { point, label, process, a: queue } = record;
      if (point !== POINT['error.queue'] || !isBreach(label)) return [];
      return [{ what: `the used ring of queue ${queue} of ${process} ${BREACHES[label]}`, at: record }];
    }),
};
