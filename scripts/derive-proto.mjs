// Derives two files from proto/: lib/core/proto-types.ts, the TypeScript shapes of all messages and methods, and
// lib/node/bus/proto-codecs.ts, their encoders and decoders as protobufjs generates them. protobufjs would parse proto/ and
// generate the same functions in each process anew: 45 ms of the start of each service (docs/start.md).
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

export const PROTO_TYPES = 'lib/core/proto-types.ts';
export const PROTO_CODECS = 'lib/node/bus/proto-codecs.ts';

/** Writes both files where they differ from what `protos` (paths of .proto files) give. */
export async function deriveProto(protos) {
  const { default: protobuf } = await import('protobufjs');
  // Without Long the library gives numbers; values past 2^53 are not used on the bus (they travel as bytes or text).
  protobuf.util.Long = null;
  protobuf.configure();
  const root = new protobuf.Root();
  for (const file of [...protos].sort()) protobuf.parse(readFileSync(file, 'utf8'), root, { keepCase: true });
  root.resolveAll();
  const all = (space) => (space.nestedArray ?? []).flatMap((item) => [item, ...all(item)]);
  const items = all(root);
  const messages = items.filter((item) => item instanceof protobuf.Type);
  const services = items.filter((item) => item instanceof protobuf.Service);
  writeIfOther(PROTO_TYPES, typesText(protobuf, messages, services));
  writeIfOther(PROTO_CODECS, codecsText(protobuf, messages, services));
}

function writeIfOther(path, text) {
  mkdirSync(dirname(path), { recursive: true });
  if (!existsSync(path) || readFileSync(path, 'utf8') !== text) writeFileSync(path, text);
}

const HEAD = 'Derived from proto/ by scripts/derive-proto.mjs; not edited by hand.';

function typesText(protobuf, messages, services) {
  const scalar = { string: 'string', bytes: 'Uint8Array', bool: 'boolean' };
  const shapeOf = (field) => {
    const { resolvedType } = field;
    if (resolvedType instanceof protobuf.Enum) return 'number';
    return resolvedType?.name ?? scalar[field.type] ?? 'number';
  };
  const shapes = messages.map(({ name, fieldsArray }) => {
    const fields = fieldsArray.map((field) => `  ${field.name}: ${shapeOf(field)}${field.repeated ? '[]' : ''};`);
    return fields.length > 0
      ? `export interface ${name} {\n${fields.join('\n')}\n}`
      : `export type ${name} = Record<never, never>;`;
  });
  const methods = services.map(({ name, methodsArray }) => {
    const lines = methodsArray.map(
      (each) => `    ${each.name}: { req: ${each.requestType}; res: ${each.responseType} };`,
    );
    return `  ${name}: {\n${lines.join('\n')}\n  };`;
  });
  return `// ${HEAD} 64-bit integers are numbers below 2^53.\n${shapes.join('\n')}\n\nexport interface Services {\n${methods.join('\n')}\n}\n`;
}

/** What a field reads as that the message lacks: on the prototype, as in the library's own message classes. */
function defaultOf(protobuf, type, field) {
  const value = type.ctor.prototype[field.name];
  if (value === protobuf.util.emptyArray) return 'util.emptyArray';
  if (value === null || ['number', 'string', 'boolean'].includes(typeof value)) return JSON.stringify(value);
  throw new Error(`${type.name}.${field.name}: no way to write its default ${value}`);
}

function codecsText(protobuf, messages, services) {
  const codecs = messages.map((type) => {
    const defaults = type.fieldsArray.map((field) => `${field.name}: ${defaultOf(protobuf, type, field)}`);
    // An enumeration is a number on the wire: the functions do not look at its type.
    const types = type.fieldsArray.map(({ resolvedType }) =>
      resolvedType instanceof protobuf.Type ? `MESSAGES.${resolvedType.name}` : 'undefined',
    );
    return `{
const types = [${types.join(', ')}];
const C = classOf({ ${defaults.join(', ')} });
Object.assign(MESSAGES.${type.name}, {
encode: ${protobuf.encoder(type)},
decode: ${protobuf.decoder(type)},
});
}`;
  });
  const methods = services.map(({ name, methodsArray }) => {
    const lines = methodsArray.map((each) => `    ${each.name}: ['${each.requestType}', '${each.responseType}'],`);
    return `  ${name}: {\n${lines.join('\n')}\n  },`;
  });
  return `// ${HEAD} Encoders and decoders of all messages, and the types of
// all methods. lib/node/bus/proto.ts gives them to others.
// @ts-nocheck: protobufjs generates JavaScript
import protobuf from 'protobufjs/minimal.js';

protobuf.util.Long = null;
protobuf.configure();
const { Reader, Writer, util } = protobuf;

// The library rounds what no number holds; a peer's 2^64 - 1 would be another value than the one it sent.
const readUint64 = Reader.prototype.uint64;
Reader.prototype.uint64 = function uint64() {
  const value = readUint64.call(this);
  if (value > Number.MAX_SAFE_INTEGER) throw new RangeError('a 64-bit integer past 2^53');
  return value;
};

function classOf(defaults) {
  function Message() {}
  Object.assign(Message.prototype, defaults);
  return Message;
}

export const MESSAGES = {
${messages.map(({ name }) => `  ${name}: {},`).join('\n')}
};

${codecs.join('\n')}

export const METHODS = {
${methods.join('\n')}
};
`;
}
