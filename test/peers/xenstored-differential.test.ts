// The same random scripts against Debian's C xenstored and ours, compared byte by byte.
// XENWIRE_XS_STEPS sets how many requests a seed, XENWIRE_XS_SEED the first seed, XENWIRE_XS_SEEDS how many.
import t from 'tap';
import { C_DAEMON_NEEDS, missing, startC, startOurs } from './xenstored-peers.js';
import { compareStep, Party, show } from './xs-compare.js';
import { DOMIDS, ScriptWriter, type Step } from './xs-script.js';

const number = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise);
const STEPS = number('XENWIRE_XS_STEPS', 2500);
const FIRST_SEED = number('XENWIRE_XS_SEED', 1);
const SEEDS = number('XENWIRE_XS_SEEDS', 4);
const SHOWN = 12;
/** Far above what a request takes, for both daemons together. */
const MS_PER_STEP = 20;

const line = (step: Step): string => `${step.on}: ${show(step)}`;

t.test('the C daemon and ours answer the same', { skip: missing(...C_DAEMON_NEEDS) }, async (t) => {
  t.setTimeout(30_000 + SEEDS * STEPS * MS_PER_STEP);
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    await t.test(`seed ${seed}, ${STEPS} requests`, async (t) => {
      t.setTimeout(30_000 + STEPS * MS_PER_STEP);
      const [c, ours] = await Promise.all([startC(t, DOMIDS), startOurs(t, ['--compat', '4.17'], DOMIDS)]);
      const parties = [await Party.open(c.socket), await Party.open(ours.socket)] as const;
      const writer = new ScriptWriter(seed);
      const last: string[] = [];
      for (let count = 0; count < STEPS; count++) {
        const step = writer.next();
        last.push(line(step));
        if (last.length > SHOWN) last.shift();
        const { reply, difference } = await compareStep(parties, step);
        if (difference?.onlyNamesTwice) writer.forget(step);
        else if (difference !== undefined) {
          const [theirs, mine] = difference.heard;
          t.same(mine, theirs, `request ${count}: ${line(step)}`);
          t.comment(`XENWIRE_XS_SEED=${seed} XENWIRE_XS_SEEDS=1 reproduces it; before it:\n${last.join('\n')}`);
          break;
        }
        if (reply !== undefined) writer.learn(step, reply.type, reply.payload);
      }
      for (const party of parties) party.close();
    });
  }
});
