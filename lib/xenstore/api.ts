// The store as clients in this project use it, whatever the transport. Paths and values are byte strings (latin1).
// client.ts implements it over any message channel. Errors: ErrnoError with the wire's names; PeerDiedError.

export interface StoreOps {
  read(path: string): Promise<string>;
  write(path: string, value: string): Promise<void>;
  mkdir(path: string): Promise<void>;
  rm(path: string): Promise<void>;
  /** In creation order, as xenstored has it. */
  directory(path: string): Promise<string[]>;
  /** Entries such as "n0", "r5". */
  getPerms(path: string): Promise<string[]>;
  setPerms(path: string, perms: readonly string[]): Promise<void>;
}

export interface StoreClient extends StoreOps {
  /** One attempt: commits when body resolves (EAGAIN rejects), aborts when it rejects. */
  transactionOnce<T>(body: (tx: StoreOps) => Promise<T>): Promise<T>;
  /** Repeats the whole body on EAGAIN, without limit, as Linux and libxl do. */
  transaction<T>(body: (tx: StoreOps) => Promise<T>): Promise<T>;
  /**
   * `onEvent` runs for every event from the server's reply on, in the server's order. The first is there at once, and may
   * be told before the code that awaits this goes on.
   */
  watch(path: string, token: string, onEvent: (path: string) => void): Promise<void>;
  unwatch(path: string, token: string): Promise<void>;
  resetWatches(): Promise<void>;
  introduce(domid: number, gfn: number, port: number): Promise<void>;
  release(domid: number): Promise<void>;
  isDomainIntroduced(domid: number): Promise<boolean>;
  getDomainPath(domid: number): Promise<string>;
  resume(domid: number): Promise<void>;
  setTarget(domid: number, target: number): Promise<void>;
  control(...args: string[]): Promise<string>;
}
