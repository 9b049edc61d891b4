// What must hold when nothing can happen any more: no process stands in the middle of something, and the device is Connected
// with its driver bound and every part in place, or it is closed with a reason, or gone without a trace.
import { XENBUS_KEY, XenbusState } from '../lib/layout/xenbus.js';
import type { FrontState } from '../lib/xenbus/frontend.js';
import { parseOnline, parseState } from '../lib/xenbus/keys.js';
import { backMachine, type Paths, type Violation, type World } from './world.js';

export function judgeRest(world: World, paths: Paths): Violation[] {
  const { guest, back, tool, xen, store, doings } = world;
  const wrong: Violation[] = [];
  const say = (property: string, text: string): void => void wrong.push({ property, text });
  if (guest.run !== undefined) say('deadlock', `the guest stands in ${guest.run.name} for ever`);
  if (back.run !== undefined || back.device?.run !== undefined) say('deadlock', 'the backend stands for ever');
  if (tool.run !== undefined) say('deadlock', `the toolstack stands in ${tool.run.name} for ever`);
  if (wrong.length > 0) return wrong;
  const front = parseState(store.nodes[paths.frontState] ?? '');
  const backState = parseState(store.nodes[paths.backState] ?? '');
  if (guest.orphans !== undefined) say('conservation', `a driver that is gone still holds ${heldOf(guest.orphans[0])}`);
  else keepsBooks(world, say);
  if (store.nodes[paths.back] === undefined) {
    gone(world, say);
    return wrong;
  }
  const driver = guest.device?.driver as FrontState | undefined;
  const connected = front === XenbusState.Connected && backState === XenbusState.Connected;
  if (connected) {
    const port = driver?.held?.port;
    if (driver === undefined || !driver.held.device) say('connected', 'both ends read 4 and no driver is bound');
    else if (xen.registers !== 'running')
      say('connected', `both ends read 4 and the registers are ${xen.registers ?? 'not answered'}`);
    else if (port === undefined || xen.ports[port] !== 'bound')
      say('connected', 'both ends read 4 and the event channel is not bound');
    return wrong;
  }
  const at = `rests at ${front}/${backState}`;
  // A toolstack whose deadline passed leaves `online` 0 behind.
  const wanted = parseOnline(store.nodes[`${paths.back}/${XENBUS_KEY.online}`]);
  if (!wanted) {
    // A frontend at 1 offers itself to the next backend.
    if (driver !== undefined && front === XenbusState.Initialising && backState === XenbusState.Closed)
      say('unwanted', 'the device is not wanted, and its frontend stands at 1');
    return wrong;
  }
  if (doings.done.every((excuse) => excuse === 'forced')) {
    say('recovery', `${at}, though nothing was refused and the device is wanted`);
    return wrong;
  }
  // What the core closed by itself has no driver; one that cannot leave 6 for another connection says so at 5 (xenbus_switch_fatal).
  const waits = front === XenbusState.Closing && backState !== XenbusState.Closed;
  if (waits && driver !== undefined && !guest.device?.silenced)
    say('rest', 'the frontend stands at 5, and nothing takes it to 6');
  const reason = driver?.failure ?? backMachine(back)?.failure ?? (doings.done.includes('core') || undefined);
  const closed = front === XenbusState.Closed || front === XenbusState.Closing || front === XenbusState.Initialising;
  // No process can write what the store refuses to take.
  const told = closed || (guest.device?.silenced && driver?.failure !== undefined);
  if (!told || reason === undefined) say('rest', `${at} without a reason`);
  // An end that failed says so in its error key, where people look.
  if (driver?.failure !== undefined && store.nodes[paths.frontError] === undefined)
    say('told', 'the frontend failed, and its error key does not say why');
  if (backMachine(back)?.failure !== undefined && store.nodes[paths.backError] === undefined)
    say('told', 'the backend failed, and its error key does not say why');
  if (driver !== undefined && heldOf(driver) !== '') say('conservation', `${at} and still holds ${heldOf(driver)}`);
  return wrong;
}

/** The directories are gone: nothing of the device may be left anywhere. */
function gone(world: World, say: (property: string, text: string) => void): void {
  const { guest, back, doings } = world;
  if (doings.done.every((excuse) => excuse === 'forced'))
    say('recovery', 'the device is wanted, and its directories are gone');
  if (guest.device !== undefined) say('rest', 'the guest still has a device whose directory is gone');
  if (back.device !== undefined) say('rest', 'the backend still has a device whose directory is gone');
  // One that a killed backend left is given back by the next, if the device is still there for it to find; else with the domain.
  if (world.xen.server !== 'none' && world.xen.server !== 'left') say('conservation', 'an ioreq server is left');
}

/** What Xen and the guest's resource tree have given out is what the machines say that they hold, and nothing else. */
function keepsBooks({ guest, back, xen }: World, say: (property: string, text: string) => void): void {
  const { port, queuePorts = [], base } = (guest.device?.driver as Partial<FrontState> | undefined)?.held ?? {};
  const mine = new Set([port, ...queuePorts].map(String));
  for (const given of Object.keys(xen.ports))
    if (!mine.has(given)) say('conservation', `event channel ${given} is left`);
  if (xen.ranges.some((range) => range !== base)) say('conservation', 'a range of the guest is left');
  const served = backMachine(back)?.held?.base !== undefined;
  if (xen.registers !== undefined && !served) say('conservation', 'the range is answered, and no backend says so');
}

function heldOf(driver: unknown): string {
  return Object.keys((driver as { held?: object }).held ?? {}).join(', ');
}
