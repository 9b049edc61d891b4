import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { PACKAGE_ROOT } from '../../../lib/node/process/package-root.js';

const XENWIRE = join(PACKAGE_ROOT, 'dist', 'bin', 'xenwire.js');
const xenwire = (...args: string[]): string => execFileSync(process.execPath, [XENWIRE, ...args], { encoding: 'utf8' });
const installed = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;

/** What bash offers at the end of that line. */
function offered(script: string, line: string): string[] {
  const words = line.split(' ');
  const ask = `${script}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _xenwire
printf '%s\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-c', ask], { encoding: 'utf8', cwd: PACKAGE_ROOT }).trim().split('\n');
}

t.test('bash completes verbs, options, words of a fixed set, folders and files', (t) => {
  const script = xenwire('completion', 'bash');
  t.same(offered(script, 'xenwire vhost-'), ['vhost-gpu', 'vhost-frontend']);
  t.same(offered(script, 'xenwire up --no'), ['--no-restart', '--notify']);
  t.same(offered(script, 'xenwire up --notify '), ['doorbell', 'zmq']);
  t.same(offered(script, 'xenwire up --frames ex'), ['examples', 'explore']);
  t.same(offered(script, 'xenwire create examples/gpu-g'), ['examples/gpu-guest.cfg']);
  t.same(offered(script, 'xenwire completion --h'), ['--help']);
  t.end();
});

for (const [shell, check] of [
  ['zsh', ['zsh', '-n']],
  ['fish', ['fish', '--no-execute']],
] as const) {
  t.test(`${shell} reads its script`, { skip: installed(shell) ? false : `${shell} is not installed` }, (t) => {
    const [program, ...args] = check;
    const { status, stderr } = spawnSync(program!, [...args, '/dev/stdin'], { input: xenwire('completion', shell) });
    t.equal(status, 0, String(stderr));
    t.end();
  });
}

t.test('fish and zsh are told every verb and option', (t) => {
  const [fish, zsh] = [xenwire('completion', 'fish'), xenwire('completion', 'zsh')];
  for (const verb of ['up', 'create', 'completion']) {
    t.match(fish, `__fish_use_subcommand -f -a ${verb} -d `);
    t.match(zsh, `    '${verb}:`);
  }
  t.match(fish, "'__fish_seen_subcommand_from create' -s F -l foreground -d ");
  t.match(zsh, "'--foreground[");
  t.end();
});

t.test('the manual page says of every verb and option what --help says', (t) => {
  const page = xenwire('man')
    .replaceAll('\\-', '-')
    .replace(/\\f[BIR]/g, '');
  const help = xenwire('--help');
  const verbs = [
    ...help.slice(help.indexOf('Commands:'), help.indexOf('Examples:')).matchAll(/^ {2}([a-z][a-z-]*) /gm),
  ].map(([, name]) => name!);
  t.ok(verbs.length > 10);
  for (const verb of verbs.filter((name) => name !== 'help')) {
    t.match(page, new RegExp(`^\\.SS "xenwire ${verb}[" ]`, 'm'), verb);
  }
  for (const [option] of xenwire('up', '--help').matchAll(/--[a-z-]+/g)) {
    if (option !== '--help') t.ok(page.includes(option), option);
  }
  t.match(page, /\.SH EXIT STATUS/);
  t.end();
});

t.test('an unknown shell is a mistake', (t) => {
  const { status, stderr } = spawnSync(process.execPath, [XENWIRE, 'completion', 'tcsh'], { encoding: 'utf8' });
  t.same(
    [status, stderr],
    [
      2,
      "xenwire: command-argument value 'tcsh' is invalid for argument 'shell'. Allowed choices are bash, zsh, fish\n",
    ],
  );
  t.end();
});
