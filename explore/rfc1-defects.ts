// The defects of the patch as posted, one by one: how each is shown (a search that finds it, or the machine's own steps), or why it
// cannot be shown here; and what the reviewed protocol does instead. docs/rfc1.md is made from this, and a test runs every entry.
import { XenbusState as S } from '../lib/layout/xenbus.js';
import { BACK_REVIEW } from '../lib/xenbus/backend.js';
import { RFC1, type Rfc1Event } from '../lib/xenbus/rfc1.js';
import type { CoreVersion } from '../services/guest/core-rules.js';
import { reviewBackend } from './back.js';
import type { FaultKind } from './faults.js';
import type { BackendName } from './settings.js';

export type Shown =
  /** A search of one fault of these kinds finds a violation that reads so. `sizeBy`: who writes `size`. */
  | {
      readonly by: 'search';
      readonly kinds: readonly FaultKind[];
      readonly finds: RegExp;
      readonly core?: CoreVersion;
      readonly backend?: BackendName;
      readonly sizeBy?: 'backend';
    }
  /** These events lead the machine, bound and its effects done, to `ends`: its last effect, or the phase at rest. */
  | { readonly by: 'machine'; readonly events: readonly Rfc1Event[]; readonly ends: string }
  | { readonly by: 'nothing'; readonly because: string };

export interface Defect {
  readonly id: string;
  readonly title: string;
  readonly shown: Shown;
  readonly review: string;
}

const machine = (ends: string, ...states: readonly [backend: number, own: number][]): Shown => ({
  by: 'machine',
  events: states.map(([state, own]) => ({ type: 'backend', state, own })),
  ends,
});
const nothing = (because: string): Shown => ({ by: 'nothing', because });

export const DEFECTS: readonly Defect[] = [
  {
    id: '1, 2',
    title: "the backend's keys are read without waiting for its state 2",
    shown: { by: 'search', kinds: [], finds: /recovery: rests at [12]\/2/, sizeBy: 'backend' },
    review:
      'probe reads nothing; `size` is read once the backend reads 2, and read again if its directory was made anew.',
  },
  {
    id: '3',
    title: 'base and size are not validated',
    shown: {
      by: 'nothing',
      because:
        'the search has one range and one size; lib/xenbus/rfc1.ts reads garbage as memparse does, which its test shows',
    },
    review:
      'every key is parsed and bounded (lib/xenbus/keys.ts); what does not parse is reported and closes this device.',
  },
  {
    id: '4, 5',
    title:
      'the error path unbinds an irq whose handler was never requested, which closes the port, then closes the port again',
    shown: { by: 'search', kinds: ['refuse-frontend'], finds: /event channel 3 is closed twice/ },
    review: 'what is held stands in one record, and is given back from there once, on every path.',
  },
  {
    id: '6',
    title: 'bind_evtchn_to_irq answering 0 is taken for success',
    shown: nothing('dynamic irqs of x86 start at 16, so that it is never answered'),
    review: 'an outcome is a value or an error, never both.',
  },
  {
    id: '7',
    title: 'a backend at 6 before 4 ends the device',
    shown: machine(
      'bound',
      [S.Closed, S.Initialised],
      [S.Initialising, S.Closed],
      [S.InitWait, S.Closed],
      [S.Connected, S.Closed],
    ),
    review: 'a closed frontend that is wanted (`online` 1) goes to 1, and another connection begins.',
  },
  {
    id: '8',
    title: 'the outcome of registering the device is not looked at',
    shown: { by: 'search', kinds: ['refuse-frontend'], finds: /both ends read 4 and the registers are begun/ },
    review: '4 is written after the driver has probed; a probe that fails is reported, and the connection closed.',
  },
  {
    id: '9',
    title: 'a device that was unregistered is unregistered again',
    shown: machine('unregister freed', [S.Connected, S.Initialised], [S.Closing, S.Connected], [S.Closing, S.Closed]),
    review: 'unregistering takes the device out of what is held.',
  },
  {
    id: '10',
    title: 'no connection after the backend was killed',
    shown: { by: 'search', kinds: ['kill-backend'], finds: /recovery: rests at/ },
    review: 'the new backend answers registers, writes 5, and both ends go through 6, 1 and 2 to 4 again.',
  },
  {
    id: '11',
    title: 'a backend that vanished is ignored',
    shown: machine('bound', [S.Connected, S.Initialised], [S.Unknown, S.Connected]),
    review: 'an unreadable state lets go of the device.',
  },
  {
    id: '12, 13',
    title: 'remove() leaves the device, its irq and its port',
    shown: { by: 'search', kinds: ['detach'], finds: /a driver that is gone still holds .*port/ },
    review: 'removal goes through the same releases as a close.',
  },
  {
    id: '12b',
    title: 'after a reset (Linux 7.2) the new device meets the old one at its address',
    shown: { by: 'search', kinds: ['reset'], finds: /still holds .*port/, core: '7.2' },
    review: 'the old device is unregistered before the new one probes, and the guest picks a free range.',
  },
  {
    id: '14',
    title: 'neither Closing nor Closed gives port and irq back',
    shown: {
      by: 'search',
      kinds: ['kill-backend', 'refuse-backend'],
      finds: /rests at .* still holds .*port|recovery: rests at 6/,
    },
    review: 'port and range are given back before 6 is written.',
  },
  {
    id: '15',
    title: 'no resume',
    shown: nothing('nothing is saved or migrated here'),
    review: 'as posted: out of scope.',
  },
  {
    id: '16, 17',
    title: "the driver's probe and its removal run inside xenwatch, and stand there while the backend is dead",
    shown: nothing(
      'a backend that was killed always comes back here, so that the wait ends; where dom0 is as Linux has it, it does not end (`--dom0 linux`, docs/explore.md)',
    ),
    review: 'the same: the backend answers registers until the frontend is at 6, and the next one adopts what waits.',
  },
  {
    id: '18, 19, 20',
    title: 'shutdown is not told, the irq is not lateeoi, the device counts as essential',
    shown: nothing('these are calls of Linux that the protocol does not see'),
    review: 'Closed completes the shutdown that waits (services/guest/xenbus-device.ts).',
  },
  {
    id: '21, 22, 23',
    title: 'binds in PV guests, leaves a platform driver registered, has no module alias',
    shown: nothing('these are of the module, not of the protocol'),
    review: 'nothing.',
  },
  {
    id: '24',
    title: 'the id is `virtio`',
    shown: nothing(
      'two drivers for one directory need a device tree; that the id differs is in the paths of every search',
    ),
    review: 'the id is `virtio-mmio`.',
  },
  {
    id: '25',
    title: '3 is written while the backend reads 1, and xen-vhost-frontend gives up',
    shown: { by: 'search', kinds: [], finds: /recovery: rests at 3\/[12]/, backend: 'xvf' },
    review: 'the frontend stays at 1 until it has read 2.',
  },
];

/** The backend beside the patch; `size` is its own where the toolstack does not write it. */
export const besideRfc1 = reviewBackend({ ...BACK_REVIEW, protocol: RFC1 });
