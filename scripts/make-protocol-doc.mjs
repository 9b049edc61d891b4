// Writes docs/protocol.md from the tables in lib/xenbus/. `npm run docs`; a test fails when the file is behind.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = mkdtempSync(join(tmpdir(), 'xw-doc-'));
try {
  const outfile = join(folder, 'protocol-doc.mjs');
  const entry = join(root, 'lib/xenbus/protocol-doc.ts');
  await build({ entryPoints: [entry], outfile, bundle: true, format: 'esm', platform: 'neutral', logLevel: 'warning' });
  const { protocolDocument } = await import(pathToFileURL(outfile).href);
  mkdirSync(join(root, 'docs'), { recursive: true });
  writeFileSync(join(root, 'docs/protocol.md'), protocolDocument());
} finally {
  rmSync(folder, { recursive: true });
}
