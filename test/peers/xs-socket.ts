// A bare client of an xs_wire socket: sends any bytes, and keeps every message that comes back in order.
import { connect, type Socket } from 'node:net';
import { XS, type XsMessage } from '../../lib/layout/xs-wire.js';
import { withDeadline } from '../../lib/node/process/wait.js';
import { encodeMessage, MessageReader } from '../../lib/xenstore/framing.js';

const REPLY_MS = 10_000;

export class XsSocket {
  readonly #socket: Socket;
  readonly #reader = new MessageReader();
  #messages: XsMessage[] = [];
  #wake: () => void = () => {};
  closed = false;

  private constructor(path: string) {
    this.#socket = connect(path);
    this.#socket.on('data', (chunk) => {
      this.#reader.push(chunk, (message) => this.#messages.push(message));
      this.#wake();
    });
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
  }

  static async open(path: string): Promise<XsSocket> {
    const client = new XsSocket(path);
    await new Promise<void>((resolve, reject) => {
      client.#socket.once('connect', resolve);
      client.#socket.once('error', reject);
    });
    return client;
  }

  sendBytes(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  send(message: XsMessage): void {
    this.sendBytes(encodeMessage(message));
  }

  /** Everything up to the reply to `reqId`; also ends when the server closes. */
  async until(reqId: number): Promise<XsMessage[]> {
    const isReply = (message: XsMessage): boolean => message.type !== XS.XS_WATCH_EVENT && message.reqId === reqId;
    const wait = async (): Promise<XsMessage[]> => {
      for (;;) {
        const at = this.#messages.findIndex(isReply);
        if (at !== -1) return this.#messages.splice(0, at + 1);
        if (this.closed) return this.#messages.splice(0);
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    };
    return withDeadline(wait(), REPLY_MS, `the reply to request ${reqId}`);
  }

  /** Reads nothing more until resume(). */
  pause(): void {
    this.#socket.pause();
  }
  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#socket.destroy();
  }
}
