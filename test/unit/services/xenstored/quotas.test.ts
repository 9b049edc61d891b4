// Every quota of a guest, driven to its edge and one past; and what is not limited.
import t from 'tap';
import { checkStore } from '../../../../services/xenstored/check.js';
import { COMPAT } from '../../../../services/xenstored/compat.js';
import { StoreLab } from '../../../../testkit/store-lab.js';

function labWithGuest(compat?: (typeof COMPAT)['4.17']): StoreLab {
  const lab = new StoreLab(compat);
  lab.guest(5);
  lab.expectOk('dom0', 'MKDIR', '/local/domain/5|');
  lab.expectOk('dom0', 'SET_PERMS', '/local/domain/5|n5|');
  return lab;
}

/** Nodes spread over ten directories, whose lists would otherwise be too long first. */
const nth = (index: number): string => `${index % 10}/${index}`;

/** How often a request succeeds before it is refused, and with what. */
function until(once: (index: number) => string, most = 5000): [number, string] {
  for (let index = 0; index < most; index++) {
    const reply = once(index);
    if (reply !== 'OK' && !/^\d+$/.test(reply)) return [index, reply];
  }
  return [most, 'OK'];
}

t.test('nodes, watches and transactions: one less than the limit', async (t) => {
  const lab = labWithGuest();
  // The home and ten directories are nodes of the guest's too.
  t.same(
    until((index) => lab.reply('dom5', 'WRITE', `${nth(index)}|`)),
    [999 - 11, 'ENOSPC'],
  );
  t.equal(lab.reply('dom5', 'WRITE', `${nth(0)}|again`), 'OK', 'an existing node is no new one');
  lab.expectOk('dom5', 'RM', `${nth(0)}|`);
  t.equal(lab.reply('dom5', 'WRITE', 'other|'), 'OK', 'a removed one makes room');
  t.same(
    until((index) => lab.reply('dom5', 'WATCH', `w|${index}|`)),
    [127, 'ENOSPC'],
  );
  lab.expectOk('dom5', 'UNWATCH', 'w|0|');
  t.equal(lab.reply('dom5', 'WATCH', 'w|again|'), 'OK');
  t.same(
    until(() => lab.reply('dom5', 'TRANSACTION_START', '|')),
    [9, 'ENOSPC'],
  );
  lab.expectOk('dom5', 'TRANSACTION_END', 'F|', 1);
  t.equal(lab.reply('dom5', 'TRANSACTION_START', '|'), '10');
  lab.expectOk('dom5', 'RESET_WATCHES', '|');
  t.equal(lab.reply('dom5', 'TRANSACTION_START', '|'), '11');
  t.same(checkStore(lab.store), []);
});

t.test('up to 4.21 the limit itself is allowed', async (t) => {
  const lab = labWithGuest(COMPAT['4.17']);
  t.same(
    until((index) => lab.reply('dom5', 'WRITE', `${nth(index)}|`)),
    [1000 - 11, 'ENOSPC'],
  );
  t.equal(until((index) => lab.reply('dom5', 'WATCH', `w|${index}|`))[1], 'E2BIG');
});

t.test('sizes: of a node, of its permissions, of a path', async (t) => {
  const lab = labWithGuest();
  t.equal(lab.reply('dom5', 'WRITE', `v|${'x'.repeat(2023)}`), 'OK');
  t.equal(lab.reply('dom5', 'WRITE', `v|${'x'.repeat(2024)}`), 'ENOSPC');
  t.equal(lab.reply('dom5', 'WRITE', `new|${'x'.repeat(2024)}`), 'ENOSPC');
  t.equal(lab.reply('dom5', 'READ', 'new|'), 'ENOENT', 'nothing of it was made');
  t.equal(lab.reply('dom5', 'SET_PERMS', 'v|n5|r1|r2|r3|'), 'ENOSPC', 'the node is full already');
  lab.expectOk('dom5', 'WRITE', 'v|');
  t.equal(lab.reply('dom5', 'SET_PERMS', 'v|n5|r1|r2|r3|'), 'OK');
  t.equal(lab.reply('dom5', 'SET_PERMS', 'v|n5|r1|r2|r3|r4|'), 'ENOSPC');
  const path = (length: number): string => 'p'.repeat(length);
  t.equal(lab.reply('dom5', 'READ', `${path(2047)}|`), 'ENOENT', 'counted without the home');
  t.equal(lab.reply('dom5', 'READ', `${path(2048)}|`), 'EINVAL');
  t.equal(lab.reply('dom0', 'READ', `/${path(4000)}|`), 'ENOENT', 'dom0 has no quotas');
  // A directory is as large as its list: the child that would not fit is not made.
  const name = (index: number): string => `${'c'.repeat(200)}${index}`;
  const [made, reply] = until((index) => lab.reply('dom5', 'WRITE', `dir/${name(index)}|`));
  t.equal(reply, 'ENOSPC');
  t.equal(made, Math.floor((2047 - 24) / 202));
  t.equal(lab.reply('dom5', 'DIRECTORY', 'dir|').split('|').length, made);
  t.same(checkStore(lab.store), []);
});

t.test('a transaction touches so many nodes and no more, and cannot commit after', async (t) => {
  const lab = labWithGuest();
  lab.expectOk('dom0', 'SET_QUOTA', '5|transaction-nodes|5|');
  const id = lab.begin('dom5');
  lab.expectOk('dom5', 'WRITE', 'a|', id); // the node and its parent
  lab.expectOk('dom5', 'WRITE', 'b|', id);
  lab.expectOk('dom5', 'WRITE', 'c|', id);
  t.equal(lab.reply('dom5', 'WRITE', 'd|', id), 'ENOSPC');
  t.equal(lab.reply('dom5', 'TRANSACTION_END', 'T|', id), 'ENOMEM');
  t.equal(lab.reply('dom5', 'READ', 'a|'), 'ENOENT');
});

t.test('node quotas count at the commit too', async (t) => {
  const lab = labWithGuest();
  lab.expectOk('dom0', 'SET_QUOTA', '5|nodes|4|');
  const id = lab.begin('dom5');
  for (const name of ['a', 'b', 'c']) lab.expectOk('dom5', 'WRITE', `${name}|`, id);
  t.equal(lab.reply('dom5', 'TRANSACTION_END', 'T|', id), 'ENOSPC');
  t.equal(lab.reply('dom5', 'READ', 'a|'), 'ENOENT');
  const second = lab.begin('dom5');
  for (const name of ['a', 'b']) lab.expectOk('dom5', 'WRITE', `${name}|`, second);
  t.equal(lab.reply('dom5', 'TRANSACTION_END', 'T|', second), 'OK');
});

t.test('memory is charged to who holds it and given back', async (t) => {
  const lab = labWithGuest();
  const { account } = lab.connection('dom5').domain!;
  const before = account.used('memory');
  lab.expectOk('dom5', 'WRITE', `m|${'x'.repeat(1000)}`);
  lab.expectOk('dom5', 'WATCH', 'm|token|');
  const id = lab.begin('dom5');
  lab.expectOk('dom5', 'WRITE', `t|${'x'.repeat(500)}`, id);
  t.ok(account.used('memory') > before + 1500);
  lab.expectOk('dom5', 'TRANSACTION_END', 'F|', id);
  lab.expectOk('dom5', 'UNWATCH', 'm|token|');
  lab.expectOk('dom5', 'RM', 'm|');
  t.equal(account.used('memory'), before);
  lab.expectOk('dom0', 'SET_QUOTA', `5|memory|${before + 600}|`);
  t.equal(lab.reply('dom5', 'WRITE', `m|${'x'.repeat(300)}`), 'OK');
  t.equal(lab.reply('dom5', 'WRITE', `n|${'x'.repeat(500)}`), 'ENOMEM');
  t.equal(lab.reply('dom5', 'READ', 'n|'), 'ENOENT');
  lab.expectOk('dom0', 'SET_QUOTA', '5|memory|0|');
  t.equal(lab.reply('dom5', 'WRITE', `n|${'x'.repeat(500)}`), 'OK', '0 is no limit');
});

t.test('CONTROL shows and sets what is limited', async (t) => {
  const lab = labWithGuest();
  t.match(lab.reply('dom0', 'CONTROL', 'quota|'), /^Quota settings:\nnodes {12}: {5}1000 .*\n/);
  t.equal(lab.reply('dom0', 'CONTROL', 'quota|set|nodes|7|'), 'OK');
  t.equal(lab.reply('dom0', 'GET_QUOTA', 'nodes|'), '7');
  t.equal(lab.reply('dom0', 'GET_QUOTA', '5|nodes|'), '1000', 'only of domains to come');
  for (const bad of [
    'quota|set|nodes|0|',
    'quota|set|nothing|1|',
    'quota|max|x|',
    'quota-soft|set|nodes|1|',
    'nothing|',
  ]) {
    t.equal(lab.reply('dom0', 'CONTROL', bad), 'EINVAL', bad);
  }
  t.equal(lab.reply('dom0', 'CONTROL', 'quota-soft|set|memory|9|'), 'OK');
  t.match(lab.reply('dom0', 'CONTROL', 'quota|5|'), /^Domain 5:\nnodes +: +1 \(max +1\)\n/);
  t.equal(lab.reply('dom0', 'CONTROL', 'quota|6|'), 'ENOENT');
  lab.expectOk('dom5', 'WRITE', 'a|');
  lab.expectOk('dom5', 'RM', 'a|');
  t.match(lab.reply('dom0', 'CONTROL', 'quota|max|'), /nodes +: +2\n/);
  t.match(lab.reply('dom0', 'CONTROL', 'quota|max|-r|'), /nodes +: +1\n/);
  t.match(lab.reply('dom0', 'CONTROL', 'help|'), /^check .*\nlog /);
  t.equal(lab.reply('dom0', 'CONTROL', 'print|hello|'), 'OK');
  t.same(lab.printed, ['hello']);
});
