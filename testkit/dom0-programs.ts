// Programs of dom0 for tests: built from C against Debian's Xen libraries, and run in a lab's run directory.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PACKAGE_ROOT } from '../lib/node/process/package-root.js';
import { type Owner, startNode, type TestProcess } from './processes.js';
import { missing } from './xenstored-peers.js';

const SOURCES = join(PACKAGE_ROOT, 'test', 'peers', 'dom0');
const XENWIRE = pathToFileURL(join(PACKAGE_ROOT, 'dist', 'bin', 'xenwire.js'));

/** Why dom0 programs cannot be built here; false when they can. */
export const dom0Missing = (...programs: readonly string[]): string | false =>
  missing('/usr/include/xenevtchn.h', 'gcc', ...programs);

/** Builds a C source of test/peers/dom0 by its name, with `-lLIBRARY` each; the program goes with the test. */
export function buildDom0(t: Owner, name: string, libraries: readonly string[]): string {
  return build(t, name, [join(SOURCES, `${name}.c`)], libraries);
}

/** The same for a folder of sources. */
export function buildDom0Folder(t: Owner, name: string, libraries: readonly string[]): string {
  const dir = join(SOURCES, name);
  const sources = readdirSync(dir).filter((file) => file.endsWith('.c'));
  return build(
    t,
    name,
    sources.map((file) => join(dir, file)),
    libraries,
  );
}

function build(t: Owner, name: string, sources: readonly string[], libraries: readonly string[]): string {
  const dir = mkdtempSync(join(tmpdir(), 'xw-c-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const program = join(dir, name);
  const flags = ['-O1', '-g', '-Wall', '-Wextra', '-Werror', '-pthread'];
  execFileSync('gcc', [...flags, '-o', program, ...sources, ...libraries.map((library) => `-l${library}`)]);
  return program;
}

/** `xenwire run -- PROGRAM ARGS`. */
export function runDom0(t: Owner, runDir: string, program: string, args: readonly string[] = []): TestProcess {
  return startNode(t, XENWIRE, ['run', '--run-dir', runDir, '--', program, ...args]);
}
