// What a named hypercall is: its class of callers, the widths of its arguments, what runs; and how arguments from outside
// become values. Leaves the operations themselves to evtchn-ops.ts, domctl.ts and dm-ops.ts.
import type { DomId, EvtchnPort } from '../../lib/core/ids.js';
import type { Domain } from './domain/domain.js';
import type { Host } from './host.js';

/** Width of an argument, and what kind of id it is; `text` is a string, `ports` a list of ports. */
export type ArgKind = 'u8' | 'u16' | 'u32' | 's32' | 'u64' | 'bool' | 'text' | 'u32s' | 'domid' | 'port' | 'ports';

type ArgValue<K extends ArgKind> = K extends 'u64'
  ? bigint
  : K extends 'bool'
    ? boolean
    : K extends 'text'
      ? string
      : K extends 'u32s'
        ? number[]
        : K extends 'domid'
          ? DomId
          : K extends 'port'
            ? EvtchnPort
            : K extends 'ports'
              ? EvtchnPort[]
              : number;
export type ArgSpec = Readonly<Record<string, ArgKind>>;
export type ArgValues<S extends ArgSpec> = { readonly [N in keyof S]: ArgValue<S[N]> };

/** What an operation gives back besides its result; becomes the message or the JSON object. */
export type Out = Readonly<Record<string, unknown>>;

export interface Operation {
  /** `dom0`: EPERM for every other domain; `any`: the operation checks by itself. */
  readonly caller: 'any' | 'dom0';
  readonly args: ArgSpec;
  run(host: Host, caller: Domain, args: never): Out | number;
}

/** Writes an operation so that its arguments have their types. */
export function operation<const S extends ArgSpec>(spec: {
  caller: 'any' | 'dom0';
  args: S;
  run(host: Host, caller: Domain, args: ArgValues<S>): Out | number;
}): Operation {
  return spec;
}

/** The arguments as values; undefined when one does not fit its field. One that is left out is 0, false or ''. */
export function parseArgs(spec: ArgSpec, args: Readonly<Record<string, unknown>>): Record<string, unknown> | undefined {
  const values: Record<string, unknown> = {};
  for (const [name, kind] of Object.entries(spec)) {
    const value = parseArg(kind, args[name]);
    if (value === undefined) return undefined;
    values[name] = value;
  }
  return values;
}

const BITS = { u8: 8, u16: 16, u32: 32, domid: 16, port: 32 } as const;

/** undefined: the value does not fit the field. */
function parseArg(kind: ArgKind, value: unknown): unknown {
  switch (kind) {
    case 'bool':
      return value === true || (typeof value === 'number' && value !== 0);
    case 'text':
      return value === undefined ? '' : typeof value === 'string' ? value : undefined;
    case 'u64':
      return parseU64(value ?? 0);
    case 's32': {
      const number = value ?? 0;
      return Number.isInteger(number) && (number as number) === ((number as number) | 0) ? number : undefined;
    }
    case 'u32s':
    case 'ports': {
      const list = value ?? [];
      return Array.isArray(list) && list.every((each) => isUnsigned(each, 32)) ? list : undefined;
    }
    default:
      return isUnsigned(value ?? 0, BITS[kind]) ? (value ?? 0) : undefined;
  }
}

function isUnsigned(value: unknown, bits: number): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** bits;
}

/** A safe number, a bigint, or its digits as text (decimal or 0x-hex). */
function parseU64(value: unknown): bigint | undefined {
  if (typeof value === 'string' && !/^(0x[0-9a-fA-F]{1,16}|\d{1,20})$/.test(value)) return undefined;
  if (typeof value === 'number' && !Number.isSafeInteger(value)) return undefined;
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'bigint') return undefined;
  const number = BigInt(value);
  return number >= 0n && number < 1n << 64n ? number : undefined;
}
