// A process that stands still is not replaced while it lives: its name is locked, so that a second one of that name is refused, and
// when the late one goes on, no guest and no process has anything to notice. docs/supervision.md says why.
import t from 'tap';
import { everyTaskStopped } from '../../lab/gates.js';
import { lookAgain } from '../../lib/node/process/wait.js';
import { longTest } from '../../testkit/tier.js';
import { DrawingLab } from '../fixtures/drawing-lab.js';
import { guestProcess, STEP_MS } from '../fixtures/recovery-lab.js';

const LOOK_MS = 5;
const setups = [1, 2].map((domid) => ({ domid, name: `guest-${domid}`, config: 'on_crash = "restart"' }));
/** Frames that are drawn once it goes on. */
const FRAMES_AFTER = 10;

t.test(
  'a process that stood still while another was to replace it goes on as if nothing had been',
  longTest,
  async (t) => {
    const drawing = await DrawingLab.start(t, setups, []);
    const { lab, guests } = drawing;
    for (const name of ['vhost-frontend', 'vhost-gpu', 'xenstored', guestProcess('guest-1')]) {
      await t.test(name, async (t) => {
        const held = await drawing.held();
        const late = lab.process(name);
        const sinceNs = process.hrtime.bigint();
        late.child.kill('SIGSTOP');
        const stopped = async (): Promise<true | undefined> => everyTaskStopped(late.pid) || undefined;
        t.ok(await lookAgain(stopped, LOOK_MS, AbortSignal.timeout(STEP_MS)), 'it stands');
        const second = name.startsWith('guest-') ? lab.another(name, setups[0]!) : lab.another(name);
        t.equal(await second.ended(STEP_MS), 2);
        t.match(second.stderr, `${name} is already running in `);
        late.child.kill('SIGCONT');
        const awakeNs = process.hrtime.bigint();
        for (const guest of guests) {
          const screen = await drawing.screen(guest);
          await screen.draws(FRAMES_AFTER, awakeNs);
          t.equal(screen.wrongCount, 0);
          await screen.close();
          t.same(drawing.noticed(guest, sinceNs), [], `${guest.setup.name} was neither reset nor connected anew`);
          t.same(await lab.errors(guest.domid), []);
        }
        await drawing.heldAgain(held);
      });
    }
    for (const guest of guests) t.same(await lab.destroyGuest({ ...guest.setup, domid: guest.domid }), []);
  },
);
