// The syntax of xl.cfg (xl.cfg(5), SYNTAX): settings `key = value`, one a line or split by `;`, values being strings,
// numbers and lists, `+=` to append, `#` comments. Leaves what a key means to guest-config.ts.
import { UserError } from '../lib/core/errors.js';

/** Strings and numbers are both text, as in xl: what a number is, the key decides. `appended`: given with `+=`. */
export type XlValue =
  | { readonly kind: 'text'; readonly text: string; readonly line: number; readonly appended?: true }
  | { readonly kind: 'list'; readonly items: readonly XlValue[]; readonly line: number };

/** Settings by key, in the order of their first appearance. */
export type XlSettings = ReadonlyMap<string, XlValue>;

type TokenKind = 'word' | 'text' | '=' | '+=' | '[' | ']' | ',' | 'end' | 'eof';
interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  readonly line: number;
}

/** Far deeper than any setting of xl.cfg(5) nests its lists; bounds the parser's recursion. */
const NESTING_MAX = 8;

const BLANK = /[ \t\r]+|#[^\n]*/y;
const WORD = /[A-Za-z_][A-Za-z0-9_]*/y;
const NUMBER = /[0-9][0-9A-Za-z]*/y;
const STRING = /'(?:[^'\\\n]|\\[^\n])*'|"(?:[^"\\\n]|\\[^\n])*"/y;
const ESCAPE = /\\(x[0-9A-Fa-f]{2}|[0-7]{1,3}|.)/g;
/** What may stand after a backslash, beside digits (libxlu_cfg.c, xlu__cfgl_dequote). */
const ESCAPED: Readonly<Record<string, string>> = {
  ...{ '"': '"', "'": "'", '\\': '\\' },
  ...{ a: '\x07', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' },
};

export function configError(file: string, line: number, sentence: string): UserError {
  return new UserError(`${file}:${line}: ${sentence}`);
}

/**
 * The settings of a configuration text; `file` is only for messages. Throws UserError with file and line. What is read
 * but was hardly meant is told to `warn`, each in one sentence.
 */
export function parseXlConfig(text: string, file: string, warn: (sentence: string) => void = () => {}): XlSettings {
  const tokens = tokenize(text, file);
  let at = 0;
  const peek = (): Token => tokens[at]!;
  const next = (): Token => tokens[at++]!;
  const fail = (token: Token, sentence: string): never => {
    throw configError(file, token.line, sentence);
  };
  const skipLineEnds = (): void => {
    while (peek().kind === 'end' && peek().text === 'the end of the line') at++;
  };

  const value = (depth: number): XlValue => {
    const token = next();
    if (token.kind === 'text') return { kind: 'text', text: token.text, line: token.line };
    if (token.kind !== '[') {
      const hint = token.kind === 'word' ? '; text stands in quotes' : '';
      return fail(token, `expected a value, found ${shown(token)}${hint}`);
    }
    if (depth === NESTING_MAX) fail(token, 'lists are nested too deeply');
    const items: XlValue[] = [];
    skipLineEnds();
    while (peek().kind !== ']') {
      items.push(value(depth + 1));
      skipLineEnds();
      if (peek().kind === ',') next();
      else if (peek().kind !== ']') fail(peek(), `expected , or ] in the list that starts here: line ${token.line}`);
      skipLineEnds();
    }
    next();
    return { kind: 'list', items, line: token.line };
  };

  const settings = new Map<string, XlValue>();
  for (;;) {
    while (peek().kind === 'end') next();
    const key = next();
    if (key.kind === 'eof') return settings;
    if (key.kind !== 'word') fail(key, `expected a setting such as name = "guest", found ${shown(key)}`);
    const operator = next();
    if (operator.kind !== '=' && operator.kind !== '+=') fail(operator, `expected = after ${key.text}`);
    const given = value(0);
    const old = settings.get(key.text);
    if (operator.kind === '=' && old !== undefined) {
      warn(`${file}:${key.line}: ${key.text} is set again; its value of line ${old.line} is not used`);
    }
    settings.set(key.text, operator.kind === '+=' ? append(old, given, key.text, file) : given);
    const end = peek();
    if (end.kind !== 'end' && end.kind !== 'eof') {
      fail(end, `expected the end of the line after the value of ${key.text}, found ${shown(end)}`);
    }
  }
}

/** `key += more`; without an earlier value it is `key = more`, which a number's key refuses all the same. */
function append(old: XlValue | undefined, more: XlValue, key: string, file: string): XlValue {
  if (old === undefined) return more.kind === 'text' ? { ...more, appended: true } : more;
  if (old.kind === 'list' && more.kind === 'list') return { ...old, items: [...old.items, ...more.items] };
  if (old.kind === 'text' && more.kind === 'text') return { ...more, text: old.text + more.text, appended: true };
  throw configError(file, more.line, `${key} += needs a value of the kind that ${key} already has`);
}

function shown(token: Token): string {
  if (token.kind === 'eof') return 'the end of the file';
  return token.kind === 'end' || token.kind === 'text' ? token.text : `"${token.text}"`;
}

function tokenize(text: string, file: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let line = 1;
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    if (found !== undefined) at += found.length;
    return found;
  };
  const push = (kind: TokenKind, content: string): void => {
    tokens.push({ kind, text: content, line });
  };
  while (at < text.length) {
    if (match(BLANK) !== undefined) continue;
    const char = text[at]!;
    if (char === '\n') {
      push('end', 'the end of the line');
      line++;
      at++;
    } else if (char === ';') {
      push('end', ';');
      at++;
    } else if (char === '+' && text[at + 1] === '=') {
      push('+=', '+=');
      at += 2;
    } else if (char === '=' || char === '[' || char === ']' || char === ',') {
      push(char, char);
      at++;
    } else if (char === '"' || char === "'") {
      const quoted = match(STRING);
      if (quoted === undefined) throw configError(file, line, `this text has no closing ${char} on its line`);
      push('text', unescaped(quoted.slice(1, -1), file, line));
    } else {
      const word = match(WORD);
      const number = word === undefined ? match(NUMBER) : undefined;
      if (word !== undefined) push('word', word);
      else if (number !== undefined) push('text', number);
      else throw configError(file, line, `${JSON.stringify(char)} has no meaning here`);
    }
  }
  push('eof', '');
  return tokens;
}

/** Backslash escapes as libxlu reads them: any other character after a backslash is a mistake. */
function unescaped(text: string, file: string, line: number): string {
  return text.replace(ESCAPE, (_, code: string) => {
    if (code[0] === 'x' && code.length > 1) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
    if (/^[0-7]/.test(code)) return String.fromCharCode(Number.parseInt(code, 8) & 0xff);
    const char = ESCAPED[code];
    if (char !== undefined) return char;
    const hint = code === 'x' ? 'two hexadecimal digits must follow' : 'use \\\\ for a backslash';
    throw configError(file, line, `\\${code} has no meaning in a quoted text: ${hint}`);
  });
}
