// tap without its loader for coverage, which is off here: tap has each test process and every Node process below it import
// that loader, which costs 0.1 s and 0.35 core-seconds a process. Arguments are tap's: `node scripts/tap.mjs run FILE`.
import { ChildProcess } from 'node:child_process';

const LOADER = '@tapjs/processinfo';
const { spawn } = ChildProcess.prototype;
ChildProcess.prototype.spawn = function (options) {
  const withoutLoader = (word) => !word.includes(LOADER);
  const args = options.args?.filter(withoutLoader);
  const envPairs = options.envPairs?.map((pair) =>
    pair.startsWith('NODE_OPTIONS=') ? pair.split(' ').filter(withoutLoader).join(' ') : pair,
  );
  return spawn.call(this, { ...options, args, envPairs: envPairs?.filter(withoutLoader) });
};

await import('../node_modules/tap/dist/esm/run.mjs');
