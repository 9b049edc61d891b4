// A run told as it happens: whatever is noted is said soon, also when nothing happens after it.
import { setTimeout as after } from 'node:timers/promises';
import t from 'tap';
import type { Report } from '../../../lab/report.js';
import { Story } from '../../../lab/story.js';
import { temporaryRunDir } from '../../../testkit/processes.js';

/** Keeps what is noted until it is old enough, as the real one does. */
class Noted {
  #waiting: { readonly ns: bigint; readonly sentence: string }[] = [];
  readonly said: string[] = [];
  note(sentence: string): void {
    this.#waiting.push({ ns: process.hrtime.bigint(), sentence });
  }
  step(): void {}
  flush(untilNs?: bigint): boolean {
    const due = this.#waiting.filter(({ ns }) => untilNs === undefined || ns <= untilNs);
    this.#waiting = this.#waiting.filter(({ ns }) => untilNs !== undefined && ns > untilNs);
    this.said.push(...due.map(({ sentence }) => sentence));
    return this.#waiting.length > 0;
  }
}

t.test('a note that comes just before the next look is said without another event', async (t) => {
  const report = new Noted();
  const story = new Story(temporaryRunDir(t), report as unknown as Report, 0n);
  story.note('first');
  // As late as the look that the first one has arranged allows.
  const until = performance.now() + 4.5;
  while (performance.now() < until) await after(0);
  story.note('second');
  const deadline = performance.now() + 2000;
  while (report.said.length < 2 && performance.now() < deadline) await after(1);
  t.same(report.said, ['first', 'second']);
  story.close();
});
