// What a node of the store says of a device: the state of one of its ends, or which process serves it. The page takes that where no
// record says it: the rings have overwritten it, or a foreign program wrote it. Pure.
import { type DeviceServerProcess, deviceServerProcess, isDeviceServerName } from '../lib/core/device-server.js';
import { VIRTIO_MMIO_KEY, XENBUS_KEY } from '../lib/layout/xenbus.js';
import type { DeviceName } from '../lib/trace/devices.js';
import { parseState } from '../lib/xenbus/keys.js';
import type { Side } from '../lib/xenbus/protocol.js';
import type { StoreChange } from './store-view.js';

export type StoredFact =
  | (DeviceName & { readonly what: 'state'; readonly side: Side; readonly state: number })
  | (DeviceName & { readonly what: 'server'; readonly server: DeviceServerProcess })
  | (DeviceName & { readonly what: 'removed' });

const FRONT = new RegExp(`^/local/domain/(?<domid>\\d+)/device/virtio[a-z-]*/(?<devid>\\d+)/${XENBUS_KEY.state}$`);
const BACK = new RegExp(`^/local/domain/\\d+/backend/virtio[a-z-]*/(?<domid>\\d+)/(?<devid>\\d+)/${XENBUS_KEY.state}$`);
/** Where the toolstack notes it, as toolstack/device.ts reads it (serverOf). */
const SERVER = new RegExp(`^/libxl/(?<domid>\\d+)/device/virtio[a-z-]*/(?<devid>\\d+)/${VIRTIO_MMIO_KEY.server}$`);

/** undefined: it is of no virtio device, or names no server. */
export function storedFact({ path, node }: StoreChange): StoredFact | undefined {
  const front = FRONT.exec(path);
  const back = front === null ? BACK.exec(path) : null;
  const server = front === null && back === null ? SERVER.exec(path) : null;
  const groups = (front ?? back ?? server)?.groups;
  if (groups === undefined) return undefined;
  const device = { domid: Number(groups['domid']), devid: Number(groups['devid']) };
  if (server !== null) {
    const known = node !== undefined && isDeviceServerName(node.value);
    return known ? { ...device, what: 'server', server: deviceServerProcess(node.value) } : undefined;
  }
  if (node === undefined) return { ...device, what: 'removed' };
  return { ...device, what: 'state', side: front === null ? 'back' : 'front', state: parseState(node.value) };
}
