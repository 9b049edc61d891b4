// A device's directory that is removed and made anew while the backend is at work on the one before: each point was found by
// `xenwire explore`.
import t from 'tap';
import type { StoreClient } from '../../../../lib/xenstore/api.js';
import { Dom0Lab } from '../../../../testkit/dom0-lab.js';

const BACK = '/local/domain/0/backend/virtio-mmio/1/0';

/** `before` runs before the backend's transaction of this number, counted from 1. */
function beforeTransaction(number: number, before: () => Promise<void>): (store: StoreClient) => StoreClient {
  let count = 0;
  return (store) =>
    new Proxy(store, {
      get: (target, name) => {
        const value = target[name as keyof StoreClient] as (...args: unknown[]) => unknown;
        if (name !== 'transaction') return typeof value === 'function' ? value.bind(target) : value;
        return async (...args: unknown[]) => {
          if (++count === number) await before();
          return value.apply(target, args);
        };
      },
    });
}

for (const [number, when] of [
  [1, 'before what the toolstack wrote is read'],
  [2, 'before `size` is written'],
] as const) {
  t.test(`a directory that is gone ${when} is not refused: the one made later connects`, async (t) => {
    const lab = new Dom0Lab();
    let gone = false;
    lab.backendStore = beforeTransaction(number, async () => {
      await lab.store.rm(BACK);
      gone = true;
    });
    await lab.start();
    lab.guest();
    await lab.create(1);
    await lab.until('the removal', () => gone);
    await lab.create(1);
    await lab.untilBack(2, 1);
    t.equal(await lab.read(`${BACK}/size`), '0x200');
    t.equal(await lab.error(1), '');
    t.same(lab.failures, []);
  });
}

t.test('a directory that is made anew just before 2 is written gets its `size` first', async (t) => {
  const lab = new Dom0Lab();
  let unpublished = '';
  lab.backendStore = beforeTransaction(3, async () => {
    await lab.store.rm(BACK);
    await lab.create(1);
    await lab.store.watch(`${BACK}/state`, 'test', () => {
      const keys = lab.store.transaction(async (tx) => [
        await tx.read(`${BACK}/state`),
        await tx.read(`${BACK}/size`).catch(() => ''),
      ]);
      keys.then(([state, size]) => {
        if (state === '2' && size === '') unpublished = 'state 2 without size';
      }, t.error);
    });
  });
  await lab.start();
  lab.guest();
  await lab.create(1);
  await lab.untilBack(2, 1);
  await lab.until('size', async () => (await lab.read(`${BACK}/size`)) === '0x200');
  t.equal(unpublished, '');
  t.same(lab.failures, []);
});
