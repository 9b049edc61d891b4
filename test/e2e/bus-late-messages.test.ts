// Messages that a server must not act on: of a process that has ended or was never accepted, and of another life of one that
// lives. A raw ZeroMQ socket plays the process that wakes late, since our own client never sends such a message.
import t from 'tap';
import * as zmq from 'zeromq';
import type { Envelope } from '../../lib/core/proto-types.js';
import { connectLive, type LiveConnection } from '../../lib/node/bus/live.js';
import { messageCodec, methodCodec } from '../../lib/node/bus/proto.js';
import { busAddress, decodeEnvelope, encodeEnvelope, KIND } from '../../lib/node/bus/wire.js';
import { runPaths } from '../../lib/node/process/run-dir.js';
import { withDeadline } from '../../lib/node/process/wait.js';
import { type Owner, startNode, temporaryRunDir } from '../../testkit/processes.js';

const SERVER = new URL('../fixtures/echo-server.js', import.meta.url);
const INCARNATION = 1000;
const METHOD = 'Hypervisor.evtchn_alloc_unbound';

/** A peer by hand: says what it is told to say, and reads. */
class RawPeer {
  readonly #socket: zmq.Dealer;
  #live: LiveConnection | undefined;
  readonly #id: string;
  #lastCall = 0;

  constructor(t: Owner, runDir: string, id: string) {
    this.#id = id;
    this.#socket = new zmq.Dealer({ routingId: id, linger: 0 });
    this.#socket.connect(busAddress(runPaths.bus(runDir, 'hypervisor')));
    t.teardown(() => {
      this.#live?.close();
      this.#socket.close();
    });
  }

  async greet(runDir: string): Promise<void> {
    this.#live = await connectLive(runPaths.live(runDir, 'hypervisor'), this.#id, () => {});
    const body = messageCodec('Hello').encode({ name: this.#id, token: '', pid: 1 });
    await this.#socket.send(encodeEnvelope({ kind: KIND.HELLO, incarnation: INCARNATION, body }));
    const { kind } = await this.next();
    if (kind !== KIND.WELCOME) throw new Error(`HELLO was answered with ${kind}`);
  }

  /** The kernel tells the server of this end, as of a process's. */
  end(): void {
    this.#live?.close();
  }

  async ask(incarnation: number): Promise<number> {
    const id = ++this.#lastCall;
    const body = methodCodec(METHOD)!.request.encode({ dom: id, remote_dom: 0 });
    await this.#socket.send(encodeEnvelope({ kind: KIND.REQUEST, incarnation, id, method: METHOD, body }));
    return id;
  }

  async next(): Promise<Envelope> {
    const [bytes] = await withDeadline(this.#socket.receive(), 5000, 'an answer');
    return decodeEnvelope(bytes!);
  }
}

t.test('a request of an earlier or later incarnation is dropped, those of the accepted one are answered', async (t) => {
  const runDir = temporaryRunDir(t);
  const server = startNode(t, SERVER, ['--run-dir', runDir]);
  await server.line(/^ready/);
  const peer = new RawPeer(t, runDir, 'peer');
  await peer.greet(runDir);
  await peer.ask(INCARNATION - 1);
  await peer.ask(INCARNATION + 1);
  const good = await peer.ask(INCARNATION);
  const answer = await peer.next();
  t.equal(answer.id, good, 'the first answer is to the one request that counts: order holds on one connection');
});

t.test('what a process that has ended still sends reaches nothing', async (t) => {
  const runDir = temporaryRunDir(t);
  const server = startNode(t, SERVER, ['--run-dir', runDir]);
  await server.line(/^ready/);
  const late = new RawPeer(t, runDir, 'late');
  await late.greet(runDir);
  await late.ask(INCARNATION);
  t.equal((await late.next()).kind, KIND.REPLY);
  late.end();
  await server.line(/^gone late/);
  await late.ask(INCARNATION);
  await late.greet(runDir);
  const good = await late.ask(INCARNATION);
  t.equal((await late.next()).id, good, 'the request from between its end and its return was dropped');
});

t.test('a stranger that never greeted is answered nothing', async (t) => {
  const runDir = temporaryRunDir(t);
  const server = startNode(t, SERVER, ['--run-dir', runDir]);
  await server.line(/^ready/);
  const stranger = new RawPeer(t, runDir, 'stranger');
  await stranger.ask(INCARNATION);
  await stranger.greet(runDir);
  const good = await stranger.ask(INCARNATION);
  t.equal((await stranger.next()).id, good, 'not the request from before the greeting');
});
