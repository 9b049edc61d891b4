// An open /dev/xen/evtchn whose user is a program with the preloaded library: ports go to it as bytes of a socket, which it
// reads, polls and writes as it does the device's file. Leaves the socket to node/dev-server.ts, ports to evtchn-file.ts.
import { EvtchnPort } from '../../../lib/core/ids.js';
import { EvtchnFile, type EvtchnFileEnvironment } from './evtchn-file.js';

/** Bytes of a port in read() and write(). */
const PORT_BYTES = 4;

export class EvtchnStreamFile extends EvtchnFile {
  readonly #send: (bytes: Uint8Array) => void;
  /** Of a port that is not whole yet. */
  #rest = new Uint8Array(0);

  constructor(fd: number, send: (bytes: Uint8Array) => void, env: EvtchnFileEnvironment) {
    super(fd, env);
    this.#send = send;
  }

  /** What the user wrote: ports, each written back. */
  written(chunk: Uint8Array): void {
    const bytes = new Uint8Array(this.#rest.length + chunk.length);
    bytes.set(this.#rest);
    bytes.set(chunk, this.#rest.length);
    const view = new DataView(bytes.buffer);
    let at = 0;
    for (; at + PORT_BYTES <= bytes.length; at += PORT_BYTES) this.writeBack(EvtchnPort(view.getUint32(at, true)));
    this.#rest = bytes.slice(at);
  }

  /** The ports that wait stand in the user's socket: the library reads them off. */
  override reset(): void {}

  protected override deliver(port: EvtchnPort): void {
    const bytes = new Uint8Array(PORT_BYTES);
    new DataView(bytes.buffer).setUint32(0, port, true);
    this.#send(bytes);
  }

  protected override released(): void {}
}
