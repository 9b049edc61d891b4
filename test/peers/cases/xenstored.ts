// Conversations that the C daemon of 4.17 and ours once answered differently, or nearly did: kept by name, each with what
// it is about. All must be answered alike now.
import { XS } from '../../../lib/layout/xs-wire.js';
import {
  abort,
  close,
  commit,
  control,
  directory,
  directoryPart,
  getPerms,
  mkdir,
  open,
  raw,
  read,
  request,
  rm,
  type Step,
  setPerms,
  start,
  to,
  unwatch,
  watch,
  within,
  write,
} from '../diff/script.js';

export interface Case {
  readonly name: string;
  readonly steps: readonly Step[];
}

const introduce = (domid: string) => request(XS.XS_INTRODUCE, domid, '1', '5');
const release = (domid: string) => request(XS.XS_RELEASE, domid);
const long = (length: number): string => 'q'.repeat(length);

export const CASES: readonly Case[] = [
  {
    name: 'a path may have 2048 bytes behind its home, for sockets too',
    steps: [
      open(0),
      ...[2047, 2048, 2049, 3071].map((length) => to(0, write(long(length), 'v'), read(long(length)))),
      ...[2048, 2049, 3072].map((length) => to(0, write(`/${long(length - 1)}`, 'v'), watch(`/${long(length)}`, 't'))),
      to(0, directory(`/t/${long(4000)}`), directoryPart(`/t/${long(4000)}`, 0), unwatch(`/${long(3072)}`, 't')),
    ],
  },
  {
    name: 'CONTROL log takes on and off, and no other word',
    steps: [
      open(0),
      ...['on', 'off', '+io', '-io', 'On', ''].map((word) => to(0, control('log', word))),
      to(0, control('log')),
    ],
  },
  {
    name: 'CONTROL quota checks names and values',
    steps: [
      open(0),
      to(
        0,
        control('quota', 'set', 'nodes', '0'),
        control('quota', 'set', 'nonsense', '5'),
        control('quota', 'set', 'nodes'),
      ),
      to(0, control('quota', '1'), control('quota', 'x', 'y'), control('quota-soft', 'set', 'nodes', '5')),
    ],
  },
  {
    name: 'watches on a single domain of a special node are never told',
    steps: [
      open(0),
      to(0, watch('@introduceDomain', 'all'), watch('@introduceDomain/1', 'one'), watch('@releaseDomain/1', 'gone')),
      to(0, introduce('1')),
      to(0, introduce('1')),
      to(0, release('1')),
      to(0, release('1')),
    ],
  },
  {
    name: 'a released domain takes its nodes with it, those of others below them as well',
    steps: [
      open(0),
      open(1),
      to(1, watch('/t', 'all'), watch('/t/a/b', 'deep'), watch('@releaseDomain', 'gone')),
      to(0, introduce('2')),
      to(0, write('/t/a/b', 'v'), setPerms('/t/a', 'n2'), write('/t/c', 'v'), setPerms('/t/c', 'n0', 'r2')),
      to(0, release('2')),
      to(0, directory('/t'), getPerms('/t/c')),
    ],
  },
  {
    name: 'any name that begins with @ can be watched, up to 2048 bytes',
    steps: [
      open(0),
      ...['@', '@a b', '@//', '@a/', '@\xff', `@${long(2047)}`, `@${long(2048)}`].map((name) =>
        to(0, watch(name, 't'), watch(name, 't'), unwatch(name, 't')),
      ),
    ],
  },
  {
    name: 'every port but 0 may be bound',
    steps: [
      open(0),
      ...['0', '', 'x', '-1', '7x', '4294967296', '4294967295'].map((port) =>
        to(0, request(XS.XS_INTRODUCE, '1', '1', port), release('1')),
      ),
    ],
  },
  {
    name: 'domids are read as far as they are numbers',
    steps: [
      open(0),
      ...['1', '1x', ' 2', '007', 'x', '', '-1', '65536', '4294967296'].map((text) =>
        to(
          0,
          request(XS.XS_GET_DOMAIN_PATH, text),
          request(XS.XS_IS_DOMAIN_INTRODUCED, text),
          request(XS.XS_RESUME, text),
          release(text),
        ),
      ),
    ],
  },
  {
    name: 'a transaction whose parent lists a child that has gone cannot remove the parent',
    steps: [
      open(0),
      to(0, write('/t/l/c', 'v')),
      to(0, start('x')),
      to(0, within('x', read('/t'))),
      to(0, rm('/t/l')),
      to(0, within('x', rm('/t'))),
      to(0, within('x', directory('/t'))),
      to(0, commit('x')),
    ],
  },
  {
    name: 'a child that has gone and is made again inside is listed twice there; no transaction can commit that',
    steps: [
      open(0),
      to(0, write('/t/l/c', 'v')),
      to(0, start('x')),
      to(0, within('x', read('/t'))),
      to(0, rm('/t/l')),
      to(0, within('x', write('/t/l', 'v'))),
      to(0, within('x', directory('/t'))),
      to(0, within('x', rm('/t'))),
      to(0, within('x', directory('/t'))),
      to(0, commit('x')),
      to(0, read('/t')),
    ],
  },
  {
    name: 'creating a child conflicts with having read the parent, changing one does not',
    steps: [
      open(0),
      open(1),
      to(0, write('/t/a', 'v')),
      to(0, start('x'), start('y')),
      to(0, within('x', read('/t')), within('y', read('/t'))),
      to(1, write('/t/a', 'w')),
      to(0, commit('x')),
      to(1, write('/t/b', 'w')),
      to(0, commit('y')),
    ],
  },
  {
    name: 'a transaction sees a node as it was at its first touch',
    steps: [
      open(0),
      open(1),
      to(0, write('/t/a', '1'), write('/t/b', '1')),
      to(0, start('x')),
      to(0, within('x', read('/t/a'))),
      to(1, write('/t/a', '2'), write('/t/b', '2')),
      to(0, within('x', read('/t/a'))),
      to(0, within('x', read('/t/b'))),
      to(0, commit('x')),
    ],
  },
  {
    name: 'events of a commit come in the order of first touch, and merge',
    steps: [
      open(0),
      open(1),
      to(1, watch('/', 'all')),
      to(0, start('x')),
      to(0, within('x', write('/t/c', '1')), within('x', write('/t/a', '1')), within('x', write('/t/c', '2'))),
      to(0, within('x', mkdir('/t/gone')), within('x', rm('/t/gone'))),
      to(0, commit('x')),
    ],
  },
  {
    name: 'removing a subtree tells exact watches below it first, deepest first',
    steps: [
      open(0),
      open(1),
      to(0, write('/t/a/b/c', 'v'), write('/t/a/d', 'v')),
      to(1, watch('/t/a/b/c', '1'), watch('/t/a/b', '2'), watch('/t/a/d', '3'), watch('/t/a', '4'), watch('/t', '5')),
      to(1, watch('/t/a/never', '6')),
      to(0, rm('/t/a')),
    ],
  },
  {
    name: 'what a connection holds goes with it',
    steps: [
      open(0),
      open(1),
      to(0, watch('/t', 'w'), start('x')),
      to(0, within('x', write('/t', 'never'))),
      close(0),
      to(1, read('/t')),
      to(1, write('/t', 'v')),
      open(0),
      to(0, unwatch('/t', 'w'), within('x', read('/t'))),
      to(0, start('y')),
      to(0, abort('y')),
    ],
  },
  {
    name: 'a header that announces too much ends its connection only',
    steps: [
      open(0),
      open(1),
      to(0, watch('/t', 'w')),
      to(1, { type: XS.XS_READ, payload: '', announce: 4097 }),
      to(0, write('/t', 'v')),
      open(1),
      to(1, read('/t')),
    ],
  },
];

/** Where ours differs on purpose, with what the two say: docs/xenstored.md tells why. */
export const DIFFERENCES: readonly (Case & { readonly own: RegExp; readonly theirs: RegExp })[] = [
  {
    name: 'a payload that is not one string is EINVAL, not the error of an earlier request',
    steps: [open(0), to(0, unwatch('/t', 'none')), to(0, raw(XS.XS_READ, '/t'))],
    own: /ERROR id 0 tx 0 "EINVAL/,
    theirs: /ERROR id 0 tx 0 "ENOENT/,
  },
  {
    name: 'after a request that went well, the same payload ends the daemon',
    steps: [open(0), to(0, rm('/tool/xenstored')), to(0, raw(XS.XS_READ, '/t'))],
    own: /^$/,
    theirs: /c xenstored.*(ended with SIGABRT|closed the connection)/,
  },
  {
    name: 'a released domain is gone, even while it is the target of another',
    steps: [
      open(0),
      to(0, introduce('1'), introduce('2'), request(XS.XS_SET_TARGET, '1', '2')),
      to(0, release('2')),
      to(0, release('2')),
    ],
    own: /ERROR id 0 tx 0 "ENOENT/,
    theirs: /RELEASE id 0 tx 0 "OK/,
  },
];
