// Writes the documents that are made from code: docs/protocol.md and docs/xenstore-paths.txt from the tables in lib/xenbus/,
// docs/dom0-calls.md from the tables of dom0’s devices,
// docs/rfc1.md from searches of explore/. `npm run docs`; tests fail when a file is behind.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const DOCUMENTS = [
  ['docs/protocol.md', 'lib/xenbus/protocol-doc.ts', 'protocolDocument'],
  ['docs/xenstore-paths.txt', 'lib/xenbus/xenstore-paths-doc.ts', 'xenstorePaths'],
  ['docs/dom0-calls.md', 'services/hypervisor/dev/support-doc.ts', 'dom0CallsDocument'],
  ['docs/rfc1.md', 'explore/rfc1-doc.ts', 'rfc1Document'],
];
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = mkdtempSync(join(tmpdir(), 'xw-doc-'));
try {
  mkdirSync(join(root, 'docs'), { recursive: true });
  for (const [index, [document, source, name]] of DOCUMENTS.entries()) {
    const outfile = join(folder, `${index}.mjs`);
    const entryPoints = [join(root, source)];
    await build({ entryPoints, outfile, bundle: true, format: 'esm', platform: 'neutral', logLevel: 'warning' });
    const made = await import(pathToFileURL(outfile).href);
    writeFileSync(join(root, document), await made[name]());
  }
} finally {
  rmSync(folder, { recursive: true });
}
