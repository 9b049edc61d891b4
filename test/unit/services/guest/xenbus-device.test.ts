// A device of the guest's xenbus writes its state whatever becomes of the store meanwhile.
import t from 'tap';
import type { ErrnoName } from '../../../../lib/core/errno.js';
import { ErrnoError } from '../../../../lib/core/errors.js';
import { DomId } from '../../../../lib/core/ids.js';
import { NO_LOG } from '../../../../lib/core/log.js';
import { NO_PROBE } from '../../../../lib/core/probe.js';
import { XenbusState } from '../../../../lib/layout/xenbus.js';
import { REVIEW } from '../../../../lib/xenbus/protocol.js';
import { CORES } from '../../../../services/guest/core-rules.js';
import type { GuestStore, GuestStoreOps } from '../../../../services/guest/guest-store.js';
import type { Vcpu } from '../../../../services/guest/vcpu.js';
import { XenbusDevice } from '../../../../services/guest/xenbus-device.js';

const NODE = 'device/virtio-mmio/0';
const MOVER = { by: 'frontend', otherEnd: XenbusState.InitWait } as const;

/** A device over a store whose reads in transactions fail with these codes first. */
function machine(failures: ErrnoName[]) {
  const written: string[] = [];
  const tx = {
    read: async (path: string) => {
      const code = failures.shift();
      if (code !== undefined) throw new ErrnoError(code, path);
      return String(XenbusState.Initialising);
    },
    write: async (_path: string, value: string) => void written.push(value),
  } as unknown as GuestStoreOps;
  const store = {
    transaction: async (body: (tx: GuestStoreOps) => Promise<void>) => {
      for (;;) {
        try {
          return await body(tx);
        } catch (error) {
          if (!(error instanceof ErrnoError) || error.code !== 'EAGAIN') throw error;
        }
      }
    },
  } as unknown as GuestStore;
  const fixed = { protocol: REVIEW, rules: CORES['7.2'], probe: NO_PROBE, log: NO_LOG, domid: DomId(1) };
  return { written, device: new XenbusDevice(NODE, 'virtio-mmio', { ...fixed, store, vcpu: {} as Vcpu }) };
}

t.test('a state is written although the store was replaced in the middle of the transaction', async (t) => {
  const { device, written } = machine(['EAGAIN']);
  t.equal(await device.switchState(XenbusState.Initialised, MOVER), 'written');
  t.same(written, [String(XenbusState.Initialised)]);
});

t.test('a node that cannot be read is left alone', async (t) => {
  const { device, written } = machine(['ENOENT']);
  t.equal(await device.switchState(XenbusState.Initialised, MOVER), 'left alone');
  t.same(written, []);
  t.equal(device.state, XenbusState.Initialised, 'the cache follows, as in Linux');
});
