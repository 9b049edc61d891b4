// Counts what the tests of some TAP files came to and shows those that failed or were skipped; the last line is
// `N passed, N failed`. Usage: tap-summary.mjs STATUS FILE...; STATUS is not 0 when a step outside of the tests failed,
// which counts as a failure. Exit status 0 only if nothing failed.
import { readFileSync } from 'node:fs';

// What tap prints: a file is a subtest at the margin, its tests stand four columns in.
const FILE = /^# Subtest: (.*)$/;
const TEST = /^ {4}(not )?ok \d+ - (.*?)(?: # (SKIP|TODO|time=)(.*))?$/;
const FILE_RESULT = /^(not )?ok \d+ - (.*?)(?: # .*)?$/;
/** Why the first tier skips what the second one runs (testkit/tier.ts). */
const OTHER_TIER = 'npm run test:long';
/** Lines shown of a failure: what went before its result, and what tap says of it. */
const LINES_BEFORE = 60;
const LINES_AFTER = 30;

const [status, ...paths] = process.argv.slice(2);
let passed = 0;
let failed = 0;

/** Counts one failure and shows its surroundings, the assertions that held left out. */
function failure(title, lines, at) {
  failed++;
  console.log(`FAILED: ${title}`);
  const start = lines.slice(0, at).findLastIndex((line) => TEST.test(line) || FILE.test(line)) + 1;
  const block = lines.slice(Math.max(start, at - LINES_BEFORE), at + LINES_AFTER);
  for (const line of block) if (!/^ {8,}ok \d/.test(line)) console.log(`  | ${line}`);
}

for (const path of paths) {
  let file = path;
  let failedBefore = 0;
  const lines = readFileSync(path, 'utf8').split('\n');
  for (const [at, line] of lines.entries()) {
    const start = FILE.exec(line);
    if (start !== null) {
      file = start[1];
      failedBefore = failed;
    }
    const test = TEST.exec(line);
    if (test !== null) {
      const [, not, title, directive, why] = test;
      if (directive === 'SKIP') {
        if (!why.includes(OTHER_TIER)) console.log(`skipped: ${file}: ${title}${why}`);
      } else if (not === undefined) passed++;
      else failure(`${file}: ${title}`, lines, at);
    }
    const result = FILE_RESULT.exec(line);
    // A file that failed without a failing test of its own: it crashed, timed out or left something running.
    if (result?.[1] !== undefined && failed === failedBefore) failure(result[2], lines, at);
  }
}
if (paths.length === 0 || passed === 0) {
  failed++;
  console.log('FAILED: no test has run');
}
if (status !== '0' && failed === 0) {
  failed++;
  console.log('FAILED: a step outside of the tests; see above');
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
