// One device of the guest's xenbus and what drivers do with it: its own state and the other end's, switching states, reporting
// errors (drivers/xen/xenbus/xenbus_client.c). Every state and key that the guest writes for a device passes here, and is held
// to the protocol's tables at the write (lib/xenbus/rules.ts). Leaves which devices there are to xenbus-core.ts.

import { ERRNO } from '../../lib/core/errno.js';
import { ErrnoError } from '../../lib/core/errors.js';
import { DOMID_INVALID, type DomId } from '../../lib/core/ids.js';
import type { Log } from '../../lib/core/log.js';
import type { Probe } from '../../lib/core/probe.js';
import { errorKey, XENBUS_KEY, XenbusState } from '../../lib/layout/xenbus.js';
import { edge, POINT } from '../../lib/trace/points.js';
import { parseState } from '../../lib/xenbus/keys.js';
import type { Protocol, Writer } from '../../lib/xenbus/protocol.js';
import { assertMove, assertReads, assertWrites } from '../../lib/xenbus/rules.js';
import type { CoreRules } from './core-rules.js';
import type { GuestStore, GuestStoreOps } from './guest-store.js';
import type { Vcpu } from './vcpu.js';
import { Completion } from './wait.js';

export interface XenbusDriver {
  readonly name: string;
  /** Device kinds that it drives. */
  readonly kinds: readonly string[];
  /** Throws ErrnoError; it has given back everything then. */
  probe(device: XenbusDevice): Promise<void>;
  otherendChanged(device: XenbusDevice, state: number): Promise<void>;
  remove(device: XenbusDevice): Promise<void>;
}

/** On whose account a state is written: the driver's, with the backend's state as it was told, or the core's. */
export interface Mover {
  readonly by: Extract<Writer, 'frontend' | 'core'>;
  readonly otherEnd?: number;
}
const CORE: Mover = { by: 'core' };

/** What became of a wanted state. `refused`: the store did not take it, which is reported, and the device is Closing. */
export type Switched = 'written' | 'left alone' | 'refused';

export interface DeviceParts {
  readonly protocol: Protocol;
  readonly store: GuestStore;
  readonly vcpu: Vcpu;
  readonly rules: CoreRules;
  readonly probe: Probe;
  readonly log: Log;
  readonly domid: DomId;
}

/** `device/virtio-mmio/0` is device 0; NaN for a directory that is named otherwise. */
export function devidOf(nodename: string): number {
  return Number(nodename.slice(nodename.lastIndexOf('/') + 1));
}

export class XenbusDevice {
  readonly nodename: string;
  /** The last part of its name, as a number. */
  readonly devid: number;
  readonly kind: string;
  /** Completed by frontendClosed(): what shutdown waits for. */
  down: Completion;
  driver: XenbusDriver | undefined;
  otherend = '';
  /** Set before the driver's probe. */
  otherendId: DomId = DOMID_INVALID;
  /** Set by a core that notices it: nothing is written for this device any more. */
  vanished = false;
  readonly #parts: DeviceParts;
  #state: number = XenbusState.Initialising;
  #errorWritten = false;

  constructor(nodename: string, kind: string, parts: DeviceParts) {
    this.nodename = nodename;
    this.devid = devidOf(nodename);
    this.kind = kind;
    this.#parts = parts;
    this.down = new Completion(parts.vcpu);
  }

  /** The cached state: what this end last wanted to be. */
  get state(): number {
    return this.#state;
  }

  /** A key of the own directory. */
  read(key: string): Promise<string> {
    assertReads(this.#parts.protocol, 'front', key, this.#state);
    return this.#parts.store.read(`${this.nodename}/${key}`);
  }
  async write(key: string, value: string): Promise<void> {
    assertWrites(this.#parts.protocol, 'front', key, 'frontend', this.#state);
    this.#parts.probe.at(POINT['front.key'], `${this.nodename}/${key}=${value}`, this.devid);
    await this.#parts.store.write(`${this.nodename}/${key}`, value);
  }
  /** In a transaction of its own, repeated on conflict: what the patch as posted does. */
  async writeInTransaction(key: string, value: string): Promise<void> {
    assertWrites(this.#parts.protocol, 'front', key, 'frontend', this.#state);
    this.#parts.probe.at(POINT['front.key'], `${this.nodename}/${key}=${value}`, this.devid);
    await this.#parts.store.transaction((tx) => tx.write(`${this.nodename}/${key}`, value));
  }
  readOther(key: string): Promise<string> {
    return this.#parts.store.read(`${this.otherend}/${key}`);
  }

  /** The other end's state as it is now; 0 when it cannot be read, or when this device has vanished. */
  async otherState(): Promise<number> {
    if (this.vanished) return XenbusState.Unknown;
    return readState(this.#parts.store, this.otherend);
  }

  /**
   * Writes the own state in a transaction of its own; repeats on conflict. An unreadable node is left alone: it is being
   * removed. Always returns: an error is reported as fatal. The cache follows whenever the transaction could be ended.
   */
  switchState(wanted: XenbusState, mover: Mover = CORE): Promise<Switched> {
    return this.#switch(wanted, mover, this.#state, true);
  }

  /** `from`: what the store has, as far as this end knows. `tell`: a failure is yet to be reported. */
  async #switch(wanted: XenbusState, mover: Mover, from: number, tell: boolean): Promise<Switched> {
    if (wanted === this.#state || (this.#parts.rules.vanish && this.vanished)) return 'left alone';
    const path = `${this.nodename}/${XENBUS_KEY.state}`;
    this.#parts.probe.at(POINT['front.state'], path, this.devid, edge(from, wanted));
    try {
      await this.#parts.store.transaction((tx) => this.#writeState(tx, wanted, mover, from));
    } catch (error) {
      if (error instanceof WasReset) return 'left alone';
      // Aborted inside: the cache moves on all the same, the store does not.
      this.#state = wanted;
      if (error instanceof NotThere) return 'left alone';
      const failure = asErrno(error, 'writing new state');
      await this.error(failure.errno, failure.text);
      // xenbus_switch_fatal, once: closing may fail in the same way.
      if (tell) await this.#switch(XenbusState.Closing, CORE, from, false);
      return 'refused';
    }
    this.#state = wanted;
    this.#parts.probe.at(POINT['front.state-written'], path, this.devid, edge(from, wanted));
    return 'written';
  }

  async #writeState(tx: GuestStoreOps, wanted: XenbusState, mover: Mover, from: number): Promise<void> {
    const key = `${this.nodename}/${XENBUS_KEY.state}`;
    const found = await tx.read(key).catch((error) => {
      // The store died with the transaction: the node is there, and the transaction is to be repeated. Linux never sees this: its
      // store does not come back.
      if (asErrno(error, key).errno === ERRNO.EAGAIN) throw error;
      throw new NotThere();
    });
    // The toolstack rewrote it to 1: the device is being made anew, and no longer ours to move.
    if (
      this.#parts.rules.resetBlocksSwitch &&
      parseState(found) === XenbusState.Initialising &&
      this.#state !== XenbusState.Initialising
    ) {
      throw new WasReset();
    }
    assertMove(this.#parts.protocol, { side: 'front', from, to: wanted, ...mover });
    await tx.write(key, String(wanted));
  }

  /** xenbus_dev_error: logs, and writes `<errno> <text>` for people. No state changes. */
  async error(errno: number, text: string): Promise<void> {
    const { log, probe, store } = this.#parts;
    log.error({ errno, device: this.nodename }, text);
    probe.at(POINT['error.xenbus'], this.nodename, errno);
    this.#errorWritten = true;
    await store.write(errorKey(this.nodename), `${errno} ${text}`).catch((error: unknown) => {
      log.warn(asErrno(error, 'cannot report it').text);
    });
  }

  /** The error that was reported is over: unlike Linux's, the node does not stay for people to wonder at. */
  async forgetError(): Promise<void> {
    if (!this.#errorWritten) return;
    this.#errorWritten = false;
    await this.#parts.store.rm(errorKey(this.nodename)).catch((error: unknown) => asErrno(error, 'error'));
  }

  /** xenbus_dev_fatal: the error, then state Closing. */
  async fatal(errno: number, text: string, mover: Mover = CORE): Promise<void> {
    await this.error(errno, text);
    await this.switchState(XenbusState.Closing, mover);
  }

  /** xenbus_frontend_closed: state Closed, and a shutdown that waits for `down` goes on. */
  async frontendClosed(mover: Mover = CORE): Promise<Switched> {
    const switched = await this.switchState(XenbusState.Closed, mover);
    this.down.complete();
    return switched;
  }
}

/** Aborts a transaction because the node cannot be read. */
class NotThere extends Error {}
/** Aborts a transaction because the state was reset under us. */
class WasReset extends Error {}

/** The state under a directory; 0 Unknown when it cannot be read. */
export async function readState(store: GuestStoreOps, directory: string): Promise<number> {
  try {
    return parseState(await store.read(`${directory}/${XENBUS_KEY.state}`));
  } catch (error) {
    asErrno(error, directory);
    return XenbusState.Unknown;
  }
}

/** What an error looks like to xenbus_dev_error; a bug of ours is no device's error, and is thrown on. */
export function asErrno(error: unknown, what: string): { errno: number; text: string } {
  if (!(error instanceof ErrnoError)) throw error;
  return { errno: error.errno, text: `${what}: ${error.message}` };
}
