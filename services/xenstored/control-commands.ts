// CONTROL: what an administrator asks the daemon itself. A table of commands; replies are text for people. What reaches
// outside the store (log files) is the host's.
import { ACK, atoi, countStrings, splitStrings } from '../../lib/xenstore/payload.js';
import type { Call, Handler } from './call.js';
import { checkStore } from './check.js';
import { LOG_SWITCHES } from './control-host.js';
import { fail } from './failure.js';
import { type Limits, QUOTAS } from './quota.js';

type Command = {
  readonly name: string;
  readonly usage: string;
  readonly run: (call: Call, args: readonly string[]) => string;
};

const pad = (text: string, width: number): string => text.padEnd(width);
const count = (value: number): string => String(value).padStart(8);

function noArguments(args: readonly string[]): void {
  if (args.length > 0) fail('EINVAL');
}

function showLimits(limits: Limits, soft: boolean): string {
  const rows = QUOTAS.flatMap(({ name, about }) => {
    const value = limits.get(soft ? `soft-${name}` : name);
    return value === undefined ? [] : [`${pad(name, 17)}: ${count(value)} ${about}\n`];
  });
  return `Quota settings:\n${rows.join('')}\0`;
}

function setLimit(call: Call, args: readonly string[], soft: boolean): string {
  if (args.length !== 2) fail('EINVAL');
  const [name, text] = args as [string, string];
  const value = atoi(text);
  const quota = QUOTAS.find((item) => item.name === name);
  const key = quota === undefined ? undefined : soft ? (`soft-${quota.name}` as const) : quota.name;
  const { limits } = call.store.domains;
  if (value < 1 || key === undefined || !limits.has(key)) fail('EINVAL');
  limits.set(key, value);
  call.store.journal.limits(limits);
  return ACK;
}

function quota(call: Call, args: readonly string[]): string {
  const { store } = call;
  const [first, ...rest] = args;
  if (first === undefined) return showLimits(store.domains.limits, false);
  if (first === 'set') return setLimit(call, rest, false);
  if (first === 'max') {
    if (rest.length > 1 || (rest.length === 1 && rest[0] !== '-r')) fail('EINVAL');
    if (rest.length === 1) for (const domain of store.domains.all()) domain.account.resetMost();
    const most = (name: (typeof QUOTAS)[number]['name']): number =>
      Math.max(
        0,
        ...[...store.domains.all()].filter(({ domid }) => domid !== 0).map(({ account }) => account.most(name)),
      );
    return `Max. seen accounting values:\n${QUOTAS.map(({ name }) => `${pad(name, 17)}: ${count(most(name))}\n`).join('')}\0`;
  }
  noArguments(rest);
  const domid = atoi(first);
  const account = store.domains.get(domid)?.account ?? fail('ENOENT');
  const row = ({ name }: (typeof QUOTAS)[number]): string =>
    `${pad(name, 17)}: ${count(account.used(name))} (max ${count(account.most(name))})\n`;
  return `Domain ${domid}:\n${QUOTAS.map(row).join('')}\0`;
}

function quotaSoft(call: Call, args: readonly string[]): string {
  const [first, ...rest] = args;
  if (first === undefined) return showLimits(call.store.domains.limits, true);
  return first === 'set' ? setLimit(call, rest, true) : fail('EINVAL');
}

function log({ store }: Call, args: readonly string[]): string {
  const { control } = store.host;
  const [what, ...rest] = args;
  noArguments(rest);
  if (!store.compat.logSwitches && what !== 'on' && what !== 'off') fail('EINVAL');
  if (what === undefined) {
    const on = control.logSwitches();
    return `Log switch settings:\n${LOG_SWITCHES.map((name) => `${pad(name, 8)}: ${on.has(name) ? 'on' : 'off'}\n`).join('')}\0`;
  }
  if (what === 'on' || what === 'off') control.log(what === 'on');
  else {
    const name = LOG_SWITCHES.find((item) => item === what.slice(1));
    if (name === undefined || (what.charAt(0) !== '+' && what.charAt(0) !== '-')) fail('EINVAL');
    control.logSwitch(name, what.charAt(0) === '+');
  }
  return ACK;
}

function report({ store }: Call): string {
  const rows = store.audit().map(({ kind, name }) => `${pad(kind, 12)} ${name}\n`);
  return `nodes ${store.tree.size}\nconnections ${store.connections.size}\n${rows.join('')}`;
}

const COMMANDS: readonly Command[] = [
  {
    name: 'check',
    usage: '',
    run: ({ store }, args) => {
      noArguments(args);
      const wrong = checkStore(store);
      for (const line of wrong) store.host.control.print(line);
      return ACK;
    },
  },
  {
    name: 'live-update',
    usage: '-f <file> | -c <arguments> | -s [-t <seconds>] [-F] [-v <version>] | -a',
    run: ({ store, connection }, args) => (store.liveUpdate ?? fail('EINVAL')).command(connection, args),
  },
  { name: 'log', usage: '[on|off|+<switch>|-<switch>]', run: log },
  {
    name: 'logfile',
    usage: '<file>',
    run: ({ store }, args) => {
      if (args.length !== 1) fail('EINVAL');
      store.host.control.logFile(args[0] as string);
      return ACK;
    },
  },
  {
    name: 'memreport',
    usage: '[<file>]',
    run: (call, args) => {
      if (args.length > 1) fail('EINVAL');
      call.store.host.control.memoryReport(args[0], report(call));
      return ACK;
    },
  },
  {
    name: 'print',
    usage: '<string>',
    run: ({ store }, args) => {
      if (args.length !== 1) fail('EINVAL');
      store.host.control.print(args[0] as string);
      return ACK;
    },
  },
  { name: 'quota', usage: '[set <name> <val>|<domid>|max [-r]]', run: quota },
  { name: 'quota-soft', usage: '[set <name> <val>]', run: quotaSoft },
  {
    name: 'help',
    usage: '',
    run: ({ store }, args) => {
      noArguments(args);
      const known = COMMANDS.filter(({ name }) => name !== 'live-update' || store.liveUpdate !== undefined);
      return `${known.map(({ name, usage }) => `${pad(name, 15)} ${usage}\n`).join('')}\0`;
    },
  },
];

export const control: Handler = (call) => {
  if (countStrings(call.payload) === 0) fail('EINVAL');
  const [name, ...args] = splitStrings(call.payload);
  const command = COMMANDS.find((item) => item.name === name) ?? fail('EINVAL');
  return command.run(call, args);
};
