// Sequence diagrams: lines between lanes become plain text that fits a mail, or Mermaid. Leaves which lines there are to those
// who tell something: explore/telling.ts a path of a search, device-sequence.ts what real processes recorded.

/** Columns of a mail. */
export const WIDTH_MAX = 72;

export interface SequenceLine<Lane extends string = string> {
  readonly from: Lane;
  /** The same lane: something that it does by itself, or that happens to it. */
  readonly to: Lane;
  readonly text: string;
  /** In the left margin, of a layout that has one. */
  readonly at?: string;
}

export interface SequenceLayout<Lane extends string = string> {
  readonly lanes: readonly Lane[];
  /** Column of the first lane; what is left of it is the margin. */
  readonly first: number;
  /** Columns from a lane to the next. */
  readonly width: number;
}

/** Puts text over a row from a column on; it never goes past the last one. */
function over(row: string, at: number, text: string): string {
  const start = Math.max(0, Math.min(at, WIDTH_MAX - text.length));
  const cut = text.slice(0, WIDTH_MAX);
  return `${row.slice(0, start)}${cut}${row.slice(start + cut.length)}`.slice(0, WIDTH_MAX);
}

/** Each message is a line of text over an arrow; at most WIDTH_MAX columns. */
export function sequenceText<Lane extends string>(
  lines: readonly SequenceLine<Lane>[],
  { lanes, first, width }: SequenceLayout<Lane>,
): string {
  const columnOf = (lane: Lane): number => first + lanes.indexOf(lane) * width;
  const blank = ' '.repeat(WIDTH_MAX);
  const lifelines = lanes.reduce((row, lane) => over(row, columnOf(lane), '|'), blank);
  const head = lanes.reduce((row, lane) => over(row, columnOf(lane) - (lane.length >> 1), lane), blank);
  const rows = [head, lifelines];
  for (const { from, to, text, at = '' } of lines) {
    const [a, b] = [columnOf(from), columnOf(to)];
    const begun = at === '' ? lifelines : over(lifelines, 0, at);
    if (a === b) rows.push(over(begun, a, `* ${text}`));
    else {
      const [left, right] = [Math.min(a, b), Math.max(a, b)];
      rows.push(over(begun, left + 2, text));
      const shaft = '-'.repeat(right - left - 2);
      rows.push(over(lifelines, left + 1, a < b ? `${shaft}>` : `<${shaft}`));
    }
  }
  return rows.map((row) => row.trimEnd()).join('\n');
}

/** The same for Mermaid, whose text ends at `;` and takes `#` as the beginning of an entity. */
export function sequenceMermaid<Lane extends string>(
  lines: readonly SequenceLine<Lane>[],
  lanes: readonly Lane[],
): string {
  const escaped = (text: string): string => text.replace(/[;#]/g, ',');
  const rows = lines.map(({ from, to, text }) =>
    from === to ? `  Note over ${from}: ${escaped(text)}` : `  ${from}->>${to}: ${escaped(text)}`,
  );
  return ['sequenceDiagram', ...lanes.map((lane) => `  participant ${lane}`), ...rows].join('\n');
}
