// Each checker against histories that keep its rule and histories that break it.
import t from 'tap';
import { GUEST_PROCESS } from '../../../chaos/case.js';
import type { Checker } from '../../../chaos/checkers/checker.js';
import { committed } from '../../../chaos/checkers/committed.js';
import { conservation } from '../../../chaos/checkers/conservation.js';
import { edges } from '../../../chaos/checkers/edges.js';
import { fences } from '../../../chaos/checkers/fences.js';
import { messages } from '../../../chaos/checkers/messages.js';
import { notifications } from '../../../chaos/checkers/notifications.js';
import { published } from '../../../chaos/checkers/published.js';
import { rings } from '../../../chaos/checkers/rings.js';
import { edge, POINT, type PointName } from '../../../lib/trace/points.js';
import type { TraceRecord } from '../../../lib/trace/record.js';

type Said = Partial<TraceRecord> & { readonly name: PointName };

function history(...said: readonly Said[]): TraceRecord[] {
  return said.map(({ name, ...fields }, index) => ({
    ...{ process: 'guest-1', incarnation: 1, index, ns: BigInt(index), point: POINT[name], label: '', occurrence: 1 },
    ...{ a: 0, b: 0, domid: 1, flow: 0, sender: 0 },
    ...fields,
  }));
}

const found = (checker: Checker, ...said: readonly Said[]): number =>
  checker.check({ records: history(...said), survivors: new Set([1]), earlier: new Set([1, 3]) }).length;

t.test('edges: what the table has passes, by its writer only', (t) => {
  t.equal(found(edges, { name: 'front.state', b: edge(1, 3) }), 0);
  t.equal(found(edges, { name: 'front.state', b: edge(1, 4) }), 1, 'a frontend does not skip a state');
  t.equal(found(edges, { name: 'back.state', process: 'vhost-frontend', b: edge(1, 2) }), 0);
  t.equal(found(edges, { name: 'back.state', b: edge(1, 2) }), 1, 'a guest does not write the backend state');
  t.equal(found(edges, { name: 'back.state', process: 'toolstack', b: edge(4, 5) }), 0);
  t.end();
});

t.test('notifications: a guest that listens takes every event, and none of a port that was given back', (t) => {
  const guest = { process: GUEST_PROCESS, incarnation: 2 };
  const hypervisor = { process: 'hypervisor', incarnation: 1 };
  const take: readonly Said[] = [
    { ...hypervisor, name: 'port.take', a: 3 },
    { ...guest, name: 'port.take', a: 3 },
  ];
  const connect: Said = { ...guest, name: 'front.state', b: edge(3, 4) };
  const close: Said = { process: 'toolstack', name: 'back.state', b: edge(4, 5) };
  const raise: Said = { ...hypervisor, name: 'event.raise', a: 3 };
  const taken: Said = { ...guest, name: 'event.taken', a: 3 };
  const goesOn: Said = { ...guest, name: 'gpu.submit' };
  const give: readonly Said[] = [
    { ...guest, name: 'port.give', a: 3 },
    { ...hypervisor, name: 'port.give', a: 3 },
  ];
  const life = [...take, connect];
  t.equal(found(notifications, ...life, raise, raise, taken, goesOn, close, ...give), 0, 'two events are one');
  t.equal(found(notifications, ...life, raise, goesOn, close, ...give), 1, 'lost');
  t.equal(
    found(notifications, ...life, raise, taken, raise, goesOn, raise),
    1,
    'lost, and waited for until a deadline',
  );
  t.equal(found(notifications, ...life, raise), 0, 'a guest that did nothing more may have been stopped');
  t.equal(found(notifications, ...take, raise, goesOn, ...give), 0, 'before a driver listens');
  t.equal(found(notifications, ...life, close, raise, goesOn, ...give), 0, 'nor does it while its device closes');
  const died: Said = { ...hypervisor, name: 'domain.give', domid: 1, a: 1 };
  t.equal(found(notifications, ...life, raise, goesOn, died), 0, 'a guest that was killed takes nothing more');
  const bereft: Said = { ...guest, name: 'bus.lost', label: 'hypervisor', domid: undefined };
  t.equal(found(notifications, ...life, raise, goesOn, bereft, ...give), 0, 'nor does one whose host has gone');
  t.equal(
    found(notifications, ...life, raise, goesOn, { ...bereft, label: 'xenstored' }, ...give),
    1,
    'but of no other server',
  );
  t.equal(found(notifications, ...life, close, ...give, raise), 1, 'at a port that is gone');
  t.equal(found(notifications, ...life, close, ...give, taken), 1, 'taken of a port that is gone');
  t.equal(found(notifications, ...life, close, ...give, ...life, raise, taken), 0, 'the port of another connection');
  t.end();
});

t.test('published: keys come before the state that publishes them', (t) => {
  const key: Said = { name: 'front.key' };
  const written = (from: number, to: number): Said => ({ name: 'front.state-written', b: edge(from, to) });
  t.equal(found(published, key, written(1, 3)), 0);
  t.equal(found(published, written(1, 3), key), 1);
  t.equal(found(published, written(1, 3), written(3, 6), written(6, 1), key, written(1, 3)), 0, 'another connection');
  t.equal(
    found(published, { name: 'front.state', b: edge(1, 3) }, key),
    0,
    'a state that was never written publishes none',
  );
  t.equal(found(published, written(1, 3), { ...key, a: 1 }), 0, 'of another device');
  t.end();
});

t.test('committed: what the store holds follows the tables, from every writer', (t) => {
  const back = '/local/domain/0/backend/virtio-mmio/1/0';
  const commit = (label: string, b = 0, a = 0): Said => ({ name: 'store.commit', process: 'xenstored', label, a, b });
  const state = (b: number): Said => commit(`${back}/state`, b);
  const connected = [state(1), state(2), state(4)];
  t.equal(found(committed, ...connected, state(4), state(5), state(6)), 0);
  t.equal(found(committed, ...connected, state(2)), 1, 'a connected backend does not offer itself anew');
  t.equal(found(committed, state(1), state(4)), 1, 'nor does it leave a state out');
  t.equal(found(committed, ...connected, state(0)), 1, 'nor write what is no state');
  t.equal(found(committed, ...connected, commit(back, 0, 1), state(1)), 0, 'removed and made again');
  const serve: Said = { name: 'store.serve', process: 'xenstored' };
  const size = commit(`${back}/size`);
  t.equal(found(committed, state(1), serve, size, serve, state(2)), 0);
  t.equal(found(committed, state(1), serve, state(2), size), 0, 'of one transaction in any order');
  t.equal(found(committed, state(1), state(2), serve, size), 1, 'a published key does not change');
  t.equal(found(committed, state(1), serve, state(5), serve, size), 0, 'removed before anything was published');
  t.equal(found(committed, state(1), state(2), state(5), serve, size), 1, 'closing, after it was');
  t.equal(found(committed, state(1), state(2), serve, commit(back, 0, 1), serve, size), 0, 'but of another device');
  t.equal(found(committed, ...connected, commit(`${back}/online`)), 0, 'which keys of the toolstack may');
  t.equal(
    found(committed, ...connected, { ...state(6), incarnation: 2 }),
    0,
    'of the next store no state before is known',
  );
  t.equal(found(committed, ...connected, { ...commit(back), incarnation: 2 }, { ...state(6), incarnation: 2 }), 0);
  const front = '/local/domain/1/device/virtio-mmio/0/state';
  t.equal(found(committed, commit(front, 1), commit(front, 3), commit(front, 4)), 0);
  t.equal(found(committed, commit(front, 1), commit(front, 4)), 1);
  t.equal(found(committed, commit('/local/domain/0/backend/vkbd/1/0/state', 4)), 0, 'other devices have other tables');
  t.end();
});

t.test('rings: what the driver found no device may do, not what the device found of the driver', (t) => {
  const broken = { process: 'guest-chaos', name: 'error.queue', a: 1 } as const;
  t.equal(found(rings, { ...broken, label: 'used-index' }, { ...broken, label: 'used-id' }), 2);
  t.equal(found(rings, { ...broken, process: 'vhost-gpu', label: 'bad-head' }), 0);
  t.end();
});

t.test('fences: one answer each, to a command that was given', (t) => {
  const submit: Said = { name: 'gpu.submit', b: 1 };
  const reply: Said = { name: 'gpu.reply', b: 1 };
  t.equal(found(fences, submit, reply), 0);
  t.equal(found(fences, submit, reply, reply), 1);
  t.equal(found(fences, reply), 1);
  t.equal(
    found(fences, submit, reply, { name: 'gpu.restore' }, submit, reply),
    0,
    'a driver that restores counts anew',
  );
  t.equal(found(fences, { ...submit, b: 0 }, { ...reply, b: 0 }, { ...reply, b: 0 }), 0, 'commands without a fence');
  t.end();
});

t.test('messages: received once, and sent', (t) => {
  const call: Said = { name: 'bus.call', flow: 5, sender: 2 };
  const serve: Said = { name: 'bus.serve', process: 'hypervisor', flow: 5, sender: 2 };
  t.equal(found(messages, call, serve), 0);
  t.equal(found(messages, call), 0, 'death may lose a message');
  t.equal(found(messages, call, serve, serve), 1);
  t.equal(found(messages, serve), 1);
  t.equal(found(messages, { ...serve, sender: 1 }), 0, 'a survivor may have sent it before the case');
  t.equal(found(messages, { ...serve, sender: 3 }), 0, 'and one that died in it too');
  t.end();
});

t.test('conservation: what a survivor took it has given back', (t) => {
  const take: Said = { name: 'port.take', a: 3 };
  const give: Said = { name: 'port.give', a: 3 };
  t.equal(found(conservation, take, give), 0);
  t.equal(found(conservation, take), 1);
  t.equal(found(conservation, { ...take, incarnation: 2 }), 0, 'the dead hold nothing');
  t.equal(found(conservation, { ...give, a: 2 }, take), 0, 'as many as before');
  t.equal(found(conservation, { ...give, domid: 2 }, take), 1, 'of another domain');
  t.end();
});
