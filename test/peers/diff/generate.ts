// Random conversations: a seed gives a script. Few paths and few clients, so that what they do collides; most requests
// are sound, the rest are wrong in every way a client can be. Leaves running them to run.ts.
import { XENSTORE_ABS_PATH_MAX, XENSTORE_PAYLOAD_MAX, XS, XSD_SOCKMSG } from '../../../lib/layout/xs-wire.js';
import { Random } from './random.js';
import type { Request, Script, Step } from './script.js';
import { isAsked } from './unasked.js';

const HEADER_BYTES = XSD_SOCKMSG.size;
const CONNECTIONS_MAX = 4;
/** Requests of one script, about. */
export const SCRIPT_REQUESTS = 400;
const NAMES = ['a', 'b', 'c', 'long-name_0', 'X@Y'];
const TOKENS = ['t', 'u', '', 'token with blanks', '/t'];
const DEEP = 4;
const FILLER = 'n'.repeat(60);
const UNKNOWN_TYPES = [15, 16, 20, 23, 24, 25, 26, 27, 99, 0xffff, 0xffff_ffff];
const BAD_PATHS = ['', '//', '/t/', '/t//a', 't.x', '/t/a b', '/t:', '@bogus', '@', '/@', `/t/${'p'.repeat(4000)}`];
const LONG_PATHS = [`/t/${'q'.repeat(XENSTORE_ABS_PATH_MAX - 3)}`, `/t/${'q/'.repeat(1000)}q`, `r/${'q'.repeat(2046)}`];
const SPECIAL = ['@introduceDomain', '@releaseDomain', '@introduceDomain/1', '@releaseDomain/2'];
const GOOD_PERMS = ['n0', 'r0', 'w0', 'b0', 'r1', 'b2', 'n3', 'w5', 'r0x3', 'b007', 'r65534', 'r-1', 'n 1'];
const BAD_PERMS = ['', 'x0', 'r', 'rr', 'r1x', 'B0', 'r1 '];
const NUMBERS = ['0', '1', '2', '3', '007', '7', '', '-1', '65535', '65536', 'x', '1x', ' 2', '99999999999999999999'];
/** As the C daemon of 4.17 reads them, domains 0 to 3 only: it would take any 32 bits for a domain. */
const INTRODUCED = ['1', '2', '3', '1', '2', '3', '0', '', 'x', '002', '1x', ' 2'];
const CONTROLS: readonly (readonly string[])[] = [
  ['check'],
  ['help'],
  ['help', 'me'],
  ['print', 'text'],
  ['print'],
  ['quota'],
  ['quota', 'max'],
  ['quota', '1'],
  ['quota', 'set', 'nonsense', '5'],
  ['quota', 'set', 'nodes'],
  ['quota', 'set', 'nodes', '0'],
  ['quota-soft'],
  ['log'],
  ['log', 'nonsense'],
  ['memreport', 'a', 'b'],
  ['logfile'],
  ['nonsense'],
  ['CHECK'],
  [''],
];

/** Domains whose clients are guests in conversations with guests; the third is dom0's to introduce and release. */
const GUESTS = [1, 2] as const;
const ABOUT_DOMAINS: ReadonlySet<number> = new Set([XS.XS_INTRODUCE, XS.XS_RELEASE, XS.XS_RESUME, XS.XS_SET_TARGET]);
/** Limits by CONTROL's names: the default, and one that scripts reach. */
const QUOTAS: Readonly<Record<string, readonly [number, number]>> = {
  nodes: [1000, 12],
  watches: [128, 3],
  transactions: [10, 2],
  'transaction-nodes': [1024, 6],
  'path-max': [2048, 20],
  'node-size': [2048, 120],
};

/** What a client is believed to hold: only to choose well, never to judge. */
interface Holding {
  readonly transactions: string[];
  readonly watches: [path: string, token: string][];
}

class Generator {
  readonly #random: Random;
  readonly #holdings = new Map<number, Holding>();
  readonly #steps: Step[] = [];
  readonly #connections: number;
  /** With guests, the last clients are guests. */
  readonly #withGuests: boolean;
  #labels = 0;
  #made = 0;

  constructor(seed: number, withGuests: boolean) {
    this.#random = new Random(seed);
    this.#withGuests = withGuests;
    this.#connections = this.#random.between(1, CONNECTIONS_MAX) + (withGuests ? GUESTS.length : 0);
  }

  /** Which domain a client is; undefined: a socket's. */
  #domainOf(conn: number): number | undefined {
    return this.#withGuests ? GUESTS[this.#connections - 1 - conn] : undefined;
  }

  quotas(): Record<string, number> {
    const choose = ([name, [usual, low]]: [string, readonly [number, number]]): [string, number] => [
      name,
      this.#random.chance(35) ? low : usual,
    ];
    return Object.fromEntries(Object.entries(QUOTAS).map(choose));
  }

  steps(requests: number): Step[] {
    for (let conn = 0; conn < this.#connections; conn++) this.#open(conn);
    while (this.#made < requests) this.#step();
    return this.#steps;
  }

  #open(conn: number): void {
    this.#holdings.set(conn, { transactions: [], watches: [] });
    const domid = this.#domainOf(conn);
    this.#steps.push(domid === undefined ? { do: 'open', conn } : { do: 'open', conn, domid });
  }

  #step(): void {
    const random = this.#random;
    const conn = random.below(this.#connections);
    const kind = random.weighted([
      [860, 'one'],
      [90, 'burst'],
      [25, 'cut'],
      [8, 'fill'],
      [6, 'close'],
      [3, 'oversized'],
    ] as const);
    if (kind === 'close') {
      this.#steps.push({ do: 'close', conn });
      this.#open(conn);
    } else if (kind === 'oversized') {
      const announce = random.pick([XENSTORE_PAYLOAD_MAX + 1, 5000, 0x8000_0000, 0xffff_ffff]);
      this.#push(conn, [{ type: random.pick([XS.XS_READ, XS.XS_WRITE, 99]), payload: '', announce }]);
      this.#open(conn);
    } else if (kind === 'fill') {
      this.#push(conn, this.#fill());
    } else if (kind === 'burst') {
      this.#push(
        conn,
        Array.from({ length: random.between(2, 8) }, () => this.#request(conn)),
      );
    } else {
      const request = this.#request(conn);
      if (kind === 'one') this.#push(conn, [request]);
      else this.#push(conn, [request], this.#cuts(request));
    }
  }

  #push(conn: number, requests: Request[], cuts?: number[]): void {
    this.#made += requests.length;
    this.#steps.push({ do: 'send', conn, requests, ...(cuts === undefined ? {} : { cuts }) });
  }

  /**
   * Anywhere but between header and payload: there the C daemon of 4.17 waits for the rest in a blocking read and serves
   * no other client meanwhile (xenstored-differential.test.ts proves that ours does not).
   */
  #cuts(request: Request): number[] {
    const size = HEADER_BYTES + request.payload.length;
    return Array.from({ length: this.#random.between(1, 4) }, () => this.#random.between(1, size - 1))
      .filter((at) => at !== HEADER_BYTES)
      .sort((a, b) => a - b);
  }

  /** More children than one reply can list. */
  #fill(): Request[] {
    const parent = this.#random.pick(['/t', '/t/a', 'r']);
    return Array.from({ length: this.#random.between(20, 80) }, (_, index) => ({
      type: XS.XS_MKDIR,
      payload: `${parent}/${FILLER}${index}\0`,
    }));
  }

  #request(conn: number): Request {
    const random = this.#random;
    const holding = this.#holdings.get(conn) as Holding;
    let made = this.#operation(holding);
    while (!isAsked(made, this.#domainOf(conn) !== undefined) || this.#endsGuest(conn, made))
      made = this.#operation(holding);
    const id = random.chance(50) ? {} : { id: random.pick([1, 7, 0xffff, 0x1234_5678]) };
    // START and END have seen to theirs.
    if (made.tx !== undefined || made.label !== undefined) return { ...made, ...id };
    const inside = holding.transactions.length > 0 && random.chance(55);
    if (inside) return { ...made, ...id, tx: random.pick(holding.transactions) };
    if (random.chance(2)) return { ...made, ...id, tx: this.#strangeTransaction() };
    return { ...made, ...id };
  }

  /** Would it take a guest's ring from under it? */
  #endsGuest(conn: number, { type, payload }: Request): boolean {
    if (!this.#withGuests || this.#domainOf(conn) !== undefined || !ABOUT_DOMAINS.has(type)) return false;
    return !payload.startsWith('3\0');
  }

  /** Another client's, one long gone, or none at all. */
  #strangeTransaction(): string | number {
    const random = this.#random;
    if (this.#labels > 0 && random.chance(60)) return `x${random.below(this.#labels)}`;
    return random.pick([77, 0xffff_ffff]);
  }

  #operation(holding: Holding): Request {
    const random = this.#random;
    const path = this.#path();
    return random.weighted<() => Request>([
      [190, () => this.#make(XS.XS_WRITE, [path], this.#value())],
      [110, () => this.#make(XS.XS_READ, [path])],
      [50, () => this.#make(XS.XS_MKDIR, [path])],
      [75, () => this.#make(XS.XS_RM, [path])],
      [70, () => this.#make(XS.XS_DIRECTORY, [path])],
      [40, () => this.#make(XS.XS_DIRECTORY_PART, [path, this.#offset()])],
      [40, () => this.#make(XS.XS_GET_PERMS, [this.#pathOrSpecial()])],
      [50, () => this.#make(XS.XS_SET_PERMS, [this.#pathOrSpecial(), ...this.#perms()])],
      [60, () => this.#watch(holding)],
      [30, () => this.#unwatch(holding)],
      [45, () => this.#start(holding)],
      [50, () => this.#finish(holding)],
      [6, () => this.#make(XS.XS_GET_DOMAIN_PATH, [random.pick(NUMBERS)])],
      [6, () => this.#make(XS.XS_IS_DOMAIN_INTRODUCED, [random.pick(NUMBERS)])],
      [8, () => this.#make(XS.XS_INTRODUCE, [random.pick(INTRODUCED), '1', random.pick(['5', '0', '7', ''])])],
      [7, () => this.#make(XS.XS_RELEASE, [this.#domid()])],
      [3, () => this.#make(XS.XS_RESUME, [this.#domid()])],
      [3, () => this.#make(XS.XS_SET_TARGET, [this.#domid(), this.#domid()])],
      [3, () => this.#reset(holding)],
      [6, () => this.#make(XS.XS_CONTROL, random.pick(CONTROLS))],
      [8, () => this.#make(random.pick(UNKNOWN_TYPES), [path])],
      [12, () => this.#garbage()],
    ])();
  }

  /** A request of NUL-terminated strings and what follows them, now and then damaged. */
  #make(type: number, strings: readonly string[], tail = ''): Request {
    const random = this.#random;
    let payload = `${strings.map((text) => `${text}\0`).join('')}${tail}`;
    if (random.chance(3)) {
      payload = random.weighted<string>([
        [3, payload.slice(0, -1)],
        [2, `${payload}\0`],
        [2, `${payload}extra`],
        [2, `${payload}extra\0`],
        [1, ''],
        [1, '\0'],
        [1, payload.slice(payload.indexOf('\0') + 1)],
      ]);
    }
    return { type, payload: payload.slice(0, XENSTORE_PAYLOAD_MAX) };
  }

  #garbage(): Request {
    const random = this.#random;
    const length = random.pick([0, 1, 3, 20, 300, XENSTORE_PAYLOAD_MAX]);
    const alphabet = random.pick(['\0', '\0/a', '/t@\0\xff\x80', '0\0-1 ']);
    let payload = '';
    for (let at = 0; at < length; at++) payload += alphabet.charAt(random.below(alphabet.length));
    return { type: random.below(23), payload };
  }

  #path(): string {
    const random = this.#random;
    if (random.chance(4)) return random.pick(BAD_PATHS);
    if (random.chance(1)) return random.pick(LONG_PATHS);
    if (random.chance(1)) return random.pick(SPECIAL);
    if (random.chance(3)) return random.pick(['/', '/tool', '/tool/xenstored', '/local', '/local/domain/0']);
    let path = random.chance(85) ? '/t' : 'r';
    for (let depth = random.below(DEEP); depth > 0; depth--) path += `/${random.pick(NAMES)}`;
    return path === 'r' && random.chance(30) ? '/local/domain/0/r' : path;
  }

  #pathOrSpecial(): string {
    return this.#random.chance(10) ? this.#random.pick(SPECIAL) : this.#path();
  }

  #value(): string {
    const random = this.#random;
    return random.weighted<string>([
      [60, random.pick(['', '0', 'value', 'x'])],
      [20, 'v'.repeat(random.below(100))],
      [8, 'null\0inside\0'],
      [4, '\xff\xfe\x00'],
      [3, 'w'.repeat(random.pick([2000, 2048, 3000, 4000, 4093, 4096]))],
    ]);
  }

  #offset(): string {
    const random = this.#random;
    return random.chance(60) ? '0' : random.pick(['1', '61', '62', '63', '500', '4000', '999999', '-1', 'x', '']);
  }

  #perms(): string[] {
    const random = this.#random;
    const list = random.chance(6) ? BAD_PERMS : GOOD_PERMS;
    // The owner that everybody may be: others are refused most of the time.
    const owner = random.chance(60) ? random.pick(['n0', 'r0', 'b0']) : random.pick(list);
    return random.chance(2) ? [] : [owner, ...Array.from({ length: random.below(5) }, () => random.pick(list))];
  }

  #domid(): string {
    return this.#random.chance(70) ? this.#random.pick(['1', '2', '3']) : this.#random.pick(NUMBERS);
  }

  #watch(holding: Holding): Request {
    const random = this.#random;
    const again = holding.watches.length > 0 && random.chance(10);
    const [path, token] = again
      ? random.pick(holding.watches)
      : ([random.chance(15) ? random.pick(SPECIAL) : this.#path(), random.pick(TOKENS)] as const);
    holding.watches.push([path, token]);
    return this.#make(XS.XS_WATCH, random.chance(3) ? [path, token, '1'] : [path, token]);
  }

  #unwatch(holding: Holding): Request {
    const random = this.#random;
    const known = holding.watches.length > 0 && random.chance(70);
    const [path, token] = known ? random.pick(holding.watches) : ([this.#path(), random.pick(TOKENS)] as const);
    return this.#make(XS.XS_UNWATCH, random.chance(3) ? [path, token, '1'] : [path, token]);
  }

  #start(holding: Holding): Request {
    const random = this.#random;
    const request = this.#make(XS.XS_TRANSACTION_START, ['']);
    if (holding.transactions.length > 0 && random.chance(10)) {
      return { ...request, tx: random.pick(holding.transactions) };
    }
    const label = `x${this.#labels++}`;
    holding.transactions.push(label);
    return { ...request, label };
  }

  #finish(holding: Holding): Request {
    const random = this.#random;
    const how = random.weighted([
      [75, 'T'],
      [20, 'F'],
      [1, 'X'],
      [1, ''],
      [1, 'TT'],
    ] as const);
    const request = this.#make(XS.XS_TRANSACTION_END, [how]);
    if (holding.transactions.length === 0 || random.chance(2)) {
      return random.chance(50) ? { ...request, tx: this.#strangeTransaction() } : request;
    }
    const at = random.below(holding.transactions.length);
    const [tx] = random.chance(95) ? holding.transactions.splice(at, 1) : [holding.transactions[at]];
    return { ...request, tx: tx as string };
  }

  #reset(holding: Holding): Request {
    const request = this.#make(XS.XS_RESET_WATCHES, ['']);
    // In a transaction or out of it, all are gone; the generator now and then uses them still.
    if (this.#random.chance(80)) holding.transactions.length = 0;
    return request;
  }
}

/** The script of a seed. */
export function generate(seed: number, requests = SCRIPT_REQUESTS): Script {
  return { seed, steps: new Generator(seed, false).steps(requests) };
}

/** As generate(), with two guests among the clients, limits that they meet, and a store that is theirs to change. */
export function generateWithGuests(seed: number, requests = SCRIPT_REQUESTS): Script {
  const generator = new Generator(seed, true);
  const quotas = generator.quotas();
  return { seed, guests: { quotas }, steps: generator.steps(requests) };
}
