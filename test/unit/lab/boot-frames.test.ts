// The comparison of a first frame through the deaths of a lab's processes: what is looked at again, and what is not.
import t from 'tap';
import { shownThroughDeaths } from '../../../lab/boot-frames.js';
import type { GuestFrame } from '../../../lab/report.js';
import { ErrnoError, PeerDiedError } from '../../../lib/core/errors.js';

const frame = (mismatchedPixels: number): GuestFrame => ({
  ...{ guest: 'g', path: 'g.png', width: 1, height: 1, firstFlushNs: 0n },
  mismatchedPixels,
});
const NEVER = new AbortController().signal;

/** Looks that find one thing after the other, and the last one again and again. */
function looks(...found: (GuestFrame | Error)[]): { look: () => Promise<GuestFrame>; count: () => number } {
  let count = 0;
  const look = async (): Promise<GuestFrame> => {
    const next = found[Math.min(count++, found.length - 1)]!;
    if (next instanceof Error) throw next;
    return next;
  };
  return { look, count: () => count };
}

t.test('without a death the first look counts, a wrong picture and an error too', async (t) => {
  const wrong = looks(frame(7), frame(0));
  t.equal((await shownThroughDeaths(wrong.look, () => false, NEVER)).mismatchedPixels, 7);
  t.equal(wrong.count(), 1);
  const empty = looks(new ErrnoError('ENODATA', 'shows nothing'), frame(0));
  await t.rejects(
    shownThroughDeaths(empty.look, () => false, NEVER),
    { code: 'ENODATA' },
  );
});

t.test('after a death a picture is looked at until it is right', async (t) => {
  const { look, count } = looks(new ErrnoError('ENODATA', 'shows nothing'), frame(7), frame(0));
  t.equal((await shownThroughDeaths(look, () => true, NEVER)).mismatchedPixels, 0);
  t.equal(count(), 3);
});

t.test('a look that finds its server dead is a death, which the lab may learn of later', async (t) => {
  const { look } = looks(new PeerDiedError('vhost-gpu ended'), frame(0));
  t.equal((await shownThroughDeaths(look, () => false, NEVER)).mismatchedPixels, 0);
});

t.test('a picture that stays wrong is told as it was seen last', async (t) => {
  const { look } = looks(frame(7), frame(3));
  const soon = AbortSignal.timeout(50);
  t.match(await shownThroughDeaths(look, () => true, soon), { mismatchedPixels: /^[37]$/ });
});

t.test('a mistake of ours is no death', async (t) => {
  const { look } = looks(new Error('invariant broken: here'), frame(0));
  await t.rejects(
    shownThroughDeaths(look, () => true, NEVER),
    /invariant broken/,
  );
});
