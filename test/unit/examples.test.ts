// The examples are what a first run shows: they must be good examples.
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { pngSize, readPng } from '../../lib/node/files/png.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { parseGuestConfig, virtioDeviceNumber } from '../../toolstack/guest-config.js';

const example = (name: string): string => join(PACKAGE_ROOT, 'examples', name);

t.test('the guest of the examples has a GPU, and nothing in its configuration is ignored', async (t) => {
  const warnings: string[] = [];
  const text = readFileSync(example('gpu-guest.cfg'), 'latin1');
  const config = parseGuestConfig(text, 'gpu-guest.cfg', (sentence) => warnings.push(sentence));
  t.same(warnings, []);
  t.equal(config.name, 'gpu-guest');
  t.same(
    config.virtio.map(({ type }) => virtioDeviceNumber(type)),
    [16],
  );
});

t.test('the picture is large enough, small enough a file, and holds every value of every channel', async (t) => {
  const path = example('test-card.png');
  const { width, height, rgba } = readPng(path);
  t.same({ width, height }, pngSize(path));
  t.ok(width >= 1024 && height >= 768);
  t.ok(statSync(path).size < 400 * 1024);
  const values = [new Set<number>(), new Set<number>(), new Set<number>()];
  for (let at = 0; at < rgba.length; at++) values[at % 4]?.add(rgba[at]!);
  t.same(
    values.map(({ size }) => size),
    [256, 256, 256],
  );
});

t.test('a mistake of a display path shows in the picture', async (t) => {
  const { width, height, rgba } = readPng(example('test-card.png'));
  const rows = new Set<string>();
  for (let y = 0; y < height; y++)
    rows.add(Buffer.from(rgba.subarray(y * width * 4, (y + 1) * width * 4)).toString('latin1'));
  t.equal(rows.size, height, 'no two rows are equal: a lost or repeated row shows');
  const differing = (offset: (at: number) => number): number => {
    let count = 0;
    for (let at = 0; at < rgba.length; at++) if (at % 4 !== 3 && rgba[at] !== rgba[offset(at)]) count++;
    return count;
  };
  const swapped = (at: number): number => (at % 4 === 0 ? at + 2 : at % 4 === 2 ? at - 2 : at);
  t.ok(differing(swapped) > rgba.length / 4, 'red and blue swapped');
  t.ok(differing((at) => Math.min(at + 4, rgba.length - 4 + (at % 4))) > rgba.length / 10, 'one pixel off');
});
