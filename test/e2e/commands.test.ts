// The command line beside `up`: each process by its own command in any order, guests added and removed in a running lab,
// the examples that --help gives, and what a user gets wrong.
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { longTest } from '../../testkit/tier.js';
import {
  examplesOf,
  leftovers,
  registered,
  startLab,
  startXenwire,
  temporaryLabDir,
  xenwire,
} from '../fixtures/lab.js';

const CONFIG = join(PACKAGE_ROOT, 'examples', 'gpu-guest.cfg');

const SERVICES: Readonly<Record<string, readonly string[]>> = {
  hypervisor: ['hypervisor'],
  xenstored: ['xenstored'],
  'vhost-gpu': ['vhost-gpu'],
  'vhost-frontend': ['vhost-frontend'],
  'guest-gpu-guest': ['guest', '--name', 'gpu-guest'],
};
const NAMES = Object.keys(SERVICES);

// Each before what it needs; in the second tier also after it, and mixed.
const ORDERS = [[...NAMES].reverse(), NAMES, [2, 4, 1, 3, 0].map((index) => NAMES[index]!)];
for (const [index, order] of ORDERS.entries()) {
  t.test(`processes started alone find each other: ${order.join(', ')}`, index > 0 ? longTest() : {}, async (t) => {
    const runDir = temporaryLabDir(t);
    const running = [];
    for (const name of order) {
      running.push(startXenwire(t, [...SERVICES[name]!, '--run-dir', runDir]));
      // Each has begun, and looks for what it needs, before the next one starts.
      await registered(runDir, name, /./);
    }
    const args = ['create', CONFIG, '--no-process', '--wait', '--wait-for-lab', '--run-dir', runDir];
    const created = await xenwire(t, args);
    t.equal(created.status, 0, created.stderr);
    t.match(created.stdout, /picture equal: 1024x768 pixels/);
    t.equal((await xenwire(t, ['destroy', 'gpu-guest', '--run-dir', runDir])).status, 0);
    const guest = running[order.indexOf('guest-gpu-guest')]!;
    t.equal(await guest.ended(), 0, 'the guest ends with its domain');
  });
}

t.test(
  'a process that is to run one domain leaves a later one of that name to the process it belongs to',
  async (t) => {
    const runDir = temporaryLabDir(t);
    for (const name of ['hypervisor', 'xenstored', 'vhost-gpu', 'vhost-frontend']) {
      startXenwire(t, [...SERVICES[name]!, '--run-dir', runDir]);
    }
    const create = ['create', CONFIG, '--no-process', '--wait-for-lab', '--run-dir', runDir];
    t.match((await xenwire(t, create)).stdout, /^guest gpu-guest is domain 1$/m);
    // As when its monitor started it for a domain that was destroyed before it looked.
    const late = await xenwire(t, ['guest', '--name', 'gpu-guest', '--domid', '7', '--run-dir', runDir]);
    t.equal(late.status, 0, late.stderr);
    startXenwire(t, ['guest', '--name', 'gpu-guest', '--domid', '1', '--run-dir', runDir]);
    await registered(runDir, 'guest-gpu-guest', /shown/);
    const { stdout } = await xenwire(t, ['list', '--json', '--run-dir', runDir]);
    t.match(JSON.parse(stdout), [{ name: 'gpu-guest', domid: 1, state: 'running' }]);
    t.equal((await xenwire(t, ['destroy', 'gpu-guest', '--run-dir', runDir])).status, 0);
  },
);

t.test('up --attach uses the processes that run, and leaves them running', async (t) => {
  const runDir = temporaryLabDir(t);
  const running = NAMES.map((name) => startXenwire(t, [...SERVICES[name]!, '--run-dir', runDir]));
  for (const name of NAMES) await registered(runDir, name, /ready|waiting/);
  const attached = await xenwire(t, ['up', '--attach', '--once', '--json', '--run-dir', runDir]);
  t.equal(attached.status, 0, attached.stderr);
  const { result, frame, guests } = JSON.parse(attached.stdout);
  t.same([result, frame.mismatchedPixels], ['ok', 0]);
  t.same(guests, [{ domid: 1, frontend: [1, 3, 4, 6], backend: [1, 2, 4, 5, 6] }]);
  t.equal(await running[NAMES.indexOf('guest-gpu-guest')]!.ended(), 0, 'the guest ends with its domain');
  const { stdout } = await xenwire(t, ['ps', '--json', '--run-dir', runDir]);
  t.equal((JSON.parse(stdout) as unknown[]).length, 4, 'the others stay');
});

t.test('guests come and go in a running lab, and ps and list show it', longTest(), async (t) => {
  const runDir = temporaryLabDir(t);
  // A guest that is added wakes and is woken as the lab it joins.
  const lab = await startLab(t, runDir, ['--notify', 'zmq']);
  const names = async (): Promise<string[]> => {
    const { stdout } = await xenwire(t, ['ps', '--json', '--run-dir', runDir]);
    return (JSON.parse(stdout) as { name: string }[]).map(({ name }) => name);
  };
  const guests = async (): Promise<string[]> => {
    const { stdout } = await xenwire(t, ['list', '--json', '--run-dir', runDir]);
    return (JSON.parse(stdout) as { name: string; state: string }[]).map(({ name, state }) => `${name} ${state}`);
  };
  t.same(await names(), ['guest-gpu-guest', 'hypervisor', 'vhost-frontend', 'vhost-gpu', 'xenstored']);
  const config = join(runDir, 'second.cfg');
  writeFileSync(config, 'name = "second"\nmemory = 32\nvirtio = [ "type=virtio,device10,transport=mmio" ]\n');
  const created = await xenwire(t, ['create', config, '--wait', '--run-dir', runDir]);
  t.equal(created.status, 0, created.stderr);
  t.match(created.stdout, /^guest second is domain 2\npicture equal: /);
  t.ok((await names()).includes('guest-second'));
  t.same(await guests(), ['gpu-guest running', 'second running']);
  const again = await xenwire(t, ['create', config, '--run-dir', runDir]);
  t.same([again.status, again.stderr], [2, 'xenwire: there is a guest second already: domain 2\n']);
  t.equal((await xenwire(t, ['destroy', 'second', '--run-dir', runDir])).status, 0);
  t.same(await guests(), ['gpu-guest running']);
  t.equal((await xenwire(t, ['create', config, '--run-dir', runDir])).status, 0, 'and again, as another domain');
  await registered(runDir, 'guest-second', /shown/);
  lab.child.kill('SIGINT');
  t.equal(await lab.ended(), 0, lab.stderr);
  t.same(leftovers(runDir), [], 'the lab took along what others had added');
});

t.test('the examples of --help do what they say', longTest(), async (t) => {
  const runDir = temporaryLabDir(t);
  const env = { XENWIRE_RUN_DIR: runDir };
  const verbs = ['up', 'ps', 'list', 'top', 'trace', 'logs', 'destroy', 'create'];
  const examples = (await Promise.all(verbs.map((verb) => examplesOf(t, verb)))).flat();
  const run = async (line: string, status = 0): Promise<void> => {
    const at = examples.findIndex((args) => args.join(' ') === line);
    t.not(at, -1, `${line} is an example`);
    const result = await xenwire(t, examples.splice(at, 1)[0]!, env);
    t.equal(result.status, status, `${line}: ${result.stderr}`);
  };
  process.chdir(PACKAGE_ROOT); // they name files of the project
  await run('up --once --json');
  await run('up --once --guests 2 --image examples/test-card.png');
  await run('up --once --guests 3 --path evtchnfd,dmop,direct');
  await run('up --once --guests 3 --servers 2');
  const lab = startXenwire(
    t,
    examples.splice(
      examples.findIndex((args) => args.join() === 'up'),
      1,
    )[0]!,
    env,
  );
  await lab.line(/until Ctrl-C/);
  for (const line of ['ps', 'ps --json', 'ps --check hypervisor', 'list', 'list --json']) await run(line);
  const looks = examples.filter(([verb = '']) => ['top', 'trace', 'logs'].includes(verb));
  for (const args of looks) await run(args.join(' '));
  await run('destroy gpu-guest');
  await run('create examples/gpu-guest.cfg');
  t.equal((await xenwire(t, ['destroy', 'gpu-guest'], env)).status, 0);
  await run('create examples/gpu-guest.cfg --image examples/test-card.png --wait');
  await run('destroy 3');
  t.same(examples, [], 'no example is left out');
  lab.child.kill('SIGINT');
  t.equal(await lab.ended(), 0, lab.stderr);
});

t.test('what a user gets wrong is one sentence and status 2', longTest(), async (t) => {
  const runDir = temporaryLabDir(t);
  const dir = join(runDir, '..');
  const file = (name: string, text: string): string => {
    writeFileSync(join(dir, name), text);
    return join(dir, name);
  };
  const bad = file('bad.cfg', 'name = "g"\nmemory = "much"\n');
  const noGpu = file('no-gpu.cfg', 'name = "g"\n');
  const notPng = file('picture.png', 'this is text');
  const other = join(dir, 'other');
  mkdirSync(other);
  file('other/letter.txt', 'dear sir');
  const long = join(dir, 'x'.repeat(100));
  const cases: readonly (readonly [args: string[], message: RegExp])[] = [
    [[], /^xenwire: no command given; see --help$/],
    [['fly'], /^xenwire: unknown command 'fly'$/],
    [['up', '--fast'], /^xenwire: unknown option '--fast'$/],
    [
      ['up', '--guests', 'many'],
      /^xenwire: option '--guests <count>' argument 'many' is invalid: It must be a whole number/,
    ],
    [['up', '--notify', 'pigeon'], /^xenwire: .*'pigeon' is invalid: Allowed choices are doorbell, zmq$/],
    [['up', '--image', join(dir, 'none.png')], /^xenwire: there is no picture .*none\.png$/],
    [['up', '--image', notPng], /^xenwire: .*picture\.png is not a PNG image$/],
    [['up', '--image', dir], /^xenwire: cannot read the picture /],
    [['up', '--config', join(dir, 'none.cfg')], /^xenwire: there is no configuration .*none\.cfg$/],
    [['up', '--config', bad], /^xenwire: .*bad\.cfg:2: memory is a number from 8 to 65536, not "much"$/],
    [['up', '--config', noGpu], /^xenwire: .*no-gpu\.cfg has no GPU as its device 0/],
    [
      ['up', '--run-dir', long],
      /^xenwire: run directory .* is too long for the sockets in it: \d+ bytes, at most \d+$/,
    ],
    [['up', '--run-dir', other], /^xenwire: .*other holds other things \(letter\.txt\): name a new or empty folder$/],
    [['up', '--run-dir', join(bad, 'lab')], /^xenwire: cannot use .* as run directory: ENOTDIR/],
    [['up', '--run-dir', join(dir, 'new', 'x'.repeat(100))], /^xenwire: run directory .* is too long/],
    [['up', '--run-dir', ''], /^xenwire: .*'--run-dir <dir>' argument '' is invalid: It must name a folder$/],
    [['up', '--run-dir', '/proc/foo'], /^xenwire: cannot use \/proc\/foo as run directory: ENOENT/],
    [['up', '--frames', ''], /^xenwire: .*'--frames <dir>' argument '' is invalid: It must name a folder$/],
    [['up', '--frames', '/proc/x'], /^xenwire: cannot write frames to \/proc\/x: ENOENT/],
    [['up', '--frames', join(notPng, 'x')], /^xenwire: cannot write frames to .*x: ENOTDIR/],
    [['up', '--config', '/dev/zero'], /^xenwire: cannot read the configuration \/dev\/zero: it is no plain file$/],
    [['up', '--image', '/dev/zero'], /^xenwire: cannot read the picture \/dev\/zero: it is no plain file$/],
    [['hypercall', '--replay', dir], /^xenwire: cannot read the recording .*: it is no plain file$/],
    [['hypervisor', '--run-dir', ''], /^xenwire hypervisor: .*'' is invalid: It must name a folder$/],
    [['guest', '--name', 'g', '--image', notPng], /^xenwire guest: .*picture\.png is (no|not a) PNG/],
    [['create'], /^xenwire: missing required argument 'config'$/],
    [['create', CONFIG], /^xenwire: no lab runs in .*: start one with xenwire up, or name its --run-dir$/],
    [['destroy', 'g'], /^xenwire: no lab runs in /],
    [['list'], /^xenwire: no lab runs in /],
    [['ps'], /^xenwire: no lab runs in /],
    [['trace'], /^xenwire: no lab runs in /],
    [['up', '--attach'], /^xenwire: no lab runs in /],
    [['trace', '--kind', 'noise'], /^xenwire: .*'noise' is invalid: Kinds are send, receive/],
    [['guest', '--run-dir', runDir], /^xenwire guest: required option '--name <name>' not specified$/],
    [['hypervisor', '--warp'], /^xenwire hypervisor: unknown option '--warp'$/],
    [['hypervisor', '--run-dir', long], /^xenwire hypervisor: run directory .* is too long/],
  ];
  for (const [args, message] of cases) {
    const named = args.includes('--run-dir') || args[0] === undefined || args[0] === 'fly' || args[0] === 'hypercall';
    const result = await xenwire(t, named ? args : [...args, '--run-dir', runDir]);
    t.equal(result.status, 2, args.join(' '));
    t.match(result.stderr.trimEnd(), message);
    t.notMatch(result.stderr.trimEnd(), '\n', 'one line');
    t.equal(result.stdout, '');
  }
  t.same(readdirSync(dir).sort(), ['bad.cfg', 'no-gpu.cfg', 'other', 'picture.png'], 'and nothing is left of it');
});

t.test('a run directory in use is refused, to a second lab and to a second process of a name', async (t) => {
  const runDir = temporaryLabDir(t);
  const lab = await startLab(t, runDir);
  const second = await xenwire(t, ['up', '--once', '--run-dir', runDir]);
  t.equal(second.status, 2);
  t.match(second.stderr, /^xenwire: another xenwire up uses .*: name another --run-dir, or --attach to it\n$/);
  const process_ = await xenwire(t, ['xenstored', '--run-dir', runDir]);
  t.same([process_.status, process_.stderr], [2, `xenwire xenstored: xenstored is already running in ${runDir}\n`]);
  const destroyed = await xenwire(t, ['destroy', 'nobody', '--run-dir', runDir]);
  t.same([destroyed.status, destroyed.stderr], [2, 'xenwire: there is no guest "nobody"; there is gpu-guest\n']);
  lab.child.kill('SIGINT');
  t.equal(await lab.ended(), 0, 'undisturbed');
});
