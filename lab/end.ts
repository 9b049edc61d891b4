// The end of a lab in order: guests through Closing and Closed, then the processes, users before what they use, each server
// asked what it still holds once no process should hold anything of it. Leaves failed labs to Lab.abandon.
import type { DeviceServerProcess } from '../lib/core/device-server.js';
import type { BusClient } from '../lib/core/service.js';
import { destroyGuest, listGuests } from '../toolstack/domain.js';
import { auditLeaks, fileLeaks } from './audit.js';
import type { Session } from './session.js';
import type { Lab } from './supervisor.js';

/** Removes the guests that `chosen` picks; returns what did not go in order. */
export async function removeGuests(session: Session, chosen: (domid: number) => boolean): Promise<string[]> {
  return session.exclusively(async () => {
    const guests = (await listGuests(session)).filter(({ domid }) => chosen(domid));
    const closed = await Promise.all(guests.map((guest) => destroyGuest(session, guest)));
    return guests
      .filter((_, index) => !closed[index])
      .map(({ name }) => `guest ${name}: its devices did not close in order`);
  });
}

/** Ends the processes of a lab without guests; returns what they still held, and what is left of them. */
export async function endProcesses(
  lab: Lab,
  session: Session,
  deviceServers: ReadonlyMap<DeviceServerProcess, BusClient>,
): Promise<string[]> {
  const leaks = await lab.awaitGuests();
  leaks.push(...(await lab.stopService('vhost-frontend')));
  for (const [process, client] of deviceServers) {
    leaks.push(...(await auditLeaks(process, client)));
    await client.close();
    leaks.push(...(await lab.stopService(process)));
  }
  leaks.push(...(await auditLeaks('xenstored', session.storeClient)));
  await session.storeClient.close();
  leaks.push(...(await lab.stopService('xenstored')));
  leaks.push(...(await auditLeaks('hypervisor', session.hypervisorClient)));
  await session.close();
  leaks.push(...(await lab.stopService('hypervisor')));
  return [...leaks, ...fileLeaks(session.runDir)];
}
