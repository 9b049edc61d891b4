// A campaign of four parts over two nodes of a real Slurm on this machine, with the example's batch script. One node ends in the
// middle and comes back: Slurm starts its part again, which goes on where it was, and the joined result is whole. Everything of Slurm
// is the test's own: configuration, key, sockets, ports of the loopback interface.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { type JudgedCase, parseResult } from '../../chaos/results.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { lookAgain } from '../../lib/node/process/wait.js';
import { temporaryRunDir } from '../../testkit/processes.js';
import { XENWIRE } from '../fixtures/lab.js';

const PROGRAMS = ['/usr/sbin/slurmctld', '/usr/sbin/slurmd', '/usr/sbin/munged', '/usr/bin/sbatch'];
const missing = PROGRAMS.filter((path) => !existsSync(path));
const required = process.env['XENWIRE_REQUIRE_PEERS'] === '1';
const root = process.getuid?.() === 0;
const skip = !required && (missing.length > 0 || !root) ? `needs root and ${PROGRAMS.join(', ')}` : false;

const PARTS = 4;
const CASES = ['vhost-frontend', 'vhost-gpu', 'xenstored', 'guest'].flatMap((victim) =>
  ['KILL', 'STOP', 'TERM'].map((fault) => `guest:guest.frame#1/${fault} ${victim}/restart`),
);
const STEP_MS = 90_000;
const LOOK_MS = 100;

/** Looks until something is there; an Error says what did not come. */
async function until<T>(what: string, look: () => T | undefined): Promise<T> {
  const found = await lookAgain(async () => look(), LOOK_MS, AbortSignal.timeout(STEP_MS));
  if (found === undefined) throw new Error(`${what} did not come within ${STEP_MS} ms`);
  return found;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

const statusOf = (pid: number, field: string): number => {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${field}:\\s*([0-9]+)`, 'm').exec(status)?.[1] ?? 0);
};

/** The process whose command line ends with that; undefined: there is none now. */
function processWith(words: readonly string[]): number | undefined {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .map(Number)
    .find((pid) => {
      try {
        const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        return words.every((word) => args.includes(word));
      } catch {
        return false; // ended meanwhile
      }
    });
}

t.test(
  'a campaign over two Slurm nodes is whole though one of them ends in the middle',
  { skip, timeout: 280_000 },
  async (t) => {
    const dir = temporaryRunDir(t);
    const path = (name: string): string => join(dir, name);
    const started: ChildProcess[] = [];
    const start = (program: string, ...args: string[]): ChildProcess => {
      const child = spawn(program, args, { stdio: 'ignore', env: { ...process.env, SLURM_CONF: path('slurm.conf') } });
      started.push(child);
      return child;
    };
    const end = async (child: ChildProcess, signal: NodeJS.Signals): Promise<void> => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = new Promise((resolve) => child.once('exit', resolve));
      child.kill(signal);
      await exited;
    };
    const slurm = (program: string, ...args: string[]): string =>
      execFileSync(program, args, {
        cwd: dir,
        encoding: 'utf8',
        env: { ...process.env, SLURM_CONF: path('slurm.conf') },
      });

    for (const name of ['state', 'munge', 'work', 'labs']) mkdirSync(path(name));
    chmodSync(dir, 0o755);
    writeFileSync(path('munge/key'), randomBytes(1024), { mode: 0o400 });
    const socket = path('munge/sock');
    const [controller, ...nodes] = [await freePort(), await freePort(), await freePort()];
    const node = (index: number): string =>
      `NodeName=n${index + 1} NodeHostname=${hostname()} NodeAddr=127.0.0.1 Port=${nodes[index]} CPUs=1`;
    writeFileSync(
      path('slurm.conf'),
      [
        'ClusterName=xenwire',
        `SlurmctldHost=${hostname()}(127.0.0.1)`,
        `SlurmctldPort=${controller}`,
        'AuthType=auth/munge',
        // A task that lost its node is started again once its credential has expired.
        `AuthInfo=socket=${socket},cred_expire=5`,
        'CredType=cred/munge',
        'SlurmUser=root',
        'SlurmdUser=root',
        `StateSaveLocation=${path('state')}`,
        `SlurmdSpoolDir=${path('spool-%n')}`,
        `SlurmdPidFile=${path('slurmd-%n.pid')}`,
        `SlurmctldPidFile=${path('slurmctld.pid')}`,
        'ProctrackType=proctrack/pgid',
        'TaskPlugin=task/none',
        'SelectType=select/cons_tres',
        'SelectTypeParameters=CR_CPU',
        'AccountingStorageType=accounting_storage/none',
        'JobAcctGatherType=jobacct_gather/none',
        'MpiDefault=none',
        // A node that does not answer is down after that, and its part is started again.
        'SlurmdTimeout=5',
        'ReturnToService=2',
        node(0),
        node(1),
        'PartitionName=all Nodes=n1,n2 Default=YES State=UP',
        '',
      ].join('\n'),
    );
    t.teardown(async () => {
      spawnSync('scancel', ['--name=xenwire-chaos', '--signal=KILL', '--full'], {
        env: { ...process.env, SLURM_CONF: path('slurm.conf') },
      });
      for (const child of started.reverse()) await end(child, 'SIGTERM');
    });

    const munge = (name: string): string => path(`munge/${name}`);
    start(
      'munged',
      '--foreground',
      '--force',
      `--key-file=${munge('key')}`,
      `--socket=${socket}`,
      `--log-file=${munge('log')}`,
      `--pid-file=${munge('pid')}`,
      `--seed-file=${munge('seed')}`,
    );
    await until('the socket of munged', () => existsSync(socket) || undefined);
    start('slurmctld', '-D', '-f', path('slurm.conf'));
    const slurmd = (name: string): ChildProcess => start('slurmd', '-D', '-f', path('slurm.conf'), '-N', name);
    slurmd('n1');
    const second = slurmd('n2');
    await until('two idle nodes', () => {
      const { stdout } = spawnSync('sinfo', ['--noheader', '--states=idle', '--Node', '--format=%N'], {
        encoding: 'utf8',
        env: { ...process.env, SLURM_CONF: path('slurm.conf') },
      });
      return (
        stdout
          .trim()
          .split('\n')
          .filter((name) => /^n[12]$/.test(name)).length === 2 || undefined
      );
    });

    writeFileSync(path('work/cases.txt'), `${CASES.join('\n')}\n`);
    const environment = `--export=ALL,XENWIRE=${process.execPath} ${XENWIRE.pathname},XENWIRE_LABS=${path('labs')}`;
    const script = join(PACKAGE_ROOT, 'examples', 'chaos', 'slurm.sbatch');
    const submitted = slurm('sbatch', '--parsable', `--chdir=${path('work')}`, environment, script).trim();

    // The part that runs on the second node, once it has judged a case and has some left.
    const result = (part: number): readonly JudgedCase[] => {
      const file = path(`work/shard-${part}.json`);
      return existsSync(file) ? parseResult(readFileSync(file, 'utf8'), file).judged : [];
    };
    const victim = await until('a part on the second node', () => {
      const running = slurm('squeue', '--noheader', '--states=running', '--nodelist=n2', '--format=%K').trim();
      const part = Number(running.split('\n')[0]);
      return part >= 1 && result(part).length > 0 && result(part).length < CASES.length / PARTS ? part : undefined;
    });
    const xenwire = processWith(['chaos', `shard-${victim}.json`]);
    t.ok(xenwire !== undefined, 'its process runs');
    const shell = statusOf(xenwire!, 'PPid');
    const step = statusOf(shell, 'PPid');
    await end(second, 'SIGKILL');
    // A node that ends takes all that runs on it.
    for (const pid of [step, shell, xenwire!]) process.kill(pid, 'SIGKILL');
    const before = result(victim).length;
    t.ok(before > 0 && before < CASES.length / PARTS, `part ${victim} had judged ${before} of ${CASES.length / PARTS}`);
    await until('the end of the node, seen by Slurm', () =>
      /down/.test(slurm('sinfo', '--noheader', '--nodes=n2', '--format=%T')) ? true : undefined,
    );
    slurmd('n2');

    await until('the end of all parts', () =>
      slurm('squeue', '--noheader', `--jobs=${submitted}`).trim() === '' ? true : undefined,
    ).catch((error: unknown) => t.comment(slurm('squeue'), error));
    const parts = Array.from({ length: PARTS }, (_, index) => path(`work/shard-${index + 1}.json`));
    const merged = spawnSync(process.execPath, [XENWIRE.pathname, 'chaos', 'merge', ...parts], { encoding: 'utf8' });
    t.match(merged.stdout, new RegExp(`${CASES.length} of ${CASES.length} run, 0 skipped: ${CASES.length} pass`));
    t.equal(merged.status, 0, merged.stdout + merged.stderr);
    t.same(readdirSync(path('labs')), [], 'no lab is left');
  },
);
