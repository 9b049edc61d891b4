// Where RAM lies: in one piece up to the hole for device registers, and beyond 4 GiB what is more.
import t from 'tap';
import {
  isBackedOnDemand,
  mapRam,
  meetsRam,
  ramBackedAtStart,
  ramBytesFrom,
  ramFileSize,
  ramOfFile,
  storeFrame,
} from '../../../lib/core/guest-ram.js';
import { RegionMemory } from '../../../lib/core/memory.js';
import { sharedFiles } from '../../../lib/node/files/shm.js';
import { temporaryRunDir } from '../../../testkit/processes.js';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const LOW_END = 0xf0000000;

t.test('RAM up to the hole is one range; a mebibyte more lies at 4 GiB', async (t) => {
  t.same(ramOfFile(ramFileSize(64 * MIB)), [{ offset: 0, size: 64 * MIB }]);
  t.same(ramOfFile(ramFileSize(3840 * MIB)), [{ offset: 0, size: LOW_END }]);
  t.same(ramOfFile(ramFileSize(3841 * MIB)), [
    { offset: 0, size: LOW_END },
    { offset: 4 * GIB, size: MIB },
  ]);
  t.equal(ramFileSize(6 * GIB), 6 * GIB + 256 * MIB, 'the hole is added');
  t.same(ramOfFile(0), []);
  t.equal(storeFrame(64 * MIB), (64 * MIB) / 4096 - 1);
  t.equal(storeFrame(6 * GIB), LOW_END / 4096 - 1);
});

t.test('an address is RAM up to the end of its range and not in the hole', async (t) => {
  const size = ramFileSize(6 * GIB);
  const cases: [number, number][] = [
    [0, LOW_END],
    [LOW_END - 1, 1],
    [LOW_END, 0],
    [4 * GIB - 1, 0],
    [4 * GIB, size - 4 * GIB],
    [size - 1, 1],
    [size, 0],
    [2 ** 53, 0],
  ];
  for (const [addr, bytes] of cases) t.equal(ramBytesFrom(size, addr), bytes, addr.toString(16));
  t.notOk(meetsRam(size, LOW_END, 4 * GIB - LOW_END), 'all of the hole');
  t.ok(meetsRam(size, LOW_END - 1, 1));
  t.ok(meetsRam(size, LOW_END, 4 * GIB - LOW_END + 1));
  t.ok(meetsRam(size, size - 1, 512));
  t.notOk(meetsRam(size, size, 512));
  t.ok(meetsRam(ramFileSize(64 * MIB), 64 * MIB - 1, 512));
});

t.test('64 GiB are mapped by their addresses and take what is used', async (t) => {
  const files = sharedFiles(temporaryRunDir(t));
  const size = ramFileSize(64 * GIB);
  t.ok(isBackedOnDemand(size));
  t.notOk(isBackedOnDemand(ramFileSize(3840 * MIB)));
  const file = files.createSparse('ram', size, ramBackedAtStart(size));
  const ram = mapRam(files, file.handle);
  const memory = new RegionMemory(ram.regions);
  t.equal(memory.size, 64 * GIB);
  files.back(file.handle, { offset: size - 2 * MIB, size: 2 * MIB });
  memory.write(size - 3, Uint8Array.of(1, 2, 3));
  memory.writeU32(storeFrame(64 * GIB) * 4096, 7);
  t.throws(() => memory.readU8(size), { code: 'EFAULT' });
  t.throws(() => memory.readU8(LOW_END), { code: 'EFAULT' });
  const again = mapRam(files, file.handle);
  t.equal(new RegionMemory(again.regions).readU8(size - 1), 3);
  t.throws(() => files.back(file.handle, { offset: size, size: 1 }), { code: 'EINVAL' });
  again.close();
  ram.close();
  file.remove();
  t.throws(() => mapRam(files, file.handle), { code: 'ENOENT' });
});

t.test('an ordinary guest has all its pages from the start', async (t) => {
  t.same(ramBackedAtStart(ramFileSize(3840 * MIB)), [{ offset: 0, size: LOW_END }]);
});
