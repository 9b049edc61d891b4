// `npm run dev`: builds, runs `xenwire up`, and does both again whenever a source changes. Arguments go to xenwire:
// `npm run dev -- up --guests 2`. Ctrl-C ends it, the lab in order.
import { spawn, spawnSync } from 'node:child_process';
import { watch } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const given = process.argv.slice(2);
const args = given.length > 0 ? given : ['up'];
const WATCHED = ['bin', 'lab', 'lib', 'proto', 'services', 'toolstack'];
/** Written by the build itself. */
const DERIVED = ['proto-types.ts', 'proto-codecs.ts'];
/** An editor writes a file in several steps. */
const SETTLE_MS = 100;

let lab;
let ending = false;
let timer;

function start() {
  const built = spawnSync(process.execPath, [join(root, 'scripts', 'build.mjs')], { stdio: 'inherit' });
  if (built.status !== 0) {
    console.error('dev: waiting for a change that builds');
    return;
  }
  lab = spawn(process.execPath, [join(root, 'dist', 'bin', 'xenwire.js'), ...args], {
    stdio: 'inherit',
  });
  lab.on('exit', (status) => {
    lab = undefined;
    if (ending) process.exit(status ?? 1);
  });
}

function restart() {
  if (lab === undefined) {
    start();
    return;
  }
  lab.once('exit', start);
  lab.kill('SIGTERM');
}

for (const folder of WATCHED) {
  watch(join(root, folder), { recursive: true }, (_event, file) => {
    if (DERIVED.some((name) => file?.endsWith(name))) return;
    clearTimeout(timer);
    timer = setTimeout(restart, SETTLE_MS);
  });
}
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    ending = true;
    // On a terminal Ctrl-C has reached the lab already; it takes one signal as the wish to end.
    if (lab === undefined) process.exit(0);
    else if (signal === 'SIGTERM') lab.kill('SIGTERM');
  });
}
start();
