// The buffered page of an ioreq server: a ring of small writes that the vCPU does not wait for.
// Leaves which requests go there to ioreq-servers.ts.
import {
  BUF_IOREQ,
  BUF_IOREQ_ADDR_MAX,
  BUF_IOREQ_SHIFT,
  BUFFERED_IOPAGE,
  IOREQ_BUFFER_SLOT_NUM,
  IOREQ_PAGE_SIZE,
} from '../../../lib/layout/ioreq.js';
import type { Ioreq } from './ioreq-page.js';

const READ = BUFFERED_IOPAGE.READ_POINTER >>> 2;
const WRITE = BUFFERED_IOPAGE.WRITE_POINTER >>> 2;

export class IoreqBuffer {
  #words: Uint32Array;
  /** In ATOMIC mode both pointers are brought down together before they wrap. */
  readonly #atomic: boolean;

  constructor(bytes: Uint8Array, atomic: boolean) {
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, IOREQ_PAGE_SIZE >>> 2);
    this.#atomic = atomic;
  }

  drop(): void {
    this.#words = new Uint32Array(IOREQ_PAGE_SIZE >>> 2);
  }

  /** Puts a request in; false when it cannot be buffered or the ring is full: the caller sends it synchronously. */
  put(request: Ioreq): boolean {
    const sizeCode = [1, 2, 4, 8].indexOf(request.size);
    if (sizeCode < 0 || request.count !== 1 || request.addrHigh !== 0 || request.addrLow > BUF_IOREQ_ADDR_MAX)
      return false;
    const slots = request.size === 8 ? 2 : 1;
    const read = Atomics.load(this.#words, READ);
    const write = Atomics.load(this.#words, WRITE);
    if ((write - read) >>> 0 > IOREQ_BUFFER_SLOT_NUM - slots) return false;
    const head =
      (request.type |
        (request.dir << BUF_IOREQ_SHIFT.DIR) |
        (sizeCode << BUF_IOREQ_SHIFT.SIZE) |
        (request.addrLow << BUF_IOREQ_SHIFT.ADDR)) >>>
      0;
    this.#slot(write, head, request.dataLow);
    if (slots === 2) this.#slot(write + 1, head, request.dataHigh);
    Atomics.store(this.#words, WRITE, (write + slots) >>> 0);
    if (this.#atomic) this.#lower();
    return true;
  }

  #slot(pointer: number, head: number, data: number): void {
    const at = (BUFFERED_IOPAGE.SLOTS + (pointer % IOREQ_BUFFER_SLOT_NUM) * BUF_IOREQ.size) >>> 2;
    this.#words[at] = head;
    this.#words[at + 1] = data;
  }

  /** Takes multiples of the slot count from both pointers at once, so that they never wrap at 2^32. */
  #lower(): void {
    const pointers = new BigUint64Array(this.#words.buffer, this.#words.byteOffset, 1);
    for (;;) {
      const both = Atomics.load(pointers, 0);
      const read = Number(both & 0xffffffffn);
      if (read < IOREQ_BUFFER_SLOT_NUM) return;
      const write = Number(both >> 32n);
      const less = read - (read % IOREQ_BUFFER_SLOT_NUM);
      const next = (BigInt((write - less) >>> 0) << 32n) | BigInt(read - less);
      if (Atomics.compareExchange(pointers, 0, both, next) === both) return;
    }
  }
}
