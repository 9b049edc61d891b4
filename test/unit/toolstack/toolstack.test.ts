import t from 'tap';
import { DeadlineError } from '../../../lib/core/errors.js';
import { listNode, readNode, removeNodeAndEmptyParents, whenStore } from '../../../toolstack/toolstack.js';
import { FakeHost } from '../../fixtures/toolstack.js';

t.test('waiting looks at once, then at each change, and leaves no watch', async (t) => {
  const host = new FakeHost();
  const toolstack = host.toolstack();
  const values: (string | undefined)[] = [];
  const waiting = whenStore(toolstack, '/a', 5000, async () => {
    const value = await readNode(toolstack.store, '/a');
    values.push(value);
    if (value === undefined) void toolstack.store.write('/a', 'first');
    if (value === 'first') void toolstack.store.write('/a', 'second');
    return value === 'second' ? value : undefined;
  });
  t.equal(await waiting, 'second');
  t.equal(values[0], undefined);
  t.same(host.store.audit(), []);
});

t.test('waiting ends loudly at its deadline, and with what the look throws', async (t) => {
  const host = new FakeHost();
  const toolstack = host.toolstack();
  await t.rejects(
    whenStore(toolstack, '/a', 20, async () => undefined),
    new DeadlineError('/a: nothing within 20 ms'),
  );
  const broken = whenStore(toolstack, '/a', 5000, async () => {
    throw new Error('no use waiting');
  });
  await t.rejects(broken, new Error('no use waiting'));
  t.same(host.store.audit(), []);
});

t.test('waiting ends with the toolstack, and with the first of several paths that changes', async (t) => {
  const host = new FakeHost();
  const end = new AbortController();
  const toolstack = { ...host.toolstack(), ended: end.signal };
  const waiting = whenStore(toolstack, '/a', undefined, async () => undefined);
  end.abort(new Error('closed'));
  await t.rejects(waiting, new Error('closed'));
  const other = host.toolstack();
  const several = whenStore(other, ['/b', '/c'], 5000, () => readNode(other.store, '/c'));
  await other.store.write('/c', 'here');
  t.equal(await several, 'here');
});

t.test('a removed node takes along parents that hold nothing, and stops at one that does', async (t) => {
  const { store } = new FakeHost().toolstack();
  await store.write('/top/kept', 'value');
  await store.write('/top/a/b/c', 'x');
  await removeNodeAndEmptyParents(store, '/top/a/b/c');
  t.same(await listNode(store, '/top'), ['kept']);
  await store.write('/top/a', 'has a value');
  await store.write('/top/a/b/c', 'x');
  await removeNodeAndEmptyParents(store, '/top/a/b/c');
  t.equal(await readNode(store, '/top/a'), 'has a value');
  t.same(await listNode(store, '/top/a'), []);
  t.same(await listNode(store, '/nowhere'), []);
});
