// Runs the same requests against two daemons and compares everything that comes back: each reply, and each event on
// every connection, in order. After each request all connections ask for something harmless, so that both daemons have
// sent all that the request caused: what merges with what is then no matter of luck.
import { XS, type XsMessage, xsName } from '../../lib/layout/xs-wire.js';
import { CONNECTIONS, type Step } from './xs-script.js';
import { XsSocket } from './xs-socket.js';

/** A daemon under test with one client a connection. */
export class Party {
  readonly #clients: XsSocket[];
  #reqId = 1;

  private constructor(clients: XsSocket[]) {
    this.#clients = clients;
  }

  static async open(socket: string): Promise<Party> {
    const clients: XsSocket[] = [];
    // One after the other: the daemon tells events in this order.
    for (let index = 0; index < CONNECTIONS; index++) {
      const client = await XsSocket.open(socket);
      client.send({ type: XS.XS_GET_DOMAIN_PATH, reqId: 0, txId: 0, payload: '0\0' });
      await client.until(0);
      clients.push(client);
    }
    return new Party(clients);
  }

  /** Sends one request; returns what every connection heard, that of the request's own connection with its reply. */
  async run(step: Step): Promise<XsMessage[][]> {
    const reqId = this.#reqId++;
    const client = this.#clients[step.on] as XsSocket;
    client.send({ type: step.type, reqId, txId: step.txId, payload: step.payload });
    const first = await client.until(reqId);
    const barrier = this.#reqId++;
    for (const each of this.#clients) {
      each.send({ type: XS.XS_GET_DOMAIN_PATH, reqId: barrier, txId: 0, payload: '0\0' });
    }
    const heard = await Promise.all(this.#clients.map((each) => each.until(barrier)));
    return heard.map((messages, index) => [...(index === step.on ? first : []), ...messages.slice(0, -1)]);
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }
}

/** Generations are counted by each daemon for itself: only what follows them is compared. */
function comparable(message: XsMessage): XsMessage {
  if (message.type !== XS.XS_DIRECTORY_PART) return message;
  return { ...message, payload: `G${message.payload.slice(message.payload.indexOf('\0'))}` };
}

export function show(message: { type: number; txId: number; payload: string }): string {
  const payload = message.payload.length > 200 ? `${message.payload.slice(0, 200)}...` : message.payload;
  return `${xsName(message.type)} tx ${message.txId} ${JSON.stringify(payload.replaceAll('\0', '|'))}`;
}

export interface Difference {
  readonly step: Step;
  readonly heard: readonly [string[][], string[][]];
  /**
   * A transaction that froze a parent and, earlier, that a child of it is missing: the daemon lists a child twice that
   * was then made from both sides, we once. It cannot commit either way.
   */
  readonly onlyNamesTwice: boolean;
}

function namesOnce(messages: readonly XsMessage[]): string {
  const once = ({ payload }: XsMessage): string => [...new Set(payload.split('\0'))].join('|');
  return messages.map((message) => `${message.type} ${once(comparable(message))}`).join('\n');
}

/** The reply that the first daemon gave, and the difference to the second if there is one. */
export async function compareStep(
  parties: readonly [Party, Party],
  step: Step,
): Promise<{ reply: XsMessage | undefined; difference: Difference | undefined }> {
  const [first, second] = await Promise.all([parties[0].run(step), parties[1].run(step)]);
  const text = (heard: XsMessage[][]): string[][] =>
    heard.map((messages) => messages.map((message) => show(comparable(message))));
  const shown: [string[][], string[][]] = [text(first), text(second)];
  const reply = first[step.on]?.find(({ type }) => type !== XS.XS_WATCH_EVENT);
  const same = JSON.stringify(shown[0]) === JSON.stringify(shown[1]);
  const listing = step.txId !== 0 && (step.type === XS.XS_DIRECTORY || step.type === XS.XS_DIRECTORY_PART);
  const onlyNamesTwice = listing && first.map(namesOnce).join('\n') === second.map(namesOnce).join('\n');
  return { reply, difference: same ? undefined : { step, heard: shown, onlyNamesTwice } };
}
