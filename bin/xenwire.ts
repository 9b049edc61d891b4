// The command line: one verb a file in verbs/, and the services by their own names. Each verb checks what it was told
// before it starts anything; what a user got wrong is one sentence and exit status 2.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  DeadlineError,
  ErrnoError,
  errorMessage,
  GuestFailedError,
  InterruptedError,
  PeerDiedError,
  UnfitError,
  UserError,
} from '../lib/core/errors.js';
import { command, EXIT, runCommand } from '../lib/node/process/cli.js';
import { guardOutput } from '../lib/node/process/output.js';
import { PACKAGE_ROOT } from '../lib/node/process/package-root.js';
import { register as registerChaos } from './verbs/chaos.js';
import { register as registerCompletion } from './verbs/completion.js';
import { register as registerConformance } from './verbs/conformance.js';
import { register as registerCreate } from './verbs/create.js';
import { register as registerDashboard } from './verbs/dashboard.js';
import { register as registerDestroy } from './verbs/destroy.js';
import { register as registerDoctor } from './verbs/doctor.js';
import { register as registerExplore } from './verbs/explore.js';
import { register as registerHypercall } from './verbs/hypercall.js';
import { register as registerLatency } from './verbs/latency.js';
import { register as registerList } from './verbs/list.js';
import { register as registerLogs } from './verbs/logs.js';
import { register as registerPs } from './verbs/ps.js';
import { register as registerReplay } from './verbs/replay.js';
import { register as registerRun } from './verbs/run.js';
import { register as registerScreenshot } from './verbs/screenshot.js';
import { register as registerServices, runServiceVerb } from './verbs/services.js';
import { register as registerTop } from './verbs/top.js';
import { register as registerTrace } from './verbs/trace.js';
import { register as registerUp } from './verbs/up.js';

const version = (JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as { version: string }).version;

const program = command('xenwire')
  .description("Xen's virtio-mmio over xenbus, as real processes on one machine.")
  .version(version)
  // What stands behind a verb is the verb's, and so below it: `chaos merge --html` is merge's, though chaos has one too.
  .enablePositionalOptions()
  .addHelpText(
    'after',
    '\nExamples:\n  xenwire up\n  xenwire up --once --json\n  xenwire create examples/gpu-guest.cfg',
  );
for (const register of [
  registerUp,
  registerCreate,
  registerDestroy,
  registerList,
  registerPs,
  registerTop,
  registerTrace,
  registerLogs,
  registerScreenshot,
  registerDashboard,
  registerDoctor,
  registerHypercall,
  registerRun,
  registerExplore,
  registerLatency,
  registerChaos,
  registerReplay,
  registerConformance,
  registerCompletion,
  registerServices,
]) {
  register(program);
}
for (const verb of program.commands) verb.exitOverride().configureOutput({ writeErr: () => {} });

guardOutput();
const EXPECTED = [UserError, ErrnoError, PeerDiedError, DeadlineError, GuestFailedError, InterruptedError, UnfitError];
async function main(argv: readonly string[]): Promise<void> {
  try {
    // A service reads its command line by itself, --help included.
    if (!(await runServiceVerb(argv))) {
      const status = await runCommand(program, argv);
      if (status !== EXIT.OK) process.exitCode = status;
    }
  } catch (error) {
    // A bug of ours shows its stack; what the lab refused, who ended and what did not come is a sentence.
    if (!EXPECTED.some((kind) => error instanceof kind)) throw error;
    process.stderr.write(`xenwire: ${errorMessage(error)}\n`);
    process.exitCode = error instanceof UserError ? EXIT.USAGE : EXIT.FAILED;
  }
}

void main(process.argv.slice(2));
