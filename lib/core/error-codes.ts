// The catalogue of what a peer can do wrong: a stable code each, what it means, and what helps where something does. Tests and
// callers match codes, never prose. Errors with a number of Xen's or Linux's have their names as codes (errno.ts).

interface Entry {
  readonly means: string;
  /** For the person who reads it. */
  readonly help?: string;
}

/** Of a virtqueue: what a driver can do wrong (lib/virtio). */
const VIRTQ_CODES = {
  QUEUE_LAYOUT: { means: 'size, alignment or place of the three areas' },
  AVAIL_INDEX: { means: 'the available index ran more than the queue size ahead' },
  HEAD_RANGE: { means: 'a head past the end of the table' },
  NEXT_RANGE: { means: 'a next descriptor past the end of its table' },
  CHAIN_LENGTH: { means: 'more descriptors than there can be: a loop' },
  CHAIN_BYTES: { means: 'more than 2^32 bytes in all' },
  CHAIN_ORDER: { means: 'a readable descriptor after a writable one' },
  CHAIN_ADDRESS: { means: 'a buffer outside guest memory' },
  INDIRECT_FEATURE: { means: 'an indirect table that was not negotiated' },
  INDIRECT_NEXT: { means: 'NEXT beside INDIRECT' },
  INDIRECT_NESTED: { means: 'an indirect table inside an indirect table' },
  INDIRECT_LENGTH: { means: 'an indirect table that is empty, or no multiple of the descriptor size' },
  INDIRECT_ADDRESS: { means: 'an indirect table outside guest memory' },
} as const satisfies Record<string, Entry>;

export type VirtqErrorCode = keyof typeof VIRTQ_CODES;

export const PROTOCOL_CODES = {
  ...VIRTQ_CODES,
  // The bus among our own processes.
  'bad-message': {
    means: 'bytes that are no message of the kind that was due',
    help: 'are all processes of the lab from one build?',
  },
  // xenstore, on sockets, rings and the bus.
  'payload-too-long': { means: 'a header announces more payload than XENSTORE_PAYLOAD_MAX' },
  'unexpected-reply': { means: 'a reply to no request, or of another type than its request' },
  'empty-part': { means: 'a part of a directory without an entry' },
  'ring-error': { means: "the server set the ring page's error word" },
  'ring-index': { means: 'an index of the ring page is further ahead than the ring is long' },
  'live-state': { means: 'the state that one xenstored hands to the next cannot be read' },
  // vhost-user: the message.
  version: { means: 'header flags without version 1' },
  flags: { means: 'header flags that are reserved, or a reply where a request was due' },
  size: { means: 'a payload that is too short, too long, or not as long as its fields say' },
  request: { means: 'a request number that is not known' },
  handles: { means: 'more or fewer descriptors than the message brings, or one that is not fit for what it is for' },
  reply: { means: 'an answer to another request, or none' },
  closed: { means: 'a message after the end of the session' },
  // vhost-user: what it asks for.
  features: { means: 'features that were not offered, or a request that needs one that was not taken' },
  owner: { means: 'SET_OWNER twice' },
  regions: { means: 'memory regions that overlap, wrap, are too many or are not there' },
  ring: { means: 'a ring that does not exist, is not set up, or may not be changed while it runs' },
  status: { means: 'a device status outside its byte' },
  rings: {
    means: 'the device server has fewer rings than the device needs',
    help: 'is it a server of this device type (--device-socket)?',
  },
  config: {
    means: 'the device server has no such configuration space',
    help: 'is it a server of this device type (--device-socket)?',
  },
  refused: { means: 'the device server answered a request with an error', help: 'its own log says why' },
  // vhost-user-gpu: the display socket.
  scanout: { means: 'a scanout that does not exist or is too large' },
} as const satisfies Record<string, Entry>;

export type ProtocolCode = keyof typeof PROTOCOL_CODES;

/** What helps against an error of this kind; undefined where nothing general does. */
export function helpFor(code: ProtocolCode): string | undefined {
  return (PROTOCOL_CODES[code] as Entry).help;
}
