// The hypervisor as a process, with a guest process and device-model processes that are killed on the way.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Owner, startNode, type TestProcess, temporaryRunDir } from '../../testkit/processes.js';
import { longTest } from '../../testkit/tier.js';

const HYPERVISOR = new URL('../../services/hypervisor/main.js', import.meta.url);
const GUEST = new URL('../fixtures/hv-guest.js', import.meta.url);
const DEVICE_MODEL = new URL('../fixtures/hv-device-model.js', import.meta.url);

async function ask<T = Record<string, unknown>>(process: TestProcess, line: string): Promise<T> {
  process.say(line);
  const verb = line.split(' ')[0];
  const answer = (await process.line(new RegExp(`^${verb}: `))).slice(verb!.length + 2);
  try {
    return JSON.parse(answer) as T;
  } catch {
    throw new Error(`${line}: ${answer}`);
  }
}

async function host(t: Owner, ...options: string[]) {
  const runDir = temporaryRunDir(t);
  const hypervisor = startNode(t, HYPERVISOR, ['--run-dir', runDir, ...options]);
  const start = async (name: string): Promise<TestProcess> => {
    const running = startNode(t, DEVICE_MODEL, ['--run-dir', runDir, '--as', name]);
    await running.line(/^ready/);
    return running;
  };
  const dm = await start('dm-1');
  const { domid, token } = await ask<{ domid: number; token: string }>(dm, 'create');
  const guest = startNode(t, GUEST, ['--run-dir', runDir, '--token', token]);
  await guest.line(/^ready 1$/);
  return { runDir, hypervisor, dm, guest, domid, start };
}

type Audit = { held: { kind: string; name: string }[] };
const kinds = ({ held }: Audit): string[] => held.map(({ kind }) => kind).sort();

t.test('an access, a kick and a call cross three processes', async (t) => {
  const { runDir, hypervisor, dm, guest, domid } = await host(t);
  t.equal(statSync(join(runDir, 'dom0.token')).mode & 0o777, 0o600);
  await ask(dm, `serve ${domid}`);
  guest.say('read 0xf0000008');
  dm.say(`unpause ${domid}`); // the request comes before or after the reply
  t.equal(await dm.line(/^request/), 'request 0xf0000008', 'held until the domain ran');
  t.equal(await guest.line(/^entry/), 'entry 0x8 0');
  await ask(dm, 'assign 1');
  guest.say('write 0xf0000050 1');
  t.equal(await dm.line(/^kick/), 'kick 1');
  t.equal(await guest.line(/^entry/), 'entry 0x0 0');
  guest.say('read 0xf0001000');
  t.equal(await guest.line(/^entry/), 'entry 0xffffffff 0');
  guest.say('alloc');
  const { port } = JSON.parse((await guest.line(/^alloc/)).slice(6)) as { port: number };
  await ask(dm, `call ${domid} ${port}`);
  t.equal(await guest.line(/^upcall/), `upcall ${port}`);
  t.same(kinds(await ask<Audit>(dm, 'audit')), [
    'domain',
    'eventfd',
    'file',
    'ioeventfd',
    'ioreq-server',
    'port',
    'port',
    'port',
    'range',
  ]);
  hypervisor.child.kill('SIGTERM');
  t.equal(await hypervisor.ended(), 0);
  t.equal(await dm.ended(), 1, 'the host is gone');
  t.equal(await guest.ended(), 1);
  t.same(readdirSync(join(runDir, 'shm')), []);
  t.notOk(existsSync(join(runDir, 'dom0.token')));
});

t.test('direct: a kick and a call pass no other process, and end with their owner', async (t) => {
  const { dm, guest, domid } = await host(t);
  await ask(dm, `serve ${domid}`);
  await ask(dm, `unpause ${domid}`);
  guest.say('direct 0xf0000050 3');
  t.equal(await guest.line(/^direct/), 'direct false');
  await ask(dm, 'assign 3 1');
  guest.say('direct 0xf0000050 3');
  t.equal(await guest.line(/^direct/), 'direct true');
  t.equal(await dm.line(/^kick/), 'kick 3');
  guest.say('write 0xf0000050 3');
  t.equal(await dm.line(/^kick/), 'kick 3', 'the way through the hypervisor stays');
  guest.say('alloc');
  const { port } = JSON.parse((await guest.line(/^alloc/)).slice(6)) as { port: number };
  await ask(dm, `directcall ${domid} ${port}`);
  t.equal(await guest.line(/^upcall/), `upcall ${port}`);
  dm.child.kill('SIGKILL');
  await dm.ended();
  const probe = async (): Promise<string> => {
    guest.say('direct 0xf0000050 3');
    return guest.line(/^direct/);
  };
  const deadline = Date.now() + 1000;
  while ((await probe()) !== 'direct false' && Date.now() < deadline);
  t.equal(await probe(), 'direct false');
});

t.test('a guest is refused what is dom0’s, and a forged token everything', async (t) => {
  const { runDir, guest, domid } = await host(t);
  for (const verb of [`destroy ${domid}`, 'open', `map ${domid}`, `kick ${domid}`]) {
    guest.say(verb);
    t.equal(await guest.line(new RegExp(`^${verb.split(' ')[0]}`)), `${verb.split(' ')[0]} EPERM`);
  }
  const forged = startNode(t, GUEST, ['--run-dir', runDir, '--as', 'forger', '--token', 'f'.repeat(64)]);
  t.equal(await forged.ended(), 1);
  t.match(forged.stderr, /no token/);
});

t.test("a killed guest is a crash: VIRQ_DOM_EXC, its domain's memory freed at destruction", async (t) => {
  const { runDir, dm, guest, domid } = await host(t);
  await ask(dm, 'virq');
  await ask(dm, `unpause ${domid}`);
  guest.child.kill('SIGKILL');
  await dm.line(/^dom-exc/, 1000);
  t.match(await ask(dm, `state ${domid}`), { state: 3 });
  t.match(await ask(dm, 'list'), { domains: [{ name: 'Domain-0' }, { domid, state: 'shutdown', shutdown_reason: 3 }] });
  await ask(dm, `destroy ${domid}`);
  t.match(await ask(dm, 'list'), { domains: [{ name: 'Domain-0' }] });
  t.same(
    readdirSync(join(runDir, 'shm')).filter((name) => name.startsWith('dom')),
    [],
  );
});

t.test(
  'a crashed domain keeps its memory for a dump until it is destroyed, and its domid until no process maps it',
  longTest(),
  async (t) => {
    const { runDir, dm, guest, domid } = await host(t);
    await ask(dm, 'virq');
    await ask(dm, `unpause ${domid}`);
    guest.say('poke 4097 77');
    guest.say('alloc');
    await guest.line(/^alloc/); // the poke came before it
    guest.child.kill('SIGKILL');
    await dm.line(/^dom-exc/, 1000);
    t.same(await ask(dm, `peek ${domid} 4097`), { byte: 77 }, 'what the guest wrote last');
    await ask(dm, `rename ${domid}`);
    type Listed = { domains: { domid: number; name: string; state: string }[] };
    const others = async (): Promise<string[]> =>
      (await ask<Listed>(dm, 'list')).domains.slice(1).map((each) => `${each.domid} ${each.name} ${each.state}`);
    t.same(await others(), [`${domid} crashed shutdown`]);
    const next = await ask<{ domid: number }>(dm, 'create');
    t.equal(next.domid, domid + 1, 'beside it the restarted one, with a new domid');
    await ask(dm, `destroy ${domid}`);
    t.same(await others(), [`${domid} crashed dying`, `${next.domid} g paused`], 'mapped still');
    t.same(
      readdirSync(join(runDir, 'shm')).filter((name) => name.startsWith(`dom${domid}.`)),
      [],
      'its files are gone',
    );
    await ask(dm, `unmap ${domid}`);
    t.same(await others(), [`${next.domid} g paused`]);
  },
);

t.test(
  'a guest that slept over the end of its domain harms neither the next one nor the host',
  longTest(),
  async (t) => {
    const { runDir, dm, guest, domid } = await host(t);
    await ask(dm, `unpause ${domid}`);
    guest.child.kill('SIGSTOP');
    await ask(dm, `destroy ${domid}`);
    t.match(await ask(dm, 'list'), { domains: [{}, { domid, state: 'dying' }] }, 'its process maps the memory still');
    const { domid: nextDomid, token } = await ask<{ domid: number; token: string }>(dm, 'create');
    t.equal(nextDomid, domid + 1);
    const next = startNode(t, GUEST, ['--run-dir', runDir, '--as', 'guest-2', '--token', token]);
    await next.line(new RegExp(`^ready ${nextDomid}$`));
    await ask(dm, `serve ${nextDomid}`);
    await ask(dm, `unpause ${nextDomid}`);
    const before = await ask<Audit>(dm, 'audit');
    // What it had begun before it was stopped: an access, a hypercall, a ring of an exit bit that may be the next guest's.
    for (const line of ['read 0xf0000008', 'alloc', 'send 1', 'destroy 0']) guest.say(line);
    guest.child.kill('SIGCONT');
    t.equal(await guest.line(/^gone/), 'gone dying 0');
    t.equal(await guest.line(/^alloc/), 'alloc EINVAL');
    t.equal(await guest.line(/^destroy/), 'destroy EPERM');
    next.say('read 0xf0000008');
    t.equal(await next.line(/^entry/), 'entry 0x8 0', 'the next one runs undisturbed');
    t.notOk(
      guest.lines.some((line) => line.startsWith('entry')),
      'the late one is answered nothing',
    );
    t.same(await ask<Audit>(dm, 'audit'), before);
    guest.child.kill('SIGKILL');
    await guest.ended();
    const held = async (): Promise<string[]> =>
      (await ask<Audit>(dm, 'audit')).held.map(({ kind, name }) => `${kind} ${name}`);
    const deadline = Date.now() + 1000;
    while ((await held()).includes(`domain ${domid}`) && Date.now() < deadline);
    t.notOk((await held()).includes(`domain ${domid}`), 'its end frees the domid');
  },
);

t.test(
  'after many deaths of guests and device models the host holds what it held, descriptors included',
  longTest(),
  async (t) => {
    const { runDir, dm, start } = await host(t);
    type Usage = { descriptors: number; resident_bytes: number };
    const round = async (n: number): Promise<void> => {
      const { domid, token } = await ask<{ domid: number; token: string }>(dm, 'create');
      const model = await start(`model-${n}`);
      const guest = startNode(t, GUEST, ['--run-dir', runDir, '--as', `victim-${n}`, '--token', token]);
      await guest.line(/^ready/);
      await ask(model, `serve ${domid}`);
      await ask(model, 'assign 1');
      await ask(model, `map ${domid}`);
      await ask(model, `unpause ${domid}`);
      for (const victim of [guest, model]) {
        victim.child.kill('SIGKILL');
        await victim.ended();
      }
      await ask(dm, `destroy ${domid}`);
    };
    await round(0); // what is made at its first use is made now
    const before = { held: await ask<Audit>(dm, 'audit'), usage: await ask<Usage>(dm, 'usage') };
    const DEATHS = 16;
    for (let n = 1; n <= DEATHS / 2; n++) await round(n);
    const after = await ask<Usage>(dm, 'usage');
    t.same(await ask<Audit>(dm, 'audit'), before.held);
    t.equal(after.descriptors, before.usage.descriptors);
    const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
    t.comment(`${DEATHS} deaths: resident ${mib(before.usage.resident_bytes)}, then ${mib(after.resident_bytes)}`);
    t.ok(
      after.resident_bytes < before.usage.resident_bytes + (16 << 20),
      'a leak of one guest a round would be 64 MiB',
    );
  },
);

t.test('a guest that leaves with nonsense is told that its domain is gone', longTest(), async (t) => {
  const { dm, guest, domid } = await host(t);
  await ask(dm, `unpause ${domid}`);
  guest.say('bad');
  t.equal(await guest.line(/^gone/), 'gone shutdown 3');
  await ask(dm, `destroy ${domid}`);
  t.equal(await guest.line(/^gone/), 'gone dying 3');
});

t.test(
  'a killed device model: all of its is given back, and the next one answers the request that waited',
  longTest(),
  async (t) => {
    const { dm, guest, domid, start } = await host(t);
    const { id } = await ask<{ id: number }>(dm, `serve ${domid}`);
    await ask(dm, 'assign 0');
    await ask(dm, `map ${domid}`);
    await ask(dm, 'mute');
    await ask(dm, `unpause ${domid}`);
    guest.say('read 0xf0000010');
    dm.child.kill('SIGKILL');
    await dm.ended();
    const next = await start('dm-2');
    t.same(kinds(await ask<Audit>(next, 'audit')), ['domain', 'file', 'ioreq-server', 'range']);
    next.say(`adopt ${domid} ${id}`);
    t.equal(await next.line(/^request/), 'request 0xf0000010');
    t.equal(await guest.line(/^entry/), 'entry 0x10 0');
  },
);

t.test(
  '--dom0 linux: the ioeventfd of a dead device model stays, and a successor cannot bind its port',
  longTest(),
  async (t) => {
    const { dm, domid, start } = await host(t, '--dom0', 'linux');
    const { id } = await ask<{ id: number }>(dm, `serve ${domid}`);
    await ask(dm, 'assign 0');
    dm.child.kill('SIGKILL');
    await dm.ended();
    const next = await start('dm-2');
    t.ok(kinds(await ask<Audit>(next, 'audit')).includes('ioeventfd'));
    await t.rejects(ask(next, `adopt ${domid} ${id}`), { message: /EINVAL/ });
  },
);
