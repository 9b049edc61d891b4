// The other process of the floors measured in JavaScript: `floor-child zeromq PATH` echoes on a bare ROUTER,
// `floor-child spin FILE` answers on a word of shared memory. Ends with its standard input.
import * as zmq from 'zeromq';
import { mapPath } from '../lib/node/files/shm.js';
import { SPIN_WORD } from './floor/js-programs.js';

const [mode, path = ''] = process.argv.slice(2);
process.stdin.on('end', () => process.exit(0));
process.stdin.resume();

if (mode === 'zeromq') {
  const router = new zmq.Router({ linger: 0 });
  await router.bind(`ipc://${path}`);
  process.stdout.write('ready\n');
  for await (const frames of router) await router.send(frames);
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
  process.stderr.write('floor-child: zeromq PATH, or spin FILE\n');
  process.exit(2);
}
