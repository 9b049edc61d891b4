// An open /dev/xen/evtchn whose user shares a page with it: a ring of ports to read, a ring of commands, a doorbell each way
// (lib/layout/ours/dev-evtchn.ts). For our own processes. Leaves ports and interrupts to evtchn-file.ts.
import { EvtchnPort } from '../../../lib/core/ids.js';
import type { BoundBell, Notifier, NotifyHandle } from '../../../lib/core/notify.js';
import type { FileHandle } from '../../../lib/core/proto-types.js';
import type { SharedFiles } from '../../../lib/core/shared.js';
import {
  COMMAND_DM_RAISE,
  COMMAND_NOTIFY,
  COMMAND_SHIFT,
  COMMAND_WRITE_BACK,
  DEV_EVTCHN,
  DEV_EVTCHN_RING_SIZE,
} from '../../../lib/layout/ours/dev-evtchn.js';
import { EvtchnFile, type EvtchnFileEnvironment } from './evtchn-file.js';

const INDEX_MASK = DEV_EVTCHN_RING_SIZE - 1;
const PORT_MASK = (1 << COMMAND_SHIFT) - 1;

export interface EvtchnRingEnvironment extends EvtchnFileEnvironment {
  readonly files: SharedFiles;
  /** The dm_op evtchn_raise on behalf of the file's user; the file's user does not hear of a refusal. */
  readonly dmRaise: (domid: number, port: EvtchnPort) => void;
}

export class EvtchnRingFile extends EvtchnFile {
  readonly handle: FileHandle;
  /** The bit that its user rings after putting commands in. */
  readonly written: NotifyHandle;
  readonly #page: { bytes: Uint8Array; remove(): void };
  readonly #words: Uint32Array;
  readonly #bell: BoundBell;
  readonly #readable: Notifier;
  readonly #dmRaise: EvtchnRingEnvironment['dmRaise'];
  /** Commands taken; ours, whatever the page says. */
  #taken = 0;
  #readProd = 0;

  /** Throws ErrnoError when the page, the bit or the user's handle is not to be had. */
  constructor(fd: number, readable: NotifyHandle, env: EvtchnRingEnvironment) {
    super(fd, env);
    this.#dmRaise = env.dmRaise;
    this.#readable = env.doorbell.open(readable);
    try {
      this.#bell = env.doorbell.bind(() => this.#commands());
    } catch (error) {
      this.#readable.close();
      throw error;
    }
    try {
      const page = env.files.create(`shm/evtchn${fd}`, DEV_EVTCHN.SIZE);
      this.#page = page;
      this.handle = page.handle;
    } catch (error) {
      this.#readable.close();
      this.#bell.release();
      throw error;
    }
    this.#words = new Uint32Array(this.#page.bytes.buffer, this.#page.bytes.byteOffset, DEV_EVTCHN.SIZE >>> 2);
    this.written = this.#bell.handle;
  }

  override reset(): void {
    Atomics.store(this.#words, DEV_EVTCHN.READ_CONS >>> 2, this.#readProd);
    Atomics.store(this.#words, DEV_EVTCHN.READ_OVERFLOW >>> 2, 0);
  }

  protected override deliver(port: EvtchnPort): void {
    const cons = Atomics.load(this.#words, DEV_EVTCHN.READ_CONS >>> 2);
    if ((this.#readProd - cons) >>> 0 >= DEV_EVTCHN_RING_SIZE) {
      Atomics.store(this.#words, DEV_EVTCHN.READ_OVERFLOW >>> 2, 1);
    } else {
      this.#words[(DEV_EVTCHN.READ_RING >>> 2) + (this.#readProd & INDEX_MASK)] = port;
      this.#readProd = (this.#readProd + 1) >>> 0;
      Atomics.store(this.#words, DEV_EVTCHN.READ_PROD >>> 2, this.#readProd);
    }
    this.#readable.signal();
  }

  protected override released(): void {
    this.#bell.release();
    this.#readable.close();
    this.#page.remove();
  }

  #nextCommand(): number {
    const word = this.#words[(DEV_EVTCHN.COMMAND_RING >>> 2) + (this.#taken & INDEX_MASK)]!;
    this.#taken = (this.#taken + 1) >>> 0;
    Atomics.store(this.#words, DEV_EVTCHN.COMMAND_CONS >>> 2, this.#taken);
    return word;
  }

  /** The user rang: takes its commands in order. One that claims more than a ring of them loses them all. */
  #commands(): void {
    if (!this.open) return;
    const prod = Atomics.load(this.#words, DEV_EVTCHN.COMMAND_PROD >>> 2);
    if ((prod - this.#taken) >>> 0 > DEV_EVTCHN_RING_SIZE) this.#taken = prod;
    while (this.#taken !== prod && this.open) {
      const command = this.#nextCommand();
      if (command >>> COMMAND_SHIFT === COMMAND_DM_RAISE) {
        // A first word without its second is no command.
        if (this.#taken !== prod) this.#dmRaise(command & PORT_MASK, EvtchnPort(this.#nextCommand()));
        continue;
      }
      const port = EvtchnPort(command & PORT_MASK);
      switch (command >>> COMMAND_SHIFT) {
        case COMMAND_NOTIFY:
          this.notify(port);
          break;
        case COMMAND_WRITE_BACK:
          this.writeBack(port);
          break;
      }
    }
  }
}
