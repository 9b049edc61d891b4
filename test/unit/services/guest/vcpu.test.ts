// One vCPU: what runs when, while it is outside and after.

import t from 'tap';
import { ErrnoError, PeerDiedError } from '../../../../lib/core/errors.js';
import { EvtchnPort } from '../../../../lib/core/ids.js';
import { NO_PROBE } from '../../../../lib/core/probe.js';
import { EXIT_DIR, EXIT_REASON, VCPU_EXIT, VCPU_STATE } from '../../../../lib/layout/ours/vcpu-exit.js';
import { Vcpu } from '../../../../services/guest/vcpu.js';
import { Completion } from '../../../../services/guest/wait.js';
import { TestClock } from '../../../../testkit/test-clock.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const turns = async (): Promise<void> => {
  for (let count = 0; count < 10; count++) await turn();
};

function rig(direct?: (addr: number, size: number, value: number) => boolean): {
  vcpu: Vcpu;
  log: string[];
  answer: (data?: bigint, rc?: number) => void;
  request: () => ReturnType<typeof VCPU_EXIT.decode>;
} {
  const page = new Uint8Array(4096);
  const log: string[] = [];
  const vcpu = new Vcpu({
    page,
    signalExit: () => log.push('exit'),
    defer: (action) => setImmediate(action),
    probe: NO_PROBE,
    ...(direct === undefined ? {} : { direct }),
  });
  return {
    vcpu,
    log,
    request: () => VCPU_EXIT.decode(page),
    answer(data = 0n, rc = 0) {
      VCPU_EXIT.encode({ ...VCPU_EXIT.decode(page), data, rc: rc >>> 0, state: VCPU_STATE.ENTRY }, page);
      vcpu.entered();
    },
  };
}

t.test('an access leaves through the exit page and comes back with the data of its width', async (t) => {
  const { vcpu, answer, request, log } = rig();
  let value: number | undefined;
  vcpu.run(() => void vcpu.read(0xf0000070, 4).then((read) => (value = read)));
  t.equal(vcpu.outside, true);
  t.match(request(), {
    state: VCPU_STATE.EXIT,
    reason: EXIT_REASON.MMIO,
    addr: 0xf0000070n,
    size: 4,
    dir: EXIT_DIR.READ,
  });
  t.same(log, ['exit']);
  answer(0xffff_ffff_1234_5678n);
  await turns();
  t.equal(value, 0x12345678);
  t.equal(request().state, VCPU_STATE.IN_GUEST);
  t.end();
});

t.test('a write that the vCPU matches by itself is done without an exit; every other access leaves', async (t) => {
  const matched: number[] = [];
  const { vcpu, log, answer } = rig((addr, size, value) => {
    if (addr !== 0xf0000050 || size !== 4) return false;
    matched.push(value);
    return true;
  });
  let done = 0;
  vcpu.run(() => void vcpu.write(0xf0000050, 4, 1).then(() => done++));
  await turns();
  t.same([done, matched, log, vcpu.outside], [1, [1], [], false]);
  vcpu.run(() => void vcpu.write(0xf0000070, 4, 0).then(() => done++));
  await turns();
  t.same([done, log, vcpu.outside], [1, ['exit'], true]);
  answer();
  await turns();
  vcpu.run(() => void vcpu.read(0xf0000050, 4).then(() => done++));
  t.same(log, ['exit', 'exit'], 'reads always do');
  answer();
  await turns();
  t.equal(done, 3);
});

t.test('while it is outside nothing runs: no reply, no timer, no upcall', async (t) => {
  const { vcpu, answer, log } = rig();
  vcpu.onUpcall(async () => void log.push('upcall'));
  vcpu.run(() => void vcpu.write(0xf0000050, 4, 1).then(() => log.push('back')));
  void vcpu.enter(Promise.resolve()).then(() => log.push('reply'));
  vcpu.run(() => log.push('event'));
  vcpu.wantUpcall();
  await turns();
  t.same(log, ['exit']);
  answer();
  await turns();
  t.same(log, ['exit', 'upcall', 'back', 'event', 'reply']);
  t.end();
});

t.test('an upcall runs to its end, its own exits included, before the code that it interrupted', async (t) => {
  const { vcpu, answer, log } = rig();
  vcpu.onUpcall(async () => {
    log.push('upcall begins');
    await vcpu.read(0xf0000060, 4);
    log.push('status read');
    await vcpu.write(0xf0000064, 4, 1);
    log.push('upcall ends');
  });
  vcpu.run(() => void vcpu.read(0xf0000000, 4).then(() => log.push('interrupted code')));
  vcpu.wantUpcall();
  for (let exits = 0; exits < 3; exits++) {
    await turns();
    answer();
  }
  await turns();
  t.same(
    log.filter((line) => line !== 'exit'),
    ['upcall begins', 'status read', 'upcall ends', 'interrupted code'],
  );
  t.end();
});

t.test('upcalls that are wanted during an upcall make one more', async (t) => {
  const { vcpu, answer } = rig();
  let count = 0;
  vcpu.onUpcall(async () => {
    count++;
    await vcpu.read(0xf0000060, 4);
  });
  vcpu.wantUpcall();
  vcpu.wantUpcall();
  vcpu.wantUpcall();
  await turns();
  answer();
  await turns();
  answer();
  await turns();
  t.equal(count, 2);
  t.end();
});

t.test('a hypercall keeps the vCPU outside until it is answered; its error comes back', async (t) => {
  const { vcpu, log } = rig();
  let refuse: (error: Error) => void = () => {};
  vcpu.run(() => {
    vcpu.hypercall(() => new Promise((_resolve, reject) => (refuse = reject))).catch((error) => log.push(error.code));
  });
  vcpu.run(() => log.push('event'));
  await turns();
  t.same(log, []);
  refuse(new ErrnoError('ENOSPC'));
  await turns();
  t.same(log, ['ENOSPC', 'event']);
  t.end();
});

t.test('what a lost server will never answer is waited for for ever', async (t) => {
  const { vcpu, log } = rig();
  vcpu.enter(Promise.reject(new PeerDiedError('xenstored'))).then(
    () => log.push('answered'),
    () => log.push('failed'),
  );
  await turns();
  t.same(log, []);
  t.end();
});

t.test('rings without an answer, and answers that no exit waits for, are ignored', async (t) => {
  const { vcpu, log, answer } = rig();
  answer(5n);
  vcpu.run(() => void vcpu.read(0xf0000000, 4).then(() => log.push('back')));
  vcpu.entered();
  vcpu.entered();
  await turns();
  t.same(log, ['exit']);
  answer();
  await turns();
  t.same(log, ['exit', 'back']);
  t.end();
});

t.test('EVTCHNOP_send and unmask leave as such and throw what Xen answers', async (t) => {
  const { vcpu, log, answer, request } = rig();
  vcpu.run(() => void vcpu.send(EvtchnPort(7)).catch((error) => log.push(error.code)));
  t.match(request(), { reason: EXIT_REASON.EVTCHN_SEND, data: 7n });
  answer(0n, -22);
  await turns();
  t.same(log, ['exit', 'EINVAL']);
  t.end();
});

t.test('a stopped vCPU runs nothing any more', async (t) => {
  const { vcpu, log, answer } = rig();
  vcpu.run(() => void vcpu.read(0xf0000000, 4).then(() => log.push('back')));
  vcpu.stop();
  answer();
  vcpu.run(() => log.push('event'));
  vcpu.wantUpcall();
  await turns();
  t.same(log, ['exit']);
  t.end();
});

t.test('a completion wakes everybody once, late comers at once, and fails at its deadline', async (t) => {
  const { vcpu, log } = rig();
  const clock = new TestClock();
  const done = new Completion<string>(vcpu);
  void done.wait().then((value) => log.push(`first ${value}`));
  void done.wait({ clock, ms: 50, what: 'it' }).then((value) => log.push(`second ${value}`));
  done.complete('yes');
  done.fail(new Error('no'));
  await turns();
  void done.wait().then((value) => log.push(`late ${value}`));
  await turns();
  t.same(log, ['first yes', 'second yes', 'late yes']);
  const late = new Completion(vcpu);
  late.wait({ clock, ms: 50, what: 'the answer' }).catch((error) => log.push(error.message));
  clock.advance(49);
  await turns();
  t.equal(log.length, 3);
  clock.advance(1);
  await turns();
  t.equal(log.at(-1), 'the answer did not come within 50 ms');
  t.end();
});
