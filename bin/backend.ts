// A backend of others in a lab (`xenwire up --backend-command`): stands in the place of vhost-frontend, under its name, and runs
// the command as a program of dom0 (docs/dom0-programs.md). It ends when the command does, and the command ends with it.
import { spawn } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { builtProgram } from '../lab/child.js';
import { dom0Environment } from '../lab/preload.js';
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { PeerDiedError } from '../lib/core/errors.js';
import { listProcesses, runPaths } from '../lib/node/process/run-dir.js';
import { runService } from '../lib/node/process/service.js';
import { fileExists, retryOnChange } from '../lib/node/process/wait.js';

interface Options {
  readonly command: string;
}

void runService<Options>({
  program: 'backend',
  name: () => 'vhost-frontend',
  describe: 'a program of others in the place of vhost-frontend',
  options: (command) =>
    void command.requiredOption('--command <command>', 'what a shell runs; {gpu} in it is the socket of a GPU server'),
  async start(context, options) {
    await context.connect('hypervisor');
    const abort = new AbortController();
    context.own('waiting for servers', () => abort.abort());
    const gpu = runPaths.gpuSocket(context.runDir);
    rmSync(gpu, { force: true });
    // Ends with our pipe, as a process under a supervisor does.
    const server = spawn(
      process.execPath,
      [builtProgram('vhost-gpu'), '--run-dir', context.runDir, '--socket-path', gpu],
      {
        stdio: ['pipe', 'ignore', 'inherit'],
        env: { ...process.env, XENWIRE_SUPERVISED: String(process.pid) },
      },
    );
    server.stdin.on('error', () => {}); // it ended: 'exit' follows
    const serverEnded = new Promise<void>((resolve) => {
      server.on('error', () => resolve());
      server.on('exit', () => {
        void context.stop('the GPU server of the backend command ended');
        resolve();
      });
    });
    context.own('GPU server', async () => {
      server.kill('SIGTERM');
      await serverEnded;
    });
    const storeReady = (): true | undefined =>
      listProcesses(context.runDir).some(({ name, state }) => name === 'xenstored' && state === 'ready') || undefined;
    const registered = runPaths.proc(context.runDir, 'xenstored');
    if ((await retryOnChange(registered, storeReady, abort.signal)) === undefined) throw new PeerDiedError('xenstored');
    // Not connected to: each connection there is served by a process of its own.
    if (!(await fileExists(gpu, abort.signal))) throw new PeerDiedError('vhost-gpu');
    const child = spawn('/bin/sh', ['-c', `exec ${options.command.replaceAll('{gpu}', gpu)}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...dom0Environment(context.runDir) },
    });
    const pidFile = runPaths.backendPid(context.runDir);
    context.own('number of the backend command', () => rmSync(pidFile, { force: true }));
    if (child.pid !== undefined) writeFileSync(pidFile, `${child.pid}\n`, { mode: 0o600 });
    // Our own standard output answers the supervisor.
    child.stdout.on('data', (text: Buffer) => process.stderr.write(text));
    const ended = new Promise<void>((resolve) => {
      child.on('error', (error) => {
        void context.stop(`cannot run ${options.command}: ${error.message}`);
        resolve();
      });
      child.on('exit', (code, signal) => {
        rmSync(pidFile, { force: true });
        void context.stop(
          `the backend command ${signal === null ? `ended with status ${code}` : `was killed by ${signal}`}`,
        );
        resolve();
      });
    });
    context.own('backend command', async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS.failedProcessStop);
      await ended;
      clearTimeout(late);
    });
    context.ready();
  },
});
