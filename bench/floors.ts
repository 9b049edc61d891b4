// `npm run bench:floors`: what this machine can do at best between two processes; prints JSON.
import { measureFloors } from '../measure/floor/floors.js';

const rounds = Number(process.argv[2] ?? 20_000);
process.stdout.write(`${JSON.stringify(await measureFloors(rounds), null, 2)}\n`);
