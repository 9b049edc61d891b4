// Draws docs/first-frame.svg, README's picture: what one real `xenwire up --once` printed, and beside it what its guest's
// screen showed, as the device server wrote it. Nothing in it is made up; only the folders of paths are left out. Fonts are
// the reader's own. Run it again when the output has changed: node scripts/make-output-picture.mjs
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PNG } from 'pngjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const COMMAND = ['up', '--once'];
/** Pixels of the screen that become one of the picture, across and down. */
const SHRINK = 4;
const FONT = 13;
const CHARACTER = 7.8;
const LINE = 18;
const MARGIN = 16;

const folder = mkdtempSync(join(tmpdir(), 'xw-picture-'));
try {
  const frames = join(folder, 'frames');
  const runDir = join(folder, 'lab');
  const program = join(root, 'dist', 'bin', 'xenwire.js');
  const args = [program, ...COMMAND, '--frames', frames, '--run-dir', runDir];
  const text = execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
  const frame = PNG.sync.read(readFileSync(join(frames, 'gpu-guest.png')));
  const lines = text.replaceAll(`${root}/`, '').replaceAll(`${folder}/`, '').trimEnd().split('\n');
  writeFileSync(join(root, 'docs', 'first-frame.svg'), picture([`$ xenwire ${COMMAND.join(' ')}`, ...lines], frame));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Text on the left, the screen on the right. */
function picture(lines, screen) {
  const small = shrunk(screen);
  const textWidth = Math.ceil(Math.max(...lines.map((line) => line.length)) * CHARACTER);
  const width = MARGIN * 3 + textWidth + small.width;
  const height = MARGIN * 2 + Math.max(lines.length * LINE, small.height);
  const rows = lines.map((line, index) => {
    const y = MARGIN + FONT + index * LINE;
    return `<text x="${MARGIN}" y="${y}" fill="${colour(line)}" xml:space="preserve">${escaped(line)}</text>`;
  });
  const x = MARGIN * 2 + textWidth;
  const png = PNG.sync.write(small, { colorType: 2, deflateLevel: 9 }).toString('base64');
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">
<title>One run of xenwire: its output, and the guest's screen</title>
<rect width="${width}" height="${height}" rx="6" fill="#16181d"/>
<g font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${FONT}">
${rows.join('\n')}
</g>
<image x="${x}" y="${MARGIN}" width="${small.width}" height="${small.height}" href="data:image/png;base64,${png}"/>
</svg>
`;
}

function colour(line) {
  if (line.startsWith('$')) return '#ffffff';
  if (/equal: 0 of|nothing is left behind/.test(line)) return '#7ddc8b';
  return '#c8ccd4';
}

function escaped(line) {
  return line.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** Each pixel the mean of SHRINK by SHRINK. */
function shrunk(image) {
  const small = new PNG({ width: Math.floor(image.width / SHRINK), height: Math.floor(image.height / SHRINK) });
  for (let y = 0; y < small.height; y++) {
    for (let x = 0; x < small.width; x++) {
      for (let channel = 0; channel < 4; channel++) {
        let sum = 0;
        for (let at = 0; at < SHRINK * SHRINK; at++) {
          const column = x * SHRINK + (at % SHRINK);
          const row = y * SHRINK + Math.floor(at / SHRINK);
          sum += image.data[(row * image.width + column) * 4 + channel];
        }
        small.data[(y * small.width + x) * 4 + channel] = Math.round(sum / SHRINK ** 2);
      }
    }
  }
  return small;
}
