// The operations, written down as conversations: who sends what, and what they then hear.
import t from 'tap';
import { checkStore } from '../../../../services/xenstored/check.js';
import { COMPAT } from '../../../../services/xenstored/compat.js';
import { type OpName, StoreLab } from '../../../../testkit/store-lab.js';

/** [connection, operation, payload ("|" is NUL), what it hears, transaction]. */
type Line = readonly [string, OpName | number, string, readonly string[], number?];

function talk(t: Tap, lab: StoreLab, lines: readonly Line[]): void {
  for (const [name, op, payload, expected, txId = 0] of lines) {
    t.same(lab.ask(name, op, payload, txId), expected, `${name} ${op} ${payload}`);
  }
  t.same(checkStore(lab.store), [], 'the store is sound');
}
type Tap = Pick<typeof t, 'same'>;

function conversation(title: string, lines: readonly Line[], prepare: (lab: StoreLab) => void = () => {}): void {
  t.test(title, async (t) => {
    const lab = new StoreLab();
    prepare(lab);
    talk(t, lab, lines);
  });
}

conversation('an empty store holds what the daemon makes itself', [
  ['dom0', 'DIRECTORY', '/|', ['DIRECTORY tool|']],
  ['dom0', 'DIRECTORY', '/tool|', ['DIRECTORY xenstored|']],
  ['dom0', 'DIRECTORY', '/tool/xenstored|', ['DIRECTORY ']],
  ['dom0', 'GET_PERMS', '/|', ['GET_PERMS n0|']],
  ['dom0', 'GET_PERMS', '@releaseDomain|', ['GET_PERMS n0|r32757|']],
  ['dom0', 'GET_PERMS', '@introduceDomain|', ['GET_PERMS n0|']],
  ['dom0', 'READ', '/|', ['READ ']],
]);

conversation('nodes are written, read, listed in creation order and removed', [
  ['dom0', 'WRITE', '/a/z|1', ['WRITE OK|']],
  ['dom0', 'WRITE', '/a/b|x|y', ['WRITE OK|']],
  ['dom0', 'MKDIR', '/a/m|', ['MKDIR OK|']],
  ['dom0', 'READ', '/a|', ['READ ']],
  ['dom0', 'READ', '/a/b|', ['READ x|y']],
  ['dom0', 'DIRECTORY', '/a|', ['DIRECTORY z|b|m|']],
  ['dom0', 'MKDIR', '/a/b|', ['MKDIR OK|']],
  ['dom0', 'READ', '/a/b|', ['READ x|y']],
  ['dom0', 'RM', '/a/b|', ['RM OK|']],
  ['dom0', 'RM', '/a/b|', ['RM OK|']],
  ['dom0', 'RM', '/nowhere/b|', ['ERROR ENOENT|']],
  ['dom0', 'DIRECTORY', '/a|', ['DIRECTORY z|m|']],
  ['dom0', 'WRITE', '/a/b|', ['WRITE OK|']],
  ['dom0', 'DIRECTORY', '/a|', ['DIRECTORY z|m|b|']],
  ['dom0', 'RM', '/a|', ['RM OK|']],
  ['dom0', 'READ', '/a/z|', ['ERROR ENOENT|']],
  ['dom0', 'RM', '/|', ['ERROR EINVAL|']],
]);

conversation('malformed payloads and paths answer EINVAL', [
  ['dom0', 'READ', '/tool', ['ERROR EINVAL|']],
  ['dom0', 'READ', '', ['ERROR EINVAL|']],
  ['dom0', 'READ', '/tool|x|', ['ERROR EINVAL|']],
  ['dom0', 'READ', '|', ['ERROR EINVAL|']],
  ['dom0', 'READ', '/tool/|', ['ERROR EINVAL|']],
  ['dom0', 'READ', '//tool|', ['ERROR EINVAL|']],
  ['dom0', 'READ', '/to.ol|', ['ERROR EINVAL|']],
  ['dom0', 'READ', '@releaseDomain|', ['ERROR EINVAL|']],
  ['dom0', 'WRITE', '/tool', ['ERROR EINVAL|']],
  ['dom0', 'SET_PERMS', '/tool|', ['ERROR EINVAL|']],
  ['dom0', 'SET_PERMS', '/tool|x0|', ['ERROR EINVAL|']],
  ['dom0', 'SET_PERMS', '/tool|r|', ['ERROR EINVAL|']],
  ['dom0', 'SET_PERMS', '/tool|r0x|', ['ERROR EINVAL|']],
  ['dom0', 'SET_PERMS', '/tool|r77|', ['ERROR ENOENT|']],
  ['dom0', 'WATCH', '/a|', ['ERROR EINVAL|']],
  ['dom0', 'WATCH', '/a|t|-1|', ['ERROR EINVAL|']],
  ['dom0', 'WATCH', '/a|t|1|2|', ['ERROR EINVAL|']],
  ['dom0', 'UNWATCH', '/a|t|', ['ERROR ENOENT|']],
  ['dom0', 'TRANSACTION_END', 'T|', ['ERROR ENOENT|']],
  ['dom0', 'TRANSACTION_END', 'X|', ['ERROR EINVAL|']],
  ['dom0', 'GET_DOMAIN_PATH', '65536|', ['ERROR EINVAL|']],
  ['dom0', 'GET_DOMAIN_PATH', '-1|', ['ERROR EINVAL|']],
  ['dom0', 'INTRODUCE', '5|1|', ['ERROR EINVAL|']],
  ['dom0', 'INTRODUCE', '5|1|0|', ['ERROR EINVAL|']],
  ['dom0', 'RELEASE', '0|', ['ERROR EINVAL|']],
  ['dom0', 'RELEASE', '5|', ['ERROR ENOENT|']],
]);

conversation('unknown operations answer ENOSYS before anything else is looked at', [
  ['dom0', 20, '/tool|', ['ERROR ENOSYS|'], 99],
  ['dom0', 'WATCH_EVENT', '/tool|', ['ERROR ENOSYS|']],
  ['dom0', 'ERROR', '', ['ERROR ENOSYS|']],
  ['dom0', 27, '', ['ERROR ENOSYS|']],
  ['dom0', 0xffff, '', ['ERROR ENOSYS|']],
]);

conversation('a transaction id that is not open answers ENOENT, except for WATCH and UNWATCH', [
  ['dom0', 'READ', 'not//valid|', ['ERROR ENOENT|'], 5],
  ['dom0', 'TRANSACTION_START', '|', ['ERROR ENOENT|'], 5],
  ['dom0', 'WATCH', '/w|t|', ['WATCH OK|', 'EVENT /w t'], 5],
  ['dom0', 'UNWATCH', '/w|t|', ['UNWATCH OK|'], 5],
  ['dom0', 'TRANSACTION_START', '|', ['TRANSACTION_START 1|']],
  ['dom0', 'TRANSACTION_START', '|', ['ERROR EBUSY|'], 1],
  ['dom0-b', 'READ', '/tool|', ['ERROR ENOENT|'], 1],
]);

conversation('relative paths start at the connection home', [
  ['dom0', 'WRITE', 'name|x', ['WRITE OK|']],
  ['dom0', 'READ', '/local/domain/0/name|', ['READ x']],
  ['dom0', 'WATCH', 'name|t|', ['WATCH OK|', 'EVENT name t']],
  ['dom0', 'WRITE', '/local/domain/0/name|y', ['EVENT name t', 'WRITE OK|']],
  ['dom0', 'UNWATCH', '/local/domain/0/name|t|', ['UNWATCH OK|']],
]);

conversation('watches fire before the reply, once an operation, on the node and all above', [
  ['dom0', 'WATCH', '/a|on-a|', ['WATCH OK|', 'EVENT /a on-a']],
  ['dom0', 'WATCH', '/a/b|on-b|', ['WATCH OK|', 'EVENT /a/b on-b']],
  ['dom0', 'WATCH', '/ab|other|', ['WATCH OK|', 'EVENT /ab other']],
  ['dom0', 'WATCH', '/|root|', ['WATCH OK|', 'EVENT / root']],
  ['dom0', 'WATCH', '/a|on-a|', ['ERROR EEXIST|']],
  ['dom0', 'WRITE', '/a/b/c|1', ['EVENT /a/b/c on-a', 'EVENT /a/b/c on-b', 'EVENT /a/b/c root', 'WRITE OK|']],
  ['dom0', 'WRITE', '/a/b/c|1', ['EVENT /a/b/c on-a', 'EVENT /a/b/c on-b', 'EVENT /a/b/c root', 'WRITE OK|']],
  ['dom0', 'MKDIR', '/a/b/c|', ['MKDIR OK|']],
  ['dom0', 'SET_PERMS', '/a|n0|', ['EVENT /a on-a', 'EVENT /a root', 'SET_PERMS OK|']],
  ['dom0', 'RM', '/a/x|', ['RM OK|']],
  ['dom0', 'RM', '/a|', ['EVENT /a/b on-b', 'EVENT /a on-a', 'EVENT /a root', 'RM OK|']],
  ['dom0', 'RESET_WATCHES', '|', ['RESET_WATCHES OK|']],
  ['dom0', 'WRITE', '/a|1', ['WRITE OK|']],
]);

conversation('removing a subtree tells exact watches deepest first, in child order', [
  ['dom0', 'WRITE', '/r/one/deep|', ['WRITE OK|']],
  ['dom0', 'WRITE', '/r/two|', ['WRITE OK|']],
  ['dom0', 'WATCH', '/r/two|2|', ['WATCH OK|', 'EVENT /r/two 2']],
  ['dom0', 'WATCH', '/r/one/deep|d|', ['WATCH OK|', 'EVENT /r/one/deep d']],
  ['dom0', 'WATCH', '/r/one|1|', ['WATCH OK|', 'EVENT /r/one 1']],
  ['dom0', 'WATCH', '/r/none|0|', ['WATCH OK|', 'EVENT /r/none 0']],
  ['dom0', 'WATCH', '/r|r|', ['WATCH OK|', 'EVENT /r r']],
  ['dom0', 'RM', '/r|', ['EVENT /r/one/deep d', 'EVENT /r/one 1', 'EVENT /r/two 2', 'EVENT /r r', 'RM OK|']],
]);

conversation('depth limits how far below a watch hears', [
  ['dom0', 'WATCH', '/a|0|0|', ['WATCH OK|', 'EVENT /a 0']],
  ['dom0', 'WATCH', '/a|1|1|', ['WATCH OK|', 'EVENT /a 1']],
  ['dom0', 'WATCH', '/|top|1|', ['WATCH OK|', 'EVENT / top']],
  ['dom0', 'WRITE', '/a|', ['EVENT /a 0', 'EVENT /a 1', 'EVENT /a top', 'WRITE OK|']],
  ['dom0', 'WRITE', '/a/b|', ['EVENT /a/b 1', 'WRITE OK|']],
  ['dom0', 'WRITE', '/a/b/c|', ['WRITE OK|']],
]);

conversation('identical events that still wait are told once, special ones always', [
  ['dom0', 'WATCH', '/a|t|', ['WATCH OK|', 'EVENT /a t']],
  ['dom0', 'WATCH', '/a/b|t|', ['WATCH OK|', 'EVENT /a/b t']],
  ['dom0', 'WRITE', '/a/b|', ['EVENT /a/b t', 'WRITE OK|']],
]);

conversation('a transaction freezes a node when it is first touched, not at its start', [
  ['dom0', 'WRITE', '/a|1', ['WRITE OK|']],
  ['dom0', 'WRITE', '/b|1', ['WRITE OK|']],
  ['dom0', 'TRANSACTION_START', '|', ['TRANSACTION_START 1|']],
  ['dom0', 'READ', '/a|', ['READ 1'], 1],
  ['dom0-b', 'WRITE', '/a|2', ['WRITE OK|']],
  ['dom0-b', 'WRITE', '/b|2', ['WRITE OK|']],
  ['dom0', 'READ', '/a|', ['READ 1'], 1],
  ['dom0', 'READ', '/b|', ['READ 2'], 1],
  ['dom0', 'TRANSACTION_END', 'T|', ['ERROR EAGAIN|'], 1],
  ['dom0', 'READ', '/a|', ['ERROR ENOENT|'], 1],
]);

conversation('a frozen child list does not change with the store', [
  ['dom0', 'WRITE', '/d/a|', ['WRITE OK|']],
  ['dom0', 'TRANSACTION_START', '|', ['TRANSACTION_START 1|']],
  ['dom0', 'DIRECTORY', '/d|', ['DIRECTORY a|'], 1],
  ['dom0-b', 'WRITE', '/d|value', ['WRITE OK|']],
  ['dom0-b', 'WRITE', '/d/b|', ['WRITE OK|']],
  ['dom0', 'DIRECTORY', '/d|', ['DIRECTORY a|'], 1],
  ['dom0', 'WRITE', '/d/c|', ['WRITE OK|'], 1],
  ['dom0', 'DIRECTORY', '/d|', ['DIRECTORY a|c|'], 1],
  ['dom0-b', 'DIRECTORY', '/d|', ['DIRECTORY a|b|']],
  ['dom0', 'TRANSACTION_END', 'F|', ['TRANSACTION_END OK|'], 1],
  ['dom0', 'DIRECTORY', '/d|', ['DIRECTORY a|b|']],
]);

conversation('creating in one directory from inside and outside conflicts', [
  ['dom0', 'MKDIR', '/t|', ['MKDIR OK|']],
  ['dom0', 'TRANSACTION_START', '|', ['TRANSACTION_START 1|']],
  ['dom0', 'WRITE', '/t/c1|', ['WRITE OK|'], 1],
  ['dom0', 'WRITE', '/t/c2|', ['WRITE OK|']],
  ['dom0', 'TRANSACTION_END', 'T|', ['ERROR EAGAIN|'], 1],
  ['dom0', 'TRANSACTION_START', '|', ['TRANSACTION_START 2|']],
  ['dom0', 'READ', '/t|', ['READ '], 2],
  ['dom0', 'WRITE', '/t/c2|new value', ['WRITE OK|']],
  ['dom0', 'TRANSACTION_END', 'T|', ['TRANSACTION_END OK|'], 2],
  ['dom0', 'TRANSACTION_START', '|', ['TRANSACTION_START 3|']],
  ['dom0', 'READ', '/t/missing/deep|', ['ERROR ENOENT|'], 3],
  ['dom0', 'MKDIR', '/t/c3|', ['MKDIR OK|']],
  ['dom0', 'TRANSACTION_END', 'T|', ['ERROR EAGAIN|'], 3],
]);

conversation('lists frozen at different times do not fit each other, and the commit conflicts', [
  ['dom0', 'WRITE', '/d/a|', ['WRITE OK|']],
  ['dom0', 'TRANSACTION_START', '|', ['TRANSACTION_START 1|']],
  ['dom0', 'READ', '/d|', ['READ '], 1],
  ['dom0-b', 'RM', '/d/a|', ['RM OK|']],
  ['dom0', 'RM', '/d|', ['ERROR EIO|'], 1],
  ['dom0', 'TRANSACTION_END', 'T|', ['ERROR EAGAIN|'], 1],
  ['dom0', 'WRITE', '/d/a|', ['WRITE OK|']],
  ['dom0', 'TRANSACTION_START', '|', ['TRANSACTION_START 2|']],
  ['dom0', 'READ', '/d/a|', ['READ '], 2],
  ['dom0-b', 'RM', '/d/a|', ['RM OK|']],
  ['dom0', 'RM', '/d/a|', ['ERROR EIO|'], 2],
  ['dom0', 'TRANSACTION_END', 'T|', ['ERROR EAGAIN|'], 2],
  ['dom0', 'WRITE', '/d/a|', ['WRITE OK|']],
  ['dom0', 'TRANSACTION_START', '|', ['TRANSACTION_START 3|']],
  ['dom0', 'READ', '/d/a|', ['READ '], 3],
  ['dom0-b', 'RM', '/d|', ['RM OK|']],
  ['dom0', 'RM', '/d/a|', ['ERROR EINVAL|'], 3],
  ['dom0', 'TRANSACTION_END', 'T|', ['ERROR EAGAIN|'], 3],
]);

conversation('a commit tells watches in the order of first touch, and nothing of what came and went', [
  ['dom0-b', 'WATCH', '/t|t|', ['WATCH OK|', 'EVENT /t t']],
  ['dom0', 'WRITE', '/t/old/sub|', ['WRITE OK|']],
  ['dom0-b', 'READ', '/t|', ['EVENT /t/old/sub t', 'READ ']],
  ['dom0', 'TRANSACTION_START', '|', ['TRANSACTION_START 1|']],
  ['dom0', 'READ', '/t/last|', ['ERROR ENOENT|'], 1],
  ['dom0', 'WRITE', '/t/first|', ['WRITE OK|'], 1],
  ['dom0', 'WRITE', '/t/gone|', ['WRITE OK|'], 1],
  ['dom0', 'RM', '/t/gone|', ['RM OK|'], 1],
  ['dom0', 'RM', '/t/old|', ['RM OK|'], 1],
  ['dom0', 'WRITE', '/t/last|', ['WRITE OK|'], 1],
  ['dom0-b', 'READ', '/t|', ['READ ']],
  ['dom0', 'TRANSACTION_END', 'T|', ['TRANSACTION_END OK|'], 1],
  ['dom0-b', 'READ', '/t|', ['EVENT /t/last t', 'EVENT /t/first t', 'EVENT /t/old t', 'READ ']],
]);

conversation(
  'guests see and change what their permissions allow',
  [
    ['dom0', 'WRITE', '/secret/x|1', ['WRITE OK|']],
    ['dom0', 'WRITE', '/local/domain/5/name|vm', ['WRITE OK|']],
    ['dom0', 'SET_PERMS', '/local/domain/5|n5|', ['SET_PERMS OK|']],
    ['dom5', 'READ', '/secret/x|', ['ERROR EACCES|']],
    ['dom5', 'READ', '/secret/missing|', ['ERROR EACCES|']],
    ['dom5', 'READ', 'name|', ['ERROR EACCES|']],
    ['dom5', 'READ', 'missing|', ['ERROR ENOENT|']],
    ['dom5', 'WRITE', 'data/x|1', ['WRITE OK|']],
    ['dom5', 'GET_PERMS', 'data|', ['GET_PERMS n5|']],
    ['dom6', 'READ', '/local/domain/5/data/x|', ['ERROR EACCES|']],
    ['dom5', 'SET_PERMS', 'data/x|n5|r6|', ['SET_PERMS OK|']],
    ['dom6', 'READ', '/local/domain/5/data/x|', ['READ 1']],
    ['dom6', 'WRITE', '/local/domain/5/data/x|2', ['ERROR EACCES|']],
    ['dom5', 'SET_PERMS', 'data/x|n6|', ['ERROR EPERM|']],
    ['dom6', 'SET_PERMS', '/local/domain/5/data/x|n6|', ['ERROR EACCES|']],
    ['dom5', 'SET_PERMS', 'data/x|b5|', ['SET_PERMS OK|']],
    ['dom6', 'WRITE', '/local/domain/5/data/x/y|2', ['WRITE OK|']],
    ['dom6', 'GET_PERMS', '/local/domain/5/data/x/y|', ['GET_PERMS b6|']],
    ['dom0', 'WRITE', '/local/domain/5/data/z|', ['WRITE OK|']],
    ['dom0', 'GET_PERMS', '/local/domain/5/data/z|', ['GET_PERMS n5|']],
    ['dom5', 'CONTROL', 'check|', ['ERROR EACCES|']],
    ['dom5', 'IS_DOMAIN_INTRODUCED', '5|', ['ERROR EACCES|']],
    ['dom5', 'GET_DOMAIN_PATH', '7|', ['GET_DOMAIN_PATH /local/domain/7|']],
    ['dom5', 'GET_FEATURE', '', ['GET_FEATURE 14|']],
    ['dom5', 'GET_FEATURE', '5|', ['ERROR EACCES|']],
  ],
  (lab) => {
    lab.guest(5);
    lab.guest(6);
  },
);

conversation(
  'a watcher hears of what it may read, and of losing it',
  [
    ['dom0', 'WRITE', '/x|', ['WRITE OK|']],
    ['dom5', 'WATCH', '/x|t|', ['WATCH OK|', 'EVENT /x t']],
    ['dom0', 'WRITE', '/x|1', ['WRITE OK|']],
    ['dom5', 'GET_DOMAIN_PATH', '0|', ['GET_DOMAIN_PATH /local/domain/0|']],
    ['dom0', 'SET_PERMS', '/x|n0|r5|', ['SET_PERMS OK|']],
    ['dom5', 'READ', '/x|', ['EVENT /x t', 'READ 1']],
    ['dom0', 'SET_PERMS', '/x|n0|', ['SET_PERMS OK|']],
    ['dom5', 'READ', '/x|', ['EVENT /x t', 'ERROR EACCES|']],
    ['dom0', 'RM', '/x|', ['RM OK|']],
    ['dom5', 'READ', '/x|', ['ERROR EACCES|']],
  ],
  (lab) => lab.guest(5),
);

conversation(
  'domains are introduced and released, and their nodes and rights go with them',
  [
    ['dom0', 'WATCH', '@introduceDomain|i|', ['WATCH OK|', 'EVENT @introduceDomain i']],
    ['dom0', 'WATCH', '@releaseDomain|r|', ['WATCH OK|', 'EVENT @releaseDomain r']],
    ['dom0', 'WATCH', '@releaseDomain|rd|1|', ['WATCH OK|', 'EVENT @releaseDomain rd']],
    ['dom0', 'WATCH', '@releaseDomain/5|r5|', ['WATCH OK|', 'EVENT @releaseDomain/5 r5']],
    ['dom0', 'IS_DOMAIN_INTRODUCED', '5|', ['IS_DOMAIN_INTRODUCED F|']],
    ['dom0', 'INTRODUCE', '77|1|7|', ['ERROR ENOENT|']],
    ['dom0', 'INTRODUCE', '5|1|7|', ['EVENT @introduceDomain i', 'INTRODUCE OK|']],
    ['dom0', 'INTRODUCE', '5|1|7|', ['INTRODUCE OK|']],
    ['dom0', 'IS_DOMAIN_INTRODUCED', '5|', ['IS_DOMAIN_INTRODUCED T|']],
    ['dom0', 'IS_DOMAIN_INTRODUCED', '0|', ['IS_DOMAIN_INTRODUCED T|']],
    ['dom0', 'IS_DOMAIN_INTRODUCED', '32752|', ['IS_DOMAIN_INTRODUCED T|']],
    ['dom0', 'WRITE', '/mine/sub|', ['WRITE OK|']],
    ['dom0', 'WRITE', '/shared|', ['WRITE OK|']],
    ['dom0', 'SET_PERMS', '/mine|n5|', ['SET_PERMS OK|']],
    ['dom0', 'SET_PERMS', '/shared|n0|r5|', ['SET_PERMS OK|']],
    [
      'dom0',
      'RELEASE',
      '5|',
      ['EVENT @releaseDomain r', 'EVENT @releaseDomain/5 rd', 'EVENT @releaseDomain/5 r5', 'RELEASE OK|'],
    ],
    ['dom0', 'READ', '/mine/sub|', ['ERROR ENOENT|']],
    ['dom0', 'GET_PERMS', '/shared|', ['GET_PERMS n0|']],
    ['dom0', 'RELEASE', '5|', ['ERROR ENOENT|']],
  ],
  (lab) => lab.hostDomains.set(5, '500'),
);

conversation(
  'features and quotas are per domain, and fixed once introduced',
  [
    ['dom0', 'GET_FEATURE', '', ['GET_FEATURE 14|']],
    ['dom0', 'GET_FEATURE', '5|', ['GET_FEATURE 14|']],
    ['dom0', 'GET_FEATURE', '6|', ['ERROR ENOENT|']],
    ['dom0', 'GET_FEATURE', '5|6|', ['ERROR EINVAL|']],
    ['dom0', 'SET_FEATURE', '5|2|', ['SET_FEATURE OK|']],
    ['dom0', 'SET_FEATURE', '5|1|', ['ERROR EINVAL|']],
    ['dom0', 'GET_FEATURE', '5|', ['GET_FEATURE 2|']],
    [
      'dom0',
      'GET_QUOTA',
      '',
      [
        'GET_QUOTA nodes watches outstanding memory soft-memory transactions transaction-nodes node-permissions path-max node-size|',
      ],
    ],
    ['dom0', 'GET_QUOTA', 'nodes|', ['GET_QUOTA 1000|']],
    ['dom0', 'GET_QUOTA', 'permissions|', ['ERROR EINVAL|']],
    ['dom0', 'SET_QUOTA', '5|nodes|3|', ['SET_QUOTA OK|']],
    ['dom0', 'SET_QUOTA', 'nodes|4|', ['SET_QUOTA OK|']],
    ['dom0', 'GET_QUOTA', '5|nodes|', ['GET_QUOTA 3|']],
    ['dom0', 'GET_QUOTA', 'nodes|', ['GET_QUOTA 4|']],
    ['dom0', 'SET_QUOTA', 'nodes|-1|', ['ERROR EINVAL|']],
    ['dom0', 'INTRODUCE', '5|1|7|', ['INTRODUCE OK|']],
    ['dom0', 'SET_FEATURE', '5|2|', ['ERROR EBUSY|']],
    ['dom5', 'WATCH', 'x|t|1|', ['ERROR EINVAL|']],
  ],
  (lab) => lab.hostDomains.set(5, '500'),
);

conversation(
  'SET_TARGET lends a device model the rights of its guest',
  [
    ['dom0', 'WRITE', '/x|1', ['WRITE OK|']],
    ['dom0', 'SET_PERMS', '/x|n5|', ['SET_PERMS OK|']],
    ['dom6', 'READ', '/x|', ['ERROR EACCES|']],
    ['dom0', 'SET_TARGET', '6|5|', ['SET_TARGET OK|']],
    ['dom6', 'READ', '/x|', ['READ 1']],
    ['dom6', 'WRITE', '/x/sub|', ['WRITE OK|']],
    ['dom6', 'GET_PERMS', '/x/sub|', ['GET_PERMS n6|']],
    ['dom0', 'SET_TARGET', '6|9|', ['ERROR ENOENT|']],
    ['dom0', 'SET_TARGET', '6|', ['ERROR EINVAL|']],
  ],
  (lab) => {
    lab.guest(5);
    lab.guest(6);
  },
);

t.test('directories too long for one message are read in parts', async (t) => {
  const lab = new StoreLab();
  const name = (index: number): string => `child-${String(index).padStart(21, '0')}`;
  for (let index = 0; index < 300; index++) lab.expectOk('dom0', 'MKDIR', `/big/${name(index)}|`);
  t.same(lab.ask('dom0', 'DIRECTORY', '/big|'), ['ERROR E2BIG|']);
  const sizes: number[] = [];
  let list = '';
  for (;;) {
    lab.send('dom0', 'DIRECTORY_PART', `/big|${list.length}|`);
    const [reply] = lab.connection('dom0').outbox.take();
    const payload = reply?.payload ?? '';
    sizes.push(payload.length);
    const part = payload.slice(payload.indexOf('\0') + 1);
    if (part.endsWith('\0\0')) {
      list += part.slice(0, -1);
      break;
    }
    list += part;
  }
  t.equal(list, Array.from({ length: 300 }, (_, index) => `${name(index)}\0`).join(''));
  t.ok(sizes.every((size) => size <= 4096));
  t.match(lab.reply('dom0', 'DIRECTORY_PART', '/big|99999|'), /^\d+\|$/, 'past the end: only the end');
  t.match(lab.reply('dom0', 'DIRECTORY_PART', '/tool/xenstored|0|'), /^\d+\|$/, 'a leaf: only the end');
  t.equal(lab.reply('dom0', 'DIRECTORY_PART', '/big|'), 'EINVAL');
});

t.test('an older release lacks what came later', async (t) => {
  const lab = new StoreLab(COMPAT['4.17']);
  talk(t, lab, [
    ['dom0', 'GET_FEATURE', '', ['ERROR ENOSYS|']],
    ['dom0', 'SET_QUOTA', 'nodes|1|', ['ERROR ENOSYS|']],
    ['dom0', 'WATCH', '/a|t|1|', ['ERROR EINVAL|']],
    ['dom0', 'GET_PERMS', '@releaseDomain|', ['ERROR EINVAL|']],
    ['dom0', 'SET_PERMS', '@releaseDomain|n0|r0|', ['SET_PERMS OK|']],
    ['dom0', 'IS_DOMAIN_INTRODUCED', '0x|', ['IS_DOMAIN_INTRODUCED T|']],
    ['dom0', 'UNWATCH', '//|t|', ['ERROR ENOENT|']],
  ]);
});
