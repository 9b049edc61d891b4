// The manual page, made from the command line's own help, in the macros of man(7).
import type { VerbEntry } from './command-tree.js';

/** Text as roff takes it: backslashes and dashes are commands or hyphens, a leading dot or quote a request. */
const roff = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/gm, '\\&$1');

/** The source of xenwire(1). */
export function manPage(verbs: readonly VerbEntry[], program: { version: string; description: string }): string {
  const sections = verbs.map(({ name, arguments: positional, description, options }) =>
    [
      `.SS "${roff(['xenwire', name, ...positional].join(' '))}"`,
      roff(description),
      ...options.flatMap(({ short, long, argument, choices, description: what }) => {
        const flags = [...(short === undefined ? [] : [short]), long].map((flag) => `\\fB${roff(flag)}\\fR`).join(', ');
        const value = argument === undefined ? '' : ` \\fI${roff(argument)}\\fR`;
        const set = choices.length === 0 ? '' : ` (${roff(choices.join(', '))})`;
        return ['.TP', `${flags}${value}`, `${roff(what)}${set}`];
      }),
    ].join('\n'),
  );
  return `.TH XENWIRE 1 "" "xenwire ${roff(program.version)}" "User Commands"
.SH NAME
xenwire \\- ${roff(program.description)}
.SH SYNOPSIS
.B xenwire
.I verb
.RI [ options ]
.SH VERBS
${sections.join('\n')}
.SH EXIT STATUS
.TP
.B 0
The command did what it was asked.
.TP
.B 1
It could not: a process ended, a picture differed, something was left behind, it was interrupted.
.TP
.B 2
It was asked wrongly: an option, a file, a run directory in which no lab runs.
.SH ENVIRONMENT
.TP
.B XENWIRE_RUN_DIR
The run directory where no \\fB\\-\\-run\\-dir\\fR is given.
.TP
.B NO_COLOR
Set to anything, no colours.
`;
}
