// xenstored replaces itself in its own process: clients of its socket keep their connections, watches and half-sent
// requests, and are told nothing.
import { chmodSync, existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { XS, type XsMessage } from '../../lib/layout/xs-wire.js';
import { encodeMessage } from '../../lib/xenstore/framing.js';
import { type Owner, startNode, type TestProcess, temporaryRunDir } from '../../testkit/processes.js';
import { longTest } from '../../testkit/tier.js';
import { XsSocket } from '../peers/xs-socket.js';

const MAIN = new URL('../../services/xenstored/main.js', import.meta.url);
const PROGRAM = fileURLToPath(MAIN);

interface Lab {
  readonly server: TestProcess;
  readonly socket: string;
  readonly runDir: string;
}

async function start(t: Owner): Promise<Lab> {
  const runDir = temporaryRunDir(t);
  const server = startNode(t, MAIN, ['--alone', '--run-dir', runDir]);
  await server.logged(/"ready"/);
  return { server, runDir, socket: join(runDir, 'xenstored.socket') };
}

/** A client that asks one thing at a time. */
class Asking {
  readonly wire: XsSocket;
  #reqId = 0;
  private constructor(wire: XsSocket) {
    this.wire = wire;
  }
  static async open(t: Owner, { socket }: Lab): Promise<Asking> {
    const wire = await XsSocket.open(socket);
    t.teardown(() => wire.close());
    return new Asking(wire);
  }

  /** `payload` has "|" for NUL. Resolves with all that comes up to the reply. */
  send(type: number, payload: string, txId = 0): number {
    this.wire.send({ type, reqId: ++this.#reqId, txId, payload: payload.replaceAll('|', '\0') });
    return this.#reqId;
  }
  async reply(reqId: number): Promise<string> {
    return text((await this.wire.until(reqId)).at(-1));
  }
  async all(type: number, payload: string, txId = 0): Promise<string[]> {
    return (await this.wire.until(this.send(type, payload, txId))).map(text);
  }
  async ask(type: number, payload: string, txId = 0): Promise<string> {
    return this.reply(this.send(type, payload, txId));
  }
  liveUpdate(...args: string[]): Promise<string> {
    return this.ask(XS.XS_CONTROL, ['live-update', ...args, ''].join('|'));
  }
}

function text(message: XsMessage | undefined): string {
  return message === undefined ? '(closed)' : message.payload.replaceAll('\0', '|');
}

/** All that was sent before is read: a connection is taken from the same queue of events. */
async function settled(t: Owner, lab: Lab): Promise<void> {
  const probe = await Asking.open(t, lab);
  await probe.ask(XS.XS_READ, '/|');
  probe.wire.close();
}

/** How often the log says that the service is ready: once a program. */
async function lives(server: TestProcess, count: number): Promise<void> {
  await server.logged(new RegExp(`(?:"ready"[^]*){${count}}`));
}

/** Sockets, files and pipes that a process holds, by kind. */
function descriptors(pid: number): number {
  const names = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return ''; // closed meanwhile
    }
  });
  return names.filter((name) => name.startsWith('socket:') || name.startsWith('/')).length;
}

t.test('connections, watches and half a request go over to the next program', async (t) => {
  const lab = await start(t);
  const [admin, watcher, half, other] = [
    await Asking.open(t, lab),
    await Asking.open(t, lab),
    await Asking.open(t, lab),
    await Asking.open(t, lab),
  ];
  await admin.ask(XS.XS_WRITE, '/a/b|one');
  await admin.ask(XS.XS_SET_PERMS, '/a/b|n0|r5|');
  t.same(await watcher.all(XS.XS_WATCH, '/a|token|'), ['OK|']);
  t.same(await watcher.all(XS.XS_WATCH, 'relative|mine|1|'), ['/a|token|', 'OK|']);
  const request = encodeMessage({ type: XS.XS_READ, reqId: 77, txId: 0, payload: '/a/b\0' });
  half.wire.sendBytes(request.subarray(0, 19));
  await settled(t, lab);
  const { pid } = lab.server;
  let before = 0;
  for (let life = 2; life <= 4; life++) {
    t.equal(await admin.liveUpdate('-f', PROGRAM), 'OK|');
    t.equal(await admin.liveUpdate('-s', '-t', '10'), 'OK|', 'the next program answers');
    await lives(lab.server, life);
    if (life === 2) before = descriptors(pid);
    t.equal(await admin.ask(XS.XS_READ, '/a/b|'), 'one');
    t.equal(await other.ask(XS.XS_GET_PERMS, '/a/b|'), 'n0|r5|');
  }
  t.equal(descriptors(pid), before, 'no descriptor stays behind');
  half.wire.sendBytes(request.subarray(19));
  t.equal(await half.reply(77), 'one');
  // Only now anything reaches the watcher: neither watch was fired by the updates.
  await other.ask(XS.XS_WRITE, '/a/c|two');
  await other.ask(XS.XS_WRITE, '/local/domain/0/relative/x|1');
  await other.ask(XS.XS_WRITE, '/local/domain/0/relative/x/y|1');
  t.same(await watcher.all(XS.XS_READ, '/a/c|'), ['relative|mine|', '/a/c|token|', 'relative/x|mine|', 'two']);
  t.equal(await watcher.ask(XS.XS_UNWATCH, 'relative|mine|'), 'OK|');
  t.equal(lab.server.child.exitCode, null);
  t.notOk(existsSync(join(lab.runDir, 'xenstored.state_dump')));
  const late = await Asking.open(t, lab);
  t.equal(await late.ask(XS.XS_DIRECTORY, '/a|'), 'b|c|', 'new clients find the same socket');
  const second = startNode(t, MAIN, ['--alone', '--run-dir', lab.runDir]);
  t.equal(await second.ended(), 2, 'its name is still taken');
  lab.server.child.kill('SIGTERM');
  t.equal(await lab.server.ended(), 0);
  t.notOk(existsSync(lab.socket), 'an orderly end takes the socket along');
});

t.test('replies and events that a client has not read are delivered whole', longTest(), async (t) => {
  const lab = await start(t);
  const admin = await Asking.open(t, lab);
  const value = 'v'.repeat(4000);
  await admin.ask(XS.XS_WRITE, `/big|${value}`);
  const lazy = await Asking.open(t, lab);
  lazy.wire.pause();
  const asked = Array.from({ length: 1000 }, () => lazy.send(XS.XS_READ, '/big|'));
  // More than sockets hold: part of a message has left, the rest of it and many others have not.
  await settled(t, lab);
  await admin.liveUpdate('-f', PROGRAM);
  t.equal(await admin.liveUpdate('-s', '-t', '10'), 'OK|');
  await admin.liveUpdate('-f', PROGRAM);
  t.equal(await admin.liveUpdate('-s', '-t', '10'), 'OK|', 'and once more before it reads');
  lazy.wire.resume();
  let whole = 0;
  for (const reqId of asked) if ((await lazy.reply(reqId)) === value) whole++;
  t.equal(whole, asked.length);
});

t.test('a start waits for open transactions, and keeps others from beginning one', async (t) => {
  const lab = await start(t);
  const [admin, holder, beginner] = [await Asking.open(t, lab), await Asking.open(t, lab), await Asking.open(t, lab)];
  const tx = Number.parseInt(await holder.ask(XS.XS_TRANSACTION_START, '|'), 10);
  await holder.ask(XS.XS_WRITE, '/in|transaction', tx);
  t.equal(await admin.liveUpdate('-f', PROGRAM), 'OK|');
  const started = admin.send(XS.XS_CONTROL, 'live-update|-s|-t|60|');
  await settled(t, lab);
  const begun = beginner.send(XS.XS_TRANSACTION_START, '|');
  await settled(t, lab);
  t.equal(await holder.ask(XS.XS_READ, '/in|', tx), 'transaction', 'the open one goes on');
  t.equal(await holder.ask(XS.XS_READ, '/in|'), 'ENOENT|');
  t.equal(await holder.ask(XS.XS_TRANSACTION_END, 'T|', tx), 'OK|');
  t.equal(await admin.reply(started), 'OK|');
  t.equal(await beginner.reply(begun), '1|', 'the next program begins it');
  t.equal(await holder.ask(XS.XS_READ, '/in|'), 'transaction');
  await lives(lab.server, 2);
});

t.test('what is open too long rejects the update, unless it is forced', longTest(), async (t) => {
  const lab = await start(t);
  const [admin, holder, beginner] = [await Asking.open(t, lab), await Asking.open(t, lab), await Asking.open(t, lab)];
  const tx = Number.parseInt(await holder.ask(XS.XS_TRANSACTION_START, '|'), 10);
  t.equal(await admin.liveUpdate('-f', PROGRAM), 'OK|');
  const begun = beginner.send(XS.XS_TRANSACTION_START, '|');
  await settled(t, lab);
  t.match(await admin.liveUpdate('-s', '-t', '1'), /^Domains with long running transactions:\nDomain 0: 1 s\|$/);
  t.equal(await beginner.reply(begun), '1|', 'this program begins it');
  await beginner.ask(XS.XS_TRANSACTION_END, 'F|', 1);
  t.equal(await admin.liveUpdate('-s'), 'Not in live-update session.|', 'the session is over');
  t.equal(await holder.ask(XS.XS_WRITE, '/x|1', tx), 'OK|', 'nothing happened to the transaction');
  t.equal(await admin.liveUpdate('-f', PROGRAM), 'OK|');
  t.equal(await admin.liveUpdate('-s', '-F', '-t', '1'), 'OK|');
  t.equal(await holder.ask(XS.XS_WRITE, '/x|1', tx), 'ENOENT|', 'it is lost');
  await lives(lab.server, 2);
});

t.test('an update is aborted, by whom it likes, and by the end of who asked', async (t) => {
  const lab = await start(t);
  const [admin, holder, other] = [await Asking.open(t, lab), await Asking.open(t, lab), await Asking.open(t, lab)];
  await holder.ask(XS.XS_TRANSACTION_START, '|');
  t.equal(await other.liveUpdate('-a'), 'No live-update session active.|');
  t.equal(await admin.liveUpdate('-c', '--alone'), 'Not in live-update session.|');
  t.equal(await admin.liveUpdate('-f', PROGRAM), 'OK|');
  t.equal(await other.liveUpdate('-f', PROGRAM), 'live-update session already active.|');
  t.equal(await other.liveUpdate('-s'), 'Not in live-update session.|');
  const started = admin.send(XS.XS_CONTROL, 'live-update|-s|-t|60|');
  await settled(t, lab);
  t.equal(await other.liveUpdate('-a'), 'OK|');
  t.equal(await admin.reply(started), 'Cancellation was requested|');
  t.equal(await admin.liveUpdate('-f', PROGRAM), 'OK|');
  const waiting = other.send(XS.XS_TRANSACTION_START, '|');
  await settled(t, lab);
  admin.wire.close();
  t.equal(await other.reply(waiting), '1|', 'its end is the end of the session');
  for (const args of [[], ['-x'], ['-f'], ['-f', 'a', 'b'], ['-a', 'b'], ['-s', '-t'], ['-s', 'x']])
    t.equal(await other.liveUpdate(...args), 'EINVAL|', `arguments ${args.join(' ')}`);
});

t.test('a program that cannot run leaves the old one serving', async (t) => {
  const lab = await start(t);
  const admin = await Asking.open(t, lab);
  const watcher = await Asking.open(t, lab);
  await watcher.all(XS.XS_WATCH, '/w|t|');
  await watcher.all(XS.XS_READ, '/|');
  const dir = mkdtempSync(join(tmpdir(), 'xs-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  t.equal(await admin.liveUpdate('-f', join(dir, 'missing')), 'File not accessible.|');
  const program = join(dir, 'program');
  writeFileSync(program, '\0no program\n');
  t.equal(await admin.liveUpdate('-f', program), 'File not executable.|');
  chmodSync(program, 0o700);
  const before = descriptors(lab.server.pid);
  for (const step of ['not a program', 'gone meanwhile']) {
    t.equal(await admin.liveUpdate('-f', program), 'OK|', step);
    if (step === 'gone meanwhile') rmSync(program);
    t.equal(await admin.liveUpdate('-s'), 'Error activating new binary.|');
  }
  await admin.ask(XS.XS_WRITE, '/w|1');
  t.same(await watcher.all(XS.XS_READ, '/w|'), ['/w|t|', '1']);
  t.equal(await watcher.ask(XS.XS_TRANSACTION_START, '|'), '1|');
  t.equal(descriptors(lab.server.pid), before);
  t.notOk(existsSync(join(lab.runDir, 'xenstored.state_dump')));
});

t.test('the next program may have other arguments', async (t) => {
  const lab = await start(t);
  const admin = await Asking.open(t, lab);
  t.equal(await admin.ask(XS.XS_GET_QUOTA, 'nodes|'), '1000|');
  await admin.liveUpdate('-f', PROGRAM);
  t.equal(await admin.liveUpdate('-c', `--alone --run-dir ${lab.runDir} --compat 4.17`), 'OK|');
  t.equal(await admin.liveUpdate('-s'), 'OK|');
  t.equal(await admin.ask(XS.XS_GET_QUOTA, 'nodes|'), 'ENOSYS|', '4.17 has no such operation');
});
