// A fault's hands: what faults/ may do, done to the processes of a rig. The end of the hypervisor is the host's: all others
// must end by themselves then, and a new host takes the place of all. A guest's replacement is the story's to make, as a new
// domain.
import { existsSync } from 'node:fs';
import { type Exit, howItEnded, type LabProcess } from '../lab/child.js';
import { everyTaskStopped, TASKS_LOOK_MS } from '../lab/gates.js';
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { assert, DeadlineError, passOver } from '../lib/core/errors.js';
import type { Point } from '../lib/core/probe.js';
import { limitProcess, nextDescriptor, type Resource } from '../lib/node/files/other-process.js';
import { listProcesses, type ProcessEntry } from '../lib/node/process/run-dir.js';
import { lookAgain, withDeadline } from '../lib/node/process/wait.js';
import { POINT } from '../lib/trace/points.js';
import { GUEST_PROCESS, type Victim } from './case.js';
import { cutBetween } from './cuts.js';
import type { FaultScene, Restart } from './faults/fault.js';
import { type Rig, SERVICES } from './rig.js';
import { ring, ringAll, takeRings } from './rings.js';
import type { Stops } from './stops.js';
import { tear } from './tears.js';

export interface SceneParts {
  readonly victim: Victim;
  /** Name of the process that stands. */
  readonly standing: string;
  readonly restart: Restart;
  /** Of the whole case: what stops which process. */
  readonly stops: Stops;
  letGo(): Promise<void>;
  /** Removes the guest, as a user who waits no longer; resolves when it is gone, or the toolstack has said why not. */
  remove(): Promise<void>;
  /** A process did not end as it should. */
  violated(what: string): void;
  tell(line: string): void;
}

/** Resolves once every thread of a process stands, or is gone. */
async function stopped(pid: number): Promise<void> {
  const stands = async (): Promise<true | undefined> =>
    !existsSync(`/proc/${pid}`) || everyTaskStopped(pid) || undefined;
  const found = await lookAgain(stands, TASKS_LOOK_MS, AbortSignal.timeout(DEADLINE_MS.chaosStart));
  if (found === undefined) throw new DeadlineError(`process ${pid} does not stop`);
}

export function sceneOf(rig: Rig, parts: SceneParts): FaultScene {
  const { victim, standing, restart, stops, letGo, remove, violated, tell } = parts;
  const victimProcess = rig.process(victim);
  assert(victimProcess !== undefined, `${victim} was never started`);
  const isHost = victim === 'hypervisor';

  const passed = (name: string, point: Point): boolean =>
    rig.histories.records().some((record) => record.process === name && record.point === point);

  const othersEnd = async (): Promise<void> => {
    for (const name of [GUEST_PROCESS, ...SERVICES]) {
      const other = rig.process(name);
      if (other === undefined || other === victimProcess) continue;
      // A guest that has not been welcomed has no host yet, and waits for the next one.
      if (name === GUEST_PROCESS && !passed(name, POINT['bus.welcomed'])) {
        other.kill();
        continue;
      }
      const exit = await withDeadline(other.exited, DEADLINE_MS.chaosEnd, `the end of ${name} after its host's`);
      if (exit.signal !== null) violated(`${name} ${howItEnded(exit)} after its host had gone`);
    }
  };

  const pidOf = (name: string): number | undefined => (rig.isAlive(name) ? rig.process(name)!.pid : undefined);
  /** Takes effect on a victim that lives. */
  const inLife = (act: (life: ProcessEntry) => void): void => {
    const life = listProcesses(rig.runDir).find(({ pid }) => pid === pidOf(victim));
    if (life !== undefined) act(life);
  };
  /** An end that the world has caused is one with a reason. */
  const checkEnd = (name: Victim, exit: Exit): void => {
    tell(`${name} ${howItEnded(exit)}`);
    // Node itself aborts a program that has not begun, where it gets no descriptors.
    if (!passed(name, POINT['life.start'])) return;
    if (exit.signal !== null || /internal error/.test(exit.reason)) violated(`${name} ${howItEnded(exit)}`);
  };
  let removal: Promise<void> | undefined;
  const before = new Map<Resource, bigint>();
  const mustEnd = new Map<Victim, LabProcess>();

  return {
    victimStands: victim === standing,
    restart,
    letGo,
    signal(name) {
      tell(`${name} to ${victim}`);
      if (name === 'SIGKILL' || name === 'SIGTERM') victimProcess.expectEnd();
      // All others end with the host, and are expected to.
      if (isHost && (name === 'SIGKILL' || name === 'SIGTERM')) {
        for (const other of [GUEST_PROCESS, ...SERVICES]) rig.process(other)?.expectEnd();
      }
      const pid = rig.signalled(victimProcess, name);
      if (pid === undefined) return;
      if (name === 'SIGSTOP') stops.hold(pid, parts);
      if (name === 'SIGKILL') stops.forget(pid);
      if (name === 'SIGCONT' && !stops.release(pid, parts)) return;
      if (victimProcess.exit === undefined) process.kill(pid, name);
    },
    async ended({ inOrder }) {
      const exit = await withDeadline(victimProcess.exited, DEADLINE_MS.chaosEnd, `the end of ${victim}`);
      tell(`${victim} ${howItEnded(exit)}`);
      // Node itself ends a program that has not begun.
      const begun = exit.signal !== 'SIGTERM' || passed(victim, POINT['life.start']);
      if (inOrder && begun && exit.code !== 0) violated(`${victim} ${howItEnded(exit)} when asked to end`);
    },
    async giveUp() {
      // One that has just begun finds its domain gone.
      rig.process(GUEST_PROCESS)?.expectEnd();
      removal = remove();
      await withDeadline(removal, DEADLINE_MS.chaosAway, 'the removal of the guest').catch(passOver);
    },
    replace() {
      // Where another fault has ended the same process, it has been replaced.
      if (isHost || victim === GUEST_PROCESS || rig.process(victim) !== victimProcess) return;
      tell(`${victim} is started again`);
      rig.start(victim);
    },
    async replaced() {
      if (isHost && rig.process(victim) === victimProcess) {
        await othersEnd();
        tell('a new host is started');
        await rig.startServices();
      } else if (victim !== GUEST_PROCESS) await rig.ready(victim);
      // What the victim kept from its end: the next guest must not be taken for it.
      if (removal !== undefined) await withDeadline(removal, DEADLINE_MS.chaosPicture, 'the removal of the guest');
    },
    rest: () => rig.histories.rest(),
    limit(resource, limited) {
      const pid = pidOf(victim);
      if (pid === undefined) return;
      // It may end for the lack of it, if it says so.
      for (const name of isHost ? [GUEST_PROCESS, ...SERVICES] : [victim]) rig.process(name)?.expectEnd(limited);
      if (limited) {
        before.set(
          resource,
          limitProcess(pid, resource, resource === 'descriptors' ? BigInt(nextDescriptor(pid)) : 0n),
        );
      } else if (before.has(resource)) limitProcess(pid, resource, before.get(resource)!);
      tell(`${victim} has ${limited ? 'no more' : 'enough'} ${resource} ${limited ? '' : 'again'}`.trim());
    },
    cut(which) {
      const cut = cutBetween(rig, victim, standing, which);
      for (const { server, client } of cut) {
        if (server !== 'hypervisor') continue;
        const process_ = rig.process(client)!;
        mustEnd.set(client, process_);
        process_.expectEnd();
      }
      const pairs = new Set(cut.map(({ server, client }) => `${client} to ${server}`));
      tell(`connections are closed: ${[...pairs].join(', ') || 'there is none'}`);
    },
    async settled() {
      if (victimProcess.exit !== undefined) mustEnd.set(victim, victimProcess);
      // Where another fault has ended the same process, it has been replaced.
      const ours = [...mustEnd].filter(([name, process_]) => rig.process(name) === process_);
      if (isHost && ours.some(([name]) => name === victim)) {
        checkEnd(victim, victimProcess.exit!);
        await othersEnd();
        tell('a new host is started');
        return rig.startServices();
      }
      for (const [name, { exited }] of ours)
        checkEnd(name, await withDeadline(exited, DEADLINE_MS.chaosEnd, `the end of ${name}, which lost its host`));
      const services = ours.map(([name]) => name).filter((name) => name !== GUEST_PROCESS);
      for (const name of services) rig.start(name);
      await Promise.all(services.map((name) => rig.ready(name)));
    },
    async tear() {
      await stopped(victimProcess.pid);
      const torn = tear(rig.runDir, victim, rig.histories.records());
      tell(`torn: ${torn.join(', ') || 'nothing was under way'}`);
      const host = listProcesses(rig.runDir).find(({ name }) => name === 'hypervisor');
      if (victim === GUEST_PROCESS && host !== undefined) ringAll(rig.runDir, host);
    },
    ringAll: () => inLife((life) => ringAll(rig.runDir, life)),
    takeRings() {
      let ringLater = (): void => {};
      inLife((life) => {
        const bits = takeRings(rig.runDir, life);
        tell(`${bits.length} notifications are held back`);
        ringLater = () => ring(rig.runDir, life, bits);
      });
      return ringLater;
    },
    pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  };
}
