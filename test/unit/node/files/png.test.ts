// PNG files: what goes in comes out, and what a user names is checked before it is decoded.
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { PNG } from 'pngjs';
import t from 'tap';
import { UserError } from '../../../../lib/core/errors.js';
import { pngSize, readPng, writePng } from '../../../../lib/node/files/png.js';

const dir = mkdtempSync(join(tmpdir(), 'xw-png-'));
t.teardown(async () => (await import('node:fs/promises')).rm(dir, { recursive: true }));

const chunk = (type: string, data: Buffer): Buffer => {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(data.length);
  head.write(type, 4, 'latin1');
  return Buffer.concat([head, data, Buffer.alloc(4)]);
};

/** A PNG of that header around any packed data; its checksums are not right. */
const forged = (width: number, height: number, interlaced: number, packed: Buffer): Buffer => {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 6, 0, 0, interlaced], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', packed), chunk('IEND', Buffer.alloc(0))]);
};

for (const [what, alpha] of [
  ['opaque', 255],
  ['transparent', 7],
] as const) {
  t.test(`${what} pictures are the same after they were written and read`, async (t) => {
    const rgba = Uint8Array.from({ length: 5 * 3 * 4 }, (_, at) => (at % 4 === 3 ? alpha : at * 3));
    const path = join(dir, `${what}.png`);
    await writePng(path, { width: 5, height: 3, rgba });
    t.same(pngSize(path), { width: 5, height: 3 });
    t.same(readPng(path), { width: 5, height: 3, rgba });
  });
}

t.test('a picture that cannot be written leaves no file', async (t) => {
  const before = readdirSync(dir);
  await t.rejects(writePng(join(dir, 'missing', 'a.png'), { width: 1, height: 1, rgba: new Uint8Array(4) }), {
    code: 'EIO',
  });
  t.same(readdirSync(dir), before);
});

t.test('more pixels than allowed are refused before they are decoded', (t) => {
  const path = join(dir, 'vast.png');
  writeFileSync(path, forged(1_000_000, 1_000_000, 0, deflateSync(Buffer.alloc(10))));
  t.throws(() => readPng(path), { name: 'UserError', message: /1000000x1000000 pixels/ });
  writeFileSync(path, PNG.sync.write(new PNG({ width: 10, height: 11 })));
  t.throws(() => readPng(path, 109), UserError);
  t.equal(readPng(path, 110).height, 11);
  t.end();
});

t.test('an interlaced picture that unpacks to more than it can have is refused, one that does not is read', (t) => {
  const path = join(dir, 'bomb.png');
  writeFileSync(path, forged(2, 2, 1, deflateSync(Buffer.alloc(64 << 20))));
  const before = process.memoryUsage().rss;
  t.throws(() => readPng(path), { name: 'UserError', message: /larger than/ });
  t.ok(process.memoryUsage().rss - before < 32 << 20, 'without unpacking it');
  t.end();
});

t.test('what is no file, or no PNG, is said in one sentence', (t) => {
  const text = join(dir, 'text.png');
  writeFileSync(text, readFileSync('/proc/self/status'));
  t.throws(() => readPng(text), { name: 'UserError', message: /is not a PNG image/ });
  t.throws(() => readPng('/dev/zero'), { name: 'UserError', message: /no plain file/ });
  t.throws(() => pngSize(dir), { name: 'UserError', message: /no plain file/ });
  t.throws(() => readPng(join(dir, 'nothing.png')), { name: 'UserError', message: /there is no picture/ });
  t.end();
});
