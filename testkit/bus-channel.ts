// vhost-user messages to a session of vhost-gpu over the bus, for test front-ends.
import type { NotifyHandle } from '../lib/core/notify.js';
import type { FileHandle, VhostUserHandle, VhostUserMessage } from '../lib/core/proto-types.js';
import { VHOST_USER_BUS_NO_REPLY } from '../lib/layout/vhost-user.js';
import type { FrontendChannel } from '../lib/vhost-user/frontend-session.js';

export function busChannel(
  send: (message: Omit<VhostUserMessage, 'session'>) => Promise<Partial<VhostUserMessage>>,
): FrontendChannel<VhostUserHandle> {
  return {
    exchange: async ({ request, flags, payload, handles }) => {
      const answer = await send({ request, flags, payload, handles: [...handles] });
      if (answer.request === VHOST_USER_BUS_NO_REPLY) return undefined;
      return { request: answer.request!, flags: answer.flags!, payload: answer.payload!, handles: [] };
    },
  };
}

export const fileHandle = (file: FileHandle): VhostUserHandle => ({ file }) as VhostUserHandle;

/** Two consecutive bits from `first` on. */
export const bellHandles = ({ bell, bit }: NotifyHandle): VhostUserHandle[] =>
  [0, 1].map((index) => ({ bell: { bell, bit: bit + index } }) as VhostUserHandle);
