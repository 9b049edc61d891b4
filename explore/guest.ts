// The guest's xenbus core as tasks: what services/guest/xenbus-core.ts and xenbus-device.ts do, request by request, under the
// rules of one Linux version (services/guest/core-rules.ts). A differential test holds the two to the same requests.
// Leaves drivers to front-review.ts and front-rfc1.ts, and when a callback runs to model.ts.
import type { ErrnoName } from '../lib/core/errno.js';
import { ERRNO } from '../lib/core/errno.js';
import { frontendNode, XENBUS_KEY, XenbusState } from '../lib/layout/xenbus.js';
import { parseDomid, parseState } from '../lib/xenbus/keys.js';
import type { CoreRules } from '../services/guest/core-rules.js';
import {
  type Account,
  type Answer,
  ask,
  join,
  readNode,
  type Task,
  type TransactionMode,
  transaction,
} from './task.js';
import { DEVID, type GuestDevice, type GuestState, type Paths } from './world.js';

/** Tokens of its watches. One device has one watch at a time, and its events go with it, so that one name is enough. */
export const TOKEN = { device: 'device', otherend: 'otherend' } as const;

/** The task of a driver that goes on with the work that its data say. */
export const GOES_ON = 'driverGoesOn';

/** A state that the core writes by itself. */
const CORE: Account = { by: 'core' };

export type Switched = 'written' | 'left alone' | 'refused';

/** A device while its callback runs. */
export type Device = { -readonly [K in keyof GuestDevice]: GuestDevice[K] };

/** A xenbus driver, as Linux has them. */
export interface FrontDriver {
  /** What it drives. */
  readonly kind: string;
  /** The name of the error, or undefined. Nothing is held then. */
  probe(core: Core, device: Device): Task<ErrnoName | undefined>;
  /** The last thing of its callback: it may become `goOn`. */
  otherendChanged(core: Core, device: Device, state: number): Task<void>;
  goOn?(core: Core, device: Device): Task<void>;
  remove(core: Core, device: Device): Task<void>;
}

export interface CoreSetting {
  readonly paths: Paths;
  readonly rules: CoreRules;
  readonly driver: FrontDriver;
  readonly mode: TransactionMode;
  /** Requests whose answers decide nothing are made too. */
  readonly exact: boolean;
}

/** One callback's view of the core: made at its start, and again at each of its steps. */
export class Core {
  readonly setting: CoreSetting;
  #device: Device | undefined;
  readonly #orphans: unknown[];
  readonly #node: string;

  constructor(setting: CoreSetting, state: GuestState) {
    this.setting = setting;
    this.#device = state.device === undefined ? undefined : { ...state.device };
    this.#orphans = [...(state.orphans ?? [])];
    this.#node = frontendNode(setting.paths.kind, DEVID);
  }

  /** The state after the callback. */
  result(): GuestState {
    const device = this.#device;
    return {
      life: 'up',
      ...(device === undefined ? {} : { device }),
      ...(this.#orphans.length === 0 ? {} : { orphans: this.#orphans }),
    };
  }

  get nodename(): string {
    return this.#node;
  }

  /** xenbus comes up: finds what is there, then watches. */
  *boot(): Task<void> {
    const { home, kind } = this.setting.paths;
    if (yield* this.#exists(`${home}/device`)) {
      if (yield* this.#exists(`${home}/device/${kind}`)) {
        if (yield* this.#exists(this.setting.paths.front)) yield* this.#probeNode();
      }
    }
    yield* ask({ op: 'watch', path: `${home}/device`, token: TOKEN.device });
  }

  /** The watch on `device`; `path` is relative to the home. */
  *frontendChanged(path: string): Task<void> {
    const parts = path.split('/');
    if (parts.length < 3) return;
    if (!(yield* this.#exists(`${this.setting.paths.home}/${path}`))) {
      yield* this.#cleanUp(path);
      return;
    }
    if (parts.slice(0, 3).join('/') !== this.#node) return;
    const device = this.#device;
    if (device === undefined) yield* this.#probeNode();
    else if (this.setting.rules.resetMakesAnew && (yield* this.#wasReset(device))) {
      device.vanished = true;
      yield* this.#unregister(device);
      yield* this.#probeNode();
    }
  }

  *#exists(path: string): Task<boolean> {
    return 'ok' in (yield* ask({ op: 'exists', path }));
  }

  *#wasReset(device: Device): Task<boolean> {
    const state = parseState((yield* readNode(this.setting.paths.frontState)) ?? '');
    // Linux reads `backend-id` too, and a backend in another domain is a reset: here there is one backend's domain.
    if (this.setting.exact) yield* this.read(XENBUS_KEY.backendId);
    return state === XenbusState.Initialising && device.state !== XenbusState.Initialising;
  }

  *#cleanUp(path: string): Task<void> {
    const device = this.#device;
    if (device === undefined || (this.#node !== path && !this.#node.startsWith(`${path}/`))) return;
    if (this.setting.rules.vanish) device.vanished = true;
    yield* this.#unregister(device);
  }

  *#probeNode(): Task<void> {
    if (parseState((yield* readNode(this.setting.paths.frontState)) ?? '') !== XenbusState.Initialising) return;
    const device: Device = { state: XenbusState.Initialising, otherend: '' };
    this.#device = device;
    if (!(yield* this.#findOtherend(device))) return;
    let failed = yield* this.setting.driver.probe(this, device);
    if (failed === undefined) {
      const watch = { op: 'watch', path: `${device.otherend}/${XENBUS_KEY.state}`, token: TOKEN.otherend } as const;
      const answer = yield* ask(watch);
      if ('ok' in answer) return;
      failed = answer.error;
      yield* this.setting.driver.remove(this, device);
    }
    this.#leave(device);
    yield* this.error(failed, `xenbus_dev_probe on ${this.#node}`);
  }

  *#findOtherend(device: Device): Task<boolean> {
    const id = parseDomid((yield* this.read(XENBUS_KEY.backendId)) ?? '');
    const otherend = id === undefined ? undefined : yield* this.read(XENBUS_KEY.backend);
    if (otherend !== undefined) {
      device.otherend = otherend;
      if (otherend !== '' && (yield* this.#exists(otherend))) return true;
    }
    yield* this.fatal(device, 'ENOENT', 'reading other end details');
    return false;
  }

  *otherendChanged(): Task<void> {
    const device = this.#device;
    if (device === undefined || device.otherend === '') return;
    const state = yield* this.otherState(device);
    if (device.driver !== undefined) yield* this.setting.driver.otherendChanged(this, device, state);
  }

  /** A callback that became its driver's own work. */
  *driverGoesOn(): Task<void> {
    yield* this.setting.driver.goOn!(this, this.#device!);
  }

  /** The other end's state as it is now; 0 when it cannot be read, or when this device has vanished. */
  *otherState(device: Device): Task<number> {
    if (device.vanished) return XenbusState.Unknown;
    return parseState((yield* readNode(`${device.otherend}/${XENBUS_KEY.state}`)) ?? '');
  }

  /** device_unregister: the watch, the driver, the state. */
  *#unregister(device: Device): Task<void> {
    this.#device = undefined;
    if (device.otherend !== '' && device.driver !== undefined)
      yield* join({ op: 'unwatch', path: `${device.otherend}/${XENBUS_KEY.state}`, token: TOKEN.otherend });
    if (device.driver === undefined) return;
    yield* this.setting.driver.remove(this, device);
    this.#leave(device);
    device.otherend = '';
    yield* this.switchState(device, XenbusState.Closed);
  }

  /** A driver is unbound; what its data still holds can never be given back. */
  #leave(device: Device): void {
    if (device.driver === undefined) return;
    const held = (device.driver as { held?: object }).held ?? {};
    if (Object.keys(held).length > 0) this.#orphans.push(device.driver);
    delete device.driver;
  }

  // --- what drivers do with a device -----------------------------------------------------------------------------------

  read(key: string): Task<string | undefined> {
    return readNode(`${this.setting.paths.front}/${key}`);
  }
  write(key: string, value: string): Task<Answer> {
    return ask({ op: 'write', path: `${this.setting.paths.front}/${key}`, value });
  }
  readOther(device: Device, key: string, seen: number): Task<Answer> {
    return ask({ op: 'read', path: `${device.otherend}/${key}` }, { seen });
  }

  /**
   * __xenbus_switch_state: in a transaction of its own; the cache follows even where nothing could be written. `refused`: the
   * store did not take it, which is reported, and the device is Closing.
   */
  *switchState(device: Device, wanted: XenbusState, on: Account = CORE, tell = true): Task<Switched> {
    const { rules, mode, paths } = this.setting;
    if (wanted === device.state || (rules.vanish && device.vanished)) return 'left alone';
    const cached = device.state;
    const path = paths.frontState;
    const answer = yield* transaction(
      mode,
      function* (tx) {
        const found = yield* readNode(path, undefined, tx);
        if (found === undefined) return { end: 'abort', value: 'missing' };
        const reset = parseState(found) === XenbusState.Initialising && cached !== XenbusState.Initialising;
        if (rules.resetBlocksSwitch && reset) return { end: 'abort', value: 'reset' };
        const inside = tx === undefined ? {} : { tx };
        const written = yield* ask({ op: 'write', path, value: String(wanted), ...inside }, on);
        return 'ok' in written ? { end: 'commit', value: 'written' } : { end: 'abort', value: written.error };
      },
      on,
    );
    const value = 'ok' in answer ? answer.ok : answer.error;
    if (value === 'reset') return 'left alone';
    device.state = wanted;
    if (value === 'missing') return 'left alone';
    if (value === 'written') return 'written';
    if (wanted === XenbusState.Closing || wanted === XenbusState.Closed) device.silenced = true;
    yield* this.error(value as ErrnoName, 'writing new state');
    if (tell) yield* this.switchState(device, XenbusState.Closing, CORE, false);
    return 'refused';
  }

  /** xenbus_dev_error. */
  *error(code: ErrnoName, text: string): Task<void> {
    yield* join({ op: 'write', path: this.setting.paths.frontError, value: `${ERRNO[code]} ${text}` });
  }

  /** xenbus_dev_fatal. */
  *fatal(device: Device, code: ErrnoName, text: string, on: Account = CORE): Task<void> {
    yield* this.error(code, text);
    yield* this.switchState(device, XenbusState.Closing, on);
  }
}
