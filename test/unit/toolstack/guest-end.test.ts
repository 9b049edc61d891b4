import t from 'tap';
import { SHUTDOWN } from '../../../lib/layout/evtchn.js';
import { backendPath } from '../../../lib/layout/xenbus.js';
import { createGuest, destroyGuest, finishUnfinished, type Guest, listGuests } from '../../../toolstack/domain.js';
import type { EndAction, GuestConfig } from '../../../toolstack/guest-config.js';
import { giveUpGuest, watchGuest } from '../../../toolstack/guest-end.js';
import type { Toolstack } from '../../../toolstack/toolstack.js';
import { FakeHost, Killed } from '../../fixtures/toolstack.js';

const config = (actions: Partial<GuestConfig>): GuestConfig => ({
  ...{ name: 'gpu', memoryMib: 64, vcpus: 1 },
  ...{ onPoweroff: 'destroy', onReboot: 'restart', onCrash: 'destroy' },
  virtio: [{ type: 'virtio,device10', transport: 'mmio', backend: '0' }],
  ...actions,
});

interface Watched {
  readonly host: FakeHost;
  readonly toolstack: Toolstack;
  readonly guest: Guest;
  readonly said: string[];
  readonly restarted: number[];
  readonly done: Promise<void>;
  readonly end: AbortController;
  /** Resolves once that many things were said. */
  saidOf(count: number): Promise<void>;
}

/** Backends that close as soon as they are told to. */
async function closingBackends(host: FakeHost): Promise<void> {
  const backend = host.client('backend');
  await backend.watch('/local/domain/0/backend', 'b', async () => {
    for (const { domid } of [...host.domains.values()]) {
      const path = `${backendPath({ kind: 'virtio-mmio', domid, devid: 0, backDomid: 0 })}/state`;
      if ((await backend.read(path).catch(() => '')) === '5') await backend.write(path, '6').catch(() => {});
    }
  });
}

async function watched(actions: Partial<GuestConfig>): Promise<Watched> {
  const host = new FakeHost();
  const end = new AbortController();
  const toolstack = { ...host.toolstack(), ended: end.signal };
  const guest = await createGuest(toolstack, config(actions));
  await closingBackends(host);
  const said: string[] = [];
  const restarted: number[] = [];
  let wake: () => void = () => {};
  const done = watchGuest(toolstack, guest, config(actions), {
    exclusively: (sequence) => sequence(),
    say: (sentence) => {
      said.push(sentence);
      wake();
    },
    restarted: ({ domid }) => restarted.push(domid),
    dump: async ({ name, domid }) => `${name}-${domid}.core`,
  });
  done.catch(() => {});
  const saidOf = async (count: number): Promise<void> => {
    while (said.length < count) await new Promise<void>((resolve) => (wake = resolve));
  };
  return { host, toolstack, guest, said, restarted, done, end, saidOf };
}

const states = async (toolstack: Toolstack): Promise<string[]> =>
  (await listGuests(toolstack)).map(({ name, domid, state }) => `${name} ${domid} ${state}`);

t.test('destroy and coredump-destroy remove a crashed guest, and the watching ends', async (t) => {
  for (const [onCrash, words] of [
    ['destroy', 'guest gpu (domain 1) crashed: it is removed, on_crash = "destroy"'],
    [
      'coredump-destroy',
      'guest gpu (domain 1) crashed: it is removed, its memory is in gpu-1.core, on_crash = "coredump-destroy"',
    ],
  ] as const satisfies readonly (readonly [EndAction, string])[]) {
    const { host, toolstack, said, done } = await watched({ onCrash });
    host.lose(1, 'shutdown');
    await done;
    t.same(said, [words]);
    t.same(await states(toolstack), []);
  }
});

t.test('restart makes the same guest again as a new domain, each time it crashes', async (t) => {
  const { host, toolstack, said, restarted, saidOf, end, done } = await watched({ onCrash: 'coredump-restart' });
  host.lose(1, 'shutdown');
  await saidOf(1);
  host.lose(2, 'shutdown');
  await saidOf(2);
  t.same(restarted, [2, 3]);
  t.match(said[1], /^guest gpu \(domain 2\) crashed: its memory is in gpu-2.core, it runs again as domain 3, on_crash/);
  t.same(await states(toolstack), ['gpu 3 running']);
  end.abort(new Error('closed'));
  await t.rejects(done, new Error('closed'));
});

t.test('the reason of the end chooses the setting', async (t) => {
  const reboot = await watched({ onCrash: 'preserve' });
  reboot.host.lose(1, 'shutdown', SHUTDOWN.reboot);
  await reboot.saidOf(1);
  t.same(reboot.said, ['guest gpu (domain 1) asked for a reboot: it runs again as domain 2, on_reboot = "restart"']);
  const off = await watched({ onCrash: 'preserve' });
  off.host.lose(1, 'shutdown', SHUTDOWN.poweroff);
  await off.done;
  t.same(off.said, ['guest gpu (domain 1) powered off: it is removed, on_poweroff = "destroy"']);
});

t.test('preserve keeps it as it ended, rename-restart beside its successor', async (t) => {
  const kept = await watched({ onCrash: 'preserve' });
  kept.host.lose(1, 'shutdown');
  await kept.done;
  t.same(await states(kept.toolstack), ['gpu 1 shutdown']);
  const renamed = await watched({ onCrash: 'rename-restart' });
  renamed.host.lose(1, 'shutdown');
  await renamed.saidOf(1);
  t.same(await states(renamed.toolstack), ['gpu-1 1 shutdown', 'gpu 2 running']);
  t.same([...renamed.host.tokens], [['gpu', 'token-2']]);
  t.ok(renamed.host.nodes().includes('/local/domain/1/name = gpu-1'));
});

t.test('a guest that a toolstack removes is not started again, even one that crashes at that', async (t) => {
  const { host, toolstack, guest, said, done } = await watched({ onCrash: 'restart' });
  await destroyGuest(toolstack, guest);
  await done;
  t.same([said, [...host.domains]], [[], []]);
});

t.test('a guest whose process never attached is given up as crashed', async (t) => {
  const { toolstack, saidOf, said } = await watched({ onCrash: 'destroy' });
  await giveUpGuest(toolstack, 1);
  await saidOf(1);
  t.match(said[0], 'crashed: it is removed');
  await giveUpGuest(toolstack, 1);
});

t.test(
  'a monitor killed before any of its requests leaves what the next call of a toolstack makes whole',
  async (t) => {
    for (const onCrash of ['restart', 'rename-restart'] as const) {
      const run = async (killedAt: number): Promise<{ host: FakeHost; asked: number }> => {
        const host = new FakeHost();
        const guest = await createGuest(host.toolstack(), config({ onCrash }));
        await closingBackends(host);
        host.lose(1, 'shutdown');
        let count = 0;
        const end = new AbortController();
        const toolstack = {
          ...host.toolstack(() => {
            if (count++ === killedAt) throw new Killed();
          }),
          ended: end.signal,
        };
        await watchGuest(toolstack, guest, config({ onCrash }), {
          exclusively: (sequence) => sequence(),
          say: () => end.abort(new Killed()), // it is done: the watching goes on otherwise
          restarted: () => {},
          dump: async () => '',
        }).catch((error) => {
          if (!(error instanceof Killed)) throw error;
        });
        return { host, asked: count };
      };
      const { asked } = await run(-1);
      t.ok(asked > 50);
      for (let at = 0; at < asked; at++) {
        const { host } = await run(at);
        const next = host.toolstack();
        await finishUnfinished(next);
        const guests = await listGuests(next);
        const names = guests.map(({ name }) => name);
        // No two of a name, none half made: what is left runs, or is the dead one as it was.
        if (!t.equal(new Set(names).size, names.length, `${onCrash}, killed before request ${at}: ${names}`)) return;
        if (
          !t.ok(
            guests.every(({ state }) => state !== 'paused'),
            `${onCrash}, ${at}`,
          )
        )
          return;
        for (const guest of guests) await destroyGuest(next, guest);
        const rest = host
          .nodes()
          .filter((node) => /^\/(local\/domain\/[1-9]|libxl\/|vm\/|tool\/xenwire\/unfinished\/)/.test(node));
        if (!t.same(rest, [], `${onCrash}, killed before request ${at}`)) return;
      }
    }
  },
);
