// What is done to a process from outside: a shell's limits, and connections of this process.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t from 'tap';
import { closeConnections, limitProcess, nextDescriptor } from '../../../../lib/node/files/other-process.js';
import { temporaryRunDir } from '../../../../testkit/processes.js';

/** Writes 8 bytes to $0, and opens a descriptor, each time that it is told a line; says with which status. */
const LIMITED = "trap '' XFSZ; while read line; do printf abcdefgh > $0; echo $?; (exec 3< /dev/null); echo $?; done";

t.test('a limit of another process holds until it is put back', async (t) => {
  const file = join(temporaryRunDir(t), 'file');
  const child = spawn('/bin/bash', ['-c', LIMITED, file], { stdio: ['pipe', 'pipe', 'ignore'] });
  await once(child, 'spawn');
  const pid = child.pid!;
  const lines = createInterface({ input: child.stdout });
  const answers = lines[Symbol.asyncIterator]();
  const can = async (): Promise<boolean[]> => {
    child.stdin.write('\n');
    const statuses = [await answers.next(), await answers.next()];
    return statuses.map(({ value }) => value === '0');
  };
  t.same(await can(), [true, true]);
  const bytes = limitProcess(pid, 'fileBytes', 4n);
  t.same(await can(), [false, true], 'no room in a file');
  t.equal(statSync(file).size, 4, 'a write ends where the room does');
  t.equal(limitProcess(pid, 'fileBytes', bytes), 4n);
  t.equal(nextDescriptor(pid), 3, 'the lowest that it does not have');
  const descriptors = limitProcess(pid, 'descriptors', 3n);
  t.equal((await can())[1], false, 'no descriptor');
  limitProcess(pid, 'descriptors', descriptors);
  t.same(await can(), [true, true]);
  child.stdin.end();
  await once(child, 'exit');
  t.throws(() => limitProcess(pid, 'descriptors', 1n), /^prlimit: ESRCH$/);
});

t.test('a connection that is chosen is closed for both ends, and no other', async (t) => {
  const folder = temporaryRunDir(t);
  const [one, other] = [join(folder, 'one'), join(folder, 'other')];
  const accepted: Socket[] = [];
  const connect = async (path: string): Promise<Socket> => {
    const server = createServer((socket) => accepted.push(socket.resume()));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    t.teardown(() => server.close());
    const client = createConnection(path).resume();
    t.teardown(() => client.destroy());
    await new Promise((resolve) => server.once('connection', resolve));
    return client;
  };
  const [cut, kept] = [await connect(one), await connect(other)];
  const ended = Promise.all([cut, accepted[0]!].map((end) => new Promise((resolve) => end.once('close', resolve))));
  const found = closeConnections(process.pid, ({ path }) => path === one);
  t.same(found, Array(2).fill({ path: one, peer: process.pid }), 'both ends are of this process');
  await ended;
  t.equal(kept.destroyed || accepted[1]!.destroyed, false);
});
