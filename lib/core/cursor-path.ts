// Where the cursor of an animated guest points at: a path that follows from a frame's number and the picture's size alone, so
// that a viewer can say where the cursor must be. Leaves the cursor's image and commands to services/guest/.

/** Pixels a frame to the right and down; they differ, so that the path is no diagonal. */
const STEP = { x: 5, y: 3 };

export interface Point2D {
  readonly x: number;
  readonly y: number;
}

/** The pixel of the picture that the cursor's hotspot lies on once that frame is shown: back and forth between the edges. */
export function cursorPath(frame: number, width: number, height: number): Point2D {
  return { x: bounce(frame * STEP.x, width), y: bounce(frame * STEP.y, height) };
}

/** 0, 1, ... count - 1, count - 2, ... 1, 0, 1, ... */
function bounce(step: number, count: number): number {
  if (count < 2) return 0;
  const way = step % (2 * (count - 1));
  return way < count ? way : 2 * (count - 1) - way;
}
