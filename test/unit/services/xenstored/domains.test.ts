// What the host says of domains, and questions that it has not answered yet.
import t from 'tap';
import { checkStore } from '../../../../services/xenstored/check.js';
import { StoreLab } from '../../../../testkit/store-lab.js';

const alive = { shutdown: false, dead: false };

t.test('a shutdown is told once until RESUME, all of a batch with one bare event, last', async (t) => {
  const lab = new StoreLab();
  for (const domid of [5, 6]) lab.guest(domid);
  for (const [path, depth] of [
    ['@releaseDomain', ''],
    ['@releaseDomain', '1|'],
    ['@releaseDomain/6', ''],
  ]) {
    lab.expectOk('dom0', 'WATCH', `${path}|${depth === '' ? 'plain' : 'deep'}|${depth}`);
  }
  const down = (domid: number) => ({ domid, uniqueId: `${domid}00`, shutdown: true, dead: false });
  lab.store.domainsChanged([down(5), down(6)]);
  t.same(lab.heard('dom0'), [
    'EVENT @releaseDomain/5 deep',
    'EVENT @releaseDomain/6 deep',
    'EVENT @releaseDomain/6 plain',
    'EVENT @releaseDomain plain',
  ]);
  lab.store.domainsChanged([down(5), down(6)]);
  t.same(lab.heard('dom0'), []);
  lab.expectOk('dom0', 'RESUME', '5|');
  lab.store.domainsChanged([down(5)]);
  t.same(lab.heard('dom0'), ['EVENT @releaseDomain/5 deep', 'EVENT @releaseDomain plain']);
  t.equal(lab.reply('dom0', 'IS_DOMAIN_INTRODUCED', '5|'), 'T', 'it is still there');
});

t.test('a dead domain, or another one of its number, takes all that it had with it', async (t) => {
  for (const change of [
    { domid: 5, uniqueId: '500', shutdown: true, dead: true },
    { domid: 5, uniqueId: '', ...alive },
    { domid: 5, uniqueId: '777', ...alive },
  ]) {
    const lab = new StoreLab();
    lab.guest(5);
    lab.store.domainsChanged([{ domid: 5, uniqueId: '500', ...alive }]);
    lab.expectOk('dom0', 'WRITE', '/own/below|');
    lab.expectOk('dom0', 'SET_PERMS', '/own|n5|');
    lab.expectOk('dom0', 'WRITE', '/shared|');
    lab.expectOk('dom0', 'SET_PERMS', '/shared|n0|r5|');
    lab.expectOk('dom5', 'WATCH', '/own|w|');
    lab.begin('dom5');
    lab.connection('dom5').outbox.take();
    lab.expectOk('dom0', 'WATCH', '/own|w|');
    lab.expectOk('dom0', 'WATCH', '@releaseDomain|r|');
    lab.store.domainsChanged([change]);
    t.same(lab.heard('dom0'), ['EVENT /own w', 'EVENT @releaseDomain r']);
    t.ok(lab.wasDropped('dom5'));
    t.equal(lab.reply('dom0', 'READ', '/own/below|'), 'ENOENT');
    t.equal(lab.reply('dom0', 'GET_PERMS', '/shared|'), 'n0');
    t.equal(lab.reply('dom0', 'IS_DOMAIN_INTRODUCED', '5|'), 'F');
    t.same(
      lab.store.audit().map(({ name }) => name),
      ['dom0 /own w', 'dom0 @releaseDomain r'],
    );
    t.same(checkStore(lab.store), []);
  }
});

t.test('a domain that was only named is forgotten silently', async (t) => {
  const lab = new StoreLab();
  lab.hostDomains.set(5, '500');
  lab.expectOk('dom0', 'WRITE', '/own|');
  lab.expectOk('dom0', 'SET_PERMS', '/own|n5|');
  lab.expectOk('dom0', 'WATCH', '@releaseDomain|r|');
  lab.heard('dom0');
  lab.store.domainsChanged([{ domid: 5, uniqueId: '', ...alive }]);
  t.same(lab.heard('dom0'), []);
  t.equal(lab.reply('dom0', 'READ', '/own|'), 'ENOENT', 'its nodes go all the same');
});

t.test('a reused domid inherits no rights from entries of its forerunner', async (t) => {
  const lab = new StoreLab();
  lab.expectOk('dom0', 'WRITE', '/x|');
  // Written while no domain 5 exists: it means no domain, and stays so.
  lab.expectOk('dom0', 'SET_PERMS', '/x|n0|r5|');
  lab.guest(5);
  t.equal(lab.reply('dom5', 'READ', '/x|'), 'EACCES');
  t.equal(lab.reply('dom0', 'GET_PERMS', '/x|'), 'n0|r5', 'though it is shown');
  lab.expectOk('dom0', 'SET_PERMS', '/x|n0|r5|');
  t.equal(lab.reply('dom5', 'READ', '/x|'), '');
});

t.test('the nodes that are always there outlive an owner, and go back to dom0', async (t) => {
  const lab = new StoreLab();
  lab.guest(5);
  for (const path of ['/', '@releaseDomain', '@introduceDomain']) lab.expectOk('dom0', 'SET_PERMS', `${path}|n5|r5|`);
  lab.expectOk('dom0', 'WRITE', '/x|1');
  lab.store.domainsChanged([{ domid: 5, uniqueId: '', ...alive }]);
  for (const path of ['/', '@releaseDomain', '@introduceDomain']) {
    t.equal(lab.reply('dom0', 'GET_PERMS', `${path}|`), 'n0', path);
  }
  t.equal(lab.reply('dom0', 'READ', '/tool|'), '');
  t.equal(lab.reply('dom0', 'READ', '/x|'), 'ENOENT', 'what it owned below the root is gone');
  t.same(checkStore(lab.store), []);
});

t.test('a transaction cannot leave rights to a domain that died meanwhile', async (t) => {
  const lab = new StoreLab();
  lab.guest(5);
  lab.expectOk('dom0', 'WRITE', '/x|');
  for (const perms of ['n5', 'n0|r5']) {
    const id = lab.begin('dom0');
    lab.expectOk('dom0', 'SET_PERMS', `/x|${perms}|`, id);
    const other = lab.begin('dom0');
    lab.expectOk('dom0', 'WRITE', `/y/${perms.length}|`, other);
    lab.store.domainsChanged([{ domid: 5, uniqueId: '', ...alive }]);
    lab.hostDomains.set(5, '501');
    lab.expectOk('dom0', 'INTRODUCE', '5|1|7|');
    t.equal(lab.reply('dom0', 'TRANSACTION_END', 'T|', id), 'EAGAIN', perms);
    t.equal(lab.reply('dom0', 'TRANSACTION_END', 'T|', other), 'OK', 'others are not concerned');
    t.equal(lab.reply('dom0', 'GET_PERMS', '/x|'), 'n0');
  }
  t.same(checkStore(lab.store), []);
});

t.test(
  'a request that needs the host waits, the others of its connection behind it, no other connection',
  async (t) => {
    const lab = new StoreLab();
    lab.answersAtOnce = false;
    lab.expectOk('dom0', 'WRITE', '/x|1');
    lab.send('dom0', 'SET_PERMS', '/x|n5|');
    lab.send('dom0', 'GET_PERMS', '/x|');
    t.same(lab.heard('dom0'), []);
    t.same(lab.questions, [{ kind: 'domain', domid: 5 }]);
    t.same(lab.ask('dom0-b', 'READ', '/x|'), ['READ 1']);
    lab.hostDomains.set(5, '500');
    // Asked before it existed: the answer is that of the time of asking.
    lab.answerAll();
    t.same(lab.heard('dom0'), ['ERROR ENOENT|', 'GET_PERMS n0|']);
    lab.send('dom0', 'SET_PERMS', '/x|n5|r6|');
    lab.answerAll();
    t.same(lab.heard('dom0'), [], 'the second domain is asked for next');
    lab.answerAll();
    t.same(lab.heard('dom0'), ['SET_PERMS OK|']);
    lab.send('dom0', 'GET_FEATURE', '9|');
    lab.close('dom0');
    lab.answerAll();
    t.same(checkStore(lab.store), [], 'an answer for who is gone harms nothing');
  },
);
