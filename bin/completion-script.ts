// Completion of the command line in three shells, made from its tree. After an option that takes a file, a folder or a word of
// a fixed set, that is offered; after the verb its options; before it the verbs.
import type { OptionEntry, VerbEntry } from './command-tree.js';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** The script that the shell reads, e.g. by `source <(xenwire completion bash)`. */
export function completionScript(shell: Shell, verbs: readonly VerbEntry[]): string {
  switch (shell) {
    case 'bash':
      return bash(verbs);
    case 'zsh':
      return zsh(verbs);
    case 'fish':
      return fish(verbs);
  }
}

const words = (entries: readonly string[]): string => entries.join(' ');
const flags = ({ short, long }: OptionEntry): string[] => (short === undefined ? [long] : [short, long]);
const isFolder = ({ argument }: OptionEntry): boolean => argument === '<dir>';

function bash(verbs: readonly VerbEntry[]): string {
  const cases = verbs.map(({ name, options }) => {
    const valued = options.filter(({ argument }) => argument !== undefined);
    const after = valued.map((option) => {
      const offer = isFolder(option)
        ? 'compgen -d -- "$word"'
        : option.choices.length > 0
          ? `compgen -W '${words(option.choices)}' -- "$word"`
          : 'compgen -f -- "$word"';
      return `        ${flags(option).join('|')}) COMPREPLY=($(${offer})); return ;;`;
    });
    const offered = words([...options.map(({ long }) => long), '--help']);
    const cases_ = after.length === 0 ? [] : ['      case "$before" in', ...after, '      esac'];
    return [
      `    ${name})`,
      ...cases_,
      `      case "$word" in -*) COMPREPLY=($(compgen -W '${offered}' -- "$word")) ;; *) COMPREPLY=($(compgen -f -- "$word")) ;; esac ;;`,
    ].join('\n');
  });
  return `_xenwire() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}"
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '${words([...verbs.map(({ name }) => name), '--help', '--version'])}' -- "$word"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac
}
complete -o filenames -F _xenwire xenwire
`;
}

/** As text between single quotes, where the shell's own tools give [, ] and : a meaning. */
const zshText = (text: string): string =>
  text
    .replaceAll("'", "'\\''")
    .replace(/[[\]:\\]/g, '\\$&')
    .replace(/\n/g, ' ');

function zsh(verbs: readonly VerbEntry[]): string {
  const offered = verbs.map(({ name, description }) => `    '${name}:${zshText(description)}'`);
  const cases = verbs.map(({ name, options }) => {
    const specs = options.flatMap((option) =>
      flags(option).map((flag) => {
        const what = isFolder(option)
          ? ':folder:_files -/'
          : option.choices.length > 0
            ? `:word:(${words(option.choices)})`
            : option.argument === undefined
              ? ''
              : ':value:_files';
        return `'${flag}[${zshText(option.description)}]${what}'`;
      }),
    );
    return `    ${name}) _arguments ${[...specs, "'--help[display help]'", "'*:file:_files'"].join(' ')} ;;`;
  });
  return `#compdef xenwire
_xenwire() {
  local -a verbs
  verbs=(
${offered.join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe 'verb' verbs
    return
  fi
  local verb="\${words[2]}"
  shift words
  (( CURRENT-- ))
  case "$verb" in
${cases.join('\n')}
  esac
}
compdef _xenwire xenwire
`;
}

const fishText = (text: string): string => `'${text.replace(/[\\']/g, '\\$&').replace(/\n/g, ' ')}'`;

function fish(verbs: readonly VerbEntry[]): string {
  const lines = verbs.flatMap(({ name, description, options }) => [
    `complete -c xenwire -n __fish_use_subcommand -f -a ${name} -d ${fishText(description)}`,
    ...options.map((option) => {
      const short = option.short === undefined ? '' : ` -s ${option.short.slice(1)}`;
      const value = isFolder(option)
        ? " -x -a '(__fish_complete_directories)'"
        : option.choices.length > 0
          ? ` -x -a ${fishText(words(option.choices))}`
          : option.argument === undefined
            ? ''
            : ' -r';
      const long = option.long.slice(2);
      return `complete -c xenwire -n '__fish_seen_subcommand_from ${name}'${short} -l ${long}${value} -d ${fishText(option.description)}`;
    }),
  ]);
  return `${lines.join('\n')}\n`;
}
