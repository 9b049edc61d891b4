// What the store does is a point, whatever the transport: commits with their whole path, outside transactions at once and
// inside only as they are committed; watches and transactions as they are taken and given back, by whatever way.
import t from 'tap';
import { NO_PROBE } from '../../../../lib/core/probe.js';
import { StoreLab } from '../../../../testkit/store-lab.js';

function lab(): { lab: StoreLab; take: () => string[] } {
  const seen: string[] = [];
  const at = ({ name }: { name: string }, label = '', a = 0): number => seen.push(`${name} ${label || a}`);
  const made = new StoreLab(undefined, true, undefined, { ...NO_PROBE, at });
  seen.length = 0;
  return { lab: made, take: () => seen.splice(0) };
}

t.test('a write commits at once, each node that it makes with its whole path, however long', (t) => {
  const { lab: store, take } = lab();
  const long = `/${'n'.repeat(200)}/${'m'.repeat(200)}`;
  store.expectOk('dom0', 'WRITE', `${long}|v`);
  t.same(
    take().filter((line) => line.startsWith('store.commit')),
    // The parent that has a new child is another node too.
    [`store.commit ${long}`, `store.commit ${long.slice(0, 201)}`, 'store.commit /'],
  );
  store.expectOk('dom0', 'RM', `${long.slice(0, 201)}|`);
  t.ok(take().includes(`store.commit ${long.slice(0, 201)}`));
  t.end();
});

t.test('what a transaction writes is committed when it ends, or never', (t) => {
  const { lab: store, take } = lab();
  const commits = (): string[] => take().filter((line) => /commit|transaction/.test(line));
  const kept = store.begin('dom0');
  store.expectOk('dom0', 'WRITE', '/a|1', kept);
  t.same(commits(), [`transaction.take ${kept}`]);
  store.expectOk('dom0', 'TRANSACTION_END', 'T|', kept);
  t.same(commits(), ['store.commit /a', 'store.commit /', `transaction.give ${kept}`]);
  const dropped = store.begin('dom0');
  store.expectOk('dom0', 'WRITE', '/b|1', dropped);
  store.close('dom0');
  t.same(commits(), [`transaction.take ${dropped}`, `transaction.give ${dropped}`]);
  t.end();
});

t.test('watches are taken and given back, also by a client that goes', (t) => {
  const { lab: store, take } = lab();
  store.expectOk('dom0', 'WATCH', '/w|1|');
  store.expectOk('dom0', 'WATCH', '/x|1|');
  store.expectOk('dom0', 'UNWATCH', '/w|1|');
  store.close('dom0');
  t.same(
    take().filter((line) => line.startsWith('watch.')),
    ['watch.take /w', 'watch.take /x', 'watch.give /w', 'watch.give /x'],
  );
  t.end();
});

t.test('a commit says the number that a node holds', (t) => {
  const values: [string, number | undefined][] = [];
  const at = ({ name }: { name: string }, label = '', _a = 0, b?: number): void =>
    void (name === 'store.commit' && label.startsWith('/n/') && values.push([label, b]));
  const store = new StoreLab(undefined, true, undefined, { ...NO_PROBE, at });
  for (const value of ['4', '123456789', '', '0x10', '1234567890', '-1', '4 '])
    store.expectOk('dom0', 'WRITE', `/n/v|${value}`);
  store.expectOk('dom0', 'RM', '/n/v|');
  t.same(
    values.map(([, number]) => number),
    [4, 123456789, 0, 0, 0, 0, 0, 0],
  );
  t.end();
});
