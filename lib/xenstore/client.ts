// The store's client over any channel: one promise a request, watches told apart by token, transactions repeated on
// EAGAIN. Leaves bytes to the channel and points' labels to labels.ts.
import { ErrnoError, PeerDiedError, ProtocolError, passOver } from '../core/errors.js';
import { NO_PROBE, type Probe } from '../core/probe.js';
import { XS, type XsMessage, xsdError, xsName } from '../layout/xs-wire.js';
import { POINT } from '../trace/points.js';
import type { StoreClient, StoreOps } from './api.js';
import type { StoreChannel } from './channel.js';
import { eventLabel, requestLabel } from './labels.js';
import { joinStrings, replyStrings } from './payload.js';

interface Waiting {
  readonly request: XsMessage;
  readonly label: string;
  /** Runs as the reply is taken, before any message behind it. */
  readonly onDone: (() => void) | undefined;
  readonly resolve: (payload: string) => void;
  readonly reject: (error: Error) => void;
}

interface Registered {
  readonly path: string;
  readonly onEvent: (path: string) => void;
}

export class ChannelStoreClient implements StoreClient {
  readonly #channel: StoreChannel;
  readonly #probe: Probe;
  readonly #waiting: Waiting[] = [];
  /** By token; a token may serve several paths. */
  readonly #watches = new Map<string, Registered[]>();
  #nextReqId = 1;
  #ended: Error | undefined;

  constructor(channel: StoreChannel, probe: Probe = NO_PROBE) {
    this.#channel = channel;
    this.#probe = probe;
    channel.onMessage((message) => this.#take(message));
    channel.onLost((error) => this.#end(error));
  }

  close(): void {
    this.#end(new PeerDiedError('store client'));
    this.#channel.close();
  }

  /** Sends any operation; resolves with the payload of its reply, rejects with ErrnoError when that is an error. */
  request(type: number, payload: string, txId = 0, onDone?: () => void): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) {
        reject(this.#ended);
        return;
      }
      const request = { type, reqId: this.#nextReqId, txId, payload };
      this.#nextReqId = this.#nextReqId === 0xffffffff ? 1 : this.#nextReqId + 1;
      const label = requestLabel(request);
      this.#probe.at(POINT['store.request'], label, request.reqId, txId);
      this.#waiting.push({ request, label, onDone, resolve, reject });
      this.#channel.send(request);
    });
  }

  #take(message: XsMessage): void {
    if (message.type === XS.XS_WATCH_EVENT) {
      this.#event(message);
      return;
    }
    const [waiting] = this.#waiting;
    if (waiting === undefined || waiting.request.reqId !== message.reqId) {
      this.#end(new ProtocolError('unexpected-reply', `xenstored answered request ${message.reqId}, which is not due`));
      return;
    }
    this.#waiting.shift();
    this.#probe.at(POINT['store.reply'], waiting.label, message.reqId);
    if (message.type === waiting.request.type) {
      waiting.onDone?.();
      waiting.resolve(message.payload);
    } else if (message.type === XS.XS_ERROR) {
      const name = message.payload.split('\0', 1)[0] as string;
      const [path = ''] = waiting.request.payload.split('\0', 1);
      waiting.reject(new ErrnoError(xsdError(name), `xenstore ${xsName(waiting.request.type)} ${path}: ${name}`));
    } else {
      waiting.reject(new ProtocolError('unexpected-reply', `xenstored answered with ${xsName(message.type)}`));
    }
  }

  #event(message: XsMessage): void {
    this.#probe.at(POINT['store.event'], eventLabel(message));
    const [path, token] = replyStrings(message.payload);
    if (path === undefined || token === undefined) return;
    // Identical events of two watches reach us as one, so every watch that it can mean is told.
    for (const registered of [...(this.#watches.get(token) ?? [])]) {
      if (isWithin(path, registered.path)) registered.onEvent(path);
    }
  }

  #end(error: Error): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#watches.clear();
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  async #ack(type: number, payload: string, txId = 0): Promise<void> {
    await this.request(type, payload, txId);
  }

  /** The operations on nodes, inside a transaction or (0) outside. */
  #ops(txId: number): StoreOps {
    const path = (text: string): string => `${text}\0`;
    return {
      read: (at) => this.request(XS.XS_READ, path(at), txId),
      write: (at, value) => this.#ack(XS.XS_WRITE, path(at) + value, txId),
      mkdir: (at) => this.#ack(XS.XS_MKDIR, path(at), txId),
      rm: (at) => this.#ack(XS.XS_RM, path(at), txId),
      directory: (at) => this.#directory(at, txId),
      getPerms: async (at) => replyStrings(await this.request(XS.XS_GET_PERMS, path(at), txId)),
      setPerms: (at, perms) => this.#ack(XS.XS_SET_PERMS, joinStrings([at, ...perms]), txId),
    };
  }
  readonly #direct = this.#ops(0);

  async #directory(path: string, txId: number): Promise<string[]> {
    try {
      return replyStrings(await this.request(XS.XS_DIRECTORY, `${path}\0`, txId));
    } catch (error) {
      if (!(error instanceof ErrnoError) || error.code !== 'E2BIG') throw error;
      return await this.#directoryInParts(path, txId);
    }
  }

  /** Begins again when the list changed between two parts. */
  async #directoryInParts(path: string, txId: number): Promise<string[]> {
    for (let names = '', generation: string | undefined; ; ) {
      const part = await this.request(XS.XS_DIRECTORY_PART, joinStrings([path, String(names.length)]), txId);
      const cut = part.indexOf('\0') + 1;
      const [seen, rest] = [part.slice(0, cut), part.slice(cut)];
      if (generation !== undefined && seen !== generation) {
        names = '';
        generation = undefined;
        continue;
      }
      generation = seen;
      if (rest === '\0' || rest.endsWith('\0\0')) return replyStrings(names + rest.slice(0, -1));
      if (rest === '') throw new ProtocolError('empty-part', `xenstored sent an empty part of ${path}`);
      names += rest;
    }
  }

  read(path: string): Promise<string> {
    return this.#direct.read(path);
  }
  write(path: string, value: string): Promise<void> {
    return this.#direct.write(path, value);
  }
  mkdir(path: string): Promise<void> {
    return this.#direct.mkdir(path);
  }
  rm(path: string): Promise<void> {
    return this.#direct.rm(path);
  }
  directory(path: string): Promise<string[]> {
    return this.#direct.directory(path);
  }
  getPerms(path: string): Promise<string[]> {
    return this.#direct.getPerms(path);
  }
  setPerms(path: string, perms: readonly string[]): Promise<void> {
    return this.#direct.setPerms(path, perms);
  }

  async transactionOnce<T>(body: (tx: StoreOps) => Promise<T>): Promise<T> {
    const txId = Number.parseInt(await this.request(XS.XS_TRANSACTION_START, '\0'), 10);
    this.#probe.at(POINT['transaction.take'], '', txId);
    try {
      return await this.#inTransaction(txId, body);
    } finally {
      this.#probe.at(POINT['transaction.give'], '', txId);
    }
  }

  async #inTransaction<T>(txId: number, body: (tx: StoreOps) => Promise<T>): Promise<T> {
    let result: T;
    try {
      result = await body(this.#ops(txId));
    } catch (error) {
      // The abort's own outcome adds nothing: the transaction ends with the connection at the latest.
      await this.request(XS.XS_TRANSACTION_END, 'F\0', txId).catch(passOver);
      throw error;
    }
    await this.request(XS.XS_TRANSACTION_END, 'T\0', txId);
    return result;
  }

  async transaction<T>(body: (tx: StoreOps) => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await this.transactionOnce(body);
      } catch (error) {
        if (!(error instanceof ErrnoError) || error.code !== 'EAGAIN') throw error;
      }
    }
  }

  async watch(path: string, token: string, onEvent: (path: string) => void): Promise<void> {
    await this.request(XS.XS_WATCH, joinStrings([path, token]), 0, () => {
      this.#watches.set(token, [...(this.#watches.get(token) ?? []), { path, onEvent }]);
    });
  }

  async unwatch(path: string, token: string): Promise<void> {
    const registered = this.#watches.get(token)?.find((item) => item.path === path);
    if (registered !== undefined) this.#forget(registered, token);
    await this.#ack(XS.XS_UNWATCH, joinStrings([path, token]));
  }

  #forget(registered: Registered, token: string): void {
    const rest = (this.#watches.get(token) ?? []).filter((item) => item !== registered);
    if (rest.length === 0) this.#watches.delete(token);
    else this.#watches.set(token, rest);
  }

  async resetWatches(): Promise<void> {
    this.#watches.clear();
    await this.#ack(XS.XS_RESET_WATCHES, '\0');
  }

  introduce(domid: number, gfn: number, port: number): Promise<void> {
    return this.#ack(XS.XS_INTRODUCE, joinStrings([String(domid), String(gfn), String(port)]));
  }
  release(domid: number): Promise<void> {
    return this.#ack(XS.XS_RELEASE, `${domid}\0`);
  }
  async isDomainIntroduced(domid: number): Promise<boolean> {
    return (await this.request(XS.XS_IS_DOMAIN_INTRODUCED, `${domid}\0`)) === 'T\0';
  }
  async getDomainPath(domid: number): Promise<string> {
    return (await this.request(XS.XS_GET_DOMAIN_PATH, `${domid}\0`)).replace(/\0$/, '');
  }
  resume(domid: number): Promise<void> {
    return this.#ack(XS.XS_RESUME, `${domid}\0`);
  }
  setTarget(domid: number, target: number): Promise<void> {
    return this.#ack(XS.XS_SET_TARGET, joinStrings([String(domid), String(target)]));
  }
  async control(...args: string[]): Promise<string> {
    return (await this.request(XS.XS_CONTROL, joinStrings(args))).replace(/\0$/, '');
  }
}

/** Can an event with this path come from a watch on `watched`? Both are spelled as the watch was registered. */
function isWithin(path: string, watched: string): boolean {
  return watched === '/' || path === watched || path.startsWith(`${watched}/`);
}
