// The cursor over a device's screen: its image where the device server has it, as much smaller as the picture is shown, and in words.
import { asked, element, text } from './dom.js';

const PAUSE_MS = 150;

/** Over the picture, for eyes; and below it, for all. */
export function cursorOf() {
  return [element('div', { className: 'cursor', hidden: true }), element('p', { className: 'pointer' })];
}

/** `count`: of the cursor's commands so far. One question at a time for each screen, the next when that is answered. */
export async function showCursor(screen, name, count) {
  screen.cursorWanted = count;
  if (screen.cursorAsked || screen.cursorShown === count) return;
  screen.cursorAsked = true;
  const answer = await asked(`api/cursor/${name}`);
  if (answer?.status === 200) {
    screen.cursorShown = count;
    screen.cursorState = await answer.json();
    placeCursor(screen, name);
  }
  setTimeout(() => {
    screen.cursorAsked = false;
    if (screen.isConnected && answer !== undefined && screen.cursorWanted !== count) showCursor(screen, name, screen.cursorWanted);
  }, PAUSE_MS);
}

/** In shares of the picture, which the browser scales: also for a picture of another size. */
export function placeCursor(screen, name) {
  const cursor = screen.cursorState;
  if (cursor === undefined) return;
  const { visible, x, y, hotX, hotY, side, image } = cursor;
  const { naturalWidth: width, naturalHeight: height } = screen.querySelector('img');
  const over = screen.querySelector('.cursor');
  over.hidden = !visible || !width;
  text(screen.querySelector('.pointer'), visible ? `The cursor points at ${x + hotX}, ${y + hotY}` : 'No cursor is shown');
  if (over.hidden) return;
  const percent = (part, whole) => `${(part / whole) * 100}%`;
  over.style.left = percent(x, width);
  over.style.top = percent(y, height);
  over.style.width = percent(side, width);
  over.style.height = percent(side, height);
  if (over.image === image) return;
  over.image = image;
  over.style.backgroundImage = `url("api/cursor/${name}/image?image=${image}")`;
}
