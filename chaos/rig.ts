// The lab that cases run in: the four services and one guest as children, dom0's session, the histories. It starts, replaces and
// ends them, and tells of ends that no fault asked for. The services survive from case to case; proveNew() says whether they are
// as they were when the rig was warmed up. Leaves what a case does to engine.ts.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { auditLeaks, without } from '../lab/audit.js';
import { type Exit, howItEnded, LabProcess, type Program } from '../lab/child.js';
import { type Claim, claimRunDir } from '../lab/claim.js';
import { countDescriptors, type DescriptorCounts, descriptorLeaks } from '../lab/descriptors.js';
import { type SocketDisplay, socketDisplay } from '../lab/frames.js';
import { openSession, type Session } from '../lab/session.js';
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import type { Dom0Mode } from '../lib/core/dom0-modes.js';
import { DeadlineError, ErrnoError, PeerDiedError } from '../lib/core/errors.js';
import type { Picture } from '../lib/core/picture.js';
import type { BusClient } from '../lib/core/service.js';
import { readPng, writePng } from '../lib/node/files/png.js';
import { PACKAGE_ROOT } from '../lib/node/process/package-root.js';
import { listProcesses, runPaths } from '../lib/node/process/run-dir.js';
import { retryOnChange, withDeadline } from '../lib/node/process/wait.js';
import type { BackendName, FrontendName } from '../lib/xenbus/protocols.js';
import { forFrontend, type GuestConfig, parseGuestConfig } from '../toolstack/guest-config.js';
import type { Toolstack } from '../toolstack/toolstack.js';
import { CHAOS_GUEST, GUEST_PROCESS, type Victim } from './case.js';
import { Companions } from './companions.js';
import { Histories } from './histories.js';
import { type Story, type StoryName, storyNamed } from './stories.js';

export const SERVICES = ['hypervisor', 'xenstored', 'vhost-gpu', 'vhost-frontend'] as const;
type Service = (typeof SERVICES)[number];

/** A small picture is drawn and compared soon; frames carry their numbers from 32 pixels of width on. */
const PICTURE = { width: 128, height: 96 } as const;
/** Every guest of every case has the same, so that labels which hold it are the same in every run. */
const GUEST_UUID = '00000000-0000-4000-8000-000000000000';
const EXAMPLES = join(PACKAGE_ROOT, 'examples');

/** Which protocol the guest's driver speaks, its xenbus core, what dom0 has; left out: what processes do by default. */
export interface Personality {
  readonly frontend?: FrontendName;
  readonly backend?: BackendName;
  readonly core?: string;
  readonly dom0?: Dom0Mode;
  /** What is told of the guest beside its plain life; left out: nothing. */
  readonly story?: StoryName;
  /** Guests that stay beside the one of the case. */
  readonly companions?: number;
  /** What a shell runs in vhost-frontend's place (docs/dom0-programs.md); left out: our own. */
  readonly backendCommand?: string;
}

/** Where a guest's screen is seen. */
export interface Display {
  readonly client: BusClient;
  /** Name of its device there. */
  readonly device: string;
  close(): Promise<void>;
}

/** What the services hold in a lab at rest. */
interface Held {
  readonly audit: readonly string[];
  readonly descriptors: DescriptorCounts;
}

export class Rig {
  readonly runDir: string;
  readonly histories: Histories;
  readonly config: GuestConfig;
  /** What the guest shows. */
  readonly picture: Picture;
  /** One sentence for each end that no fault asked for, since it was last emptied. */
  readonly unexpected: string[] = [];
  readonly companions: Companions;
  caseCount = 0;
  readonly #speaks: Personality;
  readonly #claim: Claim;
  readonly #image: string;
  readonly #processes = new Map<string, LabProcess>();
  /** Processes that stand at their start when they are started the next time, and what is told of that. */
  readonly #holdNext = new Map<string, (pid: number) => void>();
  #session: Session | undefined;
  #clients = new Map<string, BusClient>();
  #abort = new AbortController();
  #domid = 0;
  /** Whether the next guest of the case gets the domid of the one before it. */
  reusesDomid = false;
  #warm: Held | undefined;

  private constructor(claim: Claim, speaks: Personality) {
    this.#claim = claim;
    this.#speaks = speaks;
    this.runDir = claim.runDir;
    this.histories = new Histories(claim.runDir);
    const path = join(EXAMPLES, 'gpu-guest.cfg');
    const config = parseGuestConfig(readFileSync(path, 'utf8'), path, () => {});
    this.config = { ...forFrontend(config, speaks.frontend ?? 'review'), name: CHAOS_GUEST };
    this.picture = corner(readPng(join(EXAMPLES, 'test-card.png')));
    this.#image = join(claim.runDir, 'frames', 'given.png');
    const common = ['--run-dir', claim.runDir, '--log-level', 'warn'];
    this.companions = new Companions(this, speaks.companions ?? 0, (name) => [...common, ...this.#guestArgs(name)]);
  }

  /** Claims the run directory and starts the services; the caller closes the rig. Throws UserError as claimRunDir does. */
  static async start(runDir: string, speaks: Personality = {}): Promise<Rig> {
    const rig = new Rig(await claimRunDir(runDir), speaks);
    try {
      await writePng(rig.#image, rig.picture);
      await rig.startServices();
    } catch (error) {
      await rig.close();
      throw error;
    }
    return rig;
  }

  /** Starts all services, of a new host, and dom0's session with it. */
  async startServices(): Promise<void> {
    this.#abort.abort(new PeerDiedError('hypervisor'));
    await this.#session?.close();
    this.#session = undefined;
    this.#clients = new Map();
    // One that another fault has replaced meanwhile waits for this host already.
    for (const name of SERVICES) if (!this.isAlive(name)) this.start(name);
    await Promise.all(SERVICES.map((name) => this.ready(name)));
    this.#abort = new AbortController();
    this.#session = await openSession({ runDir: this.runDir, signal: this.#abort.signal });
    await this.companions.start();
  }

  get session(): Session {
    if (this.#session === undefined)
      throw new DeadlineError('the campaign asked something of dom0 while no host was up: it is being replaced');
    return this.#session;
  }

  /** dom0's toolstack, whose guests have the domids 1, 2, … of a case, or all the same one, and one uuid. */
  get toolstack(): Toolstack {
    const { beforeRun } = this.story;
    const plain = this.#toolstack(() => (this.reusesDomid && this.#domid > 0 ? this.#domid : ++this.#domid));
    if (beforeRun === undefined) return plain;
    const { hypervisor } = plain;
    return {
      ...plain,
      hypervisor: {
        ...hypervisor,
        domctl_unpause: async (request) => {
          await beforeRun(plain, request.domid ?? 0);
          return hypervisor.domctl_unpause(request);
        },
      },
    };
  }

  /** The same, whose next guest has that domid. */
  toolstackFor(domid: number): Toolstack {
    return this.#toolstack(() => domid);
  }

  get story(): Story {
    return storyNamed(this.#speaks.story ?? 'life');
  }

  #toolstack(nextDomid: () => number): Toolstack {
    const { hypervisor, store, clock, probe, tokens, ended } = this.session;
    return {
      hypervisor: {
        ...hypervisor,
        domctl_create: (request) => hypervisor.domctl_create({ ...request, domid: nextDomid() }),
      },
      ...{ store, clock, probe, tokens, newUuid: () => GUEST_UUID },
      ...(ended === undefined ? {} : { ended }),
    };
  }

  /** A connection of the rig's own to a server as it runs now; closed with its life. */
  async client(server: Service): Promise<BusClient> {
    const key = `${server} ${this.process(server)?.pid}`;
    const known = this.#clients.get(key);
    if (known !== undefined) return known;
    const connecting = this.session.connect(server);
    const client = await withDeadline(connecting, DEADLINE_MS.chaosStart, `a connection to ${server}`);
    this.#clients.set(key, client);
    // Its socket would connect to the next process of that name, and count there.
    client.onLost(() => void client.close());
    return client;
  }

  process(name: string): LabProcess | undefined {
    return this.#processes.get(name);
  }

  isAlive(name: string): boolean {
    const found = this.#processes.get(name);
    return found !== undefined && found.exit === undefined;
  }

  /** Starts a process that is not running; `hold`: it stands at its start until a controller of gates lets it go. */
  start(name: Victim, options: { hold?: boolean } = {}): void {
    const { frontend, backend, dom0, backendCommand } = this.#speaks;
    const toldOf = this.#holdNext.get(name);
    this.#holdNext.delete(name);
    const hold = options.hold === true || toldOf !== undefined;
    const common = ['--run-dir', this.runDir, '--log-level', 'warn', ...(hold ? ['--hold'] : [])];
    if (name === 'vhost-frontend' && backendCommand !== undefined) {
      this.#run(name, new LabProcess('backend', name, [...common, '--command', backendCommand]));
      return;
    }
    const program: Program = name === GUEST_PROCESS ? 'guest' : (name as Service);
    const own: string[] = [];
    if (frontend !== undefined && program === 'vhost-frontend') own.push('--frontend', frontend);
    if (backend !== undefined && program === 'vhost-frontend') own.push('--backend', backend);
    if (dom0 !== undefined && program === 'hypervisor') own.push('--dom0', dom0);
    if (program === 'guest') own.push(...this.#guestArgs(CHAOS_GUEST));
    const started = new LabProcess(program, name, [...common, ...own]);
    this.#run(name, started);
    toldOf?.(started.pid);
  }

  #guestArgs(name: string): string[] {
    const { frontend, core } = this.#speaks;
    const args = ['--name', name, '--image', this.#image];
    if (frontend !== undefined) args.push('--frontend', frontend);
    if (core !== undefined) args.push('--core', core);
    return args;
  }

  #run(name: Victim, started: LabProcess): void {
    this.#processes.set(name, started);
    void started.exited.then((exit) => this.#ended(started, exit));
  }

  /** The next process of that name is started as with `hold`. Resolves with its pid then, which may be never. */
  holdNext(name: string): Promise<number> {
    return new Promise((resolve) => this.#holdNext.set(name, resolve));
  }

  #ended(process_: LabProcess, exit: Exit): void {
    // A guest ends with its domain, and every other process only when it is asked to.
    const inOrder = process_.label === GUEST_PROCESS && exit.code === 0;
    if (!process_.stopping && !inOrder) this.unexpected.push(`${process_.label} ${howItEnded(exit)}`);
  }

  /** Resolves once the process as it was last started has said that it works. Rejects with DeadlineError. */
  async ready(name: Victim): Promise<void> {
    // Another fault may replace it meanwhile.
    const look = (): true | undefined => {
      const pid = this.process(name)?.pid;
      return listProcesses(this.runDir).some((entry) => entry.pid === pid && entry.state !== 'starting') || undefined;
    };
    const signal = AbortSignal.timeout(DEADLINE_MS.chaosStart);
    if ((await retryOnChange(runPaths.proc(this.runDir, name), look, signal)) === undefined) {
      throw new DeadlineError(`${name} was not ready within ${DEADLINE_MS.chaosStart} ms`);
    }
  }

  /**
   * The process that a signal is for: of a backend of others the program itself, undefined when that has ended; but its end in order
   * is asked of the process that runs it.
   */
  signalled(process_: LabProcess, signal: NodeJS.Signals): number | undefined {
    const isForeign = process_.label === 'vhost-frontend' && this.#speaks.backendCommand !== undefined;
    if (!isForeign || signal === 'SIGTERM') return process_.pid;
    const path = runPaths.backendPid(this.runDir);
    const pid = existsSync(path) ? Number(readFileSync(path, 'utf8')) : 0;
    return pid > 1 ? pid : undefined;
  }

  /** Where the screen of a guest is seen now; the caller closes it. Rejects with PeerDiedError while no server shows it. */
  async display(domid: number): Promise<Display> {
    if (this.#speaks.backendCommand === undefined)
      return { client: await this.client('vhost-gpu'), device: `${domid}/0`, close: async () => {} };
    const shown = async (): Promise<SocketDisplay | undefined> => {
      try {
        return await socketDisplay(this.session);
      } catch (error) {
        if (error instanceof ErrnoError && error.code === 'ENODEV') return undefined;
        throw error;
      }
    };
    // The server of a connection starts with it.
    const signal = AbortSignal.timeout(DEADLINE_MS.chaosDisplay);
    const looking = retryOnChange(runPaths.proc(this.runDir, 'gpu'), shown, signal);
    const found = await withDeadline(looking, 2 * DEADLINE_MS.chaosDisplay, 'the GPU server of the backend');
    if (found === undefined) throw new PeerDiedError('the GPU server of the backend');
    const { server, device } = found;
    // Its history goes when the next front-end takes its place: open it while it is there.
    this.histories.records();
    return { client: server, device, close: () => server.close() };
  }

  /** Whether the server of a guest's screen is another one with each connection of the backend. */
  get displayMoves(): boolean {
    return this.#speaks.backendCommand !== undefined;
  }

  /** A case begins: domids count anew, what was recorded before is of others, and there is no guest's process. */
  begin(): void {
    this.caseCount++;
    this.#domid = 0;
    this.reusesDomid = false;
    this.#holdNext.clear();
    this.unexpected.length = 0;
    this.histories.begin(this.livingIncarnations());
  }

  livingIncarnations(): Set<number> {
    const living = listProcesses(this.runDir).filter(({ state }) => state !== 'dead');
    return new Set(living.map(({ incarnation }) => incarnation));
  }

  async #held(): Promise<Held> {
    // A backend of others answers no such question: what it holds, the hypervisor and xenstored tell.
    const isForeign = this.#speaks.backendCommand !== undefined;
    const asked = SERVICES.filter((name) => !(isForeign && name === 'vhost-frontend'));
    const audits = await Promise.all(asked.map(async (name) => auditLeaks(name, await this.client(name))));
    const files = ['shm', 'guests'].flatMap((folder) =>
      readdirSync(join(this.runDir, folder)).map((name) => `the run directory: file ${folder}/${name}`),
    );
    return { audit: [...audits.flat(), ...files], descriptors: byName(countDescriptors(this.runDir)) };
  }

  /** Remembers what the services hold now, at rest after a first guest has come and gone. */
  async warmedUp(): Promise<void> {
    this.#warm = await this.#held();
  }

  /** What the services hold more than when the rig was warm, one text each; [] for a lab that is as new. */
  async heldTooMuch(): Promise<string[]> {
    const warm = this.#warm;
    if (warm === undefined) return [];
    const now = await this.#held();
    const more = [...without(now.audit, warm.audit, kindOf), ...descriptorLeaks(warm.descriptors, now.descriptors)];
    return more.map((text) => `more than before any guest was there: ${text}`);
  }

  /** Ends everything by force and gives the run directory back. */
  async close(options: { keep?: boolean } = {}): Promise<void> {
    this.#abort.abort(new PeerDiedError('the lab'));
    for (const each of this.#processes.values()) each.kill();
    await this.companions.close();
    await Promise.all([...this.#processes.values()].map((each) => each.exited));
    await this.#session?.close();
    this.histories.close();
    this.#claim.release({ keep: options.keep ?? false });
  }
}

/** Ports, servers and files are numbered anew with every process that holds some: how many there are of a kind counts. */
const kindOf = (text: string): string => text.replace(/[0-9]+/g, 'N');

/** Of several processes of one name the last; their pids differ from case to case. */
function byName(counts: DescriptorCounts): DescriptorCounts {
  return new Map([...counts].map(([key, kinds]) => [key.replace(/ \(.*/, ''), kinds]));
}

function corner({ width, rgba }: Picture): Picture {
  const rows = Array.from({ length: PICTURE.height }, (_, row) =>
    rgba.subarray(row * width * 4, (row * width + PICTURE.width) * 4),
  );
  const cut = new Uint8Array(PICTURE.width * PICTURE.height * 4);
  for (const [row, pixels] of rows.entries()) cut.set(pixels, row * PICTURE.width * 4);
  return { ...PICTURE, rgba: cut };
}
