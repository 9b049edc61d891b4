// proto/ loaded once: encoders and decoders of messages, and the request and reply types of each service method. Nothing
// else imports protobufjs. 64-bit integers are JavaScript numbers: one that is not exact is refused when decoded.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import protobuf from 'protobufjs';
import { ProtocolError } from '../../core/errors.js';
import { PACKAGE_ROOT } from '../process/package-root.js';

// Without Long the library gives numbers; values past 2^53 are not used on the bus (they travel as bytes or text).
protobuf.util.Long = null as unknown as typeof protobuf.util.Long;
protobuf.configure();

const root = new protobuf.Root();
const protoDir = join(PACKAGE_ROOT, 'proto');
for (const file of readdirSync(protoDir).sort()) {
  if (file.endsWith('.proto')) protobuf.parse(readFileSync(join(protoDir, file), 'utf8'), root, { keepCase: true });
}

export interface Codec {
  encode(message: object): Uint8Array;
  /** Throws ProtocolError on bytes that are no such message. */
  decode(bytes: Uint8Array): object;
  /** From JSON as a user writes it; throws ProtocolError naming the field that is wrong. */
  fromJson(json: object): object;
  toJson(message: object): Record<string, unknown>;
}

function codecOf(type: protobuf.Type): Codec {
  return {
    encode: (message) => type.encode(message).finish(),
    decode(bytes) {
      try {
        return type.decode(bytes);
      } catch (error) {
        throw new ProtocolError('bad-message', `bytes are no ${type.name}: ${(error as Error).message}`);
      }
    },
    fromJson(json) {
      const problem = type.verify(json as Record<string, unknown>);
      if (problem !== null) throw new ProtocolError('bad-message', `${type.name}.${problem}`);
      return type.fromObject(json as Record<string, unknown>);
    },
    toJson: (message) => type.toObject(message as protobuf.Message, { longs: Number, defaults: true, arrays: true }),
  };
}

export function messageCodec(name: string): Codec {
  return codecOf(root.lookupType(`xenwire.${name}`));
}

export interface MethodCodec {
  readonly request: Codec;
  readonly reply: Codec;
}

const methods = new Map<string, MethodCodec | undefined>();

/** Codecs of `Service.method`; undefined when there is no such method. */
export function methodCodec(name: string): MethodCodec | undefined {
  if (methods.has(name)) return methods.get(name);
  const [service = '', method = ''] = name.split('.');
  const found = (root.lookup(`xenwire.${service}`, [protobuf.Service]) as protobuf.Service | null)?.methods[method];
  const codec = found && {
    request: messageCodec(found.requestType),
    reply: messageCodec(found.responseType),
  };
  // Names come from peers: only those that exist are remembered.
  if (codec !== undefined) methods.set(name, codec);
  return codec;
}

/** Method names of a service, in the order of its file. */
export function serviceMethods(service: string): string[] {
  return root.lookupService(`xenwire.${service}`).methodsArray.map((method) => method.name);
}
