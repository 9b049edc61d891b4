// What outlives the process: records that put a store back together, and the file that holds them.
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { latin1Text } from '../../../../lib/core/bytes.js';
import { STORE_JOURNAL_SMALL } from '../../../../lib/core/limits.js';
import { NO_LOG } from '../../../../lib/core/log.js';
import { XS } from '../../../../lib/layout/xs-wire.js';
import { encodeMessage } from '../../../../lib/xenstore/framing.js';
import { checkStore } from '../../../../services/xenstored/check.js';
import { COMPAT, type Compat } from '../../../../services/xenstored/compat.js';
import { JournalFile } from '../../../../services/xenstored/node/journal-file.js';
import type { Store } from '../../../../services/xenstored/store.js';
import { type OpName, StoreLab } from '../../../../testkit/store-lab.js';
import { tries } from '../../../../testkit/tier.js';

/** All that must survive, as text; generations are counted anew and accounts follow from the nodes. */
function picture(store: Store): string {
  const nodes: string[] = [];
  const visit = (path: string): void => {
    const node = store.tree.get(path);
    const perms = node?.perms.map(({ domid, access, ignored }) => `${access}:${domid}:${ignored}`).join(' ');
    nodes.push(`${path} ${perms} ${JSON.stringify(node?.value)}`);
    for (const name of node?.children ?? []) visit(path === '/' ? `/${name}` : `${path}/${name}`);
  };
  for (const path of ['/', '@introduceDomain', '@releaseDomain']) visit(path);
  const domains = [...store.domains.all()].map((domain) => {
    const { domid, uniqueId, features, introduced, shutdown, targetDomid, port } = domain;
    const limits = [...domain.account.limits].join(' ');
    return [domid, uniqueId, features, introduced, shutdown, targetDomid, port, limits].join(',');
  });
  return [...nodes, ...domains.sort(), [...store.domains.limits].join(' ')].join('\n');
}

function temporary(t: { teardown(action: () => void): void }): string {
  const dir = mkdtempSync(join(tmpdir(), 'xj-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, 'journal');
}

interface Life {
  readonly lab: StoreLab;
  readonly journal: JournalFile;
  readonly warnings: string[];
}

function live(path: string, bootId = 'boot', compat: Compat = COMPAT['4.22']): Life {
  const lab = new StoreLab(compat, false);
  const warnings: string[] = [];
  const log = { ...NO_LOG, warn: (...texts: unknown[]) => warnings.push(String(texts.at(-1))) };
  const journal = JournalFile.open(path, bootId, lab.store, log);
  return { lab, journal, warnings };
}

const path = fc
  .array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 3 })
  .map((parts) => `/${parts.join('/')}`);
const request: fc.Arbitrary<[OpName, string]> = fc.oneof(
  fc.tuple(
    fc.constant<OpName>('WRITE'),
    fc.tuple(path, fc.constantFrom('', 'v', 'nul|in', '\xff')).map((x) => x.join('|')),
  ),
  fc.tuple(
    fc.constantFrom<OpName>('RM', 'RM', 'MKDIR'),
    path.map((at) => `${at}|`),
  ),
  fc.tuple(
    fc.constant<OpName>('SET_PERMS'),
    fc.tuple(path, fc.constantFrom('n0', 'b5', 'n0|r5', 'n0|r5|w6', 'r6|b9')).map((x) => `${x.join('|')}|`),
  ),
  fc.tuple(
    fc.constantFrom<OpName>('INTRODUCE', 'RELEASE'),
    fc.constantFrom('5|', '6|').map((x) => `${x}1|7|`),
  ),
  fc.constantFrom<[OpName, string]>(
    ['SET_TARGET', '5|6|'],
    ['SET_QUOTA', 'nodes|77|'],
    ['SET_QUOTA', '5|watches|9|'],
    ['SET_FEATURE', '6|2|'],
    ['TRANSACTION_START', '|'],
  ),
);

function apply(lab: StoreLab, requests: readonly [OpName, string][]): void {
  for (const domid of [5, 6]) lab.hostDomains.set(domid, `${domid}00`);
  let transaction = 0;
  for (const [op, payload] of requests) {
    if (op === 'TRANSACTION_START') {
      if (transaction === 0) transaction = lab.begin('dom0');
      else {
        lab.reply('dom0', 'TRANSACTION_END', 'T|', transaction);
        transaction = 0;
      }
    } else lab.reply('dom0', op, op === 'RELEASE' ? payload.slice(0, 2) : payload, transaction);
  }
}

t.test('a store comes back from its file as it was', async (t) => {
  const file = temporary(t);
  fc.assert(
    fc.property(fc.array(request, { maxLength: 40, size: 'max' }), (requests) => {
      rmSync(file, { force: true });
      const first = live(file);
      apply(first.lab, requests);
      first.journal.flush();
      const second = live(file);
      const [before, after] = [picture(first.lab.store), picture(second.lab.store)];
      first.journal.close();
      second.journal.close();
      const wrong = checkStore(second.lab.store);
      if (before !== after || wrong.length > 0) throw new Error(`${before}\n--- came back as\n${after}\n${wrong}`);
    }),
    { numRuns: tries(30, 100) },
  );
});

t.test('what was not flushed was not acknowledged, and a frame is kept whole or not at all', async (t) => {
  const file = temporary(t);
  const { lab, journal } = live(file);
  lab.expectOk('dom0', 'WRITE', '/kept|1');
  journal.flush();
  const kept = picture(lab.store);
  const good = statSync(file).size;
  const transaction = lab.begin('dom0');
  lab.expectOk('dom0', 'WRITE', '/x|1', transaction);
  lab.expectOk('dom0', 'WRITE', '/y|1', transaction);
  lab.expectOk('dom0', 'TRANSACTION_END', 'T|', transaction);
  t.equal(statSync(file).size, good, 'nothing leaves before the flush');
  journal.close();
  const whole = picture(lab.store);
  const bytes = readFileSync(file);
  for (let cut = good; cut <= bytes.length; cut++) {
    writeFileSync(file, bytes.subarray(0, cut));
    const again = live(file);
    again.journal.close();
    if (picture(again.lab.store) !== (cut === bytes.length ? whole : kept)) t.fail(`cut at ${cut}`);
    const damaged = cut > good && cut < bytes.length;
    if (again.warnings.length > 0 !== damaged) t.fail(`warnings of a cut at ${cut}: ${again.warnings}`);
    if (damaged && !readFileSync(`${file}.bad`).equals(bytes.subarray(0, cut))) t.fail('the damaged file is set aside');
  }
});

t.test('any damaged byte is found, and the part before it is kept', async (t) => {
  const file = temporary(t);
  const { lab, journal } = live(file);
  const pictures = [picture(lab.store)];
  const ends = [statSync(file).size];
  for (let index = 0; index < 5; index++) {
    lab.expectOk('dom0', 'WRITE', `/n${index}|value`);
    journal.flush();
    pictures.push(picture(lab.store));
    ends.push(statSync(file).size);
  }
  journal.close();
  const bytes = readFileSync(file);
  for (let at = ends[0] as number; at < bytes.length; at++) {
    const damaged = Buffer.from(bytes);
    damaged[at] = (damaged[at] as number) ^ 0x40;
    writeFileSync(file, damaged);
    const again = live(file);
    again.journal.close();
    const expected = pictures[ends.findLastIndex((end) => end <= at)];
    if (picture(again.lab.store) !== expected) t.fail(`damage at ${at}`);
    if (again.warnings.length === 0) t.fail(`damage at ${at} was not said`);
  }
  writeFileSync(file, 'no store at all, but long enough to look at');
  const empty = live(file);
  t.equal(empty.lab.reply('dom0', 'DIRECTORY', '/|'), 'tool', 'a file that is none of ours leaves an empty store');
  t.equal(empty.warnings.length, 1);
  empty.journal.close();
});

t.test('the store of another boot is left behind', async (t) => {
  const file = temporary(t);
  const first = live(file, 'one');
  first.lab.expectOk('dom0', 'WRITE', '/x|1');
  first.journal.close();
  const second = live(file, 'two');
  t.equal(second.lab.reply('dom0', 'READ', '/x|'), 'ENOENT');
  second.lab.expectOk('dom0', 'WRITE', '/y|1');
  second.journal.close();
  const third = live(file, 'two');
  t.equal(third.lab.reply('dom0', 'READ', '/y|'), '1');
  third.journal.close();
});

t.test('a grown file is written anew beside the service, and loses nothing meanwhile', async (t) => {
  const file = temporary(t);
  const { lab, journal } = live(file);
  const value = 'x'.repeat(2000);
  for (let index = 0; index < 1500; index++) lab.expectOk('dom0', 'WRITE', `/many/${index % 700}|${value}${index}`);
  // Requests of a ring: its changes count one by one, and must neither be missing nor come twice.
  const ask = latin1Text(encodeMessage({ type: XS.XS_READ, reqId: 1, txId: 0, payload: '/many\0' }));
  journal.ring(5, { kind: 'begin', consumed: 0 });
  journal.ring(5, { kind: 'watch', watch: { path: '/many', token: 't', depth: undefined } });
  let largest = 0;
  let shrunk = false;
  for (let round = 0; round < 2000 && !shrunk; round++) {
    lab.expectOk('dom0', 'WRITE', `/many/${round % 900}|${value}${round}`);
    journal.ring(5, { kind: 'input', consumed: round, bytes: ask + ask });
    const message = { type: XS.XS_READ, reqId: round, txId: 0, payload: 'x' };
    journal.ring(5, { kind: 'queued', id: round + 1, message, answers: true });
    if (round % 3 === 0) journal.ring(5, { kind: 'begun', id: round + 1, at: round });
    if (round % 7 === 0) lab.expectOk('dom0', 'RM', `/many/${(round * 13) % 900}|`);
    journal.flush();
    await new Promise((resolve) => setImmediate(resolve));
    const { size } = statSync(file);
    shrunk = size < largest;
    largest = Math.max(largest, size);
  }
  t.ok(shrunk, 'it was written anew');
  t.ok(largest > STORE_JOURNAL_SMALL);
  lab.expectOk('dom0', 'WRITE', '/after|1');
  journal.close();
  const again = live(file);
  t.equal(picture(again.lab.store), picture(lab.store));
  t.ok((journal.rings.get(5)?.queued.size ?? 0) > 100);
  t.same([...again.journal.rings], [...journal.rings]);
  again.journal.close();
});

t.test('a domain inherits nothing from an earlier one of its number, however often the daemon ends', async (t) => {
  const path = temporary(t);
  // This release leaves a dead domain's entries where they are, and only their age tells whom they meant.
  const open = (): Life => live(path, 'boot', COMPAT['4.17']);
  const first = open();
  first.lab.guest(5);
  first.lab.expectOk('dom0', 'WRITE', '/secret|x');
  first.lab.expectOk('dom0', 'SET_PERMS', '/secret|n0|r5|');
  t.equal(first.lab.reply('dom5', 'READ', '/secret|'), 'x');
  first.lab.expectOk('dom0', 'RELEASE', '5|');
  first.lab.reopen('dom5');
  first.lab.guest(5);
  first.lab.expectOk('dom0', 'WRITE', '/given|y');
  first.lab.expectOk('dom0', 'SET_PERMS', '/given|n0|r5|');
  first.journal.close();
  for (let life = 0; life < 3; life++) {
    const { lab, journal } = open();
    t.equal(lab.reply('dom5', 'READ', '/secret|'), 'EACCES');
    t.equal(lab.reply('dom5', 'READ', '/given|'), 'y');
    lab.expectOk('dom0', 'SET_TARGET', '5|5|');
    journal.close();
  }
});
