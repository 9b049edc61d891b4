// A guest with more memory than lies below the hole for device registers: its rings and its picture lie above 4 GiB, its memory
// takes what it uses, and a core file of it has both ranges.
import { closeSync, openSync, readFileSync, readSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ramFileSize } from '../../lib/core/guest-ram.js';
import { mismatchedPixels, overBlack } from '../../lib/core/picture.js';
import { VIRTIO_MMIO_QUEUE_DESC_HIGH, VIRTIO_MMIO_QUEUE_DESC_LOW } from '../../lib/layout/virtio-mmio.js';
import { HistoryReader, historyFiles } from '../../lib/node/files/history-reader.js';
import { readPng } from '../../lib/node/files/png.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { POINT } from '../../lib/trace/points.js';
import type { TraceRecord } from '../../lib/trace/record.js';
import { temporaryRunDir } from '../../testkit/processes.js';
import { leftovers, processNamed, startLab, temporaryLabDir, xenwire } from '../fixtures/lab.js';

const MEMORY_MIB = 6144;
const MIB = 2 ** 20;
const GIB = 2 ** 30;
const CARD = join(PACKAGE_ROOT, 'examples', 'test-card.png');

/** The example's guest with that memory and other settings. */
function configOf(t: Test, changes: readonly [string, string][]): string {
  const text = readFileSync(join(PACKAGE_ROOT, 'examples', 'gpu-guest.cfg'), 'utf8');
  const path = join(temporaryRunDir(t), 'big.cfg');
  writeFileSync(
    path,
    [['memory = 64', `memory = ${MEMORY_MIB}`] as const, ...changes].reduce(
      (all, [from, to]) => all.replace(from, to),
      text,
    ),
  );
  return path;
}

function recordsOf(runDir: string, process: string): TraceRecord[] {
  for (const path of historyFiles(runDir)) {
    const reader = new HistoryReader(path);
    try {
      if (reader.process === process) return reader.read();
    } finally {
      reader.close();
    }
  }
  return [];
}

/** Where the driver has put its descriptor tables, as its register accesses say. */
function tables(runDir: string): number[] {
  const found: number[] = [];
  let low = 0;
  for (const { point, a, b } of recordsOf(runDir, 'vhost-frontend')) {
    if (point !== POINT['ioreq.write']) continue;
    if (a % 4096 === VIRTIO_MMIO_QUEUE_DESC_LOW) low = b;
    if (a % 4096 === VIRTIO_MMIO_QUEUE_DESC_HIGH) found.push(b * 2 ** 32 + low);
  }
  return found;
}

t.test('a guest of 6 GiB draws from above 4 GiB and takes what it uses; its core has both ranges', async (t) => {
  const runDir = temporaryLabDir(t);
  const lab = await startLab(t, runDir, ['--config', configOf(t, [['"destroy"', '"coredump-destroy"']])]);
  const shown = join(runDir, 'frames', 'now.png');
  const shot = await xenwire(t, ['screenshot', 'gpu-guest', '-o', shown, '--run-dir', runDir]);
  t.equal(shot.status, 0, shot.stderr);
  t.equal(mismatchedPixels(overBlack(readPng(CARD)), readPng(shown)), 0, 'the picture that the guest was given');

  const rings = tables(runDir);
  t.equal(rings.length, 2, 'control and cursor queue');
  t.ok(
    rings.every((addr) => addr >= 4 * GIB && addr < 4 * GIB + 64 * MIB),
    rings.join(),
  );
  const top = ramFileSize(MEMORY_MIB * MIB);
  const taken = recordsOf(runDir, 'guest-gpu-guest').filter(({ point }) => point === POINT['pages.take']);
  t.ok(
    taken.some(({ a, b }) => a + b === top),
    'the frame buffer begins with the last page',
  );
  const ram = statSync(join(runDir, 'shm', 'dom1.ram'));
  t.equal(ram.size, top);
  t.ok(ram.blocks * 512 < 32 * MIB, `${ram.blocks * 512} bytes taken`);

  process.kill(processNamed(runDir, 'guest-gpu-guest').pid, 'SIGKILL');
  await lab.line(/gpu-guest \(domain 1\) crashed: it is removed, its memory is in /);
  const core = join(runDir, 'dumps', 'gpu-guest-1.core');
  const { size, blocks } = statSync(core);
  t.equal(size, 4096 + top);
  t.ok(blocks * 512 < 32 * MIB, `${blocks * 512} bytes of core`);
  const bytes = Buffer.alloc(4096);
  const fd = openSync(core, 'r');
  t.teardown(() => closeSync(fd));
  readSync(fd, bytes, 0, 4096, 0);
  t.equal(bytes.readUInt16LE(56), 2, 'e_phnum');
  const second = 64 + 56;
  t.same(
    [bytes.readBigUInt64LE(second + 8), bytes.readBigUInt64LE(second + 24)],
    [4096n + BigInt(4 * GIB), BigInt(4 * GIB)],
    'p_offset and p_paddr',
  );
  readSync(fd, bytes, 0, 4096, 4096 + rings[0]!);
  t.not(bytes.readBigUInt64LE(0), 0n, 'the first descriptor');
  lab.child.kill('SIGINT');
  t.equal(await lab.ended(), 0, lab.stderr);
  t.same(leftovers(runDir), []);
});

t.test('so it does with granted pages, and with its store on a ring page', async (t) => {
  const runDir = temporaryLabDir(t);
  const config = configOf(t, [['grant_usage=0', 'grant_usage=1']]);
  const args = ['up', '--once', '--json', '--store-transport', 'ring', '--config', config, '--run-dir', runDir];
  const { status, stdout, stderr } = await xenwire(t, args);
  t.equal(status, 0, stderr);
  t.match(JSON.parse(stdout), { result: 'ok', frame: { mismatchedPixels: 0 }, leaks: [] });
  t.same(leftovers(runDir), []);
});
