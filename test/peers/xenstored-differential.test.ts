// Our xenstored and Debian's C daemon, asked the same: named cases and seeded random conversations, every reply and event
// compared. `npm run peers:diff -- --ops 1000000 --seed N` goes on for as long as one likes.
import t from 'tap';
import { XS, XSD_SOCKMSG } from '../../lib/layout/xs-wire.js';
import { WireClient, wireBytes } from '../../testkit/store-wire-client.js';
import { C_DAEMON_NEEDS, missing, OXENSTORED_NEEDS, startOurs } from '../../testkit/xenstored-peers.js';
import { GUEST_CASES } from './cases/guests.js';
import { CASES, DIFFERENCES } from './cases/xenstored.js';
import { runCampaign } from './diff/campaign.js';
import { Arena } from './diff/daemons.js';
import { generate } from './diff/generate.js';
import { countRequests, open, to, watch, write } from './diff/script.js';
import { shrink } from './diff/shrink.js';

const SEED = 1;
const OPERATIONS = 10_000;
/** Slower: guests have a rate of writing, in both. */
const GUEST_OPERATIONS = 4000;
const TIMEOUT_MS = 300_000;

t.test('named cases are answered alike', { skip: missing(...C_DAEMON_NEEDS) }, async (t) => {
  t.setTimeout(TIMEOUT_MS);
  const arena = new Arena('own', 'c');
  t.teardown(() => arena.end());
  for (const { name, steps } of CASES) t.equal(await arena.run({ seed: 0, steps }), undefined, name);
});

t.test('named cases with guests are answered alike', { skip: missing(...C_DAEMON_NEEDS) }, async (t) => {
  t.setTimeout(TIMEOUT_MS);
  const arena = new Arena('rings', 'c');
  t.teardown(() => arena.end());
  for (const { name, guests, steps } of GUEST_CASES)
    t.equal(await arena.run({ seed: 0, guests, steps }), undefined, name);
});

t.test(`${GUEST_OPERATIONS} with guests among the clients, too`, { skip: missing(...C_DAEMON_NEEDS) }, async (t) => {
  t.setTimeout(TIMEOUT_MS);
  const campaign = { daemons: ['rings', 'c'], guests: true, seed: SEED, operations: GUEST_OPERATIONS } as const;
  const { operations, finding } = await runCampaign(campaign);
  t.equal(finding, undefined);
  t.ok(finding !== undefined || operations >= GUEST_OPERATIONS, `${operations} asked`);
});

t.test('ours differs on purpose, and still does', { skip: missing(...C_DAEMON_NEEDS) }, async (t) => {
  t.setTimeout(TIMEOUT_MS);
  const arena = new Arena('own', 'c');
  t.teardown(() => arena.end());
  for (const { name, steps, own, theirs } of DIFFERENCES) {
    const found = (await arena.run({ seed: 0, steps })) ?? 'no difference';
    const [ours = '', other = found] = found.split(/^c xenstored answered$/m);
    t.match(ours.split(/^own xenstored answered$/m)[1] ?? '', own, name);
    t.match(other, theirs, name);
  }
});

t.test(`${OPERATIONS} random requests are answered alike`, { skip: missing(...C_DAEMON_NEEDS) }, async (t) => {
  t.setTimeout(TIMEOUT_MS);
  const { operations, finding } = await runCampaign({ daemons: ['own', 'c'], seed: SEED, operations: OPERATIONS });
  t.equal(finding, undefined);
  t.ok(finding !== undefined || operations >= OPERATIONS, `${operations} asked`);
});

t.test(
  'two C daemons never disagree, so a disagreement is no accident',
  { skip: missing(...C_DAEMON_NEEDS) },
  async (t) => {
    t.setTimeout(TIMEOUT_MS);
    const { finding } = await runCampaign({ daemons: ['c', 'c'], seed: SEED, operations: OPERATIONS });
    t.equal(finding, undefined);
  },
);

t.test(
  'the C daemon and oxenstored are found to differ',
  { skip: missing(...C_DAEMON_NEEDS, ...OXENSTORED_NEEDS) },
  async (t) => {
    t.setTimeout(TIMEOUT_MS);
    const arena = new Arena('c', 'ocaml');
    t.teardown(() => arena.end());
    const same = [open(0), to(0, write('/t', 'v'))];
    t.equal(await arena.run({ seed: 0, steps: same }), undefined, 'where both do the same');
    // The one tells of a write before it answers it, the other after.
    const found = await arena.run({ seed: 0, steps: [open(0), to(0, watch('/t', 'w')), to(0, write('/t', 'v'))] });
    t.match(found, /^step 2: client 0: WRITE "\/t\\0v"/);
  },
);

t.test('ours answers what scripts never ask, because the daemon cannot', async (t) => {
  const { socket } = await startOurs(t, ['--compat', '4.17']);
  const [client, other] = [await WireClient.connect(socket), await WireClient.connect(socket)];
  t.teardown(() => [client, other].map((each) => each.destroy()));
  await client.request(XS.XS_RM, '/tool/xenstored\0');
  for (const type of [XS.XS_DIRECTORY, XS.XS_READ, XS.XS_GET_PERMS, XS.XS_MKDIR, XS.XS_RM]) {
    for (const payload of ['', '/t', '/t\0/t\0', '/t\0x']) {
      t.match(await client.request(type, payload), { type: XS.XS_ERROR, payload: 'EINVAL\0' });
    }
  }
  t.match(await client.request(XS.XS_SET_PERMS, '@nothing\0n0\0'), { type: XS.XS_ERROR, payload: 'EINVAL\0' });

  const late = wireBytes({ type: XS.XS_WRITE, reqId: 5, txId: 0, payload: '/t\0v' });
  client.write(late.subarray(0, XSD_SOCKMSG.size));
  t.match(
    await other.request(XS.XS_READ, '/t\0'),
    { payload: 'ENOENT\0' },
    'no client waits for a payload that is not there',
  );
  await client.barrier(late.subarray(XSD_SOCKMSG.size));
  t.match(client.take(), [{ type: XS.XS_WRITE, reqId: 5, payload: 'OK\0' }]);
});

t.test('a seed always gives the same script, another one another', (t) => {
  t.same(generate(7), generate(7));
  t.notSame(generate(7).steps, generate(8).steps);
  t.end();
});

t.test('a failing script is shrunk to what makes it fail', async (t) => {
  const script = generate(3);
  const wanted = (text: string): boolean => text.includes('"type":13') && text.includes('"type":6');
  const small = await shrink(script, async ({ steps }) => wanted(JSON.stringify(steps)));
  t.ok(wanted(JSON.stringify(small.steps)));
  t.equal(countRequests(small), 2);
  t.equal(small.steps.length, 2);
});
