// Gates in real processes: armed while they run, hit, let go, killed there, armed again in the next life; what happens to a
// process that stands at one when its supervisor dies; and pages that are not what they should be.
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { everyTaskStopped, GateError, ProcessGates } from '../../lab/gates.js';
import { DeadlineError } from '../../lib/core/errors.js';
import { GATE_COUNT, GATE_HEADER, GATE_HEADER_SIZE, GATE_SLOT, GATE_STATE } from '../../lib/layout/ours/gate.js';
import { HistoryReader, historyFiles } from '../../lib/node/files/history-reader.js';
import { runPaths } from '../../lib/node/process/run-dir.js';
import { retryOnChange } from '../../lib/node/process/wait.js';
import { POINT } from '../../lib/trace/points.js';
import type { TraceRecord } from '../../lib/trace/record.js';
import { startNode, type TestProcess, temporaryRunDir } from '../../testkit/processes.js';
import { leftovers, processesIn, startLab, temporaryLabDir } from '../fixtures/lab.js';

const DEADLINE_MS = 5000;
const SERVE = 'Hypervisor.evtchn_alloc_unbound client';
const serveAt = (occurrence: number) => ({ point: POINT['bus.serve'], label: SERVE, occurrence });

const startServer = async (t: Test, runDir: string, args: string[] = []): Promise<TestProcess> => {
  const file = new URL('../fixtures/echo-server.js', import.meta.url);
  const server = startNode(t, file, ['--run-dir', runDir, ...args]);
  if (args.length === 0) await server.line(/^ready/);
  return server;
};
const startClient = async (t: Test, runDir: string): Promise<TestProcess> => {
  const client = startNode(t, new URL('../fixtures/echo-client.js', import.meta.url), ['--run-dir', runDir]);
  await client.line(/^ready/);
  return client;
};
const openGates = (runDir: string, name = 'hypervisor'): Promise<ProcessGates> =>
  ProcessGates.open(runDir, name, DEADLINE_MS);

/** Records of every life of a process. */
function recordsOf(runDir: string, name: string): TraceRecord[] {
  return historyFiles(runDir).flatMap((path) => {
    const reader = new HistoryReader(path);
    const records = reader.process === name ? reader.read() : [];
    reader.close();
    return records;
  });
}

t.test('a gate that is armed in a running process is hit, holds every thread, and lets go', async (t) => {
  const runDir = temporaryRunDir(t);
  const server = await startServer(t, runDir);
  const client = await startClient(t, runDir);
  client.say('add 1 1');
  await client.line(/^add/);
  const gates = await openGates(runDir);
  t.equal(gates.pid, server.pid);
  // The first has passed: counts run whether anything is armed or not.
  const gate = gates.arm(serveAt(3));
  client.say('add 2 2');
  t.match(await client.line(/^add/), /"port":4/, 'the second goes by');
  client.say('add 3 3');
  t.same(await gates.standing(DEADLINE_MS), gate);
  t.ok(everyTaskStopped(server.pid));
  const [last] = recordsOf(runDir, 'hypervisor').slice(-1);
  t.match(last, { label: SERVE, occurrence: 3 }, 'the point at which it stands is its last record');
  await gates.letGo(gate, DEADLINE_MS);
  t.match(await client.line(/^add/), /"port":6/);
  // Again in the same life, the next time whichever it is, and several at once.
  const [answer, next] = [
    gates.arm({ point: POINT['bus.answer'], label: SERVE, occurrence: 4 }),
    gates.arm(serveAt(0)),
  ];
  client.say('add 4 4');
  t.same(await gates.standing(DEADLINE_MS), next);
  await gates.letGo(next, DEADLINE_MS);
  t.same(await gates.standing(DEADLINE_MS), answer);
  t.notOk(
    client.lines.some((line) => line.includes('"port":8')),
    'it stands before the send',
  );
  await gates.letGo(answer, DEADLINE_MS);
  await client.line(/"port":8/);
  // Disarmed: nothing holds.
  const gone = gates.arm(serveAt(0));
  t.equal(gates.disarm(gone), true);
  client.say('add 5 5');
  await client.line(/"port":10/);
  gates.close();
});

t.test('killed at its gate it never goes on; its next life begins unarmed and can be armed again', async (t) => {
  const runDir = temporaryRunDir(t);
  const server = await startServer(t, runDir);
  const client = await startClient(t, runDir);
  const gates = await openGates(runDir);
  const gate = gates.arm(serveAt(1));
  client.say('add 1 1');
  await gates.standing(DEADLINE_MS);
  process.kill(server.pid, 'SIGKILL');
  await client.line(/^lost/);
  t.notOk(
    client.lines.some((line) => line.startsWith('add {')),
    'nothing was answered past the gate',
  );
  await server.ended();
  await t.rejects(gates.standing(DEADLINE_MS), { name: 'GateError', message: /has ended/ });
  await t.rejects(gates.letGo(gate, DEADLINE_MS), { name: 'GateError', message: /has ended/ });
  gates.close();
  client.say('stop');
  await client.ended();
  const again = await startServer(t, runDir);
  t.equal(readdirSync(join(runDir, 'gates')).length, 1, 'the page of the dead one is gone');
  const second = await startClient(t, runDir);
  second.say('add 1 1');
  await second.line(/^add \{/);
  const later = await openGates(runDir);
  t.equal(later.pid, again.pid);
  const anew = later.arm(serveAt(2));
  second.say('add 2 2');
  t.same(await later.standing(DEADLINE_MS), anew);
  later.close();
  await second.line(/"port":4/);
});

t.test('a gate that came too late says so, and so does one whose process ended', async (t) => {
  const runDir = temporaryRunDir(t);
  const server = await startServer(t, runDir);
  const client = await startClient(t, runDir);
  client.say('add 1 1');
  await client.line(/^add/);
  const gates = await openGates(runDir);
  const late = gates.arm(serveAt(1));
  client.say('add 2 2');
  await t.rejects(gates.standing(DEADLINE_MS), { name: 'GateError', message: /was passed before its gate was armed/ });
  gates.disarm(late);
  gates.arm({ point: POINT['life.failed'], occurrence: 1 });
  await t.rejects(gates.standing(50), { name: 'DeadlineError' });
  process.kill(server.pid, 'SIGKILL');
  await server.ended();
  await t.rejects(gates.standing(DEADLINE_MS), { name: 'GateError', message: /has ended/ });
  gates.close();
});

t.test('with --hold a process stands at its first point, so that those after it can be armed', async (t) => {
  const runDir = temporaryRunDir(t);
  const server = await startServer(t, runDir, ['--hold', '--history', 'off']);
  const gates = await openGates(runDir);
  const start = await gates.standing(DEADLINE_MS);
  t.equal(start.point, POINT['life.start']);
  const ready = gates.arm({ point: POINT['life.state'], label: 'ready', occurrence: 1 });
  await gates.letGo(start, DEADLINE_MS);
  t.same(await gates.standing(DEADLINE_MS), ready, 'gates hold without a history too');
  t.notOk(server.lines.includes('ready'));
  await gates.letGo(ready, DEADLINE_MS);
  await server.line(/^ready/);
  gates.close();
});

t.test('slots that make no sense are refused, and a page that is not one leads no signal anywhere', async (t) => {
  const runDir = temporaryRunDir(t);
  const server = await startServer(t, runDir);
  const client = await startClient(t, runDir);
  const gates = await openGates(runDir);
  const path = runPaths.gates(runDir, 'hypervisor', gates.incarnation);
  const fd = openSync(path, 'r+');
  const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
  const slotAt = (slot: number): number => GATE_HEADER_SIZE + slot * GATE_SLOT.size;
  const { offset } = GATE_SLOT;
  // No such point; a label longer than its field; a label that is no UTF-8; a label where the point has none.
  const nonsense: [point: number, length: number, label: number[]][] = [
    [0, 0, []],
    [0xffff, 0, []],
    [POINT['bus.serve'].number, 0xffff, []],
    [POINT['bus.serve'].number, 2, [0xff, 0xfe]],
    [POINT['kick.guest'].number, 1, [0x41]],
  ];
  for (const [slot, [point, length, label]] of nonsense.entries()) {
    const bytes = GATE_SLOT.bytes({
      ...{ state: GATE_STATE.ARMED, occurrence: 0, point, label_length: length },
      label: Uint8Array.from(label),
    });
    writeSync(fd, bytes, 0, bytes.length, slotAt(slot));
  }
  writeSync(fd, u32(77), 0, 4, GATE_HEADER.offset.generation);
  client.say('add 1 1');
  await client.line(/^add/);
  const states = new Uint32Array(GATE_COUNT);
  const page = readFileSync(path);
  for (let slot = 0; slot < GATE_COUNT; slot++) states[slot] = page.readUInt32LE(slotAt(slot) + offset.state);
  t.same([...states.subarray(0, 5)], new Array(5).fill(GATE_STATE.REFUSED));
  t.ok(states.subarray(5).every((state) => state === GATE_STATE.FREE));
  gates.close();
  // Pids of processes that have not mapped the page.
  for (const pid of [process.ppid, 1]) {
    writeSync(fd, u32(pid), 0, 4, GATE_HEADER.offset.pid);
    await t.rejects(openGates(runDir), GateError);
  }
  // Our own: a controller may be a toolstack with a page itself, so it looks further.
  writeSync(fd, u32(process.pid), 0, 4, GATE_HEADER.offset.pid);
  await t.rejects(ProcessGates.open(runDir, 'hypervisor', 200), DeadlineError);
  closeSync(fd);
  t.equal(server.child.exitCode, null);
});

t.test('no process outlives a supervisor that is killed, at a gate, paused or running', async (t) => {
  const runDir = temporaryLabDir(t);
  const lab = await startLab(t, runDir);
  const before = processesIn(runDir);
  t.equal(before.length, 6);
  const [frontend, gpu] = [await openGates(runDir, 'vhost-frontend'), await openGates(runDir, 'vhost-gpu')];
  // vhost-frontend stands before a send; vhost-gpu is paused by a signal, as a campaign pauses a process.
  frontend.arm({ point: POINT['life.stop'], occurrence: 0 });
  process.kill(frontend.pid, 'SIGTERM');
  t.match(await frontend.standing(DEADLINE_MS), { point: POINT['life.stop'] });
  process.kill(gpu.pid, 'SIGSTOP');
  lab.child.kill('SIGKILL');
  await lab.ended();
  const alive = (): number[] => processesIn(runDir);
  await retryOnChange(
    join(runDir, 'proc', '*'),
    () => alive().length === 0 || undefined,
    AbortSignal.timeout(DEADLINE_MS),
  );
  t.same(alive(), []);
  t.ok(leftovers(runDir).every((what) => what.startsWith('file ')));
});
