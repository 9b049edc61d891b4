// The other processes of the floors measured in JavaScript: `floor-child zeromq PATH` echoes on a bare ROUTER; `hub PATH` replies to calls
// there and tells the other of its two peers, `callee PATH` is one of them; `spin FILE` answers on a word of shared memory.
// Ends with its standard input.
import * as zmq from 'zeromq';
import { mapPath } from '../lib/node/files/shm.js';
import { HUB_MESSAGE, HUB_NAMES, SPIN_WORD } from './floor/js-programs.js';

const [mode, path = ''] = process.argv.slice(2);
process.stdin.on('end', () => process.exit(0));
process.stdin.resume();

if (mode === 'zeromq') {
  const router = new zmq.Router({ linger: 0 });
  await router.bind(`ipc://${path}`);
  process.stdout.write('ready\n');
  for await (const frames of router) await router.send(frames);
} else if (mode === 'hub') {
  const router = new zmq.Router({ linger: 0 });
  await router.bind(`ipc://${path}`);
  process.stdout.write('ready\n');
  const [caller, callee] = HUB_NAMES;
  for await (const [from, message] of router) {
    if (message![0] === HUB_MESSAGE.HELLO) await router.send([from!, Buffer.of(HUB_MESSAGE.WELCOME)]);
    else {
      // The event first, as it is what is measured; zeromq.js allows one send of a socket at a time.
      await router.send([from!.toString() === caller ? callee : caller, Buffer.of(HUB_MESSAGE.EVENT)]);
      await router.send([from!, Buffer.of(HUB_MESSAGE.REPLY)]);
    }
  }
} else if (mode === 'callee') {
  const dealer = new zmq.Dealer({ linger: 0, routingId: HUB_NAMES[1] });
  dealer.connect(`ipc://${path}`);
  await dealer.send(Buffer.of(HUB_MESSAGE.HELLO));
  for await (const [message] of dealer) {
    if (message![0] === HUB_MESSAGE.WELCOME) process.stdout.write('ready\n');
    else if (message![0] === HUB_MESSAGE.EVENT) await dealer.send(Buffer.of(HUB_MESSAGE.CALL));
  }
} else if (mode === 'spin') {
  const words = new Uint32Array(mapPath(path, 0, true).bytes.buffer, 0, 64);
  process.stdout.write('ready\n');
  let seen = 0;
  const turn = (): void => {
    // A bounded spin, then the event loop: it must notice the end of its standard input.
    for (let i = 0; i < 1_000_000; i++) {
      const ping = Atomics.load(words, SPIN_WORD.PING);
      if (ping !== seen) {
        seen = ping;
        Atomics.store(words, SPIN_WORD.PONG, ping);
      }
    }
    setImmediate(turn);
  };
  turn();
} else {
  process.stderr.write('floor-child: zeromq, hub or callee PATH, or spin FILE\n');
  process.exit(2);
}
