// What `xenwire up` is told, checked by the verb (bin/verbs/up.ts).

import type { Dom0Mode } from '../lib/core/dom0-modes.js';
import type { NotificationPath } from '../lib/core/notification-path.js';
import type { NotifyMode } from '../lib/core/notify.js';
import type { Picture } from '../lib/core/picture.js';
import type { BackendName, FrontendName } from '../lib/xenbus/protocols.js';
import type { StoreTransport } from '../lib/xenstore/channel.js';
import type { GuestConfig } from '../toolstack/guest-config.js';

export interface UpSettings {
  readonly runDir: string;
  readonly config: GuestConfig;
  /** A PNG file by its absolute path, and what is in it. */
  readonly image: { readonly path: string; readonly picture: Picture };
  readonly guests: number;
  readonly notify: NotifyMode;
  /** Guest after guest takes the next one, from the first again; left out: what the configuration says. */
  readonly paths?: readonly NotificationPath[];
  /** Names of device servers, undefined: the one without; guest after guest takes the next. Left out: what the configuration says. */
  readonly servers?: readonly (string | undefined)[];
  readonly logLevel: string;
  readonly storeTransport: StoreTransport;
  /** Version of the protocol between guests and vhost-frontend. */
  readonly frontend: FrontendName;
  readonly backend: BackendName;
  /** What its kernel does with event descriptors of dead processes. */
  readonly dom0: Dom0Mode;
  /** Linux's xenbus core that guests behave like; left out: the guest's default. */
  readonly core?: string;
  readonly pollUs?: number;
  /** A program of others in vhost-frontend's place; one guest. */
  readonly backendCommand?: string;
  /** Debian's C xenstored in the place of ours. */
  readonly foreignStore: boolean;
  readonly once: boolean;
  readonly json: boolean;
  /** Leaves logs, history and frames in the run directory. */
  readonly keep: boolean;
  /** A folder for copies of the screens, made where it is missing. */
  readonly frames?: string;
  /** Uses the processes that run already, and starts none. */
  readonly attach: boolean;
  /** Whatever dies is started again; otherwise the first death ends the lab. */
  readonly restart: boolean;
  /** A process that answers nothing for so long counts as dead, with restarts; 0: never. */
  readonly deadAfterMs: number;
  /** Frames a second that each guest draws once its picture is shown, with a number in each; 0: none. */
  readonly animate: number;
  /** Our own half, the toolstack, stands still before its first step; the processes that we started do not. */
  readonly hold: boolean;
  /** The port of the live page, 0: any; left out: no page. */
  readonly dashboard?: number;
  /** CLOCK_MONOTONIC when the command began. */
  readonly startNs: bigint;
}
