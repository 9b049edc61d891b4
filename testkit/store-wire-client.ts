// A xenstore client that keeps everything as it came: raw messages in and out, any number of requests
// under way, nothing checked or retried; where they travel is the user's. Its socket is here, a ring page in
// ring-client.ts. The codec is its own, so that a mistake of lib/xenstore cannot hide in both ends.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { XS, XSD_SOCKMSG } from '../lib/layout/xs-wire.js';
import { withDeadline } from '../lib/node/process/wait.js';

const HEADER = XSD_SOCKMSG.size;
const AT = XSD_SOCKMSG.offset;
const ANSWER_MS = 20_000;
/** Marks a barrier's request; no test uses it. */
export const BARRIER_ID = 0xffff_fffe;

/** A message as it travelled; the payload's char codes are its bytes. */
export interface WireMessage {
  readonly type: number;
  readonly reqId: number;
  readonly txId: number;
  readonly payload: string;
}

/** Bytes of a message; `length` is what the header says when it is to lie. */
export function wireBytes(message: WireMessage, length = message.payload.length): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER + message.payload.length);
  bytes.writeUInt32LE(message.type, AT.type);
  bytes.writeUInt32LE(message.reqId, AT.req_id);
  bytes.writeUInt32LE(message.txId, AT.tx_id);
  bytes.writeUInt32LE(length, AT.len);
  bytes.write(message.payload, HEADER, 'latin1');
  return bytes;
}

const BARRIER = wireBytes({ type: XS.XS_GET_DOMAIN_PATH, reqId: BARRIER_ID, txId: 0, payload: '0\0' });

/** Where the bytes travel. */
export interface Wire {
  write(bytes: Buffer): void;
  /** Ends this side; the daemon notices. */
  end(): void;
  destroy(): void;
  /** Resolves when something may have come, or ended. */
  wait(): Promise<void>;
}

export class WireClient {
  #wire!: Wire;
  #rest: Buffer = Buffer.alloc(0);
  #received: WireMessage[] = [];
  #barriers = 0;
  #closed = false;

  /** `open` is given what to call with bytes that came, and when the daemon has ended the connection. */
  static async over(
    open: (onBytes: (bytes: Buffer) => void, onClosed: () => void) => Promise<Wire>,
  ): Promise<WireClient> {
    const client = new WireClient();
    client.#wire = await open(
      (bytes) => client.#read(bytes),
      () => {
        client.#closed = true;
      },
    );
    return client;
  }

  static connect(path: string): Promise<WireClient> {
    return WireClient.over((onBytes, onClosed) => socketWire(path, onBytes, onClosed));
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Everything that came since the last call, in order, barriers left out. */
  take(): WireMessage[] {
    const taken = this.#received;
    this.#received = [];
    return taken;
  }

  /** What take() would give. */
  peek(): readonly WireMessage[] {
    return this.#received;
  }

  write(bytes: Buffer): void {
    this.#wire.write(bytes);
  }

  /** Sends `bytes`, then waits until all before them is answered and what others caused has arrived, or for the end. */
  async barrier(bytes?: Buffer): Promise<void> {
    if (this.#closed) return;
    const wanted = this.#barriers + 1;
    this.#wire.write(bytes === undefined ? BARRIER : Buffer.concat([bytes, BARRIER]));
    await this.#until(() => this.#barriers >= wanted, 'answer');
  }

  /** Waits for the daemon to close the connection. */
  async untilClosed(): Promise<void> {
    await this.#until(() => false, 'end of the connection');
  }

  /** Closes this end and waits until the daemon has noticed. */
  async close(): Promise<void> {
    this.#wire.end();
    await this.untilClosed();
  }

  destroy(): void {
    this.#wire.destroy();
  }

  /** One request and its reply; events stay for take(). */
  async request(type: number, payload: string, txId = 0): Promise<WireMessage> {
    const reqId = 1;
    await this.barrier(wireBytes({ type, reqId, txId, payload }));
    const at = this.#received.findIndex((message) => message.type !== XS.XS_WATCH_EVENT);
    const [reply] = at === -1 ? [] : this.#received.splice(at, 1);
    if (reply === undefined) throw new Error(`the daemon closed the connection on request ${type}`);
    return reply;
  }

  async #until(done: () => boolean, what: string): Promise<void> {
    while (!done() && !this.#closed) await withDeadline(this.#wire.wait(), ANSWER_MS, what);
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= HEADER) {
      const end = at + HEADER + bytes.readUInt32LE(at + AT.len);
      if (end > bytes.length) break;
      const reqId = bytes.readUInt32LE(at + AT.req_id);
      const type = bytes.readUInt32LE(at + AT.type);
      if (reqId === BARRIER_ID && type === XS.XS_GET_DOMAIN_PATH) this.#barriers++;
      else {
        const txId = bytes.readUInt32LE(at + AT.tx_id);
        this.#received.push({ type, reqId, txId, payload: bytes.toString('latin1', at + HEADER, end) });
      }
      at = end;
    }
    this.#rest = bytes.subarray(at);
  }
}

async function socketWire(path: string, onBytes: (bytes: Buffer) => void, onClosed: () => void): Promise<Wire> {
  let wake = (): void => {};
  const socket: Socket = connect(path);
  await withDeadline(once(socket, 'connect'), ANSWER_MS, `connection to ${path}`);
  socket.on('data', (chunk: Buffer) => {
    onBytes(chunk);
    wake();
  });
  socket.on('error', () => {}); // 'close' follows
  socket.on('close', () => {
    onClosed();
    wake();
  });
  return {
    write: (bytes) => void socket.write(bytes),
    end: () => void socket.end(),
    destroy: () => void socket.destroy(),
    wait: () =>
      new Promise((resolve) => {
        wake = resolve;
      }),
  };
}
