// The toolstack's line of docs/recovery.md on real processes: `xenwire create`, killed before each request that others can see the
// effect of, leaves a guest half made, which the next call of a toolstack removes. test/unit/toolstack/domain.test.ts kills at every
// request, those inside transactions too.
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import t, { type Test } from 'tap';
import { type GateAt, ProcessGates } from '../../lab/gates.js';
import { HistoryReader, historyFiles } from '../../lib/node/files/history-reader.js';
import { POINT } from '../../lib/trace/points.js';
import type { TraceRecord } from '../../lib/trace/record.js';
import type { StoreClient } from '../../lib/xenstore/api.js';
import { longTest } from '../../testkit/tier.js';
import { destroyGuest, finishUnfinished, listGuests } from '../../toolstack/domain.js';
import { listNode } from '../../toolstack/toolstack.js';
import { startXenwire } from '../fixtures/lab.js';
import { RecoveryLab, STEP_MS } from '../fixtures/recovery-lab.js';

const CONFIG = 'name = "half"\nmemory = 32\nvirtio = [ "type=virtio,device10,transport=mmio" ]\n';
/** Requests of the store, and hypercalls, that change nothing. */
const ASKS = /^(read|directory|get_perms|watch|unwatch|transaction_start)\b|getdomaininfolist$/;
/** The note is gone by then: the guest is whole, and stays. */
const WHOLE = /^rm \/tool(\/xenwire(\/unfinished)?)?$/;
const COMMIT = 'transaction_end T';
/** Passed once for each request of the store, whatever the request names. */
const SENT = { point: POINT['bus.emit'], label: 'XenstoreEvents.message' };

interface Creating {
  readonly gates: ProcessGates;
  /** At its start. */
  go(): Promise<void>;
  kill(): Promise<void>;
  readonly pid: number;
}

/** `xenwire create`, standing at its start. */
async function creating(t: Test, lab: RecoveryLab, config: string): Promise<Creating> {
  const args = ['create', config, '--no-process', '--hold', '--run-dir', lab.runDir];
  const child = startXenwire(t, args);
  const gates = await ProcessGates.open(lab.runDir, 'toolstack', STEP_MS, child.pid);
  const start = await gates.standing(STEP_MS);
  return {
    gates,
    pid: child.pid,
    go: () => gates.letGo(start, STEP_MS),
    kill: async () => {
      child.child.kill('SIGKILL');
      await child.ended();
    },
  };
}

/** What it passes, up to its end, where it is killed. */
async function passed(t: Test, lab: RecoveryLab, config: string): Promise<TraceRecord[]> {
  const { gates, pid, go, kill } = await creating(t, lab, config);
  gates.arm({ point: POINT['life.stop'], occurrence: 1 });
  await go();
  await gates.standing(STEP_MS);
  const records = historyFiles(lab.runDir).flatMap((path) => {
    const reader = new HistoryReader(path);
    const own = reader.pid === pid ? reader.read() : [];
    reader.close();
    return own;
  });
  await kill();
  gates.close();
  return records;
}

/** Requests that others see the effect of, and one in the middle of each transaction. */
function chosen(records: readonly TraceRecord[]): { at: GateAt; name: string }[] {
  const calls = records.filter(({ point, label }) => point === POINT['bus.call'] && !ASKS.test(label));
  const requests = records.filter(({ point }) => point === POINT['store.request']);
  const ends = requests.flatMap(({ label }, index) => (label === COMMIT ? [index] : []));
  const begins = ends.map((end) => requests.findLastIndex(({ label }, i) => i < end && label === 'transaction_start'));
  const middles = new Set(begins.map((begin, index) => (begin + ends[index]!) >> 1));
  return [
    ...calls.map(({ point, label, occurrence }) => ({ at: { point, label, occurrence }, name: label })),
    ...requests.flatMap(({ label, b: tx }, index) =>
      !WHOLE.test(label) && ((tx === 0 && !ASKS.test(label)) || label === COMMIT || middles.has(index))
        ? [{ at: { ...SENT, occurrence: index + 1 }, name: `${label} (${index + 1})` }]
        : [],
    ),
  ];
}

/** Every node below, the root's own children that each store has of itself left out. */
async function nodes(store: StoreClient, path: string): Promise<string[]> {
  const children = await listNode(store, path);
  const below = await Promise.all(children.map((child) => nodes(store, `${path}/${child}`)));
  return [path, ...below.flat()];
}

/** What a guest leaves traces in. */
async function traces(
  lab: RecoveryLab,
): Promise<{ nodes: string[]; domains: string[]; held: string[]; tokens: string[] }> {
  const { session } = lab;
  const found = await Promise.all(['/local', '/vm', '/libxl', '/tool'].map((path) => nodes(session.store, path)));
  return {
    nodes: found.flat().sort(),
    domains: (await listGuests(session)).map(({ name }) => name),
    held: await lab.audit(),
    tokens: readdirSync(join(lab.runDir, 'guests')),
  };
}

t.test(
  'a toolstack killed before any request that changes something leaves what the next call removes',
  longTest,
  async (t) => {
    const lab = await RecoveryLab.start(t);
    const { session } = lab;
    const config = join(lab.runDir, '..', 'half.cfg');
    writeFileSync(config, CONFIG);
    const points = chosen(await passed(t, lab, config));
    await session.exclusively(async () => {
      for (const guest of await listGuests(session)) await destroyGuest(session, guest);
    });
    const before = await traces(lab);
    t.ok(points.length >= 15, `${points.length} points`);
    for (const { at, name } of points) {
      const { gates, go, kill } = await creating(t, lab, config);
      gates.arm(at);
      await go();
      await gates.standing(STEP_MS);
      await kill();
      gates.close();
      await session.exclusively(() => finishUnfinished(session));
      // vhost-frontend lets go of a device that it had begun to open.
      const end = performance.now() + STEP_MS;
      while (!isDeepStrictEqual(await traces(lab), before) && performance.now() < end) await turn();
      t.same(await traces(lab), before, `killed before ${name}`);
    }
    await session.exclusively(() => finishUnfinished(session));
    await lab.createGuest({ domid: 77, name: 'half' });
    await lab.pictureEqual(77, STEP_MS);
  },
);
