// Bytes that a client of xenstored may send, fuzzed, from a guest and from dom0's socket, while another guest watches: the store
// answers each request at most once and within the wire's bounds, a guest stays within its quotas, and a client that is gone holds
// nothing. How many inputs: testkit/fuzz-test.ts.
import t from 'tap';
import { concatBytes } from '../../../lib/core/bytes.js';
import { ProtocolError } from '../../../lib/core/errors.js';
import { XENSTORE_PAYLOAD_MAX, XS, type XsMessage } from '../../../lib/layout/xs-wire.js';
import { encodeMessage, MessageReader } from '../../../lib/xenstore/framing.js';
import { QUOTAS } from '../../../services/xenstored/quota.js';
import { fuzzTest } from '../../../testkit/fuzz-test.js';
import type { FuzzTarget } from '../../../testkit/fuzzer.js';
import { type OpName, StoreLab } from '../../../testkit/store-lab.js';

const CLIENTS = ['dom5', 'dom0-b'] as const;
const WATCHER = 'dom6';

/** A conversation: "|" stands for NUL; transaction 1 is the client's first. The first byte says whose it is. */
function seed(
  client: (typeof CLIENTS)[number],
  ...requests: (readonly [op: OpName, payload: string, txId?: number])[]
) {
  const messages = requests.map(([op, payload, txId = 0], index) =>
    encodeMessage({ type: XS[`XS_${op}`], reqId: index + 1, txId, payload: payload.replaceAll('|', '\0') }),
  );
  return concatBytes([Uint8Array.of(CLIENTS.indexOf(client)), ...messages]);
}

const SEEDS = [
  seed('dom5', ['WRITE', 'data/a|x'], ['READ', 'data/a|'], ['DIRECTORY', '|'], ['RM', 'data/a|'], ['MKDIR', 'data/b|']),
  seed('dom5', ['WATCH', 'data|token|'], ['WRITE', 'data/a|1'], ['UNWATCH', 'data|token|'], ['RESET_WATCHES', '|']),
  seed(
    'dom5',
    ['TRANSACTION_START', '|'],
    ['WRITE', 'data/a|1', 1],
    ['READ', 'data/a|', 1],
    ['TRANSACTION_END', 'T|', 1],
    ['TRANSACTION_START', '|'],
    ['TRANSACTION_END', 'F|', 2],
  ),
  seed('dom5', ['GET_PERMS', 'data|'], ['SET_PERMS', 'data|n5|r0|b6|'], ['DIRECTORY_PART', '/|0|']),
  seed(
    'dom5',
    ['GET_DOMAIN_PATH', '6|'],
    ['IS_DOMAIN_INTRODUCED', '5|'],
    ['GET_QUOTA', '|'],
    ['SET_QUOTA', 'nodes|7|'],
    ['GET_FEATURE', '5|'],
  ),
  seed('dom0-b', ['INTRODUCE', '7|1|3|'], ['SET_TARGET', '7|5|'], ['RELEASE', '7|'], ['RESUME', '5|']),
  seed('dom0-b', ['CONTROL', 'help|'], ['CONTROL', 'quota|'], ['CONTROL', 'check|'], ['CONTROL', 'log|on|']),
  seed(
    'dom0-b',
    ['WATCH', '@releaseDomain|r|'],
    ['WATCH', '/|all|'],
    ['WRITE', '/local/domain/5/data/a|1'],
    ['RM', '/local|'],
  ),
];

/** What a guest may use at once; `transaction-nodes` and below are limits of one thing. */
const HELD = QUOTAS.filter(({ name }) => ['nodes', 'watches', 'outstanding', 'memory', 'transactions'].includes(name));

function run(input: Uint8Array): void {
  const lab = new StoreLab();
  for (const domid of [5, 6]) lab.guest(domid);
  lab.send('dom0', 'WRITE', '/local/domain/5/data|');
  lab.send('dom0', 'SET_PERMS', '/local/domain/5/data|n5|r6|');
  lab.send(WATCHER, 'WATCH', '/local/domain/5/data|w|');
  for (const name of ['dom0', WATCHER]) lab.connection(name).outbox.take();
  const name = CLIENTS[(input[0] ?? 0) % CLIENTS.length]!;
  const connection = lab.connection(name);
  const heard: XsMessage[] = [];
  let asked = 0;
  try {
    new MessageReader().push(input.subarray(1), (message) => {
      if (lab.wasDropped(name)) return;
      asked++;
      lab.store.receive(connection, message);
      heard.push(...connection.outbox.take());
    });
  } catch (error) {
    // What a transport ends the connection on.
    if (!(error instanceof ProtocolError)) throw error;
  }
  const replies = heard.filter(({ type }) => type !== XS.XS_WATCH_EVENT);
  if (replies.length > asked) throw new Error(`${replies.length} replies to ${asked} requests`);
  for (const { payload } of [...heard, ...lab.connection(WATCHER).outbox.take()])
    if (payload.length > XENSTORE_PAYLOAD_MAX) throw new Error(`a payload of ${payload.length} bytes`);
  // dom0 has no account that limits it, and may have changed a guest's.
  if (name === 'dom5') {
    const { account } = connection.domain!;
    for (const { name: quota, hard } of HELD)
      if (account.used(quota) > hard) throw new Error(`${account.used(quota)} ${quota}, of at most ${hard}`);
  }
  if (!lab.wasDropped(name)) lab.close(name);
  const left = [...lab.store.connections].some((each) => each === connection);
  if (left || connection.watches.size > 0 || connection.transactions.size > 0)
    throw new Error('it is gone and holds something');
}

const target: FuzzTarget = {
  name: 'bytes of a client of xenstored',
  files: /services\/xenstored\/|lib\/xenstore\/framing/,
  seeds: SEEDS,
  bytesMax: 8192,
  run,
};

fuzzTest(t, target);
