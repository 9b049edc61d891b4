// Conversations with guests that the C daemon of 4.17 and ours once answered differently, or nearly did: kept by name. All
// must be answered alike now.
import { XS } from '../../../lib/layout/xs-wire.js';
import {
  close,
  commit,
  directory,
  type GuestSetting,
  getPerms,
  guest,
  mkdir,
  open,
  type Request,
  raw,
  read,
  request,
  rm,
  type Step,
  setPerms,
  start,
  to,
  watch,
  within,
  write,
} from '../diff/script.js';

export interface GuestCase {
  readonly name: string;
  readonly guests: GuestSetting;
  readonly steps: readonly Step[];
}

const limits = (quotas: Record<string, number> = {}): GuestSetting => ({
  quotas: { nodes: 1000, watches: 128, transactions: 10, 'node-size': 2048, 'transaction-nodes': 1024, ...quotas },
});
const many = (count: number, make: (index: number) => Request): Request[] =>
  Array.from({ length: count }, (_, index) => make(index));

export const GUEST_CASES: readonly GuestCase[] = [
  {
    name: 'a node is as large as its record, and may not reach the limit',
    guests: limits({ 'node-size': 120 }),
    steps: [
      guest(0, 1),
      ...[86, 87, 88, 89].map((length) => to(0, write('/n', 'v'.repeat(length)), read('/n'))),
      to(0, write('/p', ''), setPerms('/p', 'n1', ...Array.from({ length: 4 }, () => 'r0'))),
      to(0, ...many(12, (index) => mkdir(`/p/child-${index}`)), directory('/p')),
    ],
  },
  {
    name: 'all nodes that one request makes count, but for those of a transaction',
    guests: limits({ nodes: 4 }),
    steps: [
      guest(0, 1),
      to(0, mkdir('/a/b/c/d/e'), mkdir('/a/b'), mkdir('/c/d/e'), mkdir('/c/d'), mkdir('/f')),
      to(0, rm('/c'), start('x')),
      to(0, within('x', mkdir('/g/h/i/j')), within('x', mkdir('/k'))),
      to(0, commit('x'), directory('/')),
    ],
  },
  {
    name: 'what dom0 makes below a node of a guest is the guest’s, and counts',
    guests: limits({ nodes: 3 }),
    steps: [
      open(0),
      guest(1, 1),
      to(1, mkdir('/a')),
      to(0, mkdir('/a/b/c/d/e'), getPerms('/a/b/c')),
      to(1, mkdir('/f'), write('/a/b', 'v'), rm('/a/b')),
      to(1, mkdir('/f')),
    ],
  },
  {
    name: 'watches and transactions have room for one more than their limit',
    guests: limits({ watches: 3, transactions: 2 }),
    steps: [
      guest(0, 1),
      to(0, ...many(6, (index) => watch('/w', String(index)))),
      to(0, ...many(5, (index) => start(`x${index}`))),
      to(0, commit('x0'), start('y'), start('z')),
      to(0, request(XS.XS_RESET_WATCHES, ''), watch('/w', 'again'), start('again')),
    ],
  },
  {
    name: 'a transaction that touched too much answers, and does not commit',
    guests: limits({ 'transaction-nodes': 4 }),
    steps: [
      guest(0, 1),
      to(0, start('x')),
      to(0, ...many(6, (index) => within('x', write(`/n${index}`, 'v')))),
      to(0, commit('x'), directory('/')),
    ],
  },
  {
    name: 'a removal that touches too much fails as one that finds no node',
    guests: limits({ 'transaction-nodes': 6 }),
    steps: [
      guest(0, 1),
      to(0, ...['a/b', 'a/c', 'd/e/f', 'g'].map((path) => mkdir(`/t/${path}`))),
      to(0, start('x')),
      to(0, within('x', rm('/t'))),
      to(0, within('x', directory('/t')), commit('x'), directory('/t')),
    ],
  },
  {
    name: 'special nodes have no parent that makes them readable',
    guests: limits(),
    steps: [
      open(0),
      guest(1, 1),
      guest(2, 2),
      to(1, watch('@releaseDomain', 'gone'), watch('@introduceDomain', 'new')),
      close(2),
      guest(2, 2),
      to(0, setPerms('@releaseDomain', 'r0')),
      close(2),
    ],
  },
  {
    name: 'a guest sees what it may: nodes, changes, and what is gone',
    guests: limits(),
    steps: [
      open(0),
      guest(1, 1),
      guest(2, 2),
      to(0, write('/t/open/x', 'v'), write('/t/shut/x', 'v'), setPerms('/t/shut', 'n0'), setPerms('/t/shut/x', 'n0')),
      to(1, watch('/t', 'all'), read('/t/open/x'), read('/t/shut/x'), read('/t/shut/missing'), rm('/t/shut')),
      to(0, write('/t/shut/x', 'w'), setPerms('/t/shut/x', 'n0', 'r1')),
      to(0, write('/t/shut/x', 'x'), setPerms('/t/shut/x', 'n0')),
      to(2, write('/t/mine', 'v'), setPerms('/t/mine', 'n2', 'w1'), setPerms('/t/mine', 'n1'), getPerms('/t/mine')),
      to(1, write('/t/mine', 'w'), read('/t/mine'), write('/t/mine/below', 'v'), getPerms('/t/mine/below')),
      to(2, rm('/t/mine')),
      close(2),
      to(1, directory('/t')),
    ],
  },
  {
    name: 'what only dom0 may ask, asked by a guest',
    guests: limits(),
    steps: [
      guest(0, 1),
      to(
        0,
        request(XS.XS_INTRODUCE, '2', '1', '5'),
        request(XS.XS_RELEASE, '1'),
        request(XS.XS_RESUME, '1'),
        request(XS.XS_SET_TARGET, '1', '0'),
        request(XS.XS_IS_DOMAIN_INTRODUCED, '1'),
        request(XS.XS_CONTROL, 'check'),
        request(XS.XS_GET_DOMAIN_PATH, '7'),
        raw(99, ''),
      ),
    ],
  },
  {
    name: 'what was asked before a broken message is done and answered',
    guests: limits(),
    steps: [
      open(0),
      guest(1, 1),
      to(1, write('/a', 'v'), start('x'), write('/b', 'v'), { type: XS.XS_READ, payload: '', announce: 5000 }),
      to(0, directory('/')),
      guest(1, 1),
      to(1, read('/a'), write('r', 'again')),
    ],
  },
];
