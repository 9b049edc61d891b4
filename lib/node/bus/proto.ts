// Encoders and decoders of the messages of proto/, and those of each service method. Nothing else loads protobufjs.
// 64-bit integers are JavaScript numbers: one that is not exact is refused when decoded.
import { ProtocolError } from '../../core/errors.js';
import { MESSAGES, METHODS } from './proto-codecs.js';

export interface Codec {
  encode(message: object): Uint8Array;
  /** Throws ProtocolError on bytes that are no such message. */
  decode(bytes: Uint8Array): object;
}

interface Generated {
  encode(message: object): { finish(): Uint8Array };
  decode(bytes: Uint8Array): object;
}

const messages = MESSAGES as unknown as Readonly<Record<string, Generated>>;
const services = METHODS as unknown as Readonly<
  Record<string, Readonly<Record<string, readonly [request: string, reply: string]>>>
>;

/** The codec of a message of proto/. */
export function messageCodec(name: string): Codec {
  const generated = messages[name]!;
  return {
    encode: (message) => generated.encode(message).finish(),
    decode(bytes) {
      try {
        return generated.decode(bytes);
      } catch (error) {
        throw new ProtocolError('bad-message', `bytes are no ${name}: ${(error as Error).message}`);
      }
    },
  };
}

export interface MethodCodec {
  readonly request: Codec;
  readonly reply: Codec;
}

const methods = new Map<string, MethodCodec>();

/** Codecs of `Service.method`; undefined when there is no such method: names come from peers. */
export function methodCodec(name: string): MethodCodec | undefined {
  const known = methods.get(name);
  if (known !== undefined) return known;
  const [service = '', method = ''] = name.split('.');
  if (!Object.hasOwn(services, service) || !Object.hasOwn(services[service]!, method)) return undefined;
  const [request, reply] = services[service]![method]!;
  const codec = { request: messageCodec(request), reply: messageCodec(reply) };
  methods.set(name, codec);
  return codec;
}

/** Method names of a service, in the order of its file. */
export function serviceMethods(service: string): string[] {
  return Object.keys(services[service]!);
}
