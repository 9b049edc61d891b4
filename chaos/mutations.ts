// Deliberate bugs, to judge the judges: each is a change of one line or two of the sources, a case that meets it, and the
// checkers of which one must object. They are applied to a copy of the sources, one at a time, by mutate.ts. A line that is not
// found any more fails loudly: then the mutation is to follow the code.

export interface Edit {
  readonly file: string;
  /** Stands in the file once. */
  readonly find: string;
  readonly replace: string;
}

export interface Mutation {
  readonly name: string;
  readonly edits: readonly Edit[];
  readonly case: string;
  /** Names of checkers (chaos/checkers/table.ts): one of them must object. */
  readonly caughtBy: readonly string[];
}

/** Hardly a fault: what the mutation breaks is broken without one. */
const QUIET = 'guest:guest.frame#1/PAUSE 1 guest/restart';
const killAtFrame = (victim: string): string => `guest:guest.frame#1/KILL ${victim}/restart`;

/** Without its own assertions a machine goes on to where a checker sees it. */
const NO_ASSERTED_MOVE: Edit = {
  file: 'lib/xenbus/rules.ts',
  find: '  if (from === to) return undefined;',
  replace: '  if (from === to || !legalEdge(side, from, to, by, otherEnd, protocol.edges)) return undefined;',
};
const NO_ASSERTED_WRITE: Edit = {
  file: 'lib/xenbus/rules.ts',
  find: '  assert(early, ',
  replace: '  assert(early || true, ',
};

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'a port is not freed',
    edits: [
      {
        file: 'services/hypervisor/event/port-moves.ts',
        find: "    domain.ports.free(port);\n    port.onChange?.();\n    this.#probe.at(POINT['port.give'], '', port.number, 0, domain.domid);",
        replace: '    port.onChange?.();',
      },
    ],
    case: QUIET,
    caughtBy: ['held', 'conservation'],
  },
  {
    name: 'a port stays taken and its end is recorded all the same',
    edits: [
      {
        file: 'services/hypervisor/event/port-moves.ts',
        find: '    domain.ports.free(port);',
        replace: '',
      },
    ],
    case: QUIET,
    caughtBy: ['held'],
  },
  {
    name: 'vhost-gpu tells of each frame twice',
    edits: [
      {
        file: 'lib/node/bus/server.ts',
        find: '    this.#queue.push([id, encodeEnvelope({ ...message, incarnation, flow })]);',
        replace:
          "    this.#queue.push([id, encodeEnvelope({ ...message, incarnation, flow })]);\n    if (message.method === 'DisplayEvents.flushed') this.#queue.push([id, encodeEnvelope({ ...message, incarnation, flow })]);",
      },
    ],
    case: QUIET,
    caughtBy: ['messages'],
  },
  {
    name: 'an ioeventfd is not taken back',
    edits: [
      {
        file: 'services/hypervisor/kernel/ioeventfds.ts',
        find: '    this.#drop(group, at);\n    if (group.kicks.length === 0) this.#close(group);',
        replace: '    if (group.kicks.length === 0) this.#close(group);',
      },
      {
        file: 'services/hypervisor/kernel/ioeventfds.ts',
        find: 'for (const group of this.#groups.filter((each) => each.server.domain === domain)) this.#close(group);',
        replace: 'void domain;',
      },
    ],
    case: QUIET,
    caughtBy: ['held', 'conservation'],
  },
  {
    name: 'the watches of a client that has ended stay',
    edits: [{ file: 'services/xenstored/state.ts', find: '    this.dropHeld(connection);', replace: '' }],
    case: killAtFrame('vhost-frontend'),
    caughtBy: ['held', 'conservation', 'alive'],
  },
  {
    name: 'a kick is lost',
    edits: [{ file: 'services/hypervisor/kernel/ioeventfds.ts', find: '      kick.notifier.signal();', replace: '' }],
    case: QUIET,
    caughtBy: ['picture'],
  },
  {
    name: 'the device server does not call the driver',
    edits: [
      {
        file: 'services/vhost-gpu/pump.ts',
        find: '    if (this.#ring.needsCall()) this.#ends.call();',
        replace: '    this.#ring.needsCall();',
      },
    ],
    case: QUIET,
    caughtBy: ['picture'],
  },
  {
    name: 'a used buffer is given back twice',
    edits: [
      {
        file: 'services/vhost-gpu/pump.ts',
        find: '    this.#ring.pushUsed(this.#chain.head, written);',
        replace:
          '    this.#ring.pushUsed(this.#chain.head, written);\n    this.#ring.pushUsed(this.#chain.head, written);',
      },
    ],
    case: QUIET,
    caughtBy: ['fences', 'picture', 'alive'],
  },
  {
    name: 'an answer comes twice',
    edits: [
      {
        file: 'services/guest/gpu-channel.ts',
        find: 'for (let used = queue.take(); used !== undefined; used = queue.take()) this.#complete(used.cookie);',
        replace:
          'for (let used = queue.take(); used !== undefined; used = queue.take()) {\n        const { cookie } = used;\n        const { response } = cookie;\n        const again = { ...cookie, buffers: [], response: this.#parts.heap.alloc(response.length) };\n        const bytes = new Uint8Array(response.length);\n        this.#parts.memory.read(response.addr, bytes);\n        this.#parts.memory.write(again.response.addr, bytes);\n        this.#complete(cookie);\n        this.#complete(again);\n      }',
      },
    ],
    case: QUIET,
    caughtBy: ['fences'],
  },
  {
    name: 'watches are not registered again with the next store',
    edits: [
      {
        file: 'lib/xenstore/reconnecting-channel.ts',
        find: 'const watches = [...this.#watches.values()].map(',
        replace: 'const watches = [...this.#watches.values()].slice(0, 0).map(',
      },
    ],
    case: killAtFrame('xenstored'),
    caughtBy: ['picture', 'teardown'],
  },
  {
    name: 'a write is acknowledged and not written down',
    edits: [
      {
        file: 'services/xenstored/node/journal-file.ts',
        find: '    this.#file.append(this.#buffer.take());\n    if (this.#file.size',
        replace: '    this.#buffer.take();\n    if (this.#file.size',
      },
    ],
    case: killAtFrame('xenstored'),
    caughtBy: ['picture', 'teardown', 'alive'],
  },
  {
    name: 'a key is written after the state that publishes it',
    edits: [
      NO_ASSERTED_WRITE,
      {
        file: 'lib/xenbus/frontend.ts',
        find: "    done: to('announcing'),",
        replace: "    done: to('published'),",
      },
      {
        file: 'lib/xenbus/frontend.ts',
        find: "    done: to('writingPort'),",
        replace: "    done: to('announcing'),",
      },
      {
        file: 'lib/xenbus/frontend.ts',
        find: "    done: switched(S.Initialised, () => 'published'),",
        replace: "    done: switched(S.Initialised, () => 'writingPort'),",
      },
    ],
    case: QUIET,
    caughtBy: ['published'],
  },
  {
    name: 'a frontend skips a state',
    edits: [
      NO_ASSERTED_MOVE,
      {
        file: 'lib/xenbus/frontend.ts',
        find: "    effect: () => ({ type: 'switchState', state: S.Initialised }),",
        replace: "    effect: () => ({ type: 'switchState', state: S.Connected }),",
      },
    ],
    case: QUIET,
    caughtBy: ['edges'],
  },
  {
    name: 'a process breaks its own tables',
    edits: [
      {
        file: 'lib/xenbus/frontend.ts',
        find: "    effect: () => ({ type: 'switchState', state: S.Initialised }),",
        replace: "    effect: () => ({ type: 'switchState', state: S.Connected }),",
      },
    ],
    case: QUIET,
    caughtBy: ['alive'],
  },
  {
    name: 'a device whose server has died does not ask for a reset',
    edits: [
      {
        file: 'services/vhost-frontend/virtio-link.ts',
        find: '    if (this.#claimed?.registers.device.live) this.#needsReset();',
        replace: '',
      },
    ],
    case: killAtFrame('vhost-gpu'),
    caughtBy: ['picture'],
  },
  {
    name: 'the ioreq server that a dead vhost-frontend left is not adopted',
    edits: [
      {
        file: 'services/vhost-frontend/ioreq-client.ts',
        find: '    if (await this.#adopt(vcpus)) return;',
        replace: '',
      },
    ],
    case: killAtFrame('vhost-frontend'),
    caughtBy: ['picture', 'held', 'conservation'],
  },
  {
    name: 'a process does not end when it is asked to',
    edits: [
      {
        file: 'lib/node/process/service.ts',
        find: "    process.on('SIGTERM', () => void this.#stop());",
        replace: "    process.on('SIGTERM', () => {});",
      },
    ],
    case: 'guest:guest.frame#1/TERM vhost-gpu/restart',
    caughtBy: ['order'],
  },
  {
    name: 'pixels are moved by one',
    edits: [
      {
        file: 'services/vhost-gpu/commands.ts',
        find: 'transferToHost(resource, resource.backing, r, Number(offset))',
        replace: 'transferToHost(resource, resource.backing, r, Number(offset) + 4)',
      },
    ],
    case: QUIET,
    caughtBy: ['picture'],
  },
  {
    name: 'a used index goes back',
    edits: [
      {
        file: 'lib/virtio/device-queue.ts',
        find: 'VIRTQ_USED.offset.idx, this.#nextUsed);',
        replace: 'VIRTQ_USED.offset.idx, this.#nextUsed === 3 ? 1 : this.#nextUsed);',
      },
    ],
    case: QUIET,
    caughtBy: ['rings'],
  },
  {
    name: 'an event is lost on its way to a guest that listens',
    edits: [
      {
        file: 'services/hypervisor/event/port-moves.ts',
        find: '    else port.domain.abi.setPending(port);',
        // The toolstack's two ports come first; the driver has probed by its eighth interrupt.
        replace:
          '    else if (port.domain.domid === 0 || port.number < 3 || ((this as any).count = ((this as any).count ?? 0) + 1) < 8)\n      port.domain.abi.setPending(port);',
      },
    ],
    case: QUIET,
    caughtBy: ['notifications'],
  },
  {
    name: "a domain gets an earlier one's memory as it was",
    edits: [
      {
        file: 'lib/node/files/shm.ts',
        find: "openSync, unlinkSync } from 'node:fs';",
        replace: "openSync, unlinkSync, existsSync, renameSync } from 'node:fs';",
      },
      {
        file: 'lib/node/files/shm.ts',
        find: '  const fd = openSync(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);',
        replace:
          "  const spare = join(dirname(path), '..', 'spare');\n  if (path.endsWith('.ram') && existsSync(spare)) {\n    renameSync(spare, path);\n    return;\n  }\n  const fd = openSync(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);",
      },
      {
        file: 'lib/node/files/shm.ts',
        find: 'remove: () => unlinkSync(absolute) };',
        replace: "remove: () => renameSync(absolute, join(runDir, 'spare')) };",
      },
    ],
    case: QUIET,
    caughtBy: ['memory'],
  },
  {
    name: 'vhost-frontend keeps what it says that it gave back',
    edits: [
      {
        file: 'services/vhost-frontend/ledger.ts',
        find: '      if (this.#held.delete(entry)) this.#probe',
        replace: '      this.#probe',
      },
    ],
    case: QUIET,
    caughtBy: ['held'],
  },
];
