// What the settings of a guest's configuration mean (xl.cfg(5)): name, memory, vcpus, on_crash and its like, virtio devices.
// Leaves the syntax to xl-config.ts and what is done with a guest to domain.ts.

import { DEVICE_SERVER_NAME_FORM, isDeviceServerName } from '../lib/core/device-server.js';
import { GUEST_MEMORY_MIB_MAX, GUEST_MEMORY_MIB_MIN } from '../lib/core/limits.js';
import { isNotificationPath, NOTIFICATION_PATHS, type NotificationPath } from '../lib/core/notification-path.js';
import type { FrontendName } from '../lib/xenbus/protocols.js';
import { configError, parseXlConfig, type XlSettings, type XlValue } from './xl-config.js';

/** What becomes of a guest that has shut down: xl's words. Its `soft-reset` is for a kexec, which no guest here does. */
export const END_ACTIONS = [
  'destroy',
  'restart',
  'rename-restart',
  'preserve',
  'coredump-destroy',
  'coredump-restart',
] as const;
export type EndAction = (typeof END_ACTIONS)[number];

/** What xl does without a setting (xl_parse.c). */
const END_DEFAULT = { on_poweroff: 'destroy', on_reboot: 'restart', on_crash: 'destroy' } as const;

export interface VirtioConfig {
  /** `virtio,device` with the virtio device number in lower-case hexadecimal: 10 is the GPU. */
  readonly type: string;
  readonly transport: 'mmio';
  /** Domain name or number, still to be resolved. */
  readonly backend: string;
  /** Left out: 1 for a backend outside dom0, as libxl has it. */
  readonly grantUsage?: boolean;
  /** How notifications travel; ours, not xl's. Left out: the backend's default. */
  readonly path?: NotificationPath;
  /** Name of the device server behind the backend; ours, not xl's. Left out: the one without a name. */
  readonly server?: string;
  /** Version of the protocol; ours, not xl's. Left out: the reviewed one. */
  readonly frontend?: FrontendName;
}

export interface GuestConfig {
  readonly name: string;
  readonly memoryMib: number;
  readonly vcpus: number;
  readonly onPoweroff: EndAction;
  readonly onReboot: EndAction;
  readonly onCrash: EndAction;
  /** Index = device id. */
  readonly virtio: readonly VirtioConfig[];
}

/** The same guest, its devices made for frontends of that version of the protocol. */
export function forFrontend(config: GuestConfig, frontend: FrontendName): GuestConfig {
  return { ...config, virtio: config.virtio.map((device) => ({ ...device, frontend })) };
}

/** A virtio device's number out of its type, e.g. 16 from `virtio,device10`; undefined for the bare `virtio,device`. */
export function virtioDeviceNumber(type: string): number | undefined {
  const hex = VIRTIO_TYPE.exec(type)?.[1];
  return hex ? Number.parseInt(hex, 16) : undefined;
}

/** The same guest, all of its devices on that path. */
export function onPath(config: GuestConfig, path: NotificationPath | undefined): GuestConfig {
  if (path === undefined) return config;
  return { ...config, virtio: config.virtio.map((device) => ({ ...device, path })) };
}

/** The same guest, all of its devices served by the device server of that name. */
export function onServer(config: GuestConfig, server: string | undefined): GuestConfig {
  return {
    ...config,
    virtio: config.virtio.map(({ server: _other, ...device }) =>
      server === undefined ? device : { ...device, server },
    ),
  };
}

const VIRTIO_TYPE = /^virtio,device([0-9a-f]{0,4})$/;
/** The name becomes a file name (its token) and part of process names. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}$/;
const MEMORY_DEFAULT_MIB = 64;
const KNOWN = ['name', 'memory', 'maxmem', 'vcpus', 'on_poweroff', 'on_reboot', 'on_crash', 'virtio', 'type'];

/** Whether a text can name a guest: 1 to 64 letters, digits and `_ . + -`, not starting with a sign. */
export function isGuestName(name: string): boolean {
  return NAME.test(name) && !/^[0-9]+$/.test(name);
}

/**
 * Reads a guest's configuration. `file` is for messages only. Throws UserError with file and line; settings that are
 * xl's and mean nothing here are told to `warn`, each in one sentence.
 */
export function parseGuestConfig(text: string, file: string, warn: (sentence: string) => void): GuestConfig {
  const settings = parseXlConfig(text, file, warn);
  const read = reader(settings, file, warn);
  for (const [key, value] of settings) {
    if (!KNOWN.includes(key)) warn(`${file}:${value.line}: ${key} means nothing here and is ignored`);
  }
  const name = read.text('name');
  if (name === undefined) throw configError(file, 1, 'the guest has no name = "..." setting');
  if (!isGuestName(name)) {
    throw configError(
      file,
      read.line('name'),
      `a guest cannot be named ${JSON.stringify(name)}: use letters, digits, _ . + -`,
    );
  }
  const type = read.text('type');
  if (type !== undefined && type !== 'pvh') {
    throw configError(file, read.line('type'), `guests are of type "pvh" here, not ${JSON.stringify(type)}`);
  }
  return {
    name,
    onPoweroff: endAction(read, 'on_poweroff', file),
    onReboot: endAction(read, 'on_reboot', file),
    onCrash: endAction(read, 'on_crash', file),
    memoryMib: read.number('memory', GUEST_MEMORY_MIB_MIN, GUEST_MEMORY_MIB_MAX) ?? MEMORY_DEFAULT_MIB,
    vcpus: read.number('vcpus', 1, 1) ?? 1,
    virtio: read.list('virtio').map((item) => virtioDevice(item, file)),
  };
}

function endAction(read: ReturnType<typeof reader>, key: keyof typeof END_DEFAULT, file: string): EndAction {
  const text = read.text(key) ?? END_DEFAULT[key];
  const action = END_ACTIONS.find((known) => known === text);
  if (action !== undefined) return action;
  const choices = END_ACTIONS.join(', ');
  throw configError(file, read.line(key), `${key} is one of ${choices}, not ${JSON.stringify(text)}`);
}

function reader(settings: XlSettings, file: string, warn: (sentence: string) => void) {
  const line = (key: string): number => settings.get(key)?.line ?? 1;
  const text = (key: string): string | undefined => {
    const value = settings.get(key);
    if (value?.kind === 'list') throw configError(file, value.line, `${key} takes one value, not a list`);
    return value?.text;
  };
  return {
    line,
    text,
    number(key: string, min: number, max: number): number | undefined {
      const given = text(key);
      if (given === undefined) return undefined;
      const setting = settings.get(key);
      if (setting?.kind === 'text' && setting.appended) {
        // As xl has it, the value then counts for nothing (libxlu_cfg.c, xlu_cfg_get_bounded_long).
        warn(`${file}:${setting.line}: ${key} is a number, which += cannot add to: it is ignored`);
        return undefined;
      }
      const value = /^(0[xX][0-9a-fA-F]+|[0-9]+)$/.test(given) ? Number(given) : Number.NaN;
      if (!(value >= min && value <= max)) {
        const range = min === max ? `${min}` : `a number from ${min} to ${max}`;
        throw configError(file, line(key), `${key} is ${range}, not ${JSON.stringify(given)}`);
      }
      return value;
    },
    list(key: string): readonly XlValue[] {
      const value = settings.get(key);
      if (value?.kind === 'text') throw configError(file, value.line, `${key} takes a list: [ "..." ]`);
      return value?.items ?? [];
    },
  };
}

/** One item of `virtio`: `key=value` pairs split by commas, of which `type` holds one itself (xl_parse.c). */
function virtioDevice(item: XlValue, file: string): VirtioConfig {
  const fail = (sentence: string): never => {
    throw configError(file, item.line, sentence);
  };
  if (item.kind === 'list') return fail('each item of virtio is a text such as "type=virtio,device10,transport=mmio"');
  const pairs = new Map<string, string>();
  let last = '';
  for (const part of item.text.split(',').map((text) => text.trim())) {
    const equals = part.indexOf('=');
    if (equals < 0 && last === 'type' && pairs.get('type') === 'virtio') pairs.set('type', `virtio,${part}`);
    else if (equals < 0) fail(`virtio: ${JSON.stringify(part)} is not of the form key=value`);
    else {
      last = part.slice(0, equals).trim();
      if (pairs.has(last)) fail(`virtio: ${last} is given twice`);
      pairs.set(last, part.slice(equals + 1).trim());
    }
  }
  for (const key of pairs.keys()) {
    if (!['type', 'transport', 'backend', 'grant_usage', 'path', 'server'].includes(key))
      fail(`virtio: there is no key ${key}`);
  }
  const type = pairs.get('type') ?? fail('virtio: the type is missing, e.g. type=virtio,device10 for a GPU');
  if (!VIRTIO_TYPE.test(type)) {
    fail(`virtio: type is virtio,device and a number in lower-case hexadecimal, not ${JSON.stringify(type)}`);
  }
  const transport = pairs.get('transport') ?? fail('virtio: transport=mmio is missing');
  if (transport !== 'mmio') return fail(`virtio: the only transport is mmio, not ${JSON.stringify(transport)}`);
  const backend = pairs.get('backend') ?? '0';
  if (backend === '') fail('virtio: backend names no domain');
  const grant = pairs.get('grant_usage');
  if (grant !== undefined && grant !== '0' && grant !== '1') fail('virtio: grant_usage is 0 or 1');
  const path = pairs.get('path');
  if (path !== undefined && !isNotificationPath(path))
    return fail(`virtio: path is one of ${NOTIFICATION_PATHS.join(', ')}, not ${JSON.stringify(path)}`);
  const server = pairs.get('server');
  if (server !== undefined && !isDeviceServerName(server))
    return fail(`virtio: server is ${DEVICE_SERVER_NAME_FORM}, not ${JSON.stringify(server)}`);
  return {
    type,
    transport,
    backend,
    ...(grant === undefined ? {} : { grantUsage: grant === '1' }),
    ...(path === undefined ? {} : { path }),
    ...(server === undefined ? {} : { server }),
  };
}
