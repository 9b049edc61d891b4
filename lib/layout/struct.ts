// Byte layouts, declared once: a table of field names and kinds, from which offsets, size, decode and encode are derived.
// All integers are little-endian, as on x86-64, arm64 and in virtio 1. Spec files beside this one hold the tables;
// no other file writes an offset. Padding is a field of the table and is written as zero.

/** How a field lies in memory: its size and alignment in bytes, and how to read and write it. */
export interface Kind<T> {
  readonly size: number;
  readonly align: number;
  get(view: DataView, at: number): T;
  set(view: DataView, at: number, value: T): void;
}

export const u8: Kind<number> = {
  size: 1,
  align: 1,
  get: (view, at) => view.getUint8(at),
  set: (view, at, value) => view.setUint8(at, value),
};
export const u16: Kind<number> = {
  size: 2,
  align: 2,
  get: (view, at) => view.getUint16(at, true),
  set: (view, at, value) => view.setUint16(at, value, true),
};
export const u32: Kind<number> = {
  size: 4,
  align: 4,
  get: (view, at) => view.getUint32(at, true),
  set: (view, at, value) => view.setUint32(at, value, true),
};
export const u64: Kind<bigint> = {
  size: 8,
  align: 8,
  get: (view, at) => view.getBigUint64(at, true),
  set: (view, at, value) => view.setBigUint64(at, value, true),
};

/** `count` bytes as they are; decoding gives a view, not a copy. */
export function bytes(count: number): Kind<Uint8Array> {
  return {
    size: count,
    align: 1,
    get: (view, at) => new Uint8Array(view.buffer, view.byteOffset + at, count),
    set: (view, at, value) => {
      if (value.length > count) throw new RangeError(`${value.length} bytes in a field of ${count}`);
      const target = new Uint8Array(view.buffer, view.byteOffset + at, count);
      target.fill(0);
      target.set(value);
    },
  };
}

/** Reserved bytes: zero when written, ignored when read. */
export function pad(count: number): Kind<undefined> {
  return {
    size: count,
    align: 1,
    get: () => undefined,
    set: (view, at) => new Uint8Array(view.buffer, view.byteOffset + at, count).fill(0),
  };
}

/** `count` elements of one kind in a row. */
export function array<T>(kind: Kind<T>, count: number): Kind<T[]> {
  return {
    size: kind.size * count,
    align: kind.align,
    get: (view, at) => Array.from({ length: count }, (_, index) => kind.get(view, at + index * kind.size)),
    set: (view, at, value) => {
      for (let index = 0; index < count; index++) kind.set(view, at + index * kind.size, value[index] as T);
    },
  };
}

// biome-ignore lint/suspicious/noExplicitAny: a table of fields of any kinds
type Fields = Record<string, Kind<any>>;
type PadNames<F extends Fields> = { [K in keyof F]: F[K] extends Kind<undefined> ? K : never }[keyof F];
type ValueOf<K> = K extends Kind<infer T> ? T : never;
/** The decoded form of a struct: its fields without the padding. */
export type StructValue<F extends Fields> = { [K in Exclude<keyof F, PadNames<F>>]: ValueOf<F[K]> };

export interface Struct<F extends Fields> extends Kind<StructValue<F>> {
  readonly name: string;
  readonly offset: { readonly [K in keyof F]: number };
  /** Reads the struct at `at`; throws RangeError when it does not lie inside `source`. */
  decode(source: Uint8Array, at?: number): StructValue<F>;
  /** Writes the struct at `at` of `target`, padding zeroed. */
  encode(value: StructValue<F>, target: Uint8Array, at?: number): void;
  /** The struct in fresh bytes. */
  bytes(value: StructValue<F>): Uint8Array;
}

/**
 * Declares a layout. `size` is the specification's number: a difference is our mistake and throws at load, as does a
 * field that is not naturally aligned (implicit padding must be spelled out); `packed` allows the latter.
 */
export function struct<const F extends Fields>(
  name: string,
  fields: F,
  spec: { size: number; packed?: boolean },
): Struct<F> {
  const entries = Object.entries(fields);
  const offset: Record<string, number> = {};
  let at = 0;
  let align = 1;
  for (const [field, kind] of entries) {
    if (!spec.packed && at % kind.align !== 0) throw new Error(`${name}.${field} at ${at} is not aligned`);
    offset[field] = at;
    at += kind.size;
    align = Math.max(align, kind.align);
  }
  if (at !== spec.size) throw new Error(`${name} has ${at} bytes, the specification says ${spec.size}`);
  const get = (view: DataView, base: number): StructValue<F> => {
    const value: Record<string, unknown> = {};
    for (const [field, kind] of entries) {
      const read = kind.get(view, base + offset[field]!);
      if (read !== undefined) value[field] = read;
    }
    return value as StructValue<F>;
  };
  const set = (view: DataView, base: number, value: StructValue<F>): void => {
    for (const [field, kind] of entries)
      kind.set(view, base + offset[field]!, (value as Record<string, unknown>)[field]);
  };
  const viewOf = (source: Uint8Array): DataView => new DataView(source.buffer, source.byteOffset, source.byteLength);
  const check = (source: Uint8Array, base: number): void => {
    if (base < 0 || base + at > source.length)
      throw new RangeError(`${name} at ${base} passes the end, ${source.length}`);
  };
  return {
    name,
    size: at,
    align: spec.packed ? 1 : align,
    offset: offset as { readonly [K in keyof F]: number },
    get,
    set,
    decode: (source, base = 0) => {
      check(source, base);
      return get(viewOf(source), base);
    },
    encode: (value, target, base = 0) => {
      check(target, base);
      set(viewOf(target), base, value);
    },
    bytes: (value) => {
      const target = new Uint8Array(at);
      set(viewOf(target), 0, value);
      return target;
    },
  };
}
