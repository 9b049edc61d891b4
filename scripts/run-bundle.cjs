// Runs one bundled program in this process: `NAME.cjs` as a CommonJS module, with V8's code cache of it in `NAME.cache`.
// With XENWIRE_CODE_CACHE=write the cache is written when the process ends (scripts/build.mjs). Copied to dist/run.cjs.
'use strict';
const { readFileSync, writeFileSync } = require('node:fs');
const Module = require('node:module');
const { dirname } = require('node:path');
const { Script } = require('node:vm');

module.exports = (name) => {
  const filename = `${name}.cjs`;
  let cachedData;
  try {
    cachedData = readFileSync(`${name}.cache`);
  } catch {
    // Not written yet: V8 compiles by itself.
  }
  const script = new Script(Module.wrap(readFileSync(filename, 'utf8')), {
    filename,
    cachedData,
  });
  if (process.env.XENWIRE_CODE_CACHE === 'write') {
    delete process.env.XENWIRE_CODE_CACHE;
    process.on('exit', () => writeFileSync(`${name}.cache`, script.createCachedData()));
  }
  const module = { exports: {} };
  script.runInThisContext()(module.exports, Module.createRequire(filename), module, filename, dirname(filename));
};
