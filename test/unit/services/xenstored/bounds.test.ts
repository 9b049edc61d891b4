// What bounds a guest beside its quotas: the rate of its writes, what may wait for it, and when it is not heard.
import t from 'tap';
import { XENSTORE_PAYLOAD_MAX } from '../../../../lib/layout/xs-wire.js';
import { COMPAT } from '../../../../services/xenstored/compat.js';
import { WriteRate } from '../../../../services/xenstored/write-rate.js';
import { StoreClock } from '../../../../testkit/store-clock.js';
import { StoreLab } from '../../../../testkit/store-lab.js';

interface Timed {
  readonly lab: StoreLab;
  readonly clock: StoreClock;
}

/** Guests 5 and 6, each with a home of its own. */
function timed(compat?: (typeof COMPAT)['4.17']): Timed {
  const clock = new StoreClock();
  const lab = new StoreLab(compat, true, clock);
  for (const domid of [5, 6]) {
    lab.guest(domid);
    lab.expectOk('dom0', 'MKDIR', `/local/domain/${domid}|`);
    lab.expectOk('dom0', 'SET_PERMS', `/local/domain/${domid}|n${domid}|`);
  }
  return { lab, clock };
}

const used = (lab: StoreLab, name: string, what: 'memory' | 'outstanding'): number =>
  lab.connection(name).domain?.account.used(what) ?? -1;

/** How many of `count` writes of one node are answered at once; the rest waits. */
function writes(lab: StoreLab, name: string, count: number): number {
  for (let index = 0; index < count; index++) lab.send(name, 'WRITE', `x|${index}`);
  return lab.heard(name).length;
}

t.test('beside an open transaction a guest writes at its rate, and is heard again by itself', async (t) => {
  const { lab, clock } = timed();
  lab.expectOk('dom5', 'WRITE', 'x|');
  t.equal(writes(lab, 'dom5', 15), 15, 'no transaction, no rate');
  const id = lab.begin('dom0');
  // Ten at once, and the one that overdraws.
  t.equal(writes(lab, 'dom5', 15), 11);
  t.equal(lab.reply('dom0', 'READ', '/local/domain/5/x|'), '10', 'others are served');
  t.equal(writes(lab, 'dom6', 5), 5, 'other guests too');
  lab.expectOk('dom0', 'WRITE', '/y|', id);
  // 200 writes a second among dom0 and two guests: one of a guest's every 15 ms.
  clock.advanceTo(0.014);
  t.same(lab.heard('dom5'), []);
  clock.advanceTo(0.015);
  t.same(lab.heard('dom5'), ['WRITE OK|']);
  clock.advanceTo(0.03);
  clock.advanceTo(0.045);
  t.same(lab.heard('dom5'), ['WRITE OK|', 'WRITE OK|']);
  lab.expectOk('dom0', 'TRANSACTION_END', 'F|', id);
  clock.advanceTo(0.06);
  t.same(lab.heard('dom5'), ['WRITE OK|']);
  t.equal(writes(lab, 'dom5', 15), 15);
  t.equal(clock.pending, 0);
});

t.test('what is read costs nothing, what is made costs its parent too, a commit costs once', async (t) => {
  const { lab } = timed();
  const id = lab.begin('dom0');
  for (let index = 0; index < 100; index++) t.equal(lab.reply('dom5', 'READ', 'x|'), 'ENOENT');
  lab.send('dom5', 'WRITE', 'a/b/c/d/e|');
  // Five nodes and the home: six writes; then two more each.
  for (let index = 0; index < 10; index++) lab.send('dom5', 'MKDIR', `${index}|`);
  t.equal(lab.heard('dom5').length, 4);
  const own = lab.begin('dom6');
  for (let index = 0; index < 50; index++) lab.expectOk('dom6', 'WRITE', `x|${index}`, own);
  lab.expectOk('dom6', 'TRANSACTION_END', 'T|', own);
  t.equal(writes(lab, 'dom6', 20), 10, 'the commit took one of its eleven');
  lab.expectOk('dom0', 'TRANSACTION_END', 'F|', id);
});

t.test('a rate is shared; a domain that does not use its share fills a reserve', async (t) => {
  const rate = new WriteRate();
  rate.begin(1, 0);
  rate.begin(2, 0);
  rate.spend(1, 10, 0);
  t.equal(rate.waitMs(1, 0), 0);
  rate.spend(1, 1, 0);
  t.equal(rate.waitMs(1, 0), 15, 'a third of 200 a second');
  // A newcomer may overdraw the reserve, by fifty writes in all; the first two took twenty.
  for (const domid of [3, 4, 5]) {
    rate.spend(domid, 10, 0);
    t.equal(rate.waitMs(domid, 0), 0);
  }
  rate.begin(6, 0);
  rate.spend(6, 1, 0);
  t.ok(rate.waitMs(6, 0) > 0, 'nothing left to owe');
  // Long after, the reserve is full, and one domain may use it all beside its own burst.
  const later = 10_000_000;
  rate.spend(1, 1009, later);
  t.equal(rate.waitMs(1, later), 0);
  rate.spend(1, 2, later);
  t.ok(rate.waitMs(1, later) > 0);
});

t.test('a writer waits for those who do not take what it caused, and for none longer than it lives', async (t) => {
  for (const compat of [undefined, COMPAT['4.17']] as const) {
    const { lab, clock } = timed(compat as (typeof COMPAT)['4.17']);
    lab.expectOk('dom0', 'SET_PERMS', '/local/domain/6|n6|r5|');
    t.equal(lab.reply('dom5', 'WATCH', '/local/domain/6|w|'), 'OK');
    for (let index = 0; index < 30; index++) lab.send('dom6', 'WRITE', `${index}|`);
    t.equal(lab.connection('dom6').outbox.count, 20, 'with its own replies not taken');
    // Taken: yet each has an event that waits for guest 5.
    const replies = lab.heard('dom6').length;
    lab.store.resume();
    t.same([replies, lab.connection('dom6').outbox.count, used(lab, 'dom6', 'outstanding')], [20, 0, 20]);
    t.equal(lab.reply('dom0', 'READ', '/|'), '', 'dom0 is served');
    t.equal(lab.heard('dom5').length, 20);
    lab.store.resume();
    t.equal(lab.heard('dom6').length, 10);
    t.equal(used(lab, 'dom6', 'outstanding'), 10);
    lab.close('dom5');
    lab.store.resume();
    t.equal(used(lab, 'dom6', 'outstanding'), 0);
    t.equal(clock.pending, 0);
  }
});

t.test('what waits for a guest is its memory: no room, no events, and it is not heard', async (t) => {
  const { lab } = timed();
  const before = used(lab, 'dom5', 'memory');
  lab.expectOk('dom0', 'SET_QUOTA', '5|outstanding|0|');
  t.equal(lab.reply('dom5', 'WATCH', 'd|w|'), 'OK');
  lab.expectOk('dom0', 'MKDIR', '/local/domain/5/d|');
  lab.heard('dom5');
  const rest = used(lab, 'dom5', 'memory');
  t.ok(rest > before);
  // A header and "d/0|w|": 22 bytes an event. dom0's nodes there are charged to the guest that owns the directory.
  lab.expectOk('dom0', 'SET_PERMS', '/local/domain/5/d|n0|b5|');
  lab.heard('dom5');
  const free = used(lab, 'dom5', 'memory');
  lab.expectOk('dom0', 'SET_QUOTA', `5|memory|${free + 221}|`);
  for (let index = 10; index < 30; index++) lab.expectOk('dom0', 'WRITE', `/local/domain/5/d/${index}|`);
  t.equal(lab.connection('dom5').outbox.count, 9, 'of 23 bytes each');
  t.equal(used(lab, 'dom5', 'memory'), free + 9 * 23);
  // A short answer is always given, a long one is not.
  lab.send('dom5', 'READ', 'd/10|');
  t.equal(used(lab, 'dom5', 'memory'), free + 9 * 23 + 16, 'an empty value is short');
  lab.send('dom5', 'READ', 'd/11|');
  t.equal(lab.connection('dom5').outbox.count, 10, 'it is full, so the next request waits');
  const heard = lab.heard('dom5');
  t.equal(heard.filter((line) => line.startsWith('EVENT')).length, 9);
  t.equal(used(lab, 'dom5', 'memory'), free);
  lab.store.resume();
  t.same(lab.heard('dom5'), ['READ ']);
  lab.expectOk('dom0', 'WRITE', `/local/domain/5/d/long|${'x'.repeat(300)}`);
  lab.heard('dom5');
  t.equal(lab.reply('dom5', 'READ', 'd/long|'), 'ENOMEM', 'no room for this one');
});

t.test('an event that no message can carry is not sent', async (t) => {
  const lab = new StoreLab();
  const token = (length: number): string => 't'.repeat(length);
  // "/" and the token, then "/long/name" of 2000 characters.
  const name = `/${'n'.repeat(1999)}`;
  const fits = XENSTORE_PAYLOAD_MAX - name.length - 2;
  lab.expectOk('dom0', 'WATCH', `/|${token(fits)}|`);
  lab.expectOk('dom0', 'WATCH', `/|${token(fits + 1)}|`);
  lab.expectOk('dom0-b', 'WRITE', `${name}|`);
  t.same(lab.heard('dom0'), [`EVENT ${name} ${token(fits)}`]);
});
