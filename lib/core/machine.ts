// State machines as tables: legal moves are data, (from, event) to next; the runner refuses and counts the rest.
// Leaves actions to whoever drives the machine.

export type MoveTable<State extends string | number, Event extends string> = Readonly<
  Record<State, Readonly<Partial<Record<Event, State>>>>
>;

export interface Machine<State extends string | number, Event extends string> {
  readonly state: State;
  /** Events that had no move from the state they met. */
  readonly refusedCount: number;
  can(event: Event): boolean;
  /** Makes the move and returns the new state, or returns undefined, counts, and stays. */
  fire(event: Event): State | undefined;
}

export function machine<State extends string | number, Event extends string>(
  table: MoveTable<State, Event>,
  initial: State,
  onMove: (from: State, event: Event, to: State) => void = () => {},
): Machine<State, Event> {
  let state = initial;
  let refusedCount = 0;
  return {
    get state() {
      return state;
    },
    get refusedCount() {
      return refusedCount;
    },
    can: (event) => table[state][event] !== undefined,
    fire(event) {
      const to = table[state][event];
      if (to === undefined) {
        refusedCount++;
        return undefined;
      }
      const from = state;
      state = to;
      onMove(from, event, to);
      return to;
    },
  };
}
