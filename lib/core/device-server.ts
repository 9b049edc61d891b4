// Which process serves a device of the lab: the GPU server without a name, or one of several beside it, each told its name by
// `vhost-gpu --name`. The toolstack writes the name into the backend's directory (lib/xenbus/protocol.ts, key `server`).

/** The process without a name, which every lab has. */
const UNNAMED = 'vhost-gpu';
/** A name ends a process's name, of which 32 letters fit. It begins with a letter: `vhost-gpu-<pid>` serves foreign front-ends. */
const NAME = /^[a-z][a-z0-9-]{0,21}$/;
const PROCESS = /^vhost-gpu(-[a-z][a-z0-9-]*)?$/;

export type DeviceServerProcess = typeof UNNAMED | `${typeof UNNAMED}-${string}`;

export const DEVICE_SERVER_NAME_FORM = 'a small letter, then small letters, digits and dashes, at most 22';

export function isDeviceServerName(text: string): boolean {
  return NAME.test(text);
}

/** The process of that name; undefined: of the server without one. */
export function deviceServerProcess(name: string | undefined): DeviceServerProcess {
  return name === undefined ? UNNAMED : `${UNNAMED}-${name}`;
}

/** Whether a process serves devices of the lab. */
export function isDeviceServer(process: string): process is DeviceServerProcess {
  return PROCESS.test(process);
}
