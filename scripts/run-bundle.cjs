// Runs one bundled program in this process: `NAME.cjs` as a CommonJS module, with V8's code cache of it in `NAME.cache`.
// With XENWIRE_CODE_CACHE=write the cache is written when the process ends, with write-all also that of each program that it
// starts (scripts/build.mjs). Copied to dist/run.cjs.
'use strict';
const { readFileSync, writeFileSync } = require('node:fs');
const Module = require('node:module');
const { dirname, join, relative } = require('node:path');
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
    // The cache keeps the name that it was made with: one that is right wherever the folder is.
    filename: join('dist', relative(__dirname, filename)),
    cachedData,
  });
  const cache = process.env.XENWIRE_CODE_CACHE;
  if (cache === 'write' || cache === 'write-all') {
    if (cache === 'write') delete process.env.XENWIRE_CODE_CACHE;
    process.on('exit', () => writeFileSync(`${name}.cache`, script.createCachedData()));
  }
  const module = { exports: {} };
  script.runInThisContext()(module.exports, Module.createRequire(filename), module, filename, dirname(filename));
};
