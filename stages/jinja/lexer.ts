import { isSpace } from "./characters.ts";
import { TemplateError } from "./template_error.ts";

/** A piece of a template's source. */
export interface Token {
  readonly kind:
    | "data"
    | "block_begin"
    | "block_end"
    | "variable_begin"
    | "variable_end"
    | "name"
    | "string"
    | "integer"
    | "float"
    | "operator"
    | "end";
  /** Its text; of strings and data what it stands for. */
  readonly text: string;
  readonly line: number;
}

const OPERATORS = [
  ..."**,//,==,!=,>=,<=".split(","),
  ..."+-*/%~[](){}<>=.:|,;".split(""),
];
const NAME = /[\p{L}\p{Nl}_][\p{L}\p{Nl}\p{Mn}\p{Mc}\p{Nd}\p{Pc}]*/uy;
const FLOAT = /(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?[eE][+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/y;
const INTEGER =
  /0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[\da-fA-F])+|[1-9](?:_?\d)*|0(?:_?0)*/y;
const STRING = /'(?:[^'\\]|\\[^])*'|"(?:[^"\\]|\\[^])*"/y;
const RAW = /\s*raw\s*(-?)%\}/y;
const END_RAW = /\{%([-+]?)\s*endraw\s*([-+]?)%\}/g;

/**
 * Cuts a template into tokens as Jinja 3 does with `trim_blocks` and `lstrip_blocks`: white space
 * before a tag that begins its line is dropped, as is a line end behind it, and one at the end of all;
 * where `verbatim` is set, none is.
 */
export function templateTokens(template: string, { verbatim = false } = {}): Token[] {
  const lines = template.replaceAll(/\r\n|\r/g, "\n");
  const source = verbatim ? lines : lines.replace(/\n$/, "");
  const tokens: Token[] = [];
  let [at, line] = [0, 1];
  let lineStarts = true;
  const fail = (what: string): never => {
    throw new TemplateError(`line ${line}: ${what}`);
  };
  const move = (end: number) => {
    for (let from = at; from < end; from++) if (source[from] === "\n") line++;
    lineStarts = end > at ? source[end - 1] === "\n" : lineStarts;
    at = end;
  };
  const data = (text: string) => {
    if (text !== "") tokens.push({ kind: "data", text, line });
  };
  /** The text before a tag, less what the tag and its sign drop. */
  const before = (text: string, sign: string, tag: string): string => {
    if (sign === "-") return trimEnd(text);
    if (verbatim || sign === "+" || tag === "{{") return text;
    const start = text.lastIndexOf("\n") + 1;
    if (start === 0 && !lineStarts) return text;
    const rest = text.slice(start);
    return rest !== "" && trimEnd(rest) === "" ? text.slice(0, start) : text;
  };
  const behind = (sign: string, trims: boolean): number => {
    if (sign === "-") {
      let end = at;
      while (end < source.length && isSpace(source[end]!)) end++;
      return end;
    }
    return trims && !verbatim && sign !== "+" && source[at] === "\n" ? at + 1 : at;
  };

  while (at < source.length) {
    const begin = nextTag(source, at);
    const tag = source.slice(begin, begin + 2);
    const signed = source[begin + 2] === "-" || source[begin + 2] === "+";
    const sign = signed && tag !== "" ? source[begin + 2]! : "";
    data(before(source.slice(at, begin), sign, tag));
    if (tag === "") break;
    move(begin);
    const inside = begin + 2 + sign.length;
    if (tag === "{#") {
      const end = source.indexOf("#}", inside);
      if (end < 0) fail("a comment does not end");
      const last = source[end - 1]!;
      move(end + 2);
      move(behind(end > inside && "-+".includes(last) ? last : "", true));
      continue;
    }
    RAW.lastIndex = inside;
    const raw = tag === "{%" ? RAW.exec(source) : null;
    if (raw) {
      move(RAW.lastIndex);
      move(behind(raw[1]!, true));
      END_RAW.lastIndex = at;
      const end = END_RAW.exec(source);
      if (!end) return fail("raw text does not end");
      data(before(source.slice(at, end.index), end[1]!, "{%"));
      move(END_RAW.lastIndex);
      move(behind(end[2]!, true));
      continue;
    }
    const kind = tag === "{%" ? "block" : "variable";
    tokens.push({ kind: `${kind}_begin`, text: tag, line });
    move(inside);
    const closing = tag === "{%" ? "%}" : "}}";
    const open: string[] = [];
    for (;;) {
      while (at < source.length && isSpace(source[at]!)) move(at + 1);
      if (at >= source.length) fail(`a ${tag} does not end`);
      const endSign = "-+".includes(source[at]!) && source.startsWith(closing, at + 1)
        ? source[at]!
        : "";
      const ends = open.length === 0 && source.startsWith(closing, at + endSign.length) &&
        !(endSign === "+" && tag === "{{");
      if (ends) {
        tokens.push({ kind: `${kind}_end`, text: closing, line });
        move(at + endSign.length + 2);
        move(behind(endSign, tag === "{%"));
        break;
      }
      const token = expressionToken(source, at, line) ?? fail(`unexpected ${source[at]}`);
      tokens.push(token.token);
      if ("([{".includes(token.token.text) && token.token.kind === "operator") {
        open.push(token.token.text);
      } else if (")]}".includes(token.token.text) && token.token.kind === "operator") {
        const opened = open.pop();
        if ("([{".indexOf(opened ?? " ") !== ")]}".indexOf(token.token.text)) {
          fail(`unexpected ${token.token.text}`);
        }
      }
      move(token.end);
    }
  }
  tokens.push({ kind: "end", text: "", line });
  return tokens;
}

function nextTag(source: string, from: number): number {
  for (let at = source.indexOf("{", from); at >= 0; at = source.indexOf("{", at + 1)) {
    if ("%{#".includes(source[at + 1] ?? " ")) return at;
  }
  return source.length;
}

function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && isSpace(text[end - 1]!)) end--;
  return text.slice(0, end);
}

function expressionToken(
  source: string,
  at: number,
  line: number,
): { readonly token: Token; readonly end: number } | undefined {
  const match = (pattern: RegExp) => {
    pattern.lastIndex = at;
    return pattern.exec(source)?.[0];
  };
  const found = (kind: Token["kind"], text: string, value = text) => ({
    token: { kind, text: value, line },
    end: at + text.length,
  });
  const float = source[at - 1] === "." ? undefined : match(FLOAT);
  if (float !== undefined) return found("float", float, float.replaceAll("_", ""));
  const integer = match(INTEGER);
  if (integer !== undefined) return found("integer", integer, integer.replaceAll("_", ""));
  const name = match(NAME);
  if (name !== undefined) return found("name", name);
  const string = match(STRING);
  if (string !== undefined) return found("string", string, unescaped(string.slice(1, -1), line));
  const operator = OPERATORS.find((each) => source.startsWith(each, at));
  return operator === undefined ? undefined : found("operator", operator);
}

const ESCAPES: Readonly<Record<string, string>> = {
  "\n": "",
  "\\": "\\",
  "'": "'",
  '"': '"',
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/** Python's escapes; one that it does not know stays as it is. */
function unescaped(text: string, line: number): string {
  return text.replaceAll(
    /\\(?:([0-7]{1,3})|x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([^]))/g,
    (whole, octal, two, four, eight, other: string | undefined) => {
      if (octal !== undefined) return String.fromCodePoint(parseInt(octal, 8));
      const hex = two ?? four ?? eight;
      if (hex !== undefined && parseInt(hex, 16) <= 0x10ffff) {
        return String.fromCodePoint(parseInt(hex, 16));
      }
      if (other === undefined || "xuUN".includes(other)) {
        throw new TemplateError(
          `line ${line}: a string has the escape ${whole}, expected a character's`,
        );
      }
      return ESCAPES[other] ?? whole;
    },
  );
}
