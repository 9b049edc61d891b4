// docs/xenstore-paths.txt: the keys of the protocol in the notation of Xen's xenstore-paths.pandoc, to be a patch to it.
// Leaves the keys themselves to protocol.ts.
import { NOTIFICATION_PATHS } from '../core/notification-path.js';
import { queueEventChannelKey, VIRTIO_MMIO_KEY, XENBUS_KEY } from '../layout/xenbus.js';
import { type KeyRule, REVIEW, type Side } from './protocol.js';

const COLUMNS = 72;
const DIRECTORY: Readonly<Record<Side, string>> = {
  front: '~/device/virtio-mmio/$DEVID',
  back: '~/backend/virtio-mmio/$DOMID/$DEVID',
};
const BOOLEAN = '("0"|"1")';

/** VALUES of that document's notation, by key. */
const VALUES: Readonly<Record<string, string>> = {
  [XENBUS_KEY.backend]: 'PATH',
  [XENBUS_KEY.backendId]: 'INTEGER',
  [XENBUS_KEY.frontend]: 'PATH',
  [XENBUS_KEY.frontendId]: 'INTEGER',
  [XENBUS_KEY.state]: 'INTEGER',
  [XENBUS_KEY.online]: BOOLEAN,
  [VIRTIO_MMIO_KEY.base]: 'STRING',
  [VIRTIO_MMIO_KEY.size]: 'STRING',
  [VIRTIO_MMIO_KEY.eventChannel]: 'EVTCHN',
  [queueEventChannelKey('N')]: 'EVTCHN',
  [VIRTIO_MMIO_KEY.type]: 'STRING',
  [VIRTIO_MMIO_KEY.transport]: '"mmio"',
  [VIRTIO_MMIO_KEY.grantUsage]: BOOLEAN,
  [VIRTIO_MMIO_KEY.path]: `(${NOTIFICATION_PATHS.map((path) => `"${path}"`).join('|')})`,
  [VIRTIO_MMIO_KEY.server]: 'STRING',
  [VIRTIO_MMIO_KEY.featureQueueEvtchn]: 'INTEGER',
};

const HEAD: Readonly<Record<Side, string>> = {
  front:
    'A virtio-mmio device frontend: a virtio device behind memory-mapped registers, whose interrupt is an event channel. The ' +
    'guest picks the address of the registers.',
  back:
    'A virtio-mmio device backend. It answers the accesses to the registers from its state 4 (XenbusStateConnected) until the ' +
    "frontend's state is 6 (XenbusStateClosed).",
};

export function wrap(text: string): string {
  const lines: string[] = [''];
  for (const word of text.split(' ')) {
    const last = lines.at(-1) as string;
    if (last === '') lines[lines.length - 1] = word;
    else if (last.length + 1 + word.length <= COLUMNS) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.join('\n');
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

function entry(rule: KeyRule): string {
  const values = VALUES[rule.key];
  if (values === undefined) throw new Error(`${rule.key} has no form in xenstore-paths.pandoc`);
  const key = rule.key.replace('queue-N', 'queue-$INDEX');
  const writable = rule.writers.some((writer) => writer !== 'toolstack') ? 'w' : '';
  const valid =
    rule.key === XENBUS_KEY.state || rule.publishedAt === 1
      ? ''
      : ` Valid from state ${rule.publishedAt} of this directory on.`;
  const form = ['PATH', BOOLEAN].includes(values) ? '' : ` Written as: ${rule.form}.`;
  return `#### ${DIRECTORY[rule.side]}/${key} = ${values} [${writable}]\n\n${wrap(`${sentence(rule.meaning)}${form}${valid}`)}\n`;
}

export function xenstorePaths(): string {
  return (['front', 'back'] as const)
    .map((side) => {
      const rules = REVIEW.keys.filter((rule) => rule.side === side);
      return [`#### ${DIRECTORY[side]}/* []\n\n${wrap(HEAD[side])}\n`, ...rules.map(entry)].join('\n');
    })
    .join('\n');
}
