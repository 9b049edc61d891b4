// What a device of dom0 is here: its paths, and a table of its ioctls, from which the documentation's tables are made too.
import type { FileHandle } from '../../../lib/core/proto-types.js';
import type { UserProcess } from './user.js';

/** One call of an ioctl. */
export interface IoctlCall {
  /** The argument's bytes; what is changed in them is copied back when the result is no error. */
  readonly argument: Uint8Array;
  /** Where they stand in the program. */
  readonly address: bigint;
  readonly user: UserProcess;
}

export interface Ioctl<File> {
  readonly name: string;
  readonly command: number;
  /** 0 or more, or minus an error number; an ErrnoError that it throws is the same. */
  run(file: File, call: IoctlCall): number | Promise<number>;
}

export interface NewMapping {
  readonly address: bigint;
  /** Bytes, whole pages. */
  readonly length: number;
  readonly writable: boolean;
  readonly offset: bigint;
}

/** An open file. */
export interface DeviceFile {
  /** Whether a command is one of its ioctls; another one gets `unknown`, an error number. */
  knows(command: number): boolean;
  readonly unknown: number;
  ioctl(command: number, call: IoctlCall): number | Promise<number>;
  /** A mapping was made; answers 0 or minus an error number. */
  mmap(user: UserProcess, mapping: NewMapping): number | Promise<number>;
  /** The file of the lab that stands for this one in a process without the library. */
  exported?(user: UserProcess): FileHandle | undefined;
  /** What the program wrote. */
  written(bytes: Uint8Array): void;
  /** The last descriptor of the file was closed. */
  close(): void;
}

/** The ioctls of a device, by their commands. */
export class IoctlTable<File> {
  readonly entries: readonly Ioctl<File>[];
  readonly #byCommand: ReadonlyMap<number, Ioctl<File>>;
  /** The error number of a command that is not in it. */
  readonly unknown: number;

  constructor(unknown: number, entries: readonly Ioctl<File>[]) {
    this.unknown = unknown;
    this.entries = entries;
    this.#byCommand = new Map(entries.map((entry) => [entry.command, entry]));
  }

  knows(command: number): boolean {
    return this.#byCommand.has(command);
  }

  run(file: File, command: number, call: IoctlCall): number | Promise<number> {
    return this.#byCommand.get(command)?.run(file, call) ?? -this.unknown;
  }
}
