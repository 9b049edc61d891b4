// xenstored beside a hypervisor: who a guest is, when it is served, and what its death leaves.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { NO_LOG } from '../../lib/core/log.js';
import { NO_PROBE } from '../../lib/core/probe.js';
import type { FileHandle } from '../../lib/core/proto-types.js';
import { GNTTAB_RESERVED_XENSTORE, GRANT_ENTRY_V1, GTF_permit_access } from '../../lib/layout/grant-table.js';
import { XS } from '../../lib/layout/xs-wire.js';
import { ZmqBusClient } from '../../lib/node/bus/client.js';
import { sharedFiles } from '../../lib/node/files/shm.js';
import { runPaths } from '../../lib/node/process/run-dir.js';
import { withDeadline } from '../../lib/node/process/wait.js';
import { busStoreClient } from '../../lib/xenstore/bus-client.js';
import { ChannelStoreClient } from '../../lib/xenstore/client.js';
import { ringStoreChannel } from '../../lib/xenstore/ring-client.js';
import { RingEnd } from '../../lib/xenstore/ring-stream.js';
import { type Owner, startNode, temporaryRunDir } from '../../testkit/processes.js';
import { XsSocket } from '../peers/xs-socket.js';

const HYPERVISOR = new URL('../../services/hypervisor/main.js', import.meta.url);
const XENSTORED = new URL('../../services/xenstored/main.js', import.meta.url);
const EVENT_MS = 5000;

async function connect(t: Owner, runDir: string, server: string, name: string, token?: string): Promise<ZmqBusClient> {
  const client = await ZmqBusClient.connect({
    runDir,
    server,
    name,
    incarnation: Date.now() * 4096,
    token: async () => token ?? readFileSync(runPaths.dom0Token(runDir), 'utf8'),
    log: NO_LOG,
    probe: NO_PROBE,
    onActivity: () => {},
  });
  t.teardown(() => client?.close());
  return client as ZmqBusClient;
}

/** Counts events on a path; a test waits for the next. */
function listener(): { onEvent: () => void; next: () => Promise<void>; count: () => number } {
  let count = 0;
  let wake: () => void = () => {};
  return {
    count: () => count,
    onEvent: () => {
      count++;
      wake();
    },
    next: async () => {
      const wait = async (): Promise<void> => {
        while (count === 0) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        count--;
      };
      await withDeadline(wait(), EVENT_MS, 'a watch event');
    },
  };
}

t.test('a guest is known by its token, served once introduced, and gone with its domain', async (t) => {
  const runDir = temporaryRunDir(t);
  startNode(t, HYPERVISOR, ['--run-dir', runDir]);
  let xenstored = startNode(t, XENSTORED, ['--run-dir', runDir]);
  const hypervisor = (await connect(t, runDir, 'hypervisor', 'toolstack')).remote('Hypervisor');
  const dom0 = busStoreClient(await connect(t, runDir, 'xenstored', 'toolstack'));
  const release = listener();
  await dom0.watch('@releaseDomain', 'r', release.onEvent);
  await release.next();

  const { domid, token } = await hypervisor.domctl_create({ name: 'vm', memory_mib: 16 });
  const home = `/local/domain/${domid}`;
  await dom0.write(`${home}/name`, 'vm');
  await dom0.setPerms(home, ['n0', `r${domid}`]);
  await dom0.mkdir(`${home}/data`);
  await dom0.setPerms(`${home}/data`, [`n${domid}`]);
  await t.rejects(dom0.setPerms('/tool', ['n77']), { code: 'ENOENT' }, 'no domain 77');
  await t.rejects(dom0.introduce(77, 1, 1), { code: 'ENOENT' });
  await t.rejects(connect(t, runDir, 'xenstored', 'stranger', 'no such token'), { name: 'ErrnoError' });

  const guestBus = await connect(t, runDir, 'xenstored', 'guest', token);
  const guest = busStoreClient(guestBus);
  t.equal(guestBus.domid, domid);
  const order: string[] = [];
  const early = guest.write('data/x', '1').then(() => order.push('guest served'));
  // The server has the guest's request before it answers this one, and does not serve it.
  await dom0.read('/tool');
  order.push('introduced');
  await t.rejects(dom0.introduce(domid, 1, 1), { code: 'EINVAL' }, 'port 1 is not allocated');
  const { port } = await hypervisor.evtchn_alloc_unbound({ dom: domid, remote_dom: 0 });
  await dom0.introduce(domid, 1, port);
  await early;
  t.same(order, ['introduced', 'guest served']);
  t.same(await dom0.getPerms(`${home}/data/x`), [`n${domid}`]);
  await t.rejects(guest.write('name', 'other'), { code: 'EACCES' });
  await t.rejects(guest.introduce(domid, 1, 1), { code: 'EACCES' });

  await hypervisor.domctl_destroy({ domid });
  await release.next();
  await t.rejects(dom0.read(`${home}/data/x`), { code: 'ENOENT' });
  t.equal(await dom0.read(`${home}/name`), 'vm', "dom0's own nodes stay");
  t.equal(await dom0.isDomainIntroduced(domid), false);

  // A domain that dies while xenstored is dead is gone when it comes back; the others are as they were.
  const [dies, lives] = [
    await hypervisor.domctl_create({ name: 'dies', memory_mib: 16 }),
    await hypervisor.domctl_create({ name: 'lives', memory_mib: 16 }),
  ];
  for (const each of [dies, lives]) {
    await dom0.write(`/of/${each.domid}`, 'x');
    await dom0.setPerms(`/of/${each.domid}`, [`n${each.domid}`]);
    const store = await hypervisor.evtchn_alloc_unbound({ dom: each.domid, remote_dom: 0 });
    await dom0.introduce(each.domid, 1, store.port);
  }
  xenstored.child.kill('SIGKILL');
  await xenstored.ended();
  await hypervisor.domctl_destroy({ domid: dies.domid });
  xenstored = startNode(t, XENSTORED, ['--run-dir', runDir]);
  const again = busStoreClient(await connect(t, runDir, 'xenstored', 'toolstack-b'));
  t.same(await again.directory('/of'), [String(lives.domid)]);
  t.equal(await again.isDomainIntroduced(lives.domid), true);
  t.equal(await again.isDomainIntroduced(dies.domid), false);
  const lively = busStoreClient(await connect(t, runDir, 'xenstored', 'lives', lives.token));
  t.equal(await lively.read(`/of/${lives.domid}`), 'x', 'served without another introduction');
});

t.test('a guest can use its ring page, as on real Xen', async (t) => {
  const runDir = temporaryRunDir(t);
  startNode(t, HYPERVISOR, ['--run-dir', runDir]);
  startNode(t, XENSTORED, ['--run-dir', runDir]);
  const hypervisor = (await connect(t, runDir, 'hypervisor', 'toolstack')).remote('Hypervisor');
  const dom0Bus = await connect(t, runDir, 'xenstored', 'toolstack');
  const dom0 = busStoreClient(dom0Bus);
  const { domid, token } = await hypervisor.domctl_create({ name: 'vm', memory_mib: 16 });
  const { port } = await hypervisor.evtchn_alloc_unbound({ dom: domid, remote_dom: 0 });
  await dom0.mkdir(`/local/domain/${domid}/data`);
  await dom0.setPerms(`/local/domain/${domid}/data`, [`n${domid}`]);
  await dom0.introduce(domid, 1, port);

  // The guest: its RAM, its grant table, its half of the event channel.
  const guest = (await connect(t, runDir, 'hypervisor', 'guest', token)).remote('Hypervisor');
  const files = sharedFiles(runDir);
  const ram = files.map({ path: `shm/dom${domid}.ram`, size: 16 << 20, offset: 0 });
  const { file } = await guest.gnttab_setup_table({ nr_frames: 1 });
  const grants = files.map(file as FileHandle);
  const frame = 4095;
  GRANT_ENTRY_V1.encode(
    { flags: GTF_permit_access, domid: 0, frame },
    grants.bytes,
    GNTTAB_RESERVED_XENSTORE * GRANT_ENTRY_V1.size,
  );
  const channel = ringStoreChannel(new RingEnd(ram.bytes.subarray(frame * 4096, (frame + 1) * 4096), 'guest'), () => {
    guest.evtchn_send({ port }).catch(() => {});
  });
  const store = new ChannelStoreClient(channel);
  let open = true;
  const poll = (): void => {
    if (!open) return;
    channel.poll();
    setImmediate(poll);
  };
  poll();
  t.teardown(() => {
    // In this order: a look at unmapped memory ends the process.
    open = false;
    ram.close();
    grants.close();
  });

  await store.write('data/x', 'y'.repeat(1500));
  t.equal(await dom0.read(`/local/domain/${domid}/data/x`), 'y'.repeat(1500));
  t.equal((await store.read('data/x')).length, 1500);
  const heard = listener();
  await store.watch('data', 'w', heard.onEvent);
  await heard.next();
  await dom0.write(`/local/domain/${domid}/data/z`, '1');
  await heard.next();
  await t.rejects(store.write('/tool/x', '1'), { code: 'EACCES' });
  const watches = async (bus: ZmqBusClient): Promise<string[]> =>
    (await bus.remote('Control').audit({})).held.filter(({ kind }) => kind === 'watch').map(({ name }) => name);
  t.same(await watches(dom0Bus), [`ring-${domid} /local/domain/${domid}/data w`]);

  // Another program takes the daemon's place; the guest goes on asking, and is told nothing of it.
  const admin = await XsSocket.open(join(runDir, 'xenstored.socket'));
  t.teardown(() => admin.close());
  const control = async (reqId: number, payload: string): Promise<string | undefined> => {
    admin.send({ type: XS.XS_CONTROL, reqId, txId: 0, payload: `live-update\0${payload}\0` });
    return (await admin.until(reqId)).at(-1)?.payload;
  };
  const asked = Array.from({ length: 100 }, (_, index) => store.write(`data/${index}`, 'n'.repeat(200)));
  t.equal(await control(1, `-f\0${fileURLToPath(XENSTORED)}`), 'OK\0');
  const replaced = control(2, '-s\0-t\x0010');
  for (let index = 100; index < 200; index++) asked.push(store.write(`data/${index}`, 'n'.repeat(200)));
  t.equal(await replaced, 'OK\0');
  await Promise.all(asked);
  for (let index = 0; index < 200; index++) await heard.next();
  t.equal(await store.read('data/199'), 'n'.repeat(200));
  t.equal(heard.count(), 0, 'one event a write, and none besides');

  const dom0After = await connect(t, runDir, 'xenstored', 'toolstack-b');
  t.same(await watches(dom0After), [`ring-${domid} /local/domain/${domid}/data w`]);
  const release = listener();
  await busStoreClient(dom0After).watch('@releaseDomain', 'r', release.onEvent);
  await release.next();
  await hypervisor.domctl_destroy({ domid });
  await release.next();
  t.same(await watches(dom0After), ['toolstack-b @releaseDomain r']);
  const { domains } = await hypervisor.domctl_getdomaininfolist({});
  t.same(
    domains.map((domain) => domain.domid),
    [0],
    'the page was given back, so the domain could go',
  );
});
